//! A ConfigMap with files that the pods mount. PURE.

use k8s_openapi::api::core::v1::ConfigMap;

use super::metadata::{Family, Pairs};
use crate::object::{ChildKind, DesiredChild};

/// A ConfigMap with these files.
#[must_use]
pub fn config_map(family: &Family<'_>, name: &str, files: Pairs) -> DesiredChild {
    let object = ConfigMap {
        metadata: family.metadata(name, Pairs::new()),
        data: Some(files).filter(|files| !files.is_empty()),
        ..ConfigMap::default()
    };
    family.child(ChildKind::ConfigMap, name, &object)
}
