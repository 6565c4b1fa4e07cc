//! Custom resources that look for others: an Orchestrator for Agents and MCPs, a Gateway for MCPs.

use igw::{
    kinds::{Parent as _, agent::Agent, gateway::Gateway, mcp::Mcp, orchestrator::Orchestrator},
    object::ChildKind::{ConfigMap, Deployment},
};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{World, assert_condition, condition};

fn agent() -> Value {
    json!({"image": "example.test/agent:1"})
}

/// An Orchestrator that looks for Agents with the label team=a.
fn orchestrator() -> Value {
    json!({
        "image": "ghcr.io/inference-gateway/cli:v0.106.2",
        "channels": {"telegram": {"enabled": true, "tokenSecretRef": {"name": "telegram", "key": "token"}}},
        "gateway": {"url": "http://gateway:8080"},
        "agent": {"model": "openai/gpt-4o"},
        "a2a": {"enabled": true, "serviceDiscovery": {"enabled": true, "selector": {"matchLabels": {"team": "a"}}}},
    })
}

async fn agent_of(world: &World, name: &str, team: &str) {
    world.try_apply(&Agent::INFO, name, &json!({"team": team}), &agent()).await.expect("a valid Agent");
}

fn url(world: &World, name: &str) -> String {
    format!("http://{name}.{}.svc.cluster.local:8080", world.namespace)
}

/// Waits until an Orchestrator says that it has found exactly these.
async fn finds(world: &World, orchestrator: &str, names: &[&str]) -> DynamicObject {
    let urls: Vec<_> = names.iter().map(|name| url(world, name)).collect();
    let wanted = json!(urls);
    let found = |status: &Value| status["discoveredAgents"] == wanted && status["discoveredAgentCount"] == urls.len();
    let object = world.parent(&Orchestrator::INFO, orchestrator, &format!("finding {names:?}"), found).await;
    world.settled().await;
    object
}

async fn listed(world: &World, map: &str, key: &str) -> Value {
    let map = world.get(ConfigMap, map).await;
    serde_saphyr::from_str(map.data["data"][key].as_str().expect("a file")).expect("YAML")
}

#[tokio::test]
async fn an_orchestrator_follows_the_agents_that_match() {
    let world = World::new("discovery").await;
    agent_of(&world, "one", "a").await;
    agent_of(&world, "other", "b").await;
    world.ready(&Agent::INFO, "one").await;
    world.ready(&Agent::INFO, "other").await;
    world.apply(&Orchestrator::INFO, "o", orchestrator()).await;
    world.ready(&Orchestrator::INFO, "o").await;
    let found = finds(&world, "o", &["one"]).await;
    assert_condition(&found.data["status"], "Discovered", ("True", "AgentsDiscovered"), &["1"]);
    let file = listed(&world, "o-agents", "agents.yaml").await;
    assert_eq!(file["agents"], json!([{"name": "one", "url": url(&world, "one"), "enabled": true, "run": false}]));

    // Three at once, and one that leaves by its label: one new pod.
    let mut calls = world.calls().await;
    for name in ["two", "three", "four"] {
        agent_of(&world, name, "a").await;
    }
    agent_of(&world, "one", "b").await;
    finds(&world, "o", &["four", "three", "two"]).await;
    world.ready(&Orchestrator::INFO, "o").await;
    let of_orchestrator = |calls: Vec<String>| {
        calls.into_iter().filter(|call| call.contains("/o ") || call.contains("/o-agents ")).collect::<Vec<_>>()
    };
    let made = of_orchestrator(calls.read().await);
    let writes = |path: &str| made.iter().filter(|call| call.contains(path)).count();
    assert_eq!((writes("configmaps/o-agents"), writes("deployments/o ")), (1, 1), "{made:?}");
    assert!(writes("orchestrators/status/o") <= 3, "{made:?}");
    assert_eq!(made.len(), 2 + writes("orchestrators/status/o"), "and nothing else: {made:?}");

    // What agents.yaml does not show changes nothing.
    for name in ["two", "three", "four", "other"] {
        world.ready(&Agent::INFO, name).await;
    }
    let mut calls = world.calls().await;
    let image = json!({"spec": {"image": "example.test/agent:2"}});
    world.parents(&Agent::INFO).patch("two", &PatchParams::default(), &Patch::Merge(image)).await.expect("an edit");
    world.ready(&Agent::INFO, "two").await;
    agent_of(&world, "other", "c").await;
    world.ready(&Agent::INFO, "other").await;
    assert_eq!(of_orchestrator(calls.read().await), [""; 0]);

    // Another port is another URL; a deleted one goes, and 0 is a number.
    let port = json!({"spec": {"port": 9090}});
    world.parents(&Agent::INFO).patch("two", &PatchParams::default(), &Patch::Merge(port)).await.expect("an edit");
    let moved = |status: &Value| status["discoveredAgents"].to_string().contains(":9090");
    world.parent(&Orchestrator::INFO, "o", "the new port", moved).await;
    for name in ["two", "three", "four"] {
        world.parents(&Agent::INFO).delete(name, &DeleteParams::background()).await.expect("a delete");
    }
    finds(&world, "o", &[]).await;
    world.ready(&Orchestrator::INFO, "o").await;
    let table = world.kubectl(&["get", "orch", "-n", &world.namespace]).await;
    let row: Vec<_> = table.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row[..3], ["o", "true", "0"], "{table}");

    // Switched off: the file and what was said of it go.
    let mut off = orchestrator();
    off["a2a"]["serviceDiscovery"]["enabled"] = json!(false);
    world.apply(&Orchestrator::INFO, "o", off).await;
    let orchestrator = world.ready(&Orchestrator::INFO, "o").await;
    assert!(condition(&orchestrator.data["status"], "Discovered").is_none(), "{}", orchestrator.data["status"]);
    assert!(orchestrator.data["status"].get("discoveredAgents").is_none());
    assert!(world.find(ConfigMap, "o-agents").await.is_none());
}

