//! Somebody else's object has a name that a Gateway needs: it is not touched, the rest goes on, and the name is taken
//! once it is free.

use std::time::Instant;

use igw::object::{
    ChildKind::{self, Deployment, HorizontalPodAutoscaler, Ingress, Service, ServiceAccount},
    MANAGED_BY, MANAGED_BY_LABEL,
};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::{Value, json};

use crate::world::{World, assert_condition, condition, everything};

/// Somebody else's object of a kind, made as kubectl apply makes it.
fn foreign(kind: ChildKind, name: &str) -> Value {
    let info = kind.info();
    let template = json!({
        "metadata": {"labels": {"app": "theirs"}},
        "spec": {"containers": [{"name": "theirs", "image": "theirs:1"}]},
    });
    let spec = match kind {
        Service => json!({"ports": [{"port": 1234}], "selector": {"app": "theirs"}}),
        Deployment => json!({"selector": {"matchLabels": {"app": "theirs"}}, "template": template}),
        Ingress => json!({"defaultBackend": {"service": {"name": "theirs", "port": {"number": 80}}}}),
        HorizontalPodAutoscaler => {
            json!({"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}})
        }
        _ => Value::Null,
    };
    let mut object = json!({"apiVersion": info.api_version(), "kind": info.kind, "metadata": {"name": name}});
    if !spec.is_null() {
        object["spec"] = spec;
    }
    object
}

struct Case {
    kind: ChildKind,
    gateway: &'static str,
    name: &'static str,
    phase: &'static str,
    /// What is made all the same.
    others: &'static [ChildKind],
}

const CASES: [Case; 5] = [
    Case {
        kind: ServiceAccount,
        gateway: "a",
        name: "a",
        phase: "Running",
        others: &[Service, Deployment, Ingress, HorizontalPodAutoscaler],
    },
    Case {
        kind: Service,
        gateway: "b",
        name: "b",
        phase: "Failed",
        others: &[ServiceAccount, Deployment, HorizontalPodAutoscaler],
    },
    Case { kind: Deployment, gateway: "c", name: "c", phase: "Failed", others: &[ServiceAccount, Service, Ingress] },
    Case {
        kind: Ingress,
        gateway: "d",
        name: "d",
        phase: "Running",
        others: &[ServiceAccount, Service, Deployment, HorizontalPodAutoscaler],
    },
    Case {
        kind: HorizontalPodAutoscaler,
        gateway: "e",
        name: "e-hpa",
        phase: "Running",
        others: &[ServiceAccount, Service, Deployment, Ingress],
    },
];

fn child_name(kind: ChildKind, gateway: &str) -> String {
    if kind == HorizontalPodAutoscaler { format!("{gateway}-hpa") } else { gateway.to_owned() }
}

#[tokio::test]
async fn a_foreign_object_of_any_kind_is_left_and_the_others_go_on() {
    let world = World::new("foreign").await;
    let mut before = Vec::new();
    for Case { kind, name, .. } in &CASES {
        before.push(world.create(*kind, foreign(*kind, name)).await);
    }
    let mut calls = world.calls().await;
    let started = Instant::now();
    for Case { gateway, .. } in &CASES {
        world.apply_gateway(gateway, everything()).await;
    }
    for Case { kind, gateway, name, phase, others } in &CASES {
        let named = format!("{kind} {}/{name}", world.namespace);
        let said = |status: &Value| status["phase"] == *phase && condition(status, "Reconciled").is_some();
        let object = world.gateway(gateway, phase, said).await;
        let status = &object.data["status"];
        assert_condition(status, "Reconciled", ("False", "ResourceConflict"), &[&named]);
        assert_condition(status, "Ready", ("False", "ResourceConflict"), &[&named]);
        assert!(status["message"].as_str().is_some_and(|message| message.contains(&named)), "{status:#}");
        world.event(&["ResourceConflict", &named]).await;
        for other in *others {
            assert!(world.find(*other, &child_name(*other, gateway)).await.is_some(), "{other} beside {named}");
        }
        if *kind == Deployment {
            let autoscaler = world.find(HorizontalPodAutoscaler, "c-hpa").await;
            assert!(autoscaler.is_none(), "it would scale a Deployment that is not ours");
        }
        if *kind == Service {
            assert!(world.find(Ingress, gateway).await.is_none(), "an Ingress waits for its Service");
            assert_condition(status, "Reconciled", ("False", "ResourceConflict"), &["Ingress", "waits for Service"]);
        }
    }
    // The create is tried again with growing waits: 1 s, 2 s, 4 s; each try is one apply and one read.
    let tries = started.elapsed().as_secs().checked_ilog2().unwrap_or(0) as usize + 2;
    let calls = calls.read().await;
    for Case { kind, name, .. } in &CASES {
        let about = format!(" {}/{name} ", kind.info().plural);
        let count = calls.iter().filter(|call| call.contains(&about)).count();
        assert!(count <= 2 * tries, "{count} calls about {kind} in {tries} tries: {calls:#?}");
    }
    for (Case { kind, name, .. }, before) in CASES.iter().zip(&before) {
        // The status of some is their controllers'; everything else is as it was.
        let now = world.get(*kind, name).await;
        assert_eq!((now.uid(), now.labels(), now.owner_references()), (before.uid(), before.labels(), &[][..]));
        assert!(!format!("{:?}", now.managed_fields()).contains(MANAGED_BY), "{kind}");
        assert_eq!(now.data["spec"], before.data["spec"], "{kind}");
        if ![Deployment, HorizontalPodAutoscaler].contains(kind) {
            assert_eq!(now.resource_version(), before.resource_version(), "{kind}");
        }
    }
    for Case { kind, name, .. } in &CASES {
        world.delete(world.api(*kind), name, &DeleteParams::background()).await;
    }
    for Case { kind, gateway, name, .. } in &CASES {
        let well = |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["status"] == "True");
        let object = world.gateway(gateway, "Ready", well).await;
        assert_condition(&object.data["status"], "Reconciled", ("True", "Applied"), &[]);
        assert_eq!(world.get(*kind, name).await.owner_references()[0].name, *gateway);
    }
}

/// A foreign object that happens to carry the operator's label is seen by the watches, and still foreign.
#[tokio::test]
async fn a_foreign_deployment_with_our_label_is_not_taken_for_ours() {
    let world = World::new("foreign-label").await;
    let mut theirs = foreign(Deployment, "gw");
    theirs["metadata"]["labels"] = json!({MANAGED_BY_LABEL: MANAGED_BY});
    world.create(Deployment, theirs).await;
    let available = |object: Option<&kube::api::DynamicObject>| {
        object.is_some_and(|object| object.data["status"]["availableReplicas"] == 1)
    };
    let theirs = world.wait(world.api(Deployment), "gw", "available", available).await.expect("it exists");
    world.seen(&theirs).await;
    world.apply_gateway("gw", json!({})).await;
    let gateway = world.gateway("gw", "phase Failed", |status| status["phase"] == "Failed").await;
    let status = &gateway.data["status"];
    assert_condition(status, "Reconciled", ("False", "ResourceConflict"), &["Deployment"]);
    // What their pods do says nothing of ours.
    assert_condition(status, "Available", ("False", "ResourceConflict"), &[]);
    assert_eq!((&status["replicas"], &status["readyReplicas"]), (&json!(0), &json!(0)), "{status:#}");
    world.settled().await;
    let mut calls = world.calls().await;
    let edited = world.edit(Deployment, "gw", json!({"metadata": {"annotations": {"a": "b"}}})).await;
    world.seen(&edited).await;
    assert_eq!(calls.read().await, [""; 0], "it is seen, so nobody has to ask");
    world.delete(world.api(Deployment), "gw", &DeleteParams::background()).await;
    world.running("gw").await;
}

/// A foreign object that is on its way out and has no label: no watch tells when it is gone.
#[tokio::test]
async fn a_foreign_object_held_by_a_finalizer_is_waited_for() {
    let world = World::new("foreign-held").await;
    let mut theirs = foreign(Service, "gw");
    theirs["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let theirs = world.create(Service, theirs).await;
    world.api(Service).delete("gw", &DeleteParams::background()).await.expect("a delete");
    world.apply_gateway("gw", json!({})).await;
    let said = |status: &Value| status["phase"] == "Running";
    let gateway = world.gateway("gw", "running without its Service", said).await;
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "Waiting"), &["Service"]);
    world.settled().await;
    world.edit(Service, "gw", json!({"metadata": {"finalizers": null}})).await;
    let well = |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["status"] == "True");
    world.gateway("gw", "Ready", well).await;
    assert_ne!(world.get(Service, "gw").await.uid(), theirs.uid());
}

/// What waits for somebody else's object may wait for ever; what nobody wants any more goes meanwhile.
#[tokio::test]
async fn a_foreign_object_does_not_keep_what_is_no_longer_wanted() {
    let world = World::new("foreign-prune").await;
    world.create(Service, foreign(Service, "gw")).await;
    world.apply_gateway("gw", everything()).await;
    let waits = |status: &Value| {
        condition(status, "Reconciled").is_some_and(|reconciled| reconciled["reason"] == "ResourceConflict")
    };
    world.gateway("gw", "a conflict", waits).await;
    world.settled().await;
    assert!(world.find(HorizontalPodAutoscaler, "gw-hpa").await.is_some());
    let mut spec = everything();
    spec["hpa"]["enabled"] = json!(false);
    world.apply_gateway("gw", spec).await;
    world.gateway("gw", "a conflict", waits).await;
    world.settled().await;
    assert!(world.find(HorizontalPodAutoscaler, "gw-hpa").await.is_none());
}
