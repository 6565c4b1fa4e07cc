//! What a Gateway names and does not own: a missing Secret is named, a changed ConfigMap rolls the pods.

use std::time::Instant;

use igw::object::ChildKind::{ConfigMap, Deployment};
use kube::api::{DynamicObject, Patch};
use serde_json::{Value, json};

use crate::world::{World, assert_condition, condition};

const CONFIG_HASH: &str = "inference-gateway.com/config-hash";

fn reads_secret() -> Value {
    let key = json!({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "openai"}}});
    json!({"providers": [{"name": "OpenAI", "env": [key]}]})
}

/// Makes the pods of the newest template get stuck as if something they name were not there, or run again.
async fn pods_miss(world: &World, message: Option<&str>) -> DynamicObject {
    let state = message.map(|_| "CreateContainerConfigError");
    let metadata = json!({
        "labels": {controlplane::POD_LABEL: state},
        "annotations": {controlplane::MESSAGE_ANNOTATION: message},
    });
    let patch = json!({"spec": {"template": {"metadata": metadata}}});
    world.edit_by(Deployment, "gw", Patch::Strategic(patch)).await
}

fn says(kind: &'static str, status: &'static str, words: &'static str) -> impl Fn(&Value) -> bool + Send {
    move |object| {
        condition(object, kind).is_some_and(|condition| {
            condition["status"] == status && condition["message"].as_str().is_some_and(|m| m.contains(words))
        })
    }
}

#[tokio::test]
async fn a_missing_secret_is_named_while_pods_wait_for_it() {
    let world = World::new("missing").await;
    let gateway = world.run_gateway("gw", reads_secret()).await;
    assert_condition(&gateway.data["status"], "ReferencesResolved", ("True", "PodsRunning"), &[]);
    let mut calls = world.calls().await;

    let began = Instant::now();
    pods_miss(&world, Some(r#"secret "keys" not found"#)).await;
    let named = says("ReferencesResolved", "False", r#"secret "keys" not found"#);
    let gateway = world.gateway("gw", "the Secret named", named).await;
    let took = began.elapsed().as_secs();
    assert!((9..=13).contains(&took), "pods are asked 10 s after a change, not after {took} s");
    let status = &gateway.data["status"];
    assert_condition(status, "ReferencesResolved", ("False", "ReferenceNotFound"), &[]);
    assert_condition(status, "Ready", ("False", "ReferenceNotFound"), &[r#"secret "keys" not found"#]);
    assert!(status["message"].as_str().is_some_and(|m| m.contains(r#"secret "keys" not found"#)), "{status:#}");
    let lists: Vec<_> = calls.read_children().await;
    assert_eq!(lists, ["list pods/ 200"], "one question, and the label of somebody else stays");

    pods_miss(&world, None).await;
    let gateway = world.gateway("gw", "recovered", says("ReferencesResolved", "True", "")).await;
    assert_eq!(gateway.data["status"]["phase"], "Running");
    assert!(gateway.data["status"].get("message").is_none(), "{}", gateway.data["status"]);

    // The next time something else is missing: what was said before is not said again.
    pods_miss(&world, Some(r#"secret "other" not found"#)).await;
    let pending = world.gateway("gw", "rolling out", |status| status["phase"] == "Pending").await;
    assert!(!pending.data["status"].to_string().contains("keys"), "{}", pending.data["status"]);
    world.gateway("gw", "the other one named", says("ReferencesResolved", "False", "other")).await;
    assert_eq!(calls.read_children().await, ["list pods/ 200"]);
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"allowed": value}})
}

fn hash(deployment: &DynamicObject) -> Option<String> {
    deployment.data["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_changed_config_map_rolls_the_pods_that_read_it() {
    let world = World::new("config-map").await;
    world.create(ConfigMap, config_map("models", "a")).await;
    world.create(ConfigMap, config_map("other", "a")).await;
    let key = json!({"name": "MODELS", "valueFrom": {"configMapKeyRef": {"name": "models", "key": "allowed"}}});
    world.run_gateway("gw", json!({"providers": [{"name": "OpenAI", "env": [key]}]})).await;
    let first = hash(&world.get(Deployment, "gw").await).expect("a hash");
    let mut calls = world.calls().await;

    let changed =
        |before: String| move |object: Option<&DynamicObject>| object.and_then(hash).is_some_and(|now| now != before);
    world.edit(ConfigMap, "models", json!({"data": {"allowed": "b"}})).await;
    let live = world.wait(world.api(Deployment), "gw", "another hash", changed(first.clone())).await;
    let second = live.as_ref().and_then(hash).expect("a hash");
    world.running("gw").await;
    assert_eq!(calls.read_children().await, ["patch deployments/gw 200"]);

    // One watch brings all of them in order: when the last change has had its effect, the others had none.
    world.edit(ConfigMap, "other", json!({"data": {"allowed": "b"}})).await;
    world.edit(ConfigMap, "models", json!({"metadata": {"annotations": {"a": "b"}}})).await;
    world.edit(ConfigMap, "models", json!({"data": {"allowed": "a"}})).await;
    let live = world.wait(world.api(Deployment), "gw", "another hash", changed(second)).await;
    assert_eq!(live.as_ref().and_then(hash), Some(first.clone()), "the same content is the same hash");
    world.running("gw").await;
    assert_eq!(calls.read_children().await, ["patch deployments/gw 200"]);

    world.delete(world.api(ConfigMap), "models", &kube::api::DeleteParams::default()).await;
    world.wait(world.api(Deployment), "gw", "another hash", changed(first)).await;
    world.running("gw").await;
    assert_eq!(calls.read_children().await, ["patch deployments/gw 200"]);
}

#[tokio::test]
async fn a_restart_writes_nothing_where_config_maps_are_named() {
    let mut world = World::without_operator("config-restart").await;
    world.create(ConfigMap, config_map("models", "a")).await;
    world.start().await;
    let key = json!({"name": "MODELS", "valueFrom": {"configMapKeyRef": {"name": "models", "key": "allowed"}}});
    world.run_gateway("gw", json!({"providers": [{"name": "OpenAI", "env": [key]}]})).await;
    world.stop().await;
    let mut calls = world.calls().await;
    world.start().await;
    // Its ConfigMap has been listed when a change of it is noticed.
    let before = hash(&world.get(Deployment, "gw").await);
    assert_eq!(calls.read().await, [""; 0]);
    world.edit(ConfigMap, "models", json!({"data": {"allowed": "b"}})).await;
    let rolled = |object: Option<&DynamicObject>| object.map(hash) != Some(before.clone());
    world.wait(world.api(Deployment), "gw", "another hash", rolled).await;
    world.running("gw").await;
    assert_eq!(calls.read_children().await, ["patch deployments/gw 200"]);
}

#[tokio::test]
async fn a_restart_writes_nothing_while_pods_wait() {
    let mut world = World::new("waiting-restart").await;
    world.run_gateway("gw", json!({})).await;
    let labels = json!({controlplane::POD_LABEL: "ImagePullBackOff"});
    let patch = json!({"spec": {"template": {"metadata": {"labels": labels}}}});
    world.edit_by(Deployment, "gw", Patch::Strategic(patch)).await;
    let waits = |status: &Value| status["message"].as_str().is_some_and(|m| m.contains("pods wait: ImagePullBackOff"));
    world.gateway("gw", "the reason why pods wait", waits).await;
    world.settled().await;
    world.stop().await;
    let mut calls = world.calls().await;
    world.start().await;
    assert_eq!(calls.read().await, [""; 0]);
}
