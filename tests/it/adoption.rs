//! A live cluster is switched over from the Go operator: what it made is adopted as it is, loses what nobody wants any
//! more, and nothing is deleted or made anew. `paused` and `adopt` say what may happen when.

use igw::object::ChildKind::{self, Deployment, Service, ServiceAccount};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::world::{World, assert_condition, condition};

/// The field manager of the Go operator: the name of its binary.
const PREDECESSOR: &str = "operator";

/// Makes an object as the Go operator does: by a plain create, owned by the Gateway.
async fn made_before(
    world: &World,
    kind: ChildKind,
    owner: Option<&DynamicObject>,
    mut document: Value,
) -> DynamicObject {
    let info = kind.info();
    document["apiVersion"] = json!(info.api_version());
    document["kind"] = json!(info.kind);
    if let Some(owner) = owner {
        document["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "core.inference-gateway.com/v1alpha1",
            "kind": "Gateway",
            "name": owner.name_any(),
            "uid": owner.uid(),
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
    }
    let object: DynamicObject = serde_json::from_value(document).expect("an object");
    let params = PostParams { field_manager: Some(PREDECESSOR.into()), ..PostParams::default() };
    world.api(kind).create(&params, &object).await.expect("a valid object")
}

/// The Deployment that the Go operator makes of `server.tls.enabled`: a port that nothing listens on, variables that
/// nothing reads, one of them twice.
fn deployment() -> Value {
    let env = json!([
        {"name": "ENVIRONMENT", "value": "production"},
        {"name": "TELEMETRY_ENABLE", "value": "false"},
        {"name": "OIDC_CLIENT_SECRET", "value": "x"},
        {"name": "TWICE", "value": "1"},
        {"name": "TWICE", "value": "2"},
    ]);
    let container = json!({
        "name": "inference-gateway",
        "image": "ghcr.io/inference-gateway/inference-gateway:latest",
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "https", "containerPort": 8443}],
        "env": env,
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 5},
    });
    json!({
        "metadata": {"name": "gw"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "gw"}},
            "template": {"metadata": {"labels": {"app": "gw"}}, "spec": {"containers": [container], "serviceAccountName": "gw"}},
        },
    })
}

fn service() -> Value {
    let ports = json!([{"name": "http", "port": 8080, "targetPort": 8080}, {"name": "https", "port": 8443, "targetPort": 8443}]);
    json!({"metadata": {"name": "gw"}, "spec": {"selector": {"app": "gw"}, "ports": ports}})
}

/// Managers that hold anything but the status of an object.
fn managers(object: &DynamicObject) -> Vec<(String, String)> {
    let entries = object.metadata.managed_fields.clone().unwrap_or_default();
    let plain = entries.into_iter().filter(|entry| entry.subresource.is_none());
    plain.map(|entry| (entry.manager.unwrap_or_default(), entry.operation.unwrap_or_default())).collect()
}

