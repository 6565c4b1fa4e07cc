//! `spec.resources`, `spec.hpa` and `spec.serviceAccount` of a Gateway. PURE.

use k8s_openapi::{
    api::autoscaling::v2::{CrossVersionObjectReference, HorizontalPodAutoscalerBehavior, MetricSpec},
    apimachinery::pkg::api::resource::Quantity,
};
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

/// Automatic scaling.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Hpa {
    /// Let a HorizontalPodAutoscaler decide the number of pods. Needs a metrics server in the cluster. Switching it on
    /// keeps the number of running pods, switching it off goes back to `replicas`.
    pub enabled: bool,
    /// How to scale. Without it: one to ten pods, by 80 % of the requested CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<HpaConfig>,
}

/// The spec of a HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
    "message": "must not be above maxReplicas",
    "fieldPath": ".minReplicas",
}]))]
pub struct HpaConfig {
    /// Accepted so that the spec of an existing autoscaler can be pasted here; it is always this Gateway's Deployment
    /// that is scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<CrossVersionObjectReference>")]
    pub scale_target_ref: Option<CrossVersionObjectReference>,
    /// Fewest pods; 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_replicas: Option<i32>,
    /// Most pods.
    #[schemars(range(min = 1))]
    pub max_replicas: i32,
    /// What is measured. Same shape as `kubectl explain hpa.spec.metrics --api-version=autoscaling/v2`. Without it: 80 %
    /// of the requested CPU.
    #[serde(default)]
    #[schemars(schema_with = "schema::kubernetes::<Vec<MetricSpec>>")]
    pub metrics: Vec<MetricSpec>,
    /// How fast it scales up and down. Same shape as `kubectl explain hpa.spec.behavior --api-version=autoscaling/v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<HorizontalPodAutoscalerBehavior>")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
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
