//! The custom resources of policies: `WasmPolicy` for one namespace and `ClusterWasmPolicy` for the whole cluster. PURE.
//!
//! Both decode into [`PolicySpec`]; what only the cluster kind may say is refused by the schema of the other one, see
//! [`definition`]. Every comment on a field is the text that `kubectl explain` shows.

pub mod definition;
pub mod status;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    grants::{Grants, GroupKind},
    limits::Limits,
};
use crate::kinds::{ParentInfo, schema};

/// API group of policies.
pub const GROUP: &str = "policy.inference-gateway.dev";
/// Version of policies.
pub const VERSION: &str = "v1alpha1";
/// Policies of one namespace.
pub const WASM_POLICY: ParentInfo =
    ParentInfo { group: GROUP, version: VERSION, kind: "WasmPolicy", plural: "wasmpolicies" };
/// Policies of the whole cluster.
pub const CLUSTER_WASM_POLICY: ParentInfo =
    ParentInfo { group: GROUP, version: VERSION, kind: "ClusterWasmPolicy", plural: "clusterwasmpolicies" };

/// What a policy runs, on what, and what it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    /// The WebAssembly module.
    pub module: Module,
    /// Which objects of which custom resources the policy rewrites.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Policies of one kind run in this order, smaller numbers first and then by name; WasmPolicies run before
    /// ClusterWasmPolicies.
    #[serde(default)]
    pub order: i32,
    /// What the policy is told to do. The module brings a schema of its settings, which `igw policy inspect` shows; settings
    /// that do not fit are refused by the condition SettingsValid.
    #[serde(default)]
    #[schemars(schema_with = "definition::settings")]
    pub settings: Map<String, Value>,
    /// Whether the policy runs. Enforce: it does, and nothing that it matches is written without it. Suspended: it does not,
    /// and what it has changed stays as it is.
    #[serde(default)]
    pub mode: Mode,
    /// What happens when the policy cannot be loaded or fails.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// What one call may use.
    #[serde(default)]
    pub limits: PolicyLimits,
    /// What the policy may do beyond what every policy may.
    #[serde(default)]
    pub grants: Grants,
    /// Name of the operator that runs it, as given by its flag --operator-name. Cannot be changed: make a policy for the
    /// other operator in its place.
    #[serde(default = "default_operator")]
    #[schemars(
        length(max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
        extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "cannot be changed"}])
    )]
    pub operator: String,
}

fn default_operator() -> String {
    "default".into()
}

/// Where the module lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Module {
    /// Key of a ConfigMap.
    pub config_map: ConfigMapKey,
    /// SHA-256 of the value exactly as it lies in binaryData, packed or not, as 64 lower-case hexadecimal digits. Bytes
    /// with another digest never run.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: String,
}

/// A key in `binaryData` of a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKey {
    /// Name of the ConfigMap.
    #[schemars(length(max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Namespace of the ConfigMap; the operator's own when absent, and another one only if the operator's flag
    /// --policy-module-namespaces names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// Key, ending in .wasm or, when the value is packed with gzip, in .wasm.gz.
    #[schemars(length(max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+\.wasm(\.gz)?$"))]
    pub key: String,
}

/// Which objects of which custom resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// Kinds of custom resources whose objects the policy rewrites.
    #[schemars(length(min = 1, max = 16))]
    pub parents: Vec<GroupKind>,
    /// Kinds of generated objects that the policy is shown. It sees no others, and cannot change them.
    #[schemars(length(min = 1, max = 16))]
    pub children: Vec<GroupKind>,
    /// Labels that a custom resource must have; all match when absent. Same shape as
    /// `kubectl explain deployment.spec.selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// Labels that the namespace of a custom resource must have; all match when absent. The operator's own namespace never
    /// matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub namespace_selector: Option<LabelSelector>,
}

/// Whether a policy runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// It runs, and nothing is written that it has not seen.
    #[default]
    Enforce,
    /// It does not run, and what it has changed stays as it is.
    Suspended,
}

/// What happens when a policy cannot do its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailurePolicy {
    /// When the module cannot be loaded or the settings will not do. Fail: matching custom resources are held, which means
    /// that nothing is created, changed or deleted for them. LastGood: the module and settings that this operator ran before
    /// go on; after a restart of the operator matching custom resources are held. Ignore: what the policy has never changed
    /// goes on without it, and what it has changed is held.
    pub load: LoadFailure,
    /// When the policy fails on a custom resource, or changes what it may not. Fail: that custom resource is held. Ignore:
    /// what the policy has never changed goes on without it, and what it has changed is held.
    pub evaluation: EvaluationFailure,
}

/// When a module cannot be loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LoadFailure {
    /// Matching custom resources are held.
    Fail,
    /// The module and settings that this operator ran before go on; after a restart matching custom resources are held.
    #[default]
    LastGood,
    /// What the policy has never changed goes on without it; what it has changed is held.
    Ignore,
}

/// When a policy fails on a custom resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EvaluationFailure {
    /// That custom resource is held.
    #[default]
    Fail,
    /// What the policy has never changed goes on without it; what it has changed is held.
    Ignore,
}

/// What one call may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyLimits {
    /// Units of fuel, about one an instruction; 50 million when absent, which is also the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50_000_000), extend("format" = "int64"))]
    pub fuel: Option<u64>,
    /// Memory in MiB; 64 when absent, which is also the most.
    #[serde(rename = "memoryMiB", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64), extend("format" = "int64"))]
    pub memory_mib: Option<u64>,
}

impl PolicyLimits {
    /// The limits of a call, never more than the operator gives.
    #[must_use]
    pub fn clamped(self) -> Limits {
        let most = Limits::default();
        Limits {
            fuel: self.fuel.map_or(most.fuel, |fuel| fuel.min(most.fuel)),
            memory: self.memory_mib.map_or(most.memory, |mib| (mib << 20).min(most.memory)),
        }
    }
}
