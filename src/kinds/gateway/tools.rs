//! `spec.mcp` of a Gateway. PURE.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    kinds::{Discovery, Found, InvalidSpec, discovery::ServiceDiscovery, schema},
    object::Identity,
};

/// The kind of the custom resources that are looked for.
pub(super) const DISCOVERED: &str = "MCP";

/// The gateway as a client of MCP servers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Mcp {
    /// Use the MCP servers below.
    pub enabled: bool,
    /// Let callers list the tools of the MCP servers.
    pub expose: bool,
    /// How models get at the tools: by asking for those they need (`selector`), or all of them with every request
    /// (`direct`).
    pub tool_mode: ToolMode,
    /// MCP servers, in the order in which the gateway gets them.
    pub servers: Vec<McpServer>,
    /// Use the servers of MCP resources as well. Their URLs come after those above, and a change of them rolls the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_discovery: Option<ServiceDiscovery>,
    /// How long the gateway waits for MCP servers.
    pub timeouts: McpTimeouts,
}

/// A way to offer tools to models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "a comment here would end up in the schema and say what the name says")]
pub enum ToolMode {
    #[default]
    Selector,
    Direct,
}

impl ToolMode {
    /// As the gateway wants it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Selector => "selector",
            Self::Direct => "direct",
        }
    }
}

/// One MCP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServer {
    /// Name of the server, for people.
    pub name: String,
    /// URL of the server, path included.
    pub url: String,
    /// How the gateway finds out whether the server is there.
    #[serde(default)]
    pub health_check: HealthCheck,
}

/// Health check of an MCP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// Check this server. The gateway has one switch for all: it checks when any server asks for it.
    pub enabled: bool,
    /// Path of the check. The gateway checks by the MCP protocol, so another path than the default changes nothing, and
    /// the status message says so.
    pub path: String,
    /// Time between two checks. The gateway has one interval for all: the shortest one counts.
    #[schemars(schema_with = "schema::duration")]
    pub interval: String,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { enabled: true, path: "/health".into(), interval: "30s".into() }
    }
}

/// Time limits of the MCP client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpTimeouts {
    /// Longest time for a whole exchange.
    #[schemars(schema_with = "schema::duration")]
    pub client: String,
    /// Longest time to connect.
    #[schemars(schema_with = "schema::duration")]
    pub dial: String,
    /// Longest time for the TLS handshake.
    #[schemars(schema_with = "schema::duration")]
    pub tls_handshake: String,
    /// Longest time until the headers of the answer are there.
    #[schemars(schema_with = "schema::duration")]
    pub response_header: String,
    /// Longest time for one MCP request.
    #[schemars(schema_with = "schema::duration")]
    pub request: String,
}

impl Default for McpTimeouts {
    fn default() -> Self {
        Self {
            client: "10s".into(),
            dial: "5s".into(),
            tls_handshake: "5s".into(),
            response_header: "5s".into(),
            request: "10s".into(),
        }
    }
}

impl Mcp {
    /// The MCP resources to look for, when both are switched on.
    ///
    /// # Errors
    /// When the selector makes no sense.
    pub fn discovery(&self, parent: &Identity) -> Result<Option<Discovery>, InvalidSpec> {
        let wish = self.service_discovery.as_ref().filter(|_| self.enabled);
        wish.map_or(Ok(None), |wish| wish.discovery(parent, "spec.mcp.serviceDiscovery"))
    }

    /// The URLs of the servers: those of the spec in its order, then those that were found; each once.
    #[must_use]
    pub fn urls<'a>(&'a self, found: &'a [Found]) -> Vec<&'a str> {
        let mut urls: Vec<&str> = Vec::new();
        let all = self.servers.iter().map(|server| server.url.as_str()).chain(found.iter().map(|found| &*found.url));
        for url in all.filter(|_| self.enabled) {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }
}
