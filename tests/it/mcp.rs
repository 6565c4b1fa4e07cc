//! The definition of MCP servers as the API server reads it: what it takes, what it refuses, and what it fills in.

use igw::{
    kinds::{Parent as _, mcp::Mcp},
    object::ChildKind::Deployment,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::world::World;

fn mcps(world: &World) -> Api<DynamicObject> {
    let info = Mcp::INFO;
    let gvk = GroupVersionKind::gvk(info.group, info.version, info.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, info.plural);
    Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}

async fn apply(world: &World, name: &str, spec: Option<Value>, dry_run: bool) -> Result<Value, String> {
    let mut document = json!({
        "apiVersion": "core.inference-gateway.com/v1alpha1",
        "kind": "MCP",
        "metadata": {"name": name},
    });
    if let Some(spec) = spec {
        document["spec"] = spec;
    }
    let params = PatchParams { dry_run, ..PatchParams::apply("user").force() };
    let answer = mcps(world).patch(name, &params, &Patch::Apply(&document)).await;
    answer.map(|object| object.data["spec"].clone()).map_err(|error| error.to_string())
}

/// What the API server makes of a document, without keeping it.
async fn offer(world: &World, name: &str, spec: Option<Value>) -> Result<Value, String> {
    apply(world, name, spec, true).await
}

#[tokio::test]
async fn the_api_server_refuses_what_makes_no_sense_and_names_the_field() {
    let world = World::without_operator("mcp-refused").await;
    for (spec, field) in [
        (json!({"replicas": -1}), "spec.replicas"),
        (json!({"image": 7}), "spec.image"),
        (json!({"server": {"port": 0}}), "spec.server.port"),
        (json!({"server": {"port": 65536}}), "spec.server.port"),
        (json!({"server": {"path": "mcp"}}), "spec.server.path"),
        (json!({"server": {"command": "node"}}), "spec.server.command"),
        (json!({"server": {"timeout": "soon"}}), "spec.server.timeout"),
        (json!({"server": {"tls": {"enabled": true}}}), "spec.server.tls.secretName: Required value"),
        (json!({"server": {"tls": {"enabled": true, "secretName": ""}}}), "spec.server.tls.secretName: Required value"),
        (json!({"server": {"tls": {}}}), "spec.server.tls.secretName: Required value"),
        (json!({"hpa": {"enabled": true, "config": {}}}), "spec.hpa.config.maxReplicas"),
        (json!({"hpa": {"config": {"minReplicas": 3, "maxReplicas": 2}}}), "spec.hpa.config.minReplicas"),
    ] {
        let said = offer(&world, "tools", Some(spec.clone())).await.expect_err("refused");
        assert!(said.contains(field), "{spec} gets {said:?}, not {field}");
    }
    let said = offer(&world, &"x".repeat(56), None).await.expect_err("refused");
    assert!(said.contains("metadata.name") && said.contains("55"), "{said}");
}

#[tokio::test]
async fn the_api_server_takes_what_users_have_and_fills_the_rest_in() {
    let world = World::without_operator("mcp-taken").await;
    let defaults = json!({
        "replicas": 1,
        "image": "node:lts",
        "server": {"port": 8080, "path": "/mcp", "timeout": "30s"},
        "hpa": {"enabled": false},
    });
    for spec in [None, Some(json!({})), Some(json!({"server": {}})), Some(json!({"server": null}))] {
        assert_eq!(offer(&world, "tools", spec.clone()).await.as_ref(), Ok(&defaults), "{spec:?}");
    }
    for spec in [
        json!({"replicas": 0}),
        json!({"server": {"tls": {"enabled": false}}}),
        json!({"server": {"tls": {"secretName": "certificate"}}}),
        json!({"server": {"command": ["node"], "args": ["server.js"], "path": "/"}}),
        json!({"hpa": {"enabled": true, "config": {"maxReplicas": 3}}}),
    ] {
        let taken = offer(&world, "tools", Some(spec.clone())).await;
        assert!(taken.is_ok(), "{spec}: {taken:?}");
    }
    let longest = offer(&world, &"x".repeat(55), None).await;
    assert!(longest.is_ok(), "{longest:?}");
}

/// An autoscaler leaves a Deployment without pods alone, so it must not be handed over that way.
#[tokio::test]
async fn an_autoscaler_brings_back_what_was_scaled_to_zero() {
    let world = World::new("mcp-from-zero").await;
    let number = |object: Option<&DynamicObject>| object.and_then(|o| o.data["spec"]["replicas"].as_i64());
    let spec = |scaled: bool| Some(json!({"image": "server:1", "replicas": 0, "hpa": {"enabled": scaled}}));
    apply(&world, "tools", spec(false), false).await.expect("a valid MCP");
    world.wait(world.api(Deployment), "tools", "no pods", |o: Option<&DynamicObject>| number(o) == Some(0)).await;
    apply(&world, "tools", spec(true), false).await.expect("a valid MCP");
    world.wait(world.api(Deployment), "tools", "a pod", |o: Option<&DynamicObject>| number(o) == Some(1)).await;
}
