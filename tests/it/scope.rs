//! Which namespaces the operator looks after, by their labels as they are now.

use igw::{object::ChildKind, scope::Scope};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::world::World;

async fn label(world: &World, value: Value) {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let patch = Patch::Merge(json!({"metadata": {"labels": {"team": value}}}));
    namespaces.patch(&world.namespace, &PatchParams::default(), &patch).await.expect("a label");
}

#[tokio::test]
async fn a_namespace_counts_while_its_labels_match() {
    let mut world = World::without_operator("scope").await;
    let team = world.namespace.clone();
    world.start_with(&format!("team={team}")).await;
    let mut calls = world.calls().await;
    world.apply_gateway("gw", json!({})).await;
    world.settled().await;
    assert_eq!(world.children().await, [""; 0]);
    assert_eq!(calls.read().await, [""; 0], "a namespace without the label is left");

    label(&world, json!(team)).await;
    world.running("gw").await;
    assert_eq!(world.children().await, ["ServiceAccount/gw", "Service/gw", "Deployment/gw"]);

    label(&world, Value::Null).await;
    // The same watch brings both changes, one after the other.
    let marker = World::without_operator("scope-marker").await;
    marker.apply_gateway("gw", json!({})).await;
    label(&marker, json!(team)).await;
    marker.gateway("gw", "looked after", |status| status["phase"] == "Running").await;
    world.settled().await;
    calls.read().await;
    let edit = json!({"spec": {"selector": {"app": "other"}}});
    let edited = world.edit(ChildKind::Service, "gw", edit).await;
    world.seen(&edited).await;
    world.apply_gateway("gw", json!({"environment": "staging"})).await;
    world.settled().await;
    assert_eq!(calls.read().await, [""; 0], "left exactly as it is");
    assert_eq!(world.get(ChildKind::Service, "gw").await.data["spec"]["selector"]["app"], "other");

    label(&world, json!(team)).await;
    world.running("gw").await;
    assert_eq!(world.get(ChildKind::Service, "gw").await.data["spec"]["selector"]["app"], "gw");
}

#[test]
fn a_selector_that_cannot_be_read_says_where_and_how_to_write_it() {
    let error = Scope::new("team=a,tier in x").expect_err("no parentheses").to_string();
    for words in ["tier in x", "write for example team=a,tier in (x,y)"] {
        assert!(error.contains(words), "{error}");
    }
}
