//! The HTTP side of an Agent: `spec.logging`, `spec.queue`, `spec.tls` and `spec.card`. PURE.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::schema;

/// What the agent logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Logging {
    /// How much. Published agents know two levels: `debug`, and everything else.
    pub level: String,
    /// In which form, as LOG_FORMAT. Published agents have one form only and do not read it.
    pub format: String,
}

impl Default for Logging {
    fn default() -> Self {
        Self { level: "info".into(), format: "json".into() }
    }
}

impl Logging {
    /// Whether details are wanted that only help to find a fault.
    #[must_use]
    pub fn debug(&self) -> bool {
        ["debug", "trace"].iter().any(|level| self.level.eq_ignore_ascii_case(level))
    }
}

/// The queue of tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// Passed on as QUEUE_ENABLED. Published agents always have a queue and do not read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Most tasks that wait at a time. The agent's own limit when left out or 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_size: Option<i32>,
    /// Time between two rounds that remove what has ended, for example `5m`. The agent's own when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub cleanup_interval: Option<String>,
}

/// TLS of the HTTP server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.enabled) || !self.enabled || (has(self.secretRef) && self.secretRef != '')",
    "message": "is needed when tls.enabled is true",
    "fieldPath": ".secretRef",
}]))]
pub struct Tls {
    /// Serve HTTPS instead of HTTP, on the same port. The probes, the Service, the agent's URL and the fetch of its card
    /// follow.
    pub enabled: bool,
    /// Name of the Secret that holds the certificate under `tls.crt` and the private key under `tls.key`, both in PEM form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<String>,
}

impl Tls {
    /// Name of the Secret, when TLS is on.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        self.secret_ref.as_deref().filter(|name| self.enabled && !name.is_empty())
    }
}

/// What the agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Advertised {
    /// URL that the agent's card names, for clients that reach the agent from elsewhere. The URL of the Service when left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
