//! The Gateway kind as the API server knows it. The operator's own types stay unknown here: the demo and the benchmark look at it
//! from outside, as any user does.

use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;

/// API group of the operator's kinds.
pub(crate) const GROUP: &str = "core.inference-gateway.com";
/// Kind.
pub(crate) const KIND: &str = "Gateway";
/// Selects everything that the operator makes.
pub(crate) const CHILDREN: &str = "app.kubernetes.io/managed-by=inference-gateway-operator";

/// How to address Gateways.
pub(crate) fn resource() -> ApiResource {
    ApiResource {
        group: GROUP.into(),
        version: "v1alpha1".into(),
        api_version: format!("{GROUP}/v1alpha1"),
        kind: KIND.into(),
        plural: "gateways".into(),
    }
}

/// Whether the status is about the spec as it is now, and says that all is well.
pub(crate) fn is_running(gateway: &DynamicObject) -> bool {
    let status = &gateway.data["status"];
    status["phase"] == "Running" && status["observedGeneration"].as_i64() == gateway.metadata.generation
}

/// A text in the status, or nothing.
pub(crate) fn status_text<'a>(gateway: &'a DynamicObject, field: &str) -> &'a str {
    gateway.data["status"][field].as_str().unwrap_or_default()
}

/// The conditions in the status.
pub(crate) fn conditions(gateway: &DynamicObject) -> &[Value] {
    gateway.data["status"]["conditions"].as_array().map_or(&[], Vec::as_slice)
}
