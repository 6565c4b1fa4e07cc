//! The Orchestrator kind: what a user may say of a chat bot that hands work on, and what the operator says back. PURE.
//!
//! Every comment on a field is the text that `kubectl explain` shows. Field names, types and defaults are API. `tools`,
//! `a2a`, `mcp` and `telemetry` left out mean the same as switched off.

pub mod channels;
pub mod command;
pub mod desired;
mod env;
mod files;
mod notes;
pub mod status;
pub mod tools;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::core::v1::{EnvVar, EnvVarSource, ResourceRequirements, SecretKeySelector},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    channels::Channels,
    status::OrchestratorStatus,
    tools::{A2a, Mcp, Tools},
};
use super::{
    Desired, InvalidSpec, Listing, Parent, ParentInfo, References, Related, Summary, schema, telemetry::Telemetry,
};
use crate::{
    children::metadata::MAX_NAME,
    object::{ChildKind, Identity},
};

/// A chat bot: it listens to a messaging channel, answers with the help of a model behind a gateway, and can hand work to
/// agents and MCP servers. The operator runs it as a Deployment of one pod.
#[expect(clippy::duplicated_attributes, reason = "two printer columns may have one type and one priority")]
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.inference-gateway.com",
    version = "v1alpha1",
    kind = "Orchestrator",
    namespaced,
    shortname = "orch",
    category = "inference-gateway",
    status = "OrchestratorStatus",
    derive = "PartialEq",
    doc = "A chat bot that can hand work to agents and MCP servers.",
    printcolumn(name = "READY", type_ = "boolean", json_path = ".status.ready"),
    printcolumn(name = "AGENTS", type_ = "integer", json_path = ".status.discoveredAgentCount"),
    printcolumn(name = "MCPS", type_ = "integer", json_path = ".status.discoveredMCPCount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct OrchestratorSpec {
    /// Container image of the Inference Gateway CLI. Name a version: it decides which subcommand runs, `daemon` from
    /// 0.167.0 on and `channels-manager` before. For a tag that is no version (`latest`) the annotation
    /// `inference-gateway.com/cli-command` of the Orchestrator decides, `channels-manager` without.
    #[schemars(length(min = 1))]
    pub image: String,
    /// Where messages come from and answers go.
    pub channels: Channels,
    /// The gateway that answers for the models.
    pub gateway: GatewayAccess,
    /// The model that leads the conversation.
    pub agent: Agent,
    /// Tools of the program itself.
    #[serde(default)]
    pub tools: Tools,
    /// Agents that work can be handed to, over the A2A protocol.
    #[serde(default)]
    pub a2a: A2a,
    /// MCP servers whose tools the model may use.
    #[serde(default)]
    pub mcp: Mcp,
    /// CPU and memory of the pod. Same shape as `kubectl explain pod.spec.containers.resources`; nothing is set without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<ResourceRequirements>")]
    pub resources: Option<ResourceRequirements>,
    /// Environment variables, passed to the program unchanged: any of its settings, for example those of its storage
    /// (INFER_STORAGE_TYPE, ...). Same shape as `kubectl explain pod.spec.containers.env`. They come after the operator's
    /// own variables; of a name given twice the last one counts.
    #[serde(default)]
    #[schemars(schema_with = "schema::kubernetes::<Vec<EnvVar>>")]
    pub env: Vec<EnvVar>,
    /// Telemetry of the program: it sends metrics and traces to one collector over OTLP/HTTP, and can take in the traces
    /// of the programs that it talks to.
    #[serde(default)]
    pub telemetry: Telemetry,
}

/// How the gateway is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayAccess {
    /// URL of the gateway, for example `http://my-gateway.inference-gateway.svc.cluster.local:8080`.
    pub url: String,
    /// Key of a Secret that holds the key for the gateway, when it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<SecretKeySelector>")]
    pub api_key_secret_ref: Option<SecretKeySelector>,
}

/// The model that leads the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Provider and model, as the gateway knows them: `deepseek/deepseek-chat`.
    pub model: String,
    /// What the model is told to be. It takes the place of the program's own prompt, also for messages of a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
}

impl OrchestratorSpec {
    /// Where the user's variables come from.
    fn sources(&self) -> impl Iterator<Item = &EnvVarSource> {
        self.env.iter().filter_map(|var| var.value_from.as_ref())
    }

    /// Names of the ConfigMaps that the pod reads.
    fn config_maps(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<_> =
            self.sources().filter_map(|source| source.config_map_key_ref.as_ref()).map(|r| r.name.clone()).collect();
        names.remove("");
        names
    }

    /// Names of the Secrets that the pod reads: what is switched off asks for none.
    fn secrets(&self) -> BTreeSet<String> {
        let telegram = self.channels.telegram.active();
        let telegram = telegram.into_iter().flat_map(|t| [&t.token_secret_ref, &t.allowed_users_secret_ref]);
        let given = telegram.chain([&self.gateway.api_key_secret_ref]).flatten();
        let named = given.chain(self.sources().filter_map(|source| source.secret_key_ref.as_ref()));
        let mut names: BTreeSet<_> = named.map(|r| r.name.clone()).collect();
        // A name left out is refused by the schema; in what was stored before it, it names nothing.
        names.remove("");
        names
    }
}

impl Parent for Orchestrator {
    const INFO: ParentInfo =
        ParentInfo { group: super::GROUP, version: super::VERSION, kind: "Orchestrator", plural: "orchestrators" };

    const SUMMARY: Summary = Summary::Ready;
    /// Telegram answers one listener a token: there is one pod at any time.
    const FIXED: &'static [(ChildKind, &'static str)] =
        &[(ChildKind::Deployment, "/spec/replicas"), (ChildKind::Deployment, "/spec/strategy")];

    // Nobody looks for one; two of them with one claim have to find each other.
    const LISTED: bool = true;

    type Spec = OrchestratorSpec;

    fn crd() -> CustomResourceDefinition {
        schema::finish(<Self as CustomResourceExt>::crd(), (MAX_NAME, "a label of the objects has it as its value"))
    }

    fn references(parent: &Identity, spec: &OrchestratorSpec) -> Result<References, InvalidSpec> {
        let mut discoveries = BTreeMap::new();
        for (kind, block, field) in [
            (tools::AGENTS, spec.a2a.active_discovery(), "spec.a2a.serviceDiscovery"),
            (tools::MCPS, spec.mcp.active_discovery(), "spec.mcp.serviceDiscovery"),
        ] {
            if let Some(found) = block.map(|block| block.discovery(parent, field)).transpose()?.flatten() {
                discoveries.insert(kind, found);
            }
        }
        Ok(References {
            config_maps: spec.config_maps(),
            secrets: spec.secrets(),
            discoveries,
            claim: spec.channels.telegram.claim(),
            ..References::default()
        })
    }

    fn desired(parent: &Identity, spec: &OrchestratorSpec, related: &Related) -> Result<Desired, InvalidSpec> {
        desired::desired(parent, spec, related)
    }

    fn listing(_: &Identity, spec: &OrchestratorSpec, _: &Value) -> Listing {
        Listing { url: None, claim: spec.channels.telegram.claim() }
    }
}

#[cfg(test)]
mod tests;
