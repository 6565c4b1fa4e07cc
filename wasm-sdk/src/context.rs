//! Which custom resource is rendered, and as which policy.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What a policy knows besides its settings and the objects. No time, no uid and no status: the same custom resource
/// must always give the same result.
#[derive(Debug, Clone, Deserialize)]
pub struct Context {
    /// The custom resource.
    pub parent: Parent,
    /// The policy's own custom resource.
    pub policy: PolicyName,
}

/// The custom resource that the objects were generated from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// Group and version, for example `core.inference-gateway.com/v1alpha1`.
    pub api_version: String,
    /// Kind, for example `Gateway`.
    pub kind: String,
    /// Name, namespace, labels and annotations.
    pub metadata: Metadata,
    /// The spec, as it is stored.
    #[serde(default)]
    pub spec: Value,
}

/// The part of the metadata that people write.
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Namespace; that of every object too.
    pub namespace: String,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations, without what kubectl writes.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// The policy's own custom resource.
#[derive(Debug, Clone, Deserialize)]
pub struct PolicyName {
    /// Name.
    pub name: String,
    /// Namespace; empty for a ClusterWasmPolicy.
    #[serde(default)]
    pub namespace: String,
}
