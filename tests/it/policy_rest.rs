//! Policies come to rest: nothing is written that was written before, neither of objects nor of the policies themselves.

use std::time::Duration;

use igw::{object::ChildKind, policies::Options};
use kube::{
    ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    guests::guest,
    policed::says,
    policies::sidecar,
    stamp::stamp,
    world::{World, everything, operator_user},
};

#[tokio::test]
async fn a_policy_that_copies_all_that_it_is_told_comes_to_rest() {
    let mut world = World::new("policy-stamp").await;
    let module = world.ship("stamp", stamp()).await;
    let children = json!([
        {"kind": "ServiceAccount"},
        {"kind": "Service"},
        {"group": "apps", "kind": "Deployment"},
        {"group": "autoscaling", "kind": "HorizontalPodAutoscaler"},
        {"group": "networking.k8s.io", "kind": "Ingress"},
    ]);
    let more = json!({"match": {"children": children}, "settings": {"a": [1, "b"]}});
    world.apply_cluster_policy("stamp", world.policy_spec(&module, more)).await;
    world.active("stamp", 0).await;
    world.run_gateway("x", everything()).await;
    world.active("stamp", 1).await;
    world.settled().await;
    let autoscaler = (ChildKind::HorizontalPodAutoscaler, "x-hpa");
    for (kind, name) in [(ChildKind::Deployment, "x"), (ChildKind::Service, "x"), autoscaler] {
        let live = world.get(kind, name).await;
        let stamped = &live.annotations()["example.com/stamp"];
        assert!(stamped.contains("gateway.example.com") && stamped.contains(r#"{"a":[1,"b"]}"#), "{kind}: {stamped}");
    }

    // Somebody writes into its status, and it is looked at.
    let mut calls = world.calls().await;
    let touched = Patch::Merge(json!({"status": {"phase": "Pending"}}));
    world.gateways().patch_status("x", &PatchParams::default(), &touched).await.expect("a status");
    world.edit_parent("x", json!({"metadata": {"annotations": {"a": "b"}}})).await;
    let told = |object: Option<&DynamicObject>| {
        object.is_some_and(|live| live.annotations()["example.com/stamp"].contains(r#"{"a":"b"}"#))
    };
    world.wait(world.api(ChildKind::Deployment), "x", "told of an annotation", told).await;
    world.settled().await;
    let told = calls.read_children().await;
    assert!(told.len() == 5 && told.iter().all(|call| call.starts_with("patch ")), "an annotation is told: {told:?}");
    world.running("x").await;
    for round in 0..3 {
        let touched = Patch::Merge(json!({"status": {"phase": "Failed", "message": round.to_string()}}));
        world.gateways().patch_status("x", &PatchParams::default(), &touched).await.expect("a status");
        let service = world.get(ChildKind::Service, "x").await;
        let labels = Patch::Merge(json!({"metadata": {"labels": {"round": round.to_string()}}}));
        let edited = world.edit_by(ChildKind::Service, "x", labels).await;
        assert_ne!(service.resource_version(), edited.resource_version());
        world.seen(&edited).await;
    }
    world.stop().await;
    world.start().await;
    world.loaded().await;
    world.running("x").await;
    // What somebody wrote into its status is cleaned up, for which it is read.
    let told = calls.read_children().await;
    assert!(told.iter().all(|call| call.starts_with("get gateways/x ")), "{told:?}");
    world.stop().await;
    calls.read().await;
    world.start().await;
    world.loaded().await;
    world.active("stamp", 1).await;
    assert_eq!(calls.read().await, [""; 0]);
}

#[tokio::test]
async fn a_restart_writes_no_status_of_a_policy() {
    let mut world = World::new("policy-restart").await;
    let on = |case: &str| json!({"match": {"labelSelector": {"matchLabels": {"case": case}}}});
    let trap = world.ship("trap", &guest("trap").bytes).await;
    let broken = world.ship("broken", b"no module").await;
    let mut good = sidecar(&world).await;
    good["match"]["labelSelector"] = json!({"matchLabels": {"case": "good"}});
    let mut suspended = good.clone();
    suspended["mode"] = json!("Suspended");
    suspended["match"]["labelSelector"] = json!({"matchLabels": {"case": "suspended"}});
    let policies = [
        ("good", good, ("True", "Active")),
        ("trap", world.policy_spec(&trap, on("trap")), ("True", "Active")),
        ("broken", world.policy_spec(&broken, on("broken")), ("False", "NotAComponent")),
        ("suspended", suspended, ("False", "Suspended")),
    ];
    for (name, spec, _) in &policies {
        world.apply_cluster_policy(name, spec.clone()).await;
        let labels = json!({"case": name});
        let kind = <igw::kinds::gateway::Gateway as igw::kinds::Parent>::INFO;
        world.try_apply(&kind, name, &labels, &json!({})).await.expect("a Gateway");
    }
    for (name, _, (status, reason)) in &policies {
        let is = |said: &Value| {
            let seen = ["upToDate", "held", "failed"].iter().filter_map(|count| said[count].as_u64()).sum::<u64>();
            let all = seen == 1 || *name == "suspended";
            says(said, "Active", status, reason) && said["matched"] == 1 && all
        };
        world.cluster_policy(name, &format!("Active {status} {reason}"), is).await;
    }
    world.settled().await;
    world.stop().await;

    // As it is by default: what is on its way is written after some seconds.
    world.policies.status_every = Options::default().status_every;
    let mut audit = world.plane.audit();
    audit.read_settled(&world.client).await.expect("an audit log");
    world.start().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    world.settled().await;
    let ours = world.policy_name("");
    let entries = audit.read_settled(&world.client).await.expect("an audit log");
    let writes: Vec<_> = entries
        .iter()
        .filter(|entry| entry.user.username == operator_user() && entry.is_write())
        .filter(|entry| entry.object_ref.as_ref().is_some_and(|object| object.name.starts_with(&ours)))
        .map(|entry| format!("{} {}", entry.verb, entry.request_uri))
        .collect();
    assert_eq!(writes, [""; 0]);
    let figures = world.operator().context.engine.figures();
    assert_eq!((figures.modules, figures.compiled), (2, 2), "each module once, and none that is no component");
}
