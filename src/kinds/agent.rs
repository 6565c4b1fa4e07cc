//! The Agent kind: what a user may say of an A2A agent, and what the operator says back. PURE.
//!
//! Every comment on a field is the text that `kubectl explain` shows. Field names, types and defaults are API. The block
//! `agent.llm` means something by its presence and is optional here; every other block with defaults is always there, in
//! the schema and after decoding alike.

pub mod card;
pub mod desired;
mod env;
pub mod llm;
pub mod mcp;
mod notes;
pub mod server;
pub mod status;

use std::collections::BTreeSet;

use k8s_openapi::{
    api::core::v1::{EnvVar, EnvVarSource, ResourceRequirements},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    llm::Reasoning,
    mcp::Mcp,
    server::{Advertised, Logging, Queue, Tls},
    status::AgentStatus,
};
use super::{
    CardSource, Desired, InvalidSpec, Listing, Parent, ParentInfo, References, Related, Summary, schema,
    telemetry::Telemetry,
};
use crate::{children::metadata::MAX_NAME, object::Identity};

/// An A2A agent: a worker that an Orchestrator, or any other A2A client, hands tasks to. The operator runs it as a
/// Deployment of one pod with a Service, and publishes the card that the agent serves.
#[expect(clippy::duplicated_attributes, reason = "two printer columns may have one type")]
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.inference-gateway.com",
    version = "v1alpha1",
    kind = "Agent",
    namespaced,
    category = "inference-gateway",
    status = "AgentStatus",
    derive = "PartialEq",
    doc = "An A2A agent: a worker that an Orchestrator, or any other A2A client, hands tasks to.",
    printcolumn(name = "Ready", type_ = "boolean", json_path = ".status.ready"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.card.version"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.card.url"),
    printcolumn(name = "Streaming", type_ = "string", json_path = ".status.card.capabilities.streaming"),
    printcolumn(
        name = "Push Notifications",
        type_ = "string",
        json_path = ".status.card.capabilities.pushNotifications"
    ),
    printcolumn(
        name = "State Transition History",
        type_ = "string",
        json_path = ".status.card.capabilities.stateTransitionHistory"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentSpec {
    /// Container image of the agent. Name a version in production: `latest` changes without notice.
    #[schemars(length(min = 1))]
    pub image: String,
    /// Time zone of the agent's time stamps, as the tz database names it, for example Europe/Berlin. Agents do not start
    /// with one that they do not know.
    #[serde(default = "timezone")]
    pub timezone: String,
    /// Port of the agent, inside the pod and on the Service.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Address that the agent is told to listen on, as HOST. Published agents listen on every address whatever it says;
    /// for others, anything that is not reachable from outside the pod makes the probes fail.
    #[serde(default = "host")]
    pub host: String,
    /// Longest time to read a request, for example `30s` or `1m30s`.
    #[serde(default = "read_timeout")]
    #[schemars(schema_with = "schema::duration")]
    pub read_timeout: String,
    /// Longest time to write an answer. It also cuts off streamed answers, so make it as long as the longest one.
    #[serde(default = "write_timeout")]
    #[schemars(schema_with = "schema::duration")]
    pub write_timeout: String,
    /// Longest time that an unused connection is kept open.
    #[serde(default = "idle_timeout")]
    #[schemars(schema_with = "schema::duration")]
    pub idle_timeout: String,
    /// What the agent logs.
    #[serde(default)]
    pub logging: Logging,
    /// Metrics and traces of the agent. It sends both to one collector: that of the traces where two are given.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// The queue of tasks that wait for the agent.
    #[serde(default)]
    pub queue: Queue,
    /// TLS on the agent's own port.
    #[serde(default)]
    pub tls: Tls,
    /// How the agent works on a task, and the model that it asks.
    #[serde(default)]
    pub agent: Reasoning,
    /// Further environment variables of the agent. Same shape as `kubectl explain pod.spec.containers.env`. Where the
    /// operator sets a variable of the same name, the one given here counts.
    #[serde(default)]
    #[schemars(schema_with = "schema::kubernetes::<Vec<EnvVar>>")]
    pub env: Vec<EnvVar>,
    /// CPU and memory of the pod. Same shape as `kubectl explain pod.spec.containers.resources`. Nothing is asked for when
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<ResourceRequirements>")]
    pub resources: Option<ResourceRequirements>,
    /// What the agent says of itself.
    #[serde(default)]
    pub card: Advertised,
    /// MCP servers whose tools the agent uses.
    #[serde(default)]
    pub mcp: Mcp,
}

fn timezone() -> String {
    "UTC".into()
}

const fn port() -> i32 {
    8080
}

fn host() -> String {
    "0.0.0.0".into()
}

fn read_timeout() -> String {
    "30s".into()
}

fn write_timeout() -> String {
    "30s".into()
}

fn idle_timeout() -> String {
    "60s".into()
}

impl AgentSpec {
    /// Where the user's variables come from.
    fn sources(&self) -> impl Iterator<Item = &EnvVarSource> {
        self.env.iter().filter_map(|var| var.value_from.as_ref())
    }

    /// Names of the ConfigMaps that the pods read.
    fn config_maps(&self) -> BTreeSet<String> {
        let refs = self.sources().filter_map(|source| source.config_map_key_ref.as_ref());
        refs.map(|r| r.name.clone()).filter(|name| !name.is_empty()).collect()
    }

    /// Names of the Secrets that the pods read or mount.
    fn secrets(&self) -> BTreeSet<String> {
        let refs = self.sources().filter_map(|source| source.secret_key_ref.as_ref());
        let key = self.agent.llm.as_ref().and_then(|llm| llm.api_key_secret_ref.as_ref());
        let mounted = [self.tls.secret(), self.agent.tls.secret()];
        let mut names: BTreeSet<_> = refs.chain(key).map(|r| r.name.clone()).collect();
        names.extend(mounted.into_iter().flatten().map(str::to_owned));
        // A name left out is refused by the schema; in what was stored before it, it names nothing.
        names.remove("");
        names
    }
}

impl Parent for Agent {
    const INFO: ParentInfo =
        ParentInfo { group: super::GROUP, version: super::VERSION, kind: "Agent", plural: "agents" };

    const SUMMARY: Summary = Summary::Ready;

    const LISTED: bool = true;

    type Spec = AgentSpec;

    fn crd() -> CustomResourceDefinition {
        schema::finish(<Self as CustomResourceExt>::crd(), (MAX_NAME, "the Service has the same name"))
    }

    fn references(parent: &Identity, spec: &AgentSpec) -> Result<References, InvalidSpec> {
        Ok(References {
            config_maps: spec.config_maps(),
            secrets: spec.secrets(),
            card: Some(CardSource { base: desired::address(parent, spec) }),
            ..References::default()
        })
    }

    fn desired(parent: &Identity, spec: &AgentSpec, related: &Related) -> Result<Desired, InvalidSpec> {
        desired::desired(parent, spec, related)
    }

    /// The card knows best, also when it names an address outside the cluster; without one the Service leads there.
    fn listing(parent: &Identity, spec: &AgentSpec, status: &Value) -> Listing {
        let url = match card::reachable_url(&status["card"]) {
            Some(url) => url.to_owned(),
            None => desired::address(parent, spec),
        };
        Listing { url: Some(url), claim: None }
    }
}

#[cfg(test)]
mod tests;
