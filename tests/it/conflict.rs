//! A field was taken by somebody else, and then the custom resource wants it otherwise: it is named, then taken over.

use std::{fs, io::Write as _};

use igw::object::ChildKind::{Deployment, Service};
use kube::api::Patch;
use serde_json::json;

use crate::world::{World, assert_condition};

const IMAGE: &str = r#".spec.template.spec.containers[name="inference-gateway"].image"#;

#[tokio::test]
async fn a_field_that_another_manager_applied_is_named_and_taken_over() {
    let mut world = World::new("conflict-apply").await;
    world.run_gateway("gw", json!({"image": "ours:1"})).await;
    world.stop().await;
    let theirs = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "gw", "namespace": world.namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "gw"}},
            "template": {"spec": {"containers": [{"name": "inference-gateway", "image": "theirs:1"}]}},
        },
    });
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(theirs.to_string().as_bytes()).expect("written");
    let path = file.path().to_string_lossy().into_owned();
    world.kubectl(&["apply", "--server-side", "--field-manager=theirs", "--force-conflicts", "-f", &path]).await;
    fs::remove_file(&path).expect("removed");
    world.apply_gateway("gw", json!({"image": "ours:2"})).await;

    let mut calls = world.calls().await;
    world.start().await;
    let gateway = world.running("gw").await;
    let named = format!(r#"{IMAGE}: "theirs:1" -> "ours:2" (held by theirs)"#);
    world.event(&["FieldConflict", &named]).await;
    assert_condition(&gateway.data["status"], "Reconciled", ("True", "Applied"), &[&named]);
    let live = world.get(Deployment, "gw").await;
    assert_eq!(live.data["spec"]["template"]["spec"]["containers"][0]["image"], "ours:2");
    assert_eq!(calls.read_children().await, ["patch deployments/gw 409", "patch deployments/gw 200"]);

    // Taken over once: from here on it is ours, and the words go with the next change.
    let gateway = world.run_gateway("gw", json!({"image": "ours:3"})).await;
    let message = gateway.data["status"]["conditions"].to_string();
    assert!(!message.contains("theirs"), "{message}");
    assert_eq!(calls.read_children().await, ["patch deployments/gw 200"]);
}

#[tokio::test]
async fn a_field_that_somebody_edited_is_named_and_taken_over() {
    let mut world = World::new("conflict-edit").await;
    world.run_gateway("gw", json!({"service": {"annotations": {"example.com/a": "1"}}})).await;
    world.stop().await;
    let theirs =
        json!({"metadata": {"annotations": {"example.com/a": "theirs"}}, "spec": {"selector": {"app": "other"}}});
    world.edit_by(Service, "gw", Patch::Merge(theirs)).await;
    world.apply_gateway("gw", json!({"service": {"annotations": {"example.com/a": "2"}}})).await;
    world.start().await;
    let gateway = world.running("gw").await;
    let named = [
        r#".metadata.annotations[example.com/a]: "theirs" -> "2" (held by kubectl-edit)"#,
        r#".spec.selector.app: "other" -> "gw" (held by kubectl-edit)"#,
    ];
    world.event(&["FieldConflict", "Service", named[0]]).await;
    assert_condition(&gateway.data["status"], "Reconciled", ("True", "Applied"), &named);
    let live = world.get(Service, "gw").await;
    assert_eq!(live.data["spec"]["selector"], json!({"app": "gw"}));
    assert_eq!(live.metadata.annotations.and_then(|a| a.get("example.com/a").cloned()).as_deref(), Some("2"));
}

#[tokio::test]
async fn a_field_that_both_set_to_the_same_value_is_no_conflict() {
    let mut world = World::new("conflict-same").await;
    world.run_gateway("gw", json!({"image": "ours:1"})).await;
    world.stop().await;
    let image = json!({"containers": [{"name": "inference-gateway", "image": "ours:2"}]});
    let theirs = json!({"spec": {"template": {"spec": image}}});
    world.edit_by(Deployment, "gw", Patch::Strategic(theirs)).await;
    world.apply_gateway("gw", json!({"image": "ours:2"})).await;
    let mut calls = world.calls().await;
    world.start().await;
    world.running("gw").await;
    assert_eq!(calls.read_children().await, ["patch deployments/gw 200"]);
    let events = world.events().await;
    assert!(events.iter().all(|event| !event.starts_with("FieldConflict")), "{events:?}");
}
