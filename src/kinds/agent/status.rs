//! `status` of an Agent. PURE. Who fills it: the fields that follow from the spec and the card, `desired`; the rest, the
//! status stage.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::schema;

/// What the operator says of an Agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentStatus {
    /// Whether the agent works: every object is on the server, its pod is available and its card could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Where the agent can be reached inside the cluster: its Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The card that the agent serves; the last good one while it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<AgentCard>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What a person should know: why it does not work, or which settings have no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Details, one entry a type. Wait for Ready: it is true when everything else holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions::<Condition>")]
    pub conditions: Vec<Condition>,
}

/// What the agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentCard {
    /// Name of the agent.
    pub name: String,
    /// Version of the agent.
    pub version: String,
    /// What the agent is for.
    pub description: String,
    /// URL that the agent names for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where more about the agent can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation_url: Option<String>,
    /// Media types that the agent takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_input_modes: Vec<String>,
    /// Media types that the agent answers in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_output_modes: Vec<String>,
    /// Optional parts of the protocol.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// What the agent can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<Skill>,
    /// Names of the skills, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skills_names: Option<String>,
}

/// Optional parts of the protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// Whether the agent sends answers piece by piece.
    pub streaming: bool,
    /// Whether the agent calls back when a task moves on.
    pub push_notifications: bool,
    /// Whether the agent tells which states a task went through.
    pub state_transition_history: bool,
}

/// Something that the agent can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Skill {
    /// Id of the skill.
    pub id: String,
    /// Name of the skill.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Examples of what to ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Media types that it takes, when they are not the agent's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_modes: Vec<String>,
    /// Media types that it answers in, when they are not the agent's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_modes: Vec<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}
