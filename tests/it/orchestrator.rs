//! What the API server takes for an Orchestrator and what it refuses.

use serde_json::{Value, json};

use crate::world::World;

/// A valid spec with `value` at a path.
fn with(path: &str, value: Value) -> Value {
    let mut spec = json!({
        "image": "ghcr.io/inference-gateway/cli:latest",
        "channels": {"telegram": {"enabled": true, "tokenSecretRef": {"name": "telegram", "key": "token"}}},
        "gateway": {"url": "http://gateway:8080"},
        "agent": {"model": "deepseek/deepseek-chat"},
    });
    let mut here = &mut spec;
    for key in path.split('.').filter(|key| !key.is_empty()) {
        here = &mut here[key];
    }
    *here = value;
    spec
}

async fn apply(world: &World, name: &str, spec: &Value) -> (String, bool) {
    let document = json!({
        "apiVersion": "core.inference-gateway.com/v1alpha1",
        "kind": "Orchestrator",
        "metadata": {"name": name},
        "spec": spec,
    });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), document.to_string()).expect("written");
    let path = file.path().to_string_lossy().into_owned();
    world.try_kubectl(&["apply", "-n", &world.namespace, "-f", &path]).await
}

#[tokio::test]
async fn an_orchestrator_that_makes_no_sense_is_refused_by_the_fields_name() {
    let world = World::without_operator("orch-refused").await;
    let near = json!({"enabled": true, "selector": {"matchExpressions": [{"key": "x", "operator": "Near"}]}});
    let no_values = json!({"enabled": true, "selector": {"matchExpressions": [{"key": "x", "operator": "In"}]}});
    for (path, value, field) in [
        ("image", json!(""), "spec.image"),
        ("image", Value::Null, "spec.image"),
        ("channels", json!({}), "spec.channels.telegram"),
        ("channels.telegram", json!({}), "spec.channels.telegram.enabled"),
        ("channels.telegram", json!({"enabled": true}), "spec.channels.telegram.tokenSecretRef"),
        ("channels.telegram.tokenSecretRef", json!({"name": "x"}), "spec.channels.telegram.tokenSecretRef.key"),
        ("channels.telegram.pollTimeout", json!("abc"), "spec.channels.telegram.pollTimeout"),
        ("channels.telegram.pollTimeout", json!(30), "spec.channels.telegram.pollTimeout"),
        ("gateway", json!({}), "spec.gateway.url"),
        ("agent", json!({}), "spec.agent.model"),
        ("tools", json!({}), "spec.tools.enabled"),
        ("a2a", json!({"agents": []}), "spec.a2a.enabled"),
        ("a2a", json!({"enabled": true, "serviceDiscovery": {}}), "spec.a2a.serviceDiscovery.enabled"),
        ("a2a", json!({"enabled": true, "serviceDiscovery": near}), "operator"),
        ("mcp", json!({"enabled": true, "serviceDiscovery": no_values}), "values are needed"),
        ("telemetry", json!({"receiver": {"port": 80}}), "spec.telemetry.receiver.port"),
    ] {
        let (said, taken) = apply(&world, "bot", &with(path, value.clone())).await;
        assert!(!taken, "{path} {value} was taken: {said}");
        assert!(said.contains(field), "{path} {value} gets {said:?}, not {field}");
    }
    let (said, taken) = apply(&world, "bot", &Value::Null).await;
    assert!(!taken && said.contains("spec is needed"), "{said}");
    let (said, taken) = apply(&world, &"x".repeat(64), &with("tools.enabled", json!(true))).await;
    assert!(!taken && said.contains("metadata.name") && said.contains("63"), "{said}");
}

#[tokio::test]
async fn what_is_valid_today_stays_valid() {
    let world = World::without_operator("orch-taken").await;
    for (name, path, value) in [
        ("disabled", "channels.telegram", json!({"enabled": false, "tokenSecretRef": {"name": "x", "key": "y"}})),
        ("no-token", "channels.telegram", json!({"enabled": false})),
        ("half", "channels.telegram.pollTimeout", json!("500ms")),
        ("minute", "channels.telegram.pollTimeout", json!("1m30s")),
        ("all", "a2a", json!({"enabled": true, "agents": [], "serviceDiscovery": {"enabled": true, "selector": {}}})),
        ("odd", "channels.maxWorkers", json!(-1)),
        ("with.dot", "tools", json!({"enabled": true, "schedule": true})),
    ] {
        let (said, taken) = apply(&world, name, &with(path, value)).await;
        assert!(taken, "{name}: {said}");
    }
    let names = world.kubectl(&["get", "orch", "-n", &world.namespace, "-o", "name"]).await;
    assert_eq!(names.lines().count(), 7, "{names}");
    let table = world.kubectl(&["get", "inference-gateway", "-n", &world.namespace]).await;
    for word in ["READY", "AGENTS", "MCPS", "AGE", "no-token"] {
        assert!(table.contains(word), "{word} in {table}");
    }
}