#[tokio::test]
async fn what_the_go_operator_made_is_adopted_with_one_rolling_update() {
    let mut world = World::without_operator("adopt").await;
    let gateway = world.apply_gateway("gw", json!({})).await;
    // Of the Go operator's objects only the ServiceAccount has the label that our watches select on.
    let labels = json!({"app.kubernetes.io/managed-by": "inference-gateway-operator"});
    let account = json!({"metadata": {"name": "gw", "labels": labels}});
    let before = [
        made_before(&world, ServiceAccount, Some(&gateway), account).await,
        made_before(&world, Service, Some(&gateway), service()).await,
        made_before(&world, Deployment, Some(&gateway), deployment()).await,
    ];
    let available = |object: Option<&DynamicObject>| object.is_some_and(|o| o.data["status"]["availableReplicas"] == 1);
    world.wait(world.api(Deployment), "gw", "available", available).await;
    let generation = world.get(Deployment, "gw").await.metadata.generation.expect("a generation");
    let mut calls = world.calls().await;

    world.start().await;
    world.running("gw").await;
    for (kind, before) in [ServiceAccount, Service, Deployment].into_iter().zip(before) {
        let after = world.get(kind, "gw").await;
        assert_eq!(after.uid(), before.uid(), "{kind} is the same object");
        let ours = ("inference-gateway-operator".to_owned(), "Apply".to_owned());
        let others: Vec<_> = managers(&after).into_iter().filter(|m| m.0 != "kube-controller-manager").collect();
        assert_eq!(others, [ours], "{kind}");
        world.event(&["Adopted", &format!("{kind} {}/gw was made by operator", world.namespace)]).await;
    }
    let events = world.events().await.join("\n");
    assert!(!events.contains("FieldConflict"), "the predecessor is no opponent: {events}");
    let live = world.get(Deployment, "gw").await;
    assert_eq!(live.metadata.generation, Some(generation + 1), "one change of the template is one rolling update");
    let container = &live.data["spec"]["template"]["spec"]["containers"][0];
    let names: Vec<_> = container["env"].as_array().into_iter().flatten().map(|var| var["name"].clone()).collect();
    assert!(names.contains(&json!("SERVER_PORT")), "{names:?}");
    assert!(!names.contains(&json!("TWICE")) && !names.contains(&json!("OIDC_CLIENT_SECRET")), "{names:?}");
    assert_eq!(container["ports"].as_array().map(Vec::len), Some(1), "{}", container["ports"]);
    let made = calls.read().await;
    assert!(!made.iter().any(|call| call.starts_with("delete") || call.contains(" 201")), "{made:#?}");

    // The port can be renumbered afterwards: nobody else holds the old one.
    world.run_gateway("gw", json!({"service": {"port": 9000}})).await;
    let ports = world.get(Service, "gw").await.data["spec"]["ports"].clone();
    let numbers: Vec<_> = ports.as_array().into_iter().flatten().map(|port| port["port"].as_i64()).collect();
    assert_eq!(numbers, [Some(9000)]);

    world.stop().await;
    let mut calls = world.calls().await;
    world.start().await;
    assert_eq!(calls.read().await, [""; 0], "adopted once");
}

#[tokio::test]
async fn a_template_that_is_as_it_should_be_is_adopted_without_a_restart() {
    let mut world = World::new("adopt-same").await;
    let gateway = world.run_gateway("gw", json!({})).await;
    let template = world.get(Deployment, "gw").await.data["spec"].clone();
    world.stop().await;
    world.delete(world.api(Deployment), "gw", &DeleteParams::background()).await;
    let document = json!({"metadata": {"name": "gw"}, "spec": template});
    let made = made_before(&world, Deployment, Some(&gateway), document).await;
    world.start().await;
    world.event(&["Adopted", "Deployment"]).await;
    world.running("gw").await;
    assert_eq!(world.get(Deployment, "gw").await.uid(), made.uid());
    // A changed template would have a second one. The generation moves with the annotations too.
    let sets: Api<ReplicaSet> = Api::namespaced(world.client.clone(), &world.namespace);
    let of_this =
        |set: &&ReplicaSet| set.owner_references().iter().any(|owner| Some(&owner.uid) == made.uid().as_ref());
    let list = sets.list(&ListParams::default()).await.expect("a list");
    assert_eq!(list.items.iter().filter(of_this).count(), 1);
}

#[tokio::test]
async fn an_autoscaled_predecessor_keeps_its_pods() {
    let mut world = World::without_operator("adopt-scaled").await;
    let gateway = world
        .apply_gateway("gw", json!({"hpa": {"enabled": true, "config": {"minReplicas": 3, "maxReplicas": 5}}}))
        .await;
    let mut scaled = deployment();
    scaled["spec"]["replicas"] = json!(3);
    made_before(&world, Deployment, Some(&gateway), scaled).await;
    world.start().await;
    world.running("gw").await;
    assert_eq!(world.get(Deployment, "gw").await.data["spec"]["replicas"], 3);
}

