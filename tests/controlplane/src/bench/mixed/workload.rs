//! What is created: as many of each kind, all in the namespace of the benchmark. Each Orchestrator looks for the Agents of one group.

use std::ops::Range;

use anyhow::Result;
use kube::{Client, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    bench::workload::{self, NAMESPACE},
    kinds::{Kind, api_version},
};

/// How many Agents are in a group.
const GROUP: usize = 5;

/// What is in the name of a custom resource, and of all its children, before the number.
const fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Gateway => "bench",
        Kind::Agent => "agent",
        Kind::Mcp => "mcp",
        Kind::Orchestrator => "orch",
    }
}

/// The name of a custom resource.
pub(super) fn name(kind: Kind, number: usize) -> String {
    format!("{}-{number:05}", prefix(kind))
}

/// The custom resource that an object belongs to, or is: its kind and its name.
pub(super) fn owner(name: &str) -> Option<(Kind, &str)> {
    let (before, after) = name.split_once('-')?;
    let kind = Kind::ALL.into_iter().find(|kind| prefix(*kind) == before)?;
    let digits = after.find(|character: char| !character.is_ascii_digit()).unwrap_or(after.len());
    Some((kind, &name[..before.len() + 1 + digits]))
}

/// How many children a custom resource has.
pub(super) const fn children(kind: Kind) -> usize {
    match kind {
        Kind::Gateway => workload::CHILDREN,
        // Deployment and Service.
        Kind::Agent | Kind::Mcp => 2,
        // Deployment and ConfigMap.
        Kind::Orchestrator => 2,
    }
}

/// How often its status has to be written until it is Ready: when the children are applied, when the pods run, when the card is there.
pub(super) const fn status_writes(kind: Kind) -> usize {
    match kind {
        Kind::Agent => 3,
        Kind::Gateway | Kind::Mcp | Kind::Orchestrator => 2,
    }
}

/// How many Agents the Orchestrator `number` finds among `count` of them, or, if it is a late one, among `arrived` late Agents.
pub(super) fn finds(number: usize, count: usize, arrived: usize) -> usize {
    if number < count { GROUP.min(count - group(number, count) * GROUP) } else { arrived }
}

/// The group of Agents that an Orchestrator looks for.
fn group(number: usize, count: usize) -> usize {
    number % count.div_ceil(GROUP)
}

/// Creates `count` of each kind. The Agents come first and the Orchestrators last: these find what they look for when they are made.
/// What they cost when it comes later is measured apart.
pub(super) async fn create(client: Client, count: usize) -> Result<()> {
    let agents = (0..count).map(|number| document(Kind::Agent, number, agent(), &label(number / GROUP)));
    let gateways = (0..count).map(|number| Ok((Kind::Gateway, workload::document(number)?)));
    let mcps = (0..count).map(|number| document(Kind::Mcp, number, mcp(), &json!({})));
    let orchestrators = (0..count).map(|number| orchestrator(number, &label(group(number, count))));
    workload::create_all(client, agents.chain(gateways).chain(mcps).chain(orchestrators)).await
}

/// Creates Orchestrators that look for late Agents.
pub(super) async fn create_late_orchestrators(client: Client, numbers: Range<usize>) -> Result<()> {
    workload::create_all(client, numbers.map(|number| orchestrator(number, &late()))).await
}

/// Creates late Agents.
pub(super) async fn create_late_agents(client: Client, numbers: Range<usize>) -> Result<()> {
    workload::create_all(client, numbers.map(|number| document(Kind::Agent, number, agent(), &late()))).await
}

/// The label of the Agents in a group.
fn label(group: usize) -> Value {
    json!({"bench.example.test/group": format!("{group}")})
}

/// The label of the Agents that come later; they are in no group.
fn late() -> Value {
    json!({"bench.example.test/late": "true"})
}

fn document(kind: Kind, number: usize, spec: Value, labels: &Value) -> Result<(Kind, DynamicObject)> {
    let object = json!({
        "apiVersion": api_version(),
        "kind": kind.name(),
        "metadata": {"name": name(kind, number), "namespace": NAMESPACE, "labels": labels},
        "spec": spec,
    });
    Ok((kind, serde_json::from_value(object)?))
}

fn agent() -> Value {
    json!({"image": "example.test/agent:1", "agent": {"llm": {"model": "openai/gpt-4o"}}})
}

fn mcp() -> Value {
    json!({"image": "example.test/mcp:1", "server": {"port": 8080}})
}

/// An Orchestrator that looks for the Agents with `labels`. Each has a token of its own, because only one can use a token.
fn orchestrator(number: usize, labels: &Value) -> Result<(Kind, DynamicObject)> {
    let token = json!({"name": name(Kind::Orchestrator, number), "key": "token"});
    let spec = json!({
        "image": "example.test/orchestrator:1",
        "channels": {"telegram": {"enabled": true, "tokenSecretRef": token}},
        "gateway": {"url": format!("http://{}:8080/v1", workload::name(0))},
        "agent": {"model": "openai/gpt-4o"},
        "a2a": {"enabled": true, "serviceDiscovery": {"enabled": true, "selector": {"matchLabels": labels}}},
    });
    document(Kind::Orchestrator, number, spec, &json!({}))
}

#[cfg(test)]
mod tests {
    use super::{Kind, finds, label, name, orchestrator, owner};

    #[test]
    fn an_object_is_known_by_its_name() {
        for kind in Kind::ALL {
            let name = name(kind, 12);
            assert_eq!(owner(&name), Some((kind, name.as_str())));
            assert_eq!(owner(&format!("{name}-service")), Some((kind, name.as_str())));
            // As Events are called.
            assert_eq!(owner(&format!("{name}.17f3")), Some((kind, name.as_str())));
        }
        assert_eq!(name(Kind::Gateway, 12), crate::bench::workload::name(12));
        assert_eq!(owner("bench"), None);
        assert_eq!(owner("other-1"), None);
    }

    #[test]
    fn every_orchestrator_finds_a_whole_group() {
        assert!((0..250).all(|number| finds(number, 250, 0) == 5));
        // Two groups, of five and of two.
        let found: Vec<usize> = (0..9).map(|number| finds(number, 7, 3)).collect();
        assert_eq!(found, [5, 2, 5, 2, 5, 2, 5, 3, 3]);
    }

    #[test]
    fn an_orchestrator_looks_for_its_group_with_its_own_token() {
        let (_, document) = orchestrator(3, &label(1)).expect("a document");
        let spec = &document.data["spec"];
        assert_eq!(spec["a2a"]["serviceDiscovery"]["selector"]["matchLabels"], label(1));
        assert_eq!(spec["channels"]["telegram"]["tokenSecretRef"]["name"], "orch-00003");
    }
}
