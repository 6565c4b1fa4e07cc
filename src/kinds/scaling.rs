//! `spec.hpa`, shared by the kinds that have one. PURE.

use k8s_openapi::api::autoscaling::v2::{CrossVersionObjectReference, HorizontalPodAutoscalerBehavior, MetricSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::{
    children::{
        autoscaler::{Scaling, autoscaler},
        metadata::Family,
    },
    object::DesiredChild,
};

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
    /// Accepted so that the spec of an existing autoscaler can be pasted here; it is always the resource's own
    /// Deployment that is scaled.
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

impl Hpa {
    /// The autoscaler `name` of the Deployment of the same name as the custom resource, when there should be one.
    #[must_use]
    pub fn autoscaler(&self, family: &Family<'_>, name: &str) -> Option<DesiredChild> {
        let scaling = self.config.as_ref().map_or_else(Scaling::default, |config| Scaling {
            min: config.min_replicas,
            max: config.max_replicas,
            metrics: config.metrics.clone(),
            behavior: config.behavior.clone(),
        });
        self.enabled.then(|| autoscaler(family, name, &family.parent.name, scaling))
    }

    /// A sentence for the status message, when another Deployment is named than the one that is scaled.
    #[must_use]
    pub fn note(&self, kind: &str, deployment: &str) -> Option<String> {
        let target = self.config.as_ref().filter(|_| self.enabled)?.scale_target_ref.as_ref()?;
        (target.kind != "Deployment" || target.name != deployment)
            .then(|| format!("hpa.config.scaleTargetRef has no effect: the Deployment of this {kind} is scaled"))
    }
}
