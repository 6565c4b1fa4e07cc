//! The autoscaler takes the number of pods over and gives it back, without a step in between and without words.

use igw::object::ChildKind::{Deployment, HorizontalPodAutoscaler};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::world::{World, assert_condition};

fn replicas(object: &DynamicObject) -> i64 {
    object.data["spec"]["replicas"].as_i64().unwrap_or_default()
}

fn with_hpa(replicas: i32, min: i32) -> Value {
    json!({"replicas": replicas, "hpa": {"enabled": true, "config": {"minReplicas": min, "maxReplicas": 5}}})
}

#[tokio::test]
async fn switching_it_on_keeps_the_number_and_off_goes_back_in_one_step() {
    let world = World::new("hpa-toggle").await;
    world.run_gateway("gw", json!({"replicas": 3})).await;
    let before = world.get(Deployment, "gw").await;
    assert_eq!(replicas(&before), 3);
    let mut calls = world.calls().await;

    world.run_gateway("gw", with_hpa(3, 1)).await;
    let during = world.get(Deployment, "gw").await;
    assert_eq!(replicas(&during), 3);
    // A Deployment's generation moves with its annotations too, so with every own write once.
    assert_eq!(during.metadata.generation, before.metadata.generation.map(|g| g + 1), "one step");
    let wanted = ["patch deployments/gw 200", "patch deployments/gw 200", "patch horizontalpodautoscalers/gw-hpa 201"];
    assert_eq!(calls.read_children().await, wanted);

    let gateway = world.run_gateway("gw", json!({"replicas": 2})).await;
    let after = world.get(Deployment, "gw").await;
    assert_eq!(replicas(&after), 2);
    assert_eq!(after.metadata.generation, during.metadata.generation.map(|g| g + 1), "one step");
    assert!(world.find(HorizontalPodAutoscaler, "gw-hpa").await.is_none());
    let wanted = ["patch deployments/gw 409", "patch deployments/gw 200", "delete horizontalpodautoscalers/gw-hpa 200"];
    assert_eq!(calls.read_children().await, wanted);
    no_words(&world, &gateway).await;
}

#[tokio::test]
async fn what_the_autoscaler_or_a_person_scales_is_no_drift() {
    let world = World::new("hpa-scales").await;
    world.run_gateway("gw", json!({})).await;
    world.run_gateway("gw", with_hpa(1, 2)).await;
    let mut calls = world.calls().await;
    let scaled = |object: Option<&DynamicObject>| object.is_some_and(|object| replicas(object) == 2);
    let live = world.wait(world.api(Deployment), "gw", "scaled by the autoscaler", scaled).await;
    world.seen(&live.expect("it exists")).await;
    let counted = |status: &Value| status["phase"] == "Running" && status["readyReplicas"] == 2;
    world.gateway("gw", "two pods", counted).await;

    world.kubectl(&["scale", "deployment/gw", "--replicas=4", "-n", &world.namespace]).await;
    world.seen(&world.get(Deployment, "gw").await).await;
    let gateway = world.gateway("gw", "four pods", |status| status["readyReplicas"] == 4).await;
    world.settled().await;
    assert_eq!(replicas(&world.get(Deployment, "gw").await), 4);
    assert_eq!(calls.read_children().await, [""; 0]);
    no_words(&world, &gateway).await;

    let gateway = world.run_gateway("gw", json!({"replicas": 1})).await;
    assert_eq!(replicas(&world.get(Deployment, "gw").await), 1);
    no_words(&world, &gateway).await;
}

#[tokio::test]
async fn without_an_autoscaler_the_number_is_the_specs() {
    let world = World::new("hpa-none").await;
    world.run_gateway("gw", json!({"replicas": 2})).await;
    let mut calls = world.calls().await;
    world.kubectl(&["scale", "deployment/gw", "--replicas=4", "-n", &world.namespace]).await;
    world.event(&["DriftReverted", ".spec.replicas: 4 -> 2 (held by kubectl"]).await;
    world.settled().await;
    assert_eq!(replicas(&world.get(Deployment, "gw").await), 2);
    assert_eq!(calls.read_children().await, ["patch deployments/gw 200"]);
}

/// Nothing is reported as a conflict, and our own manager names least of all.
async fn no_words(world: &World, gateway: &DynamicObject) {
    assert_condition(&gateway.data["status"], "Reconciled", ("True", "Applied"), &[]);
    let said = format!("{:?} {}", world.events().await, gateway.data["status"]);
    for word in ["FieldConflict", "DriftReverted", "held by", "took over"] {
        assert!(!said.contains(word), "{word} in {said}");
    }
}
