//! The MCP kind: what a user may say of an MCP server, and what the operator says back. PURE.
//!
//! Every comment on a field is the text that `kubectl explain` shows. Field names, types and defaults are API. Blocks
//! whose presence itself means something (`server.tls`, `hpa.config`) are optional here and get no default.

mod desired;
pub mod status;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::status::McpStatus;
use super::{Desired, InvalidSpec, Listing, Parent, ParentInfo, References, Related, Summary, scaling::Hpa, schema};
use crate::{children::metadata::MAX_NAME, object::Identity};

/// Image of a resource that names none.
const DEFAULT_IMAGE: &str = "node:lts";

/// A server of the Model Context Protocol (MCP): tools that a gateway or an orchestrator offers to models. The operator
/// runs it as a Deployment with a Service, and adds an autoscaler when asked to.
#[expect(clippy::duplicated_attributes, reason = "two printer columns may have one type")]
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.inference-gateway.com",
    version = "v1alpha1",
    kind = "MCP",
    root = "Mcp",
    plural = "mcps",
    namespaced,
    category = "inference-gateway",
    status = "McpStatus",
    derive = "PartialEq",
    doc = "A server of the Model Context Protocol: tools for models.",
    printcolumn(name = "Ready", type_ = "boolean", json_path = ".status.ready"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase", default)]
pub struct McpSpec {
    /// Number of pods. 0 stops the server and keeps its Service, its URL and its settings, so that whoever uses it need
    /// not change when it comes back. Without effect while `hpa.enabled` is true: the autoscaler decides then.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Container image of the server. `node:lts` runs nothing by itself and needs `server.command` or `server.args`. Name
    /// a version in production: a tag such as `lts` changes without notice.
    pub image: String,
    /// The server in the pods.
    pub server: Server,
    /// Automatic scaling of the number of pods.
    pub hpa: Hpa,
}

impl Default for McpSpec {
    fn default() -> Self {
        Self { replicas: 1, image: DEFAULT_IMAGE.into(), server: Server::default(), hpa: Hpa::default() }
    }
}

/// The server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// Port of the pods and of the Service. The server gets it as SERVER_PORT and has to listen on it, on every address
    /// (SERVER_HOST is 0.0.0.0). A server that reads neither has to be told by `args`.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Path of the MCP endpoint. It ends `status.url`; the server does not get it.
    #[schemars(regex(pattern = r"^/.*"))]
    pub path: String,
    /// Command of the container, instead of the image's own.
    pub command: Vec<String>,
    /// Arguments of the command, instead of the image's own.
    pub args: Vec<String>,
    /// Longest time for a request, for example `30s` or `1m30s`. The server gets it as SERVER_TIMEOUT; it is up to the
    /// server to keep to it, nothing in front of it does.
    #[schemars(schema_with = "schema::duration")]
    pub timeout: String,
    /// TLS on the server's own port. The block's presence switches it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            port: 8080,
            path: "/mcp".into(),
            command: Vec::new(),
            args: Vec::new(),
            timeout: "30s".into(),
            tls: None,
        }
    }
}

/// TLS of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.enabled) || !self.enabled || (has(self.secretName) && self.secretName != '')",
    "message": "is needed while TLS is enabled",
    "reason": "FieldValueRequired",
    "fieldPath": ".secretName",
}]))]
pub struct Tls {
    /// Serve HTTPS instead of HTTP, on the same port. The URL and the Service follow.
    pub enabled: bool,
    /// Secret with the certificate (`tls.crt`) and its key (`tls.key`). Its keys are files in `/etc/tls`; the server gets
    /// the two paths as SERVER_TLS_CERT_PATH and SERVER_TLS_KEY_PATH. Needed while `enabled` is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { enabled: true, secret_name: None }
    }
}

impl Server {
    /// The TLS settings that are in use.
    #[must_use]
    pub fn active_tls(&self) -> Option<&Tls> {
        self.tls.as_ref().filter(|tls| tls.enabled)
    }

    /// Name of the Secret that the pods mount.
    #[must_use]
    pub fn tls_secret(&self) -> Option<&str> {
        self.active_tls()?.secret_name.as_deref().filter(|name| !name.is_empty())
    }
}

impl Parent for Mcp {
    const INFO: ParentInfo = ParentInfo { group: super::GROUP, version: super::VERSION, kind: "MCP", plural: "mcps" };

    const SUMMARY: Summary = Summary::Ready;

    const LISTED: bool = true;

    type Spec = McpSpec;

    fn crd() -> CustomResourceDefinition {
        let longest = MAX_NAME - desired::SERVICE_SUFFIX.len();
        schema::finish(<Self as CustomResourceExt>::crd(), (longest, "the name of the Service begins with it"))
    }

    fn references(_: &Identity, spec: &McpSpec) -> Result<References, InvalidSpec> {
        let secrets = spec.server.tls_secret().map(Into::into).into_iter().collect();
        Ok(References { secrets, ..References::default() })
    }

    fn desired(parent: &Identity, spec: &McpSpec, _: &Related) -> Result<Desired, InvalidSpec> {
        desired::desired(parent, spec)
    }

    fn listing(parent: &Identity, spec: &McpSpec, status: &Value) -> Listing {
        let url = match desired::check(parent, spec) {
            Ok(()) => Some(desired::url(parent, spec)),
            // The last good objects stay, and so does where they are.
            Err(_) => status["url"].as_str().map(Into::into),
        };
        Listing { url, claim: None }
    }
}

#[cfg(test)]
mod tests;
