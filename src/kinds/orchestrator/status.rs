//! `status` of an Orchestrator. PURE. Who fills it: what was discovered, `desired`; the rest, the status stage.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::schema;

/// What the operator says of an Orchestrator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OrchestratorStatus {
    /// Whether everything holds: the same as the condition Ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// URLs of the Agents that were found by label. Absent while nobody looks for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovered_agents: Option<Vec<String>>,
    /// Number of Agents that were found; 0 while nobody looks for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovered_agent_count: Option<i32>,
    /// URLs of the MCPs that were found by label. Absent while nobody looks for any.
    #[serde(rename = "discoveredMCPs", skip_serializing_if = "Option::is_none")]
    pub discovered_mcps: Option<Vec<String>>,
    /// Number of MCPs that were found; 0 while nobody looks for any.
    #[serde(rename = "discoveredMCPCount", skip_serializing_if = "Option::is_none")]
    pub discovered_mcp_count: Option<i32>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What a person should know: why it is not ready, or which settings have no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Details, one entry a type. Wait for Ready: it is true when everything else holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions::<Condition>")]
    pub conditions: Vec<Condition>,
}
