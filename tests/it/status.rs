//! What a Gateway says of itself: in few writes, and true.

use std::time::Instant;

use igw::object::ChildKind::Deployment;
use kube::api::{DynamicObject, Patch};
use serde_json::{Value, json};

use crate::world::{World, assert_condition, condition};

/// Makes the pods of the newest template crash, or run again, and the Deployment give up soon.
async fn pods(world: &World, state: Option<&str>) {
    let template = json!({"metadata": {"labels": {controlplane::POD_LABEL: state}}});
    let patch = json!({"spec": {"progressDeadlineSeconds": 1, "template": template}});
    world.edit_by(Deployment, "gw", Patch::Strategic(patch)).await;
}

#[tokio::test]
async fn a_rollout_that_exceeds_its_deadline_has_failed_and_recovers() {
    let world = World::new("deadline").await;
    world.run_gateway("gw", json!({})).await;
    let mut calls = world.calls().await;
    pods(&world, Some("CrashLoopBackOff")).await;
    let gateway = world.gateway("gw", "phase Failed", |status| status["phase"] == "Failed").await;
    let status = &gateway.data["status"];
    assert_condition(status, "Progressing", ("False", "ProgressDeadlineExceeded"), &["has timed out progressing"]);
    assert_condition(status, "Available", ("True", "MinimumReplicasAvailable"), &[]);
    assert_condition(status, "Ready", ("False", "ProgressDeadlineExceeded"), &["has timed out progressing"]);
    assert!(status["message"].as_str().is_some_and(|m| m.contains("timed out progressing")), "{status:#}");
    pods(&world, None).await;
    world.running("gw").await;
    assert_eq!(calls.read_children().await, [""; 0], "the deadline is not ours");
}

#[tokio::test]
async fn replica_counts_follow_without_a_write_for_each() {
    let world = World::new("counts").await;
    world.run_gateway("gw", json!({"replicas": 1})).await;
    let mut calls = world.calls().await;
    let started = Instant::now();
    world.kubectl(&["scale", "igw/gw", "--replicas=20", "-n", &world.namespace]).await;
    let scaled = |status: &Value| status["phase"] == "Running" && status["availableReplicas"] == 20;
    let gateway = world.gateway("gw", "twenty pods", scaled).await;
    world.settled().await;
    let status = &gateway.data["status"];
    assert_eq!((&status["replicas"], &status["readyReplicas"]), (&json!(20), &json!(20)));
    let made = calls.read().await;
    let writes = made.iter().filter(|call| *call == "patch gateways/status/gw 200").count();
    // The beginning, too few pods for a moment, enough again, the end; and counts at most every 300 ms between them.
    let most = 4 + usize::try_from(started.elapsed().as_millis() / 300).expect("small");
    assert!(writes <= most, "{made:?} within {:?}", started.elapsed());
    let rest: Vec<_> = made.iter().filter(|call| !call.contains("status")).collect();
    assert_eq!(rest, ["patch deployments/gw 200"]);

    // Pods that go by themselves show in the counts.
    world.kubectl(&["delete", "pod", "-l", "app=gw", "-n", &world.namespace, "--wait=false"]).await;
    world.gateway("gw", "twenty pods again", scaled).await;
    world.settled().await;
    assert_eq!(calls.read_children().await, [""; 0]);
}

#[tokio::test]
async fn kubectl_can_wait_scale_and_show() {
    let world = World::new("kubectl").await;
    let namespace = world.namespace.as_str();
    world.apply_gateway("gw", json!({"providers": [{"name": "OpenAI"}, {"name": "Groq"}]})).await;
    world.kubectl(&["wait", "igw/gw", "--for=condition=Ready", "--timeout=60s", "-n", namespace]).await;
    let table = world.kubectl(&["get", "igw", "gw", "-n", namespace]).await;
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "PHASE", "READY", "URL", "PROVIDERS", "MCPS", "AGE"]);
    let url = format!("http://gw.{namespace}.svc.cluster.local:8080");
    assert_eq!(lines[1][..5], ["gw", "Running", "1", &url, "OpenAI,Groq"]);
    world.kubectl(&["scale", "igw/gw", "--replicas=3", "-n", namespace]).await;
    world
        .kubectl(&["wait", "igw/gw", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=60s", "-n", namespace])
        .await;
    let selector = world.kubectl(&["get", "igw/gw", "-n", namespace, "-o", "jsonpath={.status.selector}"]).await;
    assert_eq!(selector, "app=gw");
}

#[tokio::test]
async fn conditions_keep_their_time_while_their_status_stays() {
    let world = World::new("times").await;
    let first = world.run_gateway("gw", json!({"environment": "development"})).await;
    let second = world.run_gateway("gw", json!({"environment": "staging"})).await;
    let of = |object: &DynamicObject, kind: &str| {
        let condition = condition(&object.data["status"], kind).expect("a condition").clone();
        (condition["status"].clone(), condition["lastTransitionTime"].clone(), condition["observedGeneration"].clone())
    };
    for kind in ["Reconciled", "Available", "Progressing"] {
        let (before, after) = (of(&first, kind), of(&second, kind));
        assert_eq!((&before.0, &before.1), (&after.0, &after.1), "{kind}");
        assert_eq!(after.2.as_i64(), second.metadata.generation, "{kind}");
    }
}

#[tokio::test]
async fn without_a_deployment_nothing_is_said_to_be_rolled_out() {
    let mut world = World::without_operator("absent").await;
    world.apply_gateway("gw", json!({})).await;
    world.edit_parent("gw", json!({"metadata": {"annotations": {"inference-gateway.com/paused": "true"}}})).await;
    world.start().await;
    let paused = |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["reason"] == "Paused");
    let gateway = world.gateway("gw", "paused", paused).await;
    let status = &gateway.data["status"];
    assert_condition(status, "Available", ("False", "RollingOut"), &["the Deployment is not there"]);
    assert!(condition(status, "Progressing").is_none(), "{status:#}");
}

#[tokio::test]
async fn somebody_elses_status_is_put_right_with_the_next_write_and_starts_nothing() {
    let world = World::new("status-edit").await;
    world.run_gateway("gw", json!({})).await;
    let mut calls = world.calls().await;
    let patch = Patch::Merge(json!({"status": {"phase": "Failed"}}));
    let params = kube::api::PatchParams { field_manager: Some("kubectl-edit".into()), ..Default::default() };
    world.gateways().patch_status("gw", &params, &patch).await.expect("a status");
    world.settled().await;
    assert_eq!(calls.read().await, [""; 0]);
    let gateway = world.run_gateway("gw", json!({"environment": "staging"})).await;
    assert_eq!(gateway.data["status"]["phase"], "Running");
}
