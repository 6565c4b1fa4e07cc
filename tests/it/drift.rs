//! Somebody else changes or deletes what the operator made. Our fields come back with one write an object; what is not
//! ours stays.

use igw::object::ChildKind::{self, Deployment, HorizontalPodAutoscaler, Ingress, Service, ServiceAccount};
use kube::{ResourceExt as _, api::DeleteParams, api::Patch};
use serde_json::{Value, json};

use crate::world::{World, everything, version};

const CONTAINER: &str = "/spec/template/spec/containers/0";

/// One field somebody changes: where, what it was, what it becomes, and how the Event writes the path.
struct Edit {
    kind: ChildKind,
    name: &'static str,
    pointer: &'static str,
    foreign: Value,
    path: &'static str,
}

fn edits() -> Vec<Edit> {
    let edit = |kind, name, pointer, foreign, path| Edit { kind, name, pointer, foreign, path };
    vec![
        edit(
            ServiceAccount,
            "gw",
            "/metadata/labels/app.kubernetes.io~1component",
            json!("other"),
            ".metadata.labels[app.kubernetes.io/component]",
        ),
        edit(Service, "gw", "/spec/selector/app", json!("other"), ".spec.selector.app"),
        edit(
            Deployment,
            "gw",
            "/spec/template/spec/containers/0/image",
            json!("other:1"),
            r#".spec.template.spec.containers[name="inference-gateway"].image"#,
        ),
        edit(Ingress, "gw", "/spec/ingressClassName", json!("other"), ".spec.ingressClassName"),
        edit(HorizontalPodAutoscaler, "gw-hpa", "/spec/maxReplicas", json!(9), ".spec.maxReplicas"),
    ]
}

fn replace(pointer: &str, value: &Value) -> Patch<Value> {
    let patch = json!([{"op": "replace", "path": pointer, "value": value}]);
    Patch::Json(serde_json::from_value(patch).expect("a patch"))
}

