//! A Gateway from creation to deletion, counted in calls.

use igw::object::ChildKind;
use kube::api::DeleteParams;
use serde_json::json;

use crate::world::{World, assert_condition, everything};

const ALL: [&str; 5] =
    ["ServiceAccount/gw", "Service/gw", "Deployment/gw", "Ingress/gw", "HorizontalPodAutoscaler/gw-hpa"];

#[tokio::test]
async fn a_gateway_becomes_five_objects_with_seven_calls() {
    let world = World::new("create").await;
    let mut calls = world.calls().await;
    let gateway = world.run_gateway("gw", everything()).await;
    assert_eq!(world.children().await, ALL);
    let status = &gateway.data["status"];
    for (kind, reason) in [
        ("Ready", "Running"),
        ("Reconciled", "Applied"),
        ("Available", "MinimumReplicasAvailable"),
        ("Progressing", "NewReplicaSetAvailable"),
    ] {
        assert_condition(status, kind, ("True", reason), &[]);
    }
    assert_eq!(status["url"], "http://gateway.example.com");
    assert_eq!((&status["readyReplicas"], &status["availableReplicas"]), (&json!(1), &json!(1)));
    let made = calls.read().await;
    assert_eq!(
        made,
        [
            "patch serviceaccounts/gw 201",
            "patch services/gw 201",
            "patch deployments/gw 201",
            "patch ingresses/gw 201",
            "patch horizontalpodautoscalers/gw-hpa 201",
            "patch gateways/status/gw 200",
            "patch gateways/status/gw 200",
        ]
    );
}

#[tokio::test]
async fn a_restart_writes_nothing() {
    let mut world = World::new("restart").await;
    world.run_gateway("gw", everything()).await;
    world.stop().await;
    let mut calls = world.calls().await;
    world.start().await;
    assert_eq!(calls.read().await, [""; 0]);
}

#[tokio::test]
async fn one_changed_field_is_one_child_write_and_its_status() {
    let world = World::new("update").await;
    world.run_gateway("gw", json!({"environment": "development"})).await;
    let mut calls = world.calls().await;
    world.run_gateway("gw", json!({"environment": "staging"})).await;
    let wanted = ["patch deployments/gw 200", "patch gateways/status/gw 200", "patch gateways/status/gw 200"];
    assert_eq!(calls.read().await, wanted);
    let env = &world.get(ChildKind::Deployment, "gw").await.data["spec"]["template"]["spec"]["containers"][0]["env"];
    assert!(env.to_string().contains("staging"), "{env}");
}

#[tokio::test]
async fn toggles_take_objects_away_and_bring_them_back() {
    let world = World::new("toggle").await;
    world.run_gateway("gw", everything()).await;
    let mut calls = world.calls().await;
    world.run_gateway("gw", json!({"serviceAccount": {"create": false, "name": "default"}})).await;
    assert_eq!(world.children().await, ["Service/gw", "Deployment/gw"]);
    let deletes: Vec<_> = calls.read().await.into_iter().filter(|call| call.starts_with("delete")).collect();
    assert_eq!(
        deletes,
        ["delete horizontalpodautoscalers/gw-hpa 200", "delete ingresses/gw 200", "delete serviceaccounts/gw 200"]
    );
    world.run_gateway("gw", everything()).await;
    assert_eq!(world.children().await, ALL);
}

/// What is switched off is not looked for by its name.
#[tokio::test]
async fn switching_off_leaves_what_somebody_else_made_under_that_name() {
    let world = World::new("toggle-foreign").await;
    let theirs = world
        .create(
            ChildKind::Ingress,
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "gw"},
                "spec": {"defaultBackend": {"service": {"name": "theirs", "port": {"number": 80}}}},
            }),
        )
        .await;
    let mut calls = world.calls().await;
    world.run_gateway("gw", json!({})).await;
    assert!(!calls.read().await.iter().any(|call| call.contains("ingresses")), "nobody asks for it");
    let ingress = |enabled| json!({"ingress": {"enabled": enabled, "host": "gateway.example.com"}});
    world.run_gateway("gw", ingress(true)).await;
    world.run_gateway("gw", ingress(false)).await;
    let now = world.get(ChildKind::Ingress, "gw").await;
    assert_eq!(now.metadata.resource_version, theirs.metadata.resource_version);
}

#[tokio::test]
async fn deleting_a_gateway_removes_what_it_made_and_nothing_else() {
    let world = World::new("delete").await;
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gw"}, "data": {"a": "b"}});
    world.create(ChildKind::ConfigMap, config).await;
    world.run_gateway("gw", everything()).await;
    let mut calls = world.calls().await;
    world.delete(world.gateways(), "gw", &DeleteParams::foreground()).await;
    for kind in ChildKind::ALL {
        let left = world.find(kind, "gw").await;
        assert_eq!(left.is_some(), kind == ChildKind::ConfigMap, "{kind}");
    }
    world.settled().await;
    assert_eq!(calls.read().await, [""; 0], "garbage collection does it, also in the foreground");
}
