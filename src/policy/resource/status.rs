//! `status` of a policy. PURE. Filled in by the operator that `spec.operator` names; nothing is ever decided from it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::schema;

/// What the operator says of a policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyStatus {
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The module that runs now; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<RunningModule>,
    /// How many custom resources the policy matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<i64>,
    /// How many of them have objects that are what this version of the policy makes of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_to_date: Option<i64>,
    /// How many of them are held because of this policy: nothing is created, changed or deleted for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<i64>,
    /// How many of them the policy failed on, whatever `spec.failurePolicy` made of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    /// Some of the custom resources that are held or that the policy failed on, at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<FailedSample>,
    /// How many more there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_samples: Option<i64>,
    /// What was done with the policy, one entry a step: Accepted, Verified, Compiled, SettingsValid, Active. Wait for Active:
    /// it is true when the policy runs as its spec says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions::<Condition>")]
    pub conditions: Vec<Condition>,
}

/// The module that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningModule {
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the value in the ConfigMap it came from.
    pub sha256: String,
    /// The first digits of it, as the condition PoliciesApplied of custom resources has them.
    pub digest: String,
    /// Bytes of native code that it became.
    pub code_bytes: i64,
    /// How long compiling it took when it was compiled for this status first.
    pub compile_millis: i64,
}

/// A custom resource that is held, or that the policy failed on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedSample {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why, in one word: see the reference of conditions.
    pub reason: String,
    /// Where in its objects, without any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}