#[tokio::test]
async fn while_paused_nothing_is_touched() {
    let mut world = World::without_operator("paused").await;
    let gateway = world.apply_gateway("gw", json!({})).await;
    let paused = |value: Value| json!({"metadata": {"annotations": {"inference-gateway.com/paused": value}}});
    world.edit_parent("gw", paused(json!("true"))).await;
    made_before(&world, Deployment, Some(&gateway), deployment()).await;
    let mut calls = world.calls().await;
    world.start().await;
    let says = |status: &Value| condition(status, "Reconciled").is_some_and(|c| c["reason"] == "Paused");
    let gateway = world.gateway("gw", "paused", says).await;
    assert_condition(&gateway.data["status"], "Ready", ("False", "Paused"), &["inference-gateway.com/paused"]);
    world.edit_parent("gw", json!({"spec": {"environment": "staging"}})).await;
    world.settled().await;
    assert_eq!(calls.read_children().await, [""; 0]);
    world.edit_parent("gw", paused(Value::Null)).await;
    world.running("gw").await;
    assert_eq!(world.children().await, ["ServiceAccount/gw", "Service/gw", "Deployment/gw"]);
}

#[tokio::test]
async fn an_object_without_a_controller_is_adopted_when_the_user_says_so() {
    let world = World::new("handed-over").await;
    let made = made_before(&world, Service, None, service()).await;
    world.apply_gateway("gw", json!({})).await;
    let conflict = |status: &Value| condition(status, "Reconciled").is_some_and(|c| c["reason"] == "ResourceConflict");
    world.gateway("gw", "a conflict", conflict).await;
    world.settled().await;
    let left = world.get(Service, "gw").await;
    assert_eq!(left.resource_version(), made.resource_version(), "not touched");

    world.edit_parent("gw", json!({"metadata": {"annotations": {"inference-gateway.com/adopt": "true"}}})).await;
    world.event(&["Adopted", "Service", "made by operator"]).await;
    world.running("gw").await;
    let live = world.get(Service, "gw").await;
    assert_eq!(live.uid(), made.uid());
    assert_eq!(live.data["spec"]["ports"].as_array().map(Vec::len), Some(1));

    // What another controller owns is not the user's to give.
    let other = world
        .create(ChildKind::ConfigMap, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}))
        .await;
    let mut owned = service();
    owned["metadata"] = json!({"name": "owned", "ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other.uid(), "controller": true,
    }]});
    let made = made_before(&world, Service, None, owned).await;
    world.apply_gateway("owned", json!({})).await;
    world.edit_parent("owned", json!({"metadata": {"annotations": {"inference-gateway.com/adopt": "true"}}})).await;
    world.gateway("owned", "a conflict", conflict).await;
    world.settled().await;
    assert_eq!(world.get(Service, "owned").await.resource_version(), made.resource_version());
}

/// What the Go operator wrote to the status of a custom resource, and nobody would write again.
#[tokio::test]
async fn what_a_predecessor_left_in_a_status_goes() {
    let mut world = World::without_operator("adopt-status").await;
    let mut gateway = world.apply_gateway("gw", json!({})).await;
    let old = json!({
        "type": "ReceiverPortContention", "status": "False", "reason": "NoContention", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    gateway.data["status"] = json!({"conditions": [old], "mcpServers": ["http://gone"], "mcpServerCount": 1});
    gateway.metadata.managed_fields = None;
    let params = PostParams { field_manager: Some(PREDECESSOR.into()), ..PostParams::default() };
    world.gateways().replace_status("gw", &params, &gateway).await.expect("a status");
    // Who applies a condition keeps it.
    let theirs = json!({
        "apiVersion": "core.inference-gateway.com/v1alpha1", "kind": "Gateway", "metadata": {"name": "gw"},
        "status": {"conditions": [{
            "type": "Audited", "status": "True", "reason": "Yes", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    });
    world
        .gateways()
        .patch_status("gw", &PatchParams::apply("auditor"), &Patch::Apply(&theirs))
        .await
        .expect("a status");
    world.start().await;
    world.running("gw").await;
    let status = world.gateways().get("gw").await.expect("it exists").data["status"].clone();
    assert!(condition(&status, "ReceiverPortContention").is_none(), "{status:#}");
    assert!(status.get("mcpServers").is_none(), "{status:#}");
    assert!(condition(&status, "Audited").is_some(), "{status:#}");
    assert_condition(&status, "Ready", ("True", "Running"), &[]);
    let mut calls = world.calls().await;
    world.edit(Deployment, "gw", json!({"metadata": {"annotations": {"somebody": "else"}}})).await;
    world.settled().await;
    assert_eq!(calls.read().await, [""; 0], "a condition of somebody else is no reason to write");
}
