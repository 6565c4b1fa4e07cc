//! `serviceDiscovery`: looking for custom resources by label, one shape for the kinds that do. PURE.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Discovery, InvalidSpec, schema};
use crate::object::Identity;

/// Which custom resources to look for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDiscovery {
    /// Look for them.
    pub enabled: bool,
    /// Namespace to look in; the resource's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels to look for; all of the namespace when left out or empty. Same shape as
    /// `kubectl explain deployment.spec.selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,
}

impl ServiceDiscovery {
    /// What to look for, when it is switched on. `field` is the path of this block.
    ///
    /// # Errors
    /// When the selector makes no sense.
    pub fn discovery(&self, parent: &Identity, field: &str) -> Result<Option<Discovery>, InvalidSpec> {
        if !self.enabled {
            return Ok(None);
        }
        let selector = Selector::try_from(self.selector.clone().unwrap_or_default())
            .map_err(|error| InvalidSpec { field: format!("{field}.selector"), message: error.to_string() })?;
        let namespace = self.namespace.clone().filter(|namespace| !namespace.is_empty());
        Ok(Some(Discovery { namespace: namespace.unwrap_or_else(|| parent.namespace.clone()), selector }))
    }
}
