//! The Gateway kind: what a user may say of a gateway, and what the operator says back. PURE.
//!
//! Every comment on a field is the text that `kubectl explain` shows. Field names, types and defaults are API. Blocks
//! whose presence itself means something (`server.tls`, `auth.oidc`, `ingress.tls`, `hpa.config`, `service.port`) are
//! optional here and get no default; every other block is always there, in the schema and after decoding alike.

pub mod desired;
mod env;
mod exposure;
pub mod gateway_api;
pub mod guardrails;
pub mod network;
mod notes;
pub mod pods;
pub mod routing;
pub mod server;
pub mod status;
pub mod tools;

use std::collections::BTreeSet;

use k8s_openapi::{
    api::core::v1::{EnvVar, EnvVarSource},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    gateway_api::GatewayApi,
    guardrails::Guardrails,
    network::{Ingress, Service},
    pods::{Resources, ServiceAccount},
    routing::Routing,
    server::{Auth, Server},
    status::GatewayStatus,
    tools::Mcp,
};
use super::{
    Desired, InvalidSpec, Parent, ParentInfo, References, Related, Summary, scaling::Hpa, schema, telemetry::Telemetry,
};
use crate::{children::metadata::MAX_NAME, object::Identity};

/// An inference gateway: one API in front of many model providers. The operator runs it as a Deployment with a Service,
/// and adds an Ingress, a route of the Gateway API and an autoscaler when asked to.
#[expect(clippy::duplicated_attributes, reason = "two printer columns may have one type and one priority")]
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.inference-gateway.com",
    version = "v1alpha1",
    kind = "Gateway",
    namespaced,
    shortname = "igw",
    category = "inference-gateway",
    status = "GatewayStatus",
    derive = "PartialEq",
    doc = "An inference gateway: one API in front of many model providers.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Providers", type_ = "string", json_path = ".status.providerSummary"),
    printcolumn(name = "MCPs", type_ = "integer", json_path = ".status.mcpServerCount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewaySpec {
    /// Number of pods. Without effect while `hpa.enabled` is true: the autoscaler decides then.
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,
    /// Container image of the gateway. Name a version in production: `latest` changes without notice.
    pub image: String,
    /// Environment that the gateway runs in, handed to it as ENVIRONMENT. Outside production it logs more.
    pub environment: Environment,
    /// The HTTP server of the gateway.
    pub server: Server,
    /// Who may call the gateway.
    pub auth: Auth,
    /// Model providers that the gateway can reach, with their settings and keys.
    pub providers: Vec<Provider>,
    /// Metrics and traces of the gateway.
    pub telemetry: Telemetry,
    /// MCP servers whose tools the gateway offers to models.
    pub mcp: Mcp,
    /// CPU and memory of each pod.
    pub resources: Resources,
    /// The Service in front of the pods.
    pub service: Service,
    /// Access from outside the cluster by an Ingress.
    pub ingress: Ingress,
    /// Access from outside the cluster by the Gateway API.
    #[serde(rename = "gatewayAPI")]
    pub gateway_api: GatewayApi,
    /// Which model answers a request. With `gateway` or `httpRoute` inside it means the same as `gatewayAPI`, as it did in
    /// earlier versions.
    pub routing: Routing,
    /// Policies that requests and answers have to pass.
    pub guardrails: Guardrails,
    /// Automatic scaling of the number of pods.
    pub hpa: Hpa,
    /// The ServiceAccount that the pods run under.
    pub service_account: ServiceAccount,
}

impl Default for GatewaySpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            image: "ghcr.io/inference-gateway/inference-gateway:latest".into(),
            environment: Environment::default(),
            server: Server::default(),
            auth: Auth::default(),
            providers: Vec::new(),
            telemetry: Telemetry::default(),
            mcp: Mcp::default(),
            resources: Resources::default(),
            service: Service::default(),
            ingress: Ingress::default(),
            gateway_api: GatewayApi::default(),
            routing: Routing::default(),
            guardrails: Guardrails::default(),
            hpa: Hpa::default(),
            service_account: ServiceAccount::default(),
        }
    }
}

