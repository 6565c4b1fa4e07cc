//! `status` of a Gateway. PURE. Who fills it: the fields that follow from the spec alone, `desired`; the rest, the
//! status stage.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::schema;

/// What the operator says of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayStatus {
    /// In one word: Pending until all pods of the current spec are available, then Running; Failed when that cannot be
    /// reached without a change; Unknown when the Deployment cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Number of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Number of pods that pass their readiness probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Number of pods that have been ready for long enough to take requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_replicas: Option<i32>,
    /// Label selector of the pods, for `kubectl scale` and autoscalers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Where the gateway can be reached: the host of the Ingress, else that of the HTTPRoute, else the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Names of the enabled providers, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_summary: Option<String>,
    /// URLs of the MCP servers that the gateway uses, those of the spec before those that were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<String>,
    /// Number of these MCP servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_server_count: Option<i32>,
    /// Name of the ServiceAccount that the pods use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What a person should know: why it is not running, or which settings have no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Details, one entry a type. Wait for Ready: it is true when everything else holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions::<Condition>")]
    pub conditions: Vec<Condition>,
}

/// The state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[expect(missing_docs, reason = "a comment here would end up in the schema and say what the name says")]
pub enum Phase {
    Pending,
    Running,
    Failed,
    Unknown,
}
