//! Objects that a policy adds, in the running operator: the istio-mtls sample from the first apply to the last deletion.

use std::{collections::BTreeSet, time::Duration};

use igw::object::ChildKind::{Deployment, PeerAuthentication};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, DynamicObject, PostParams},
    runtime::wait::{await_condition, conditions},
};
use serde_json::{Value, json};

use crate::{
    added_kinds,
    guests::guest,
    policed::{example, says},
    policies::{applied, held},
    world::{World, assert_condition, breakable_plane, condition, version, within},
};

/// The sample, with the grant that it needs.
async fn mtls(world: &World) -> Value {
    let (bytes, settings) = example("istio-mtls");
    let module = world.ship("istio-mtls", &bytes).await;
    let kind = json!({"group": "security.istio.io", "kind": "PeerAuthentication"});
    world.policy_spec(&module, json!({"settings": settings, "grants": {"addKinds": [kind]}}))
}

fn is_there(object: Option<&DynamicObject>) -> bool {
    object.is_some()
}

fn is_gone(object: Option<&DynamicObject>) -> bool {
    object.is_none()
}

fn is_strict(object: Option<&DynamicObject>) -> bool {
    object.is_some_and(|object| object.data["spec"]["mtls"]["mode"] == "STRICT")
}

async fn injected(world: &World) -> Value {
    world.get(Deployment, "x").await.data["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"].clone()
}

#[tokio::test]
async fn what_a_policy_adds_comes_before_the_workload_and_goes_only_with_the_policy() {
    let mut world = added_kinds::world("policy-mtls").await;
    world.start().await;
    let spec = mtls(&world).await;
    world.apply_cluster_policy("mtls", spec.clone()).await;
    world.active("mtls", 0).await;
    let mut calls = world.calls().await;
    let gateway = world.run_gateway("x", json!({})).await;
    let calls = calls.read_children().await;
    let place = |what: &str| calls.iter().position(|call| call.contains(what)).unwrap_or_else(|| panic!("{calls:?}"));
    assert!(place("peerauthentications/x ") < place("deployments/x "), "{calls:?}");
    let control = world.get(PeerAuthentication, "x").await;
    assert!(version(&control) < version(&world.get(Deployment, "x").await));
    assert_eq!(control.owner_references()[0].uid, gateway.uid().expect("a uid"));
    assert_eq!(control.owner_references()[0].controller, Some(true));
    assert_eq!(control.data["spec"]["mtls"]["mode"], "STRICT");
    let selected = &world.get(Deployment, "x").await.data["spec"]["selector"]["matchLabels"];
    assert_eq!(control.data["spec"]["selector"]["matchLabels"], *selected, "its own pods");
    assert_eq!(injected(&world).await, "true");

    // Nobody takes it away or opens it.
    let api = || world.api(PeerAuthentication);
    world.edit(PeerAuthentication, "x", json!({"spec": {"mtls": {"mode": "DISABLE"}}})).await;
    world.wait(api(), "x", "STRICT again", is_strict).await;
    world.delete(api(), "x", &DeleteParams::default()).await;
    world.wait(api(), "x", "made again", is_there).await;
    world.settled().await;

    // It stays while the policy does not run: by choice, for a fault of its own, and for a lost grant.
    let with = |field: &str, value: Value| {
        let mut spec = spec.clone();
        spec[field] = value;
        spec
    };
    let kept = world.get(PeerAuthentication, "x").await.uid();
    world.apply_cluster_policy("mtls", with("mode", json!("Suspended"))).await;
    world.gateway("x", "suspended", |status| status.to_string().contains("(suspended:")).await;
    world.edit_parent("x", json!({"spec": {"image": "other:1"}})).await;
    world.gateway("x", "its generation", |_| true).await;
    world.settled().await;
    assert_eq!(world.get(PeerAuthentication, "x").await.uid(), kept);
    let trap = world.ship("trap", &guest("trap").bytes).await;
    for (field, value, reason) in [("module", trap, "Trapped"), ("grants", json!({"images": ["a/"]}), "GuardViolation")]
    {
        let kept = world.get(PeerAuthentication, "x").await.uid();
        world.apply_cluster_policy("mtls", with(field, value)).await;
        world.gateway("x", reason, |status| says(status, "PoliciesApplied", "False", reason)).await;
        world.settled().await;
        assert_eq!(world.get(PeerAuthentication, "x").await.uid(), kept, "{reason}");
        world.delete(api(), "x", &DeleteParams::default()).await;
        world.wait(api(), "x", "made again as it was last admitted", is_strict).await;
        world.apply_cluster_policy("mtls", spec.clone()).await;
        world.gateway("x", "applied", applied).await;
        world.settled().await;
    }

    // It goes with the policy, also when nobody saw that go.
    let name = world.policy_name("mtls");
    world.delete(world.cluster_policies(), &name, &DeleteParams::default()).await;
    world.wait(api(), "x", "pruned", is_gone).await;
    world.settled().await;
    assert_eq!(injected(&world).await, Value::Null);
    world.apply_cluster_policy("mtls", spec).await;
    world.wait(world.api(PeerAuthentication), "x", "there again", is_there).await;
    world.active("mtls", 1).await;
    world.stop().await;
    world.delete(world.cluster_policies(), &name, &DeleteParams::default()).await;
    world.start().await;
    world.wait(world.api(PeerAuthentication), "x", "pruned after the start", is_gone).await;
    world.settled().await;
    assert_eq!(injected(&world).await, Value::Null);
}

#[tokio::test]
async fn a_workload_waits_for_a_control_that_the_server_does_not_know() {
    let (plane, _turn) = breakable_plane().await;
    let mut world = World::on(plane, "policy-no-istio").await;
    world.added_kinds = BTreeSet::from([PeerAuthentication]);
    world.look_again = Duration::from_secs(1);
    let info = PeerAuthentication.info();
    let name = format!("{}.{}", info.plural, info.group);
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    assert!(definitions.get_opt(&name).await.expect("a read").is_none(), "another test has left it");
    world.start().await;
    let spec = mtls(&world).await;
    world.apply_cluster_policy("mtls", spec).await;
    world.active("mtls", 0).await;
    world.apply_gateway("x", json!({})).await;
    let missing = |status: &Value| condition(status, "Reconciled").is_some_and(|c| c["reason"] == "KindMissing");
    let gateway = world.gateway("x", "KindMissing", missing).await;
    let words = ["peerauthentications.security.istio.io", "install Istio"];
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "KindMissing"), &words);
    assert!(!held(&gateway.data["status"]), "the policy has done its work");
    world.settled().await;
    assert_eq!(world.children().await, ["ServiceAccount/x", "Service/x"], "no pod without its control");

    definitions.create(&PostParams::default(), &added_kinds::definition(PeerAuthentication)).await.expect("valid");
    let established = await_condition(definitions.clone(), &name, conditions::is_crd_established());
    within("the definition to be established", established).await.expect("a watch");
    world.running("x").await;
    assert!(is_strict(Some(&world.get(PeerAuthentication, "x").await)));
    assert_eq!(injected(&world).await, "true");
    world.stop().await;
    let uid = definitions.get(&name).await.expect("it exists").uid().expect("a uid");
    definitions.delete(&name, &DeleteParams::default()).await.expect("a delete");
    within("it to be gone", await_condition(definitions, &name, conditions::is_deleted(&uid))).await.expect("a watch");
}
