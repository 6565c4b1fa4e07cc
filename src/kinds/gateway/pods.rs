//! `spec.resources` and `spec.serviceAccount` of a Gateway. PURE.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::schema;

/// CPU and memory of each pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
// A rule that fails to compute is not forgiven in resources stored before it, as one that answers no is: each of these
// has an answer for anything.
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) \
                 || !isQuantity(string(self.requests.cpu)) || !isQuantity(string(self.limits.cpu)) \
                 || quantity(string(self.requests.cpu)).compareTo(quantity(string(self.limits.cpu))) <= 0",
        "message": "must not be above limits.cpu",
        "fieldPath": ".requests.cpu",
    },
    {
        "rule": "!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) \
                 || !isQuantity(string(self.requests.memory)) || !isQuantity(string(self.limits.memory)) \
                 || quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0",
        "message": "must not be above limits.memory",
        "fieldPath": ".requests.memory",
    },
]))]
pub struct Resources {
    /// What a pod is promised. What is left out: 100m CPU and 256Mi memory, or the limit when that is lower.
    pub requests: Amounts,
    /// What a pod may use at most. What is left out: 2 CPUs and 1Gi memory, or the request when that is higher.
    pub limits: Amounts,
}

/// An amount of CPU and of memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Amounts {
    /// CPUs, for example `500m` or `2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub cpu: Option<Quantity>,
    /// Memory, for example `512Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub memory: Option<Quantity>,
}

/// The account of the pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Make the ServiceAccount. Switched off, the pods use one that exists already.
    pub create: bool,
    /// Name of the ServiceAccount; the name of the Gateway when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Default for ServiceAccount {
    fn default() -> Self {
        Self { create: true, name: None }
    }
}