#[tokio::test]
async fn a_restart_finds_the_same_and_writes_nothing() {
    let mut world = World::new("discovery-restart").await;
    for name in ["one", "two", "three"] {
        agent_of(&world, name, "a").await;
        world.ready(&Agent::INFO, name).await;
    }
    world.apply(&Orchestrator::INFO, "o", orchestrator()).await;
    world.ready(&Orchestrator::INFO, "o").await;
    finds(&world, "o", &["one", "three", "two"]).await;
    world.stop().await;
    let mut calls = world.calls().await;
    world.start().await;
    assert_eq!(calls.read().await, [""; 0]);
}

#[tokio::test]
async fn agents_of_another_namespace_are_found_only_when_it_is_named() {
    let world = World::new("discovery-here").await;
    let there = World::without_operator("discovery-there").await;
    agent_of(&there, "far", "a").await;
    agent_of(&world, "near", "a").await;
    world.apply(&Orchestrator::INFO, "here", orchestrator()).await;
    finds(&world, "here", &["near"]).await;
    let mut named = orchestrator();
    named["a2a"]["serviceDiscovery"]["namespace"] = json!(there.namespace);
    named["channels"]["telegram"]["tokenSecretRef"]["key"] = json!("another");
    world.apply(&Orchestrator::INFO, "there", named).await;
    let far = json!([url(&there, "far")]);
    world.parent(&Orchestrator::INFO, "there", "the far one", |status| status["discoveredAgents"] == far).await;
}

#[tokio::test]
async fn of_two_orchestrators_with_one_token_the_younger_says_so() {
    let world = World::new("token").await;
    let plain = || {
        let mut spec = orchestrator();
        spec["a2a"] = json!({"enabled": false});
        spec
    };
    world.apply(&Orchestrator::INFO, "first", plain()).await;
    world.ready(&Orchestrator::INFO, "first").await;
    // Creation times are whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    world.apply(&Orchestrator::INFO, "second", plain()).await;
    let shared = |status: &Value| condition(status, "Ready").is_some_and(|c| c["reason"] == "TokenShared");
    let second = world.parent(&Orchestrator::INFO, "second", "the shared token", shared).await;
    assert_condition(&second.data["status"], "TokenExclusive", ("False", "TokenShared"), &["first"]);
    assert_condition(&second.data["status"], "Ready", ("False", "TokenShared"), &[]);
    let first = world.ready(&Orchestrator::INFO, "first").await;
    assert!(condition(&first.data["status"], "TokenExclusive").is_none());
    world.delete(world.parents(&Orchestrator::INFO), "first", &DeleteParams::background()).await;
    world.ready(&Orchestrator::INFO, "second").await;
}

#[tokio::test]
async fn mcp_servers_are_found_by_orchestrators_and_gateways() {
    let world = World::new("discovery-mcp").await;
    let server = json!({"image": "example.test/mcp:1"});
    world.try_apply(&Mcp::INFO, "tools", &json!({"team": "a"}), &server).await.expect("a valid MCP");
    world.apply(&Mcp::INFO, "others", server).await;
    let discovery = json!({"enabled": true, "selector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}});
    let mut spec = orchestrator();
    spec["mcp"] = json!({"enabled": true, "serviceDiscovery": discovery});
    world.apply(&Orchestrator::INFO, "o", spec).await;
    world.apply(&Gateway::INFO, "gw", json!({"mcp": {"enabled": true, "serviceDiscovery": discovery}})).await;
    let found = format!("http://tools-service.{}.svc.cluster.local:8080/mcp", world.namespace);
    let wanted = json!([found]);
    let one = |status: &Value| status["discoveredMCPs"] == wanted && status["discoveredMCPCount"] == 1;
    world.parent(&Orchestrator::INFO, "o", "one MCP", one).await;
    let gateway = world.gateway("gw", "one MCP", |status| status["mcpServers"] == wanted).await;
    assert_eq!(gateway.data["status"]["mcpServerCount"], 1);
    let servers = listed(&world, "o-mcps", "mcp.yaml").await["servers"].clone();
    assert_eq!((&servers[0]["name"], &servers[0]["path"]), (&json!("tools"), &json!("/mcp")), "{servers}");
    let env = world.get(Deployment, "gw").await.data["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let value =
        env.as_array().into_iter().flatten().find(|var| var["name"] == "MCP_SERVERS").map(|var| var["value"].clone());
    assert_eq!(value, Some(json!(found)));
}

#[tokio::test]
async fn a_selector_that_makes_no_sense_is_refused_with_its_field() {
    let world = World::without_operator("selector").await;
    for (expression, words) in [
        (json!({"key": "team", "operator": "Near", "values": ["a"]}), "operator"),
        (json!({"key": "team", "operator": "In"}), "values are needed"),
        (json!({"key": "team", "operator": "Exists", "values": ["a"]}), "values are needed"),
    ] {
        let mut spec = orchestrator();
        spec["a2a"]["serviceDiscovery"]["selector"] = json!({"matchExpressions": [expression]});
        let error =
            world.try_apply(&Orchestrator::INFO, "o", &json!({}), &spec).await.expect_err("refused").to_string();
        assert!(
            error.contains(words) && error.contains("spec.a2a.serviceDiscovery.selector.matchExpressions[0]"),
            "{error}"
        );
    }
}