/// A kind of environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "a comment here would end up in the schema and say what the name says")]
pub enum Environment {
    Development,
    Staging,
    #[default]
    Production,
}

impl Environment {
    /// As the gateway wants it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

/// A model provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Name of the provider, for example OpenAI. Shown in `status.providerSummary` as it is written here.
    pub name: String,
    /// Whether the pods get this provider's variables. A provider that is switched off is not in the summary either.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Environment variables of this provider, passed to the gateway unchanged: its URL, its key (best by
    /// `valueFrom.secretKeyRef`), or any other variable. Same shape as `kubectl explain pod.spec.containers.env`. They
    /// come after the operator's own variables; of a name given twice the last one counts.
    #[serde(default)]
    #[schemars(schema_with = "schema::kubernetes::<Vec<EnvVar>>")]
    pub env: Vec<EnvVar>,
}

const fn enabled() -> bool {
    true
}

impl GatewaySpec {
    /// The providers that are in use.
    pub fn active_providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.iter().filter(|provider| provider.enabled)
    }

    /// Where the variables of those providers come from.
    fn sources(&self) -> impl Iterator<Item = &EnvVarSource> {
        self.active_providers().flat_map(|provider| &provider.env).filter_map(|var| var.value_from.as_ref())
    }

    /// Names of the ConfigMaps of others that the pods read.
    fn config_maps(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<_> =
            self.sources().filter_map(|source| source.config_map_key_ref.as_ref()).map(|r| r.name.clone()).collect();
        names.extend(self.auth.ca_certificate().map(|r| r.name.clone()));
        names.extend(self.routing.foreign_config_map().map(Into::into));
        names.extend(self.guardrails.config_map().map(Into::into));
        names.remove("");
        names
    }

    /// The Gateway API in its own block or in the older one, and the name of that block.
    fn gateway_api(&self) -> (&'static str, GatewayApi) {
        match self.routing.as_gateway_api().filter(|_| !self.gateway_api.enabled) {
            Some(older) => ("routing", older),
            None => ("gatewayAPI", self.gateway_api.clone()),
        }
    }
}

impl Parent for Gateway {
    const INFO: ParentInfo =
        ParentInfo { group: super::GROUP, version: super::VERSION, kind: "Gateway", plural: "gateways" };

    const SUMMARY: Summary = Summary::Phase;

    type Spec = GatewaySpec;

    fn crd() -> CustomResourceDefinition {
        schema::finish(<Self as CustomResourceExt>::crd(), (MAX_NAME, "the Service has the same name"))
    }

    fn references(parent: &Identity, spec: &GatewaySpec) -> Result<References, InvalidSpec> {
        let mut secrets: BTreeSet<_> =
            spec.sources().filter_map(|source| source.secret_key_ref.as_ref()).map(|r| r.name.clone()).collect();
        secrets.extend(spec.server.certificate().into_iter().flat_map(|(cert, key)| [cert.name, key.name]));
        secrets
            .extend(spec.auth.active_oidc().and_then(|oidc| oidc.client_secret_ref.as_ref()).map(|r| r.name.clone()));
        // A name left out is refused by the schema; in what was stored before it, it names nothing.
        secrets.remove("");
        let config_maps = spec.config_maps();
        let discoveries =
            spec.mcp.discovery(parent)?.map(|discovery| (tools::DISCOVERED, discovery)).into_iter().collect();
        Ok(References { config_maps, secrets, discoveries, ..References::default() })
    }

    fn desired(parent: &Identity, spec: &GatewaySpec, related: &Related) -> Result<Desired, InvalidSpec> {
        desired::desired(parent, spec, related)
    }
}

#[cfg(test)]
mod tests;