fn at(object: &kube::api::DynamicObject, pointer: &str) -> Value {
    let object = serde_json::to_value(object).expect("an object");
    object.pointer(pointer).cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_changed_field_of_every_kind_is_taken_back_with_one_write() {
    let world = World::new("drift-edit").await;
    world.run_gateway("gw", everything()).await;
    let mut calls = world.calls().await;
    for Edit { kind, name, pointer, foreign, path } in edits() {
        let ours = at(&world.get(kind, name).await, pointer);
        let edited = world.edit_by(kind, name, replace(pointer, &foreign)).await;
        assert_eq!(at(&edited, pointer), foreign, "the edit of {kind} has an effect");
        world.seen(&edited).await;
        assert_eq!(at(&world.get(kind, name).await, pointer), ours, "{kind}");
        let wanted = format!("patch {}/{name} 200", kind.info().plural);
        assert_eq!(calls.read_children().await, [wanted]);
        let change = format!("{path}: {foreign} -> {ours} (held by kubectl-edit)");
        world.event(&["DriftReverted", &change]).await;
    }
}

#[tokio::test]
async fn a_deleted_object_of_every_kind_is_made_again_with_one_write() {
    let world = World::new("drift-delete").await;
    world.run_gateway("gw", everything()).await;
    let mut calls = world.calls().await;
    for Edit { kind, name, .. } in edits() {
        let old = world.get(kind, name).await.uid();
        world.api(kind).delete(name, &DeleteParams::background()).await.expect("a delete");
        let again = |object: Option<&kube::api::DynamicObject>| object.is_some_and(|object| object.uid() != old);
        world.wait(world.api(kind), name, "made again", again).await;
        world.settled().await;
        let wanted = format!("patch {}/{name} 201", kind.info().plural);
        assert_eq!(calls.read_children().await, [wanted]);
    }
    world.running("gw").await;
}

#[tokio::test]
async fn fields_of_others_are_left_alone_and_survive_a_later_change() {
    let world = World::new("drift-others").await;
    let gateway = world.run_gateway("gw", json!({"environment": "development"})).await;
    let mut calls = world.calls().await;
    let foreign = json!({
        "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
        "spec": {
            "minReadySeconds": 1,
            "template": {
                "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}},
                "spec": {"containers": [
                    {"name": "sidecar", "image": "sidecar:1"},
                    {"name": "inference-gateway", "env": [{"name": "THEIRS", "value": "1"}]},
                ]},
            },
        },
    });
    let edited = world.edit_by(Deployment, "gw", Patch::Strategic(foreign)).await;
    world.seen(&edited).await;
    let labels = json!({"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}});
    for kind in [ServiceAccount, Service] {
        let edited = world.edit(kind, "gw", labels.clone()).await;
        world.seen(&edited).await;
    }
    assert_eq!(calls.read_children().await, [""; 0]);

    let changed = world.run_gateway("gw", json!({"environment": "staging"})).await;
    assert_ne!(gateway.metadata.generation, changed.metadata.generation);
    assert_eq!(calls.read_children().await, ["patch deployments/gw 200"]);
    let live = world.get(Deployment, "gw").await;
    assert_eq!((at(&live, "/metadata/labels/team"), at(&live, "/metadata/annotations/note")), (json!("a"), json!("b")));
    assert_eq!(at(&live, "/spec/minReadySeconds"), 1);
    let restarted = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    assert_eq!(at(&live, restarted), "2026-01-01T00:00:00Z");
    let containers = at(&live, "/spec/template/spec/containers");
    let text = containers.to_string();
    for word in ["sidecar:1", "THEIRS", "staging"] {
        assert!(text.contains(word), "{word} in {containers:#}");
    }
}

#[tokio::test]
async fn the_order_of_variables_is_restored() {
    let world = World::new("drift-order").await;
    world.run_gateway("gw", json!({})).await;
    let pointer = format!("{CONTAINER}/env");
    let ours = at(&world.get(Deployment, "gw").await, &pointer);
    let reversed: Value = ours.as_array().expect("variables").iter().rev().cloned().collect();
    let mut calls = world.calls().await;
    let edited = world.edit_by(Deployment, "gw", replace(&pointer, &reversed)).await;
    assert_eq!(at(&edited, &pointer), reversed);
    world.seen(&edited).await;
    assert_eq!(at(&world.get(Deployment, "gw").await, &pointer), ours);
    assert_eq!(calls.read_children().await, ["patch deployments/gw 200"]);
}

/// Edits that leave something of their own beside what we send: a second port of the same name, a second handler of
/// one probe. A merge of both is refused by the API server, so taking them back needs more than one apply.
#[tokio::test]
async fn an_edit_that_excludes_ours_is_taken_back() {
    let world = World::new("drift-shape").await;
    world.run_gateway("gw", json!({})).await;
    let probe = format!("{CONTAINER}/readinessProbe");
    let (port, number) = (format!("{CONTAINER}/ports"), format!("{CONTAINER}/ports/0/containerPort"));
    let variable = format!("{CONTAINER}/env/0");
    let name = at(&world.get(Deployment, "gw").await, &format!("{variable}/name"));
    let field = json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
    let tcp = json!({"tcpSocket": {"port": 8080}});
    for (kind, whole, edited, foreign) in [
        (Service, "/spec/ports", "/spec/ports/0/port", json!(9999)),
        (Deployment, port.as_str(), number.as_str(), json!(9999)),
        (Deployment, variable.as_str(), variable.as_str(), field),
        (Deployment, probe.as_str(), probe.as_str(), tcp),
    ] {
        let ours = at(&world.get(kind, "gw").await, whole);
        let object = world.edit_by(kind, "gw", replace(edited, &foreign)).await;
        assert_ne!(at(&object, whole), ours);
        world.seen(&object).await;
        let live = world.get(kind, "gw").await;
        let status = &world.gateways().get("gw").await.expect("it exists").data["status"]["conditions"];
        assert!(version(&live) > version(&object), "{kind} {edited} was not taken back: {status:#}");
        assert_eq!(at(&live, whole), ours, "{kind} {edited}");
    }
}
