//! `status` of an MCP server. PURE. Who fills it: `url`, `desired`; the rest, the status stage.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::schema;

/// What the operator says of an MCP server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpStatus {
    /// Whether the condition Ready is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Where the server can be reached inside the cluster, path included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
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
