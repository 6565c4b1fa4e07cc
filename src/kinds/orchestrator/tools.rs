//! `spec.tools`, `spec.a2a` and `spec.mcp` of an Orchestrator: what the model may use besides words. PURE.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::{Found, Related, discovery::ServiceDiscovery};

/// The kind that `a2a.serviceDiscovery` looks for.
pub const AGENTS: &str = "Agent";
/// The kind that `mcp.serviceDiscovery` looks for.
pub const MCPS: &str = "MCP";

/// Tools of the program itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tools {
    /// Let the model use the tools of the program.
    pub enabled: bool,
    /// Let users have work done at set times. The program needs a storage for it that lasts, for example Redis by `env`.
    #[serde(default)]
    pub schedule: bool,
}

/// Agents that work can be handed to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct A2a {
    /// Let the model hand work to agents.
    pub enabled: bool,
    /// URLs of agents that are always there.
    #[serde(default)]
    pub agents: Vec<String>,
    /// Looking for Agents by label. The pod is replaced when other ones are found, and only then.
    #[serde(default)]
    pub service_discovery: ServiceDiscovery,
}

/// MCP servers whose tools the model may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mcp {
    /// Let the model use the tools of MCP servers.
    pub enabled: bool,
    /// URLs of MCP servers that are always there. What a URL leaves out: `http`, port 80 or 443 by its scheme, path
    /// `/mcp`.
    #[serde(default)]
    pub servers: Vec<String>,
    /// Looking for MCPs by label. The pod is replaced when other ones are found, and only then.
    #[serde(default)]
    pub service_discovery: ServiceDiscovery,
}

impl A2a {
    /// What is looked for, when something is.
    #[must_use]
    pub fn active_discovery(&self) -> Option<&ServiceDiscovery> {
        (self.enabled && self.service_discovery.enabled).then_some(&self.service_discovery)
    }

    /// The agents that were found; `None` when nobody looks.
    pub(super) fn found<'a>(&self, related: &'a Related) -> Option<&'a [Found]> {
        self.active_discovery().map(|_| found(related, AGENTS))
    }
}

impl Mcp {
    /// What is looked for, when something is.
    #[must_use]
    pub fn active_discovery(&self) -> Option<&ServiceDiscovery> {
        (self.enabled && self.service_discovery.enabled).then_some(&self.service_discovery)
    }

    /// The servers that were found; `None` when nobody looks.
    pub(super) fn found<'a>(&self, related: &'a Related) -> Option<&'a [Found]> {
        self.active_discovery().map(|_| found(related, MCPS))
    }
}

fn found<'a>(related: &'a Related, kind: &str) -> &'a [Found] {
    related.found.get(kind).map(Arc::as_ref).unwrap_or_default()
}
