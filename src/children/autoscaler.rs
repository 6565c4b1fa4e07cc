//! The HorizontalPodAutoscaler of a Deployment. PURE.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec,
    MetricSpec, MetricTarget, ResourceMetricSource,
};

use super::metadata::{Family, Pairs};
use crate::object::{ChildKind, DesiredChild};

/// How a Deployment is scaled.
#[derive(Debug, Clone)]
pub struct Scaling {
    /// Fewest pods; the API server's 1 when absent.
    pub min: Option<i32>,
    /// Most pods.
    pub max: i32,
    /// What is measured; the API server's 80 % of the requested CPU when empty.
    pub metrics: Vec<MetricSpec>,
    /// How fast it goes up and down.
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

impl Default for Scaling {
    /// One to ten pods, by 80 % of the requested CPU.
    fn default() -> Self {
        let cpu = MetricSpec {
            type_: "Resource".into(),
            resource: Some(ResourceMetricSource {
                name: "cpu".into(),
                target: MetricTarget {
                    type_: "Utilization".into(),
                    average_utilization: Some(80),
                    ..MetricTarget::default()
                },
            }),
            ..MetricSpec::default()
        };
        Self { min: Some(1), max: 10, metrics: vec![cpu], behavior: None }
    }
}

/// The autoscaler `name` of the Deployment `deployment`.
#[must_use]
pub fn autoscaler(family: &Family<'_>, name: &str, deployment: &str, scaling: Scaling) -> DesiredChild {
    let object = HorizontalPodAutoscaler {
        metadata: family.metadata(name, Pairs::new()),
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".into()),
                kind: "Deployment".into(),
                name: deployment.into(),
            },
            min_replicas: scaling.min,
            max_replicas: scaling.max,
            // An empty list is the same as none: the API server puts its default there.
            metrics: Some(scaling.metrics).filter(|metrics| !metrics.is_empty()),
            behavior: scaling.behavior,
        },
        status: None,
    };
    family.child(ChildKind::HorizontalPodAutoscaler, name, &object)
}
