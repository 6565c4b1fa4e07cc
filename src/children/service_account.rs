//! The account that pods run under. PURE.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::{Family, Pairs};
use crate::object::{ChildKind, DesiredChild};

/// A ServiceAccount without rights of its own.
#[must_use]
pub fn service_account(family: &Family<'_>, name: &str) -> DesiredChild {
    let object = ServiceAccount { metadata: family.metadata(name, Pairs::new()), ..ServiceAccount::default() };
    family.child(ChildKind::ServiceAccount, name, &object)
}
