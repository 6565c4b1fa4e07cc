//! `spec.mcp` of an Agent. PURE.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::schema;

/// The agent as a client of MCP servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Mcp {
    /// Use the MCP servers below.
    pub enabled: bool,
    /// Older name of `enabled`; either of the two is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable: Option<bool>,
    /// URLs of the servers, without the path.
    pub servers: Vec<String>,
    /// Path of the MCP endpoint on each server.
    pub endpoint: String,
    /// Time between two looks at the tools of a server.
    #[schemars(schema_with = "schema::duration")]
    pub refresh_interval: String,
    /// Longest time to reach a server and list its tools.
    #[schemars(schema_with = "schema::duration")]
    pub dial_timeout: String,
    /// Longest time for one call of a tool.
    #[schemars(schema_with = "schema::duration")]
    pub call_timeout: String,
    /// How often the agent tries to reach a server before it gives up; 0: for ever.
    #[schemars(range(min = 0))]
    pub max_retries: i32,
    /// Time before the first repetition; it doubles each time.
    #[schemars(schema_with = "schema::duration")]
    pub retry_interval: String,
    /// Longest time between two tries.
    #[schemars(schema_with = "schema::duration")]
    pub retry_max_interval: String,
}

impl Default for Mcp {
    fn default() -> Self {
        Self {
            enabled: false,
            enable: None,
            servers: Vec::new(),
            endpoint: "/mcp".into(),
            refresh_interval: "5m".into(),
            dial_timeout: "30s".into(),
            call_timeout: "30s".into(),
            max_retries: 0,
            retry_interval: "2s".into(),
            retry_max_interval: "30s".into(),
        }
    }
}

impl Mcp {
    /// Whether the servers are used.
    #[must_use]
    pub fn on(&self) -> bool {
        self.enabled || self.enable == Some(true)
    }

    /// The servers, each once.
    #[must_use]
    pub fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<&str> = Vec::new();
        for server in &self.servers {
            if !server.is_empty() && !servers.contains(&server.as_str()) {
                servers.push(server);
            }
        }
        servers
    }
}
