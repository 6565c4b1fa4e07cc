//! What policies may not: too many of them, from elsewhere, for elsewhere, beyond what the operator allows, or at all.

use std::{collections::BTreeSet, time::Duration};

use igw::{
    kinds::{Parent as _, gateway::Gateway},
    object::ChildKind,
    policies::Switch,
};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::{Value, json};

use crate::{
    frozen::MODULE,
    policed::{containers, example, lay, says},
    policies::{applied, held, sidecar},
    world::{World, assert_condition, condition},
};

/// Laid over a spec: only what has this label.
fn on(case: &str) -> Value {
    json!({"match": {"labelSelector": {"matchLabels": {"case": case}}}})
}

/// Applies a Gateway with that label.
async fn gateway_on(world: &World, case: &str) {
    world.try_apply(&Gateway::INFO, case, &json!({"case": case}), &json!({})).await.expect("a Gateway");
}

#[tokio::test]
async fn what_the_operator_does_not_allow_is_not_accepted() {
    let mut world = World::new("policy-not-allowed").await;
    let good = sidecar(&world).await;
    let with = |case: &str, more: Value| {
        let mut spec = good.clone();
        lay(&mut spec, on(case));
        lay(&mut spec, more);
        spec
    };
    let other = with("other", json!({"operator": format!("{}-other", world.namespace)}));
    world.apply_cluster_policy("other", other).await;
    let from = world.namespace.clone();
    let elsewhere = json!({"module": {"configMap": {"namespace": from}}});
    let adds = json!({"grants": {"addKinds": [{"group": "security.istio.io", "kind": "PeerAuthentication"}]}});
    for (case, more, reason, words) in [
        ("elsewhere", elsewhere, "NamespaceNotAllowed", format!("--policy-module-namespaces={from}")),
        ("adds", adds, "KindNotAvailable", "--policy-added-kinds=PeerAuthentication.security.istio.io".into()),
    ] {
        world.apply_cluster_policy(case, with(case, more)).await;
        let is = |said: &Value| says(said, "Accepted", "False", reason) && says(said, "Active", "False", reason);
        let said = world.cluster_policy(case, reason, is).await;
        assert_condition(&said, "Accepted", ("False", reason), &[&words]);
        gateway_on(&world, case).await;
        let gateway = world.gateway(case, "held", held).await;
        assert_condition(&gateway.data["status"], "PoliciesApplied", ("False", reason), &[&words]);
    }
    // WasmPolicies are not switched on: they have no say, also where they match.
    let module = world.ship_to(&world.namespace, "first", MODULE).await;
    world.apply_wasm_policy("off", world.policy_spec(&module, json!({"settings": {"label": "l"}}))).await;
    let off = |said: &Value| {
        says(said, "Accepted", "False", "NamespacedPoliciesOff")
            && says(said, "Active", "False", "NamespacedPoliciesOff")
    };
    world.policy_at(world.wasm_policies(), "off", "NamespacedPoliciesOff", off).await;
    // What is another operator's is left alone, also where it matches.
    gateway_on(&world, "other").await;
    let gateway = world.running("other").await;
    assert_eq!(condition(&gateway.data["status"], "PoliciesApplied"), None);
    assert_eq!(containers(&world.get(ChildKind::Deployment, "other").await), ["inference-gateway"]);
    let left = world.cluster_policies().get(&world.policy_name("other")).await.expect("it exists");
    assert_eq!(left.data["status"], Value::Null);

    // A namespace that is allowed.
    world.stop().await;
    world.policies.module_namespaces = BTreeSet::from([from.clone()]);
    world.start().await;
    world.ship_to(&from, "add-sidecar", &example("add-sidecar").0).await;
    world.active("elsewhere", 1).await;
    world.gateway("elsewhere", "applied", applied).await;
}

#[tokio::test]
async fn the_oldest_policies_of_a_namespace_count() {
    const MOST: usize = 8;
    let mut world = World::without_operator("policy-many").await;
    world.policies.namespaced = true;
    world.start().await;
    let module = world.ship_to(&world.namespace, "first", MODULE).await;
    let spec = |case: &str| {
        let mut spec = world.policy_spec(&module, json!({"settings": {"label": case}}));
        lay(&mut spec, on(case));
        spec
    };
    let names: Vec<_> = (0..MOST).map(|number| format!("b{number}")).collect();
    for name in &names {
        world.apply_wasm_policy(name, spec(name)).await;
    }
    let active = |said: &Value| says(said, "Active", "True", "Active");
    for name in &names {
        world.policy_at(world.wasm_policies(), name, "Active", active).await;
    }
    // A creation timestamp counts seconds, and after that names do.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    world.apply_wasm_policy("a", spec("a")).await;
    let too_many = |said: &Value| says(said, "Accepted", "False", "TooManyPolicies");
    let said = world.policy_at(world.wasm_policies(), "a", "TooManyPolicies", too_many).await;
    assert_condition(&said, "Accepted", ("False", "TooManyPolicies"), &["8 older policies"]);
    gateway_on(&world, "a").await;
    let gateway = world.gateway("a", "held", held).await;
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("False", "TooManyPolicies"), &[]);
    gateway_on(&world, "b7").await;
    world.running("b7").await;
    assert_eq!(world.get(ChildKind::Deployment, "b7").await.labels()["example.com/first"], "b7");

    world.delete(world.wasm_policies(), "b0", &DeleteParams::default()).await;
    world.policy_at(world.wasm_policies(), "a", "Active", active).await;
    world.running("a").await;
    assert_eq!(world.get(ChildKind::Deployment, "a").await.labels()["example.com/first"], "a");
}

#[tokio::test]
async fn a_policy_reaches_neither_the_operators_namespace_nor_from_one_namespace_into_another() {
    let mut world = World::without_operator("policy-own").await;
    let other = World::without_operator("policy-next").await;
    world.policies.namespaced = true;
    world.policies.operator_namespace.clone_from(&world.namespace);
    world.start_with(&format!("kubernetes.io/metadata.name in ({},{})", world.namespace, other.namespace)).await;
    // The module lies where the operator runs, and the selector names both namespaces.
    let module = world.ship_to(&world.namespace, "first", MODULE).await;
    let both = json!([world.namespace, other.namespace]);
    let both = json!([{"key": "kubernetes.io/metadata.name", "operator": "In", "values": both}]);
    let more = json!({
        "settings": {"label": "l"},
        "match": {"namespaceSelector": {"matchExpressions": both}, "labelSelector": {"matchLabels": {"case": "c"}}},
    });
    world.apply_cluster_policy("all", world.policy_spec(&module, more)).await;
    world.apply_wasm_policy("own", world.policy_spec(&module, json!({"settings": {"label": "w"}}))).await;
    world.active("all", 0).await;
    let active = |said: &Value| says(said, "Active", "True", "Active");
    world.policy_at(world.wasm_policies(), "own", "Active", active).await;
    for (world, case) in [(&world, "c"), (&other, "c"), (&other, "d")] {
        gateway_on(world, case).await;
        world.gateway(case, "phase Running", |status| status["phase"] == "Running").await;
    }
    let label = |live: kube::api::DynamicObject| live.labels().get("example.com/first").cloned();
    assert_eq!(label(world.get(ChildKind::Deployment, "c").await), None, "nothing matches where the operator runs");
    assert_eq!(label(other.get(ChildKind::Deployment, "c").await).as_deref(), Some("l"));
    assert_eq!(label(other.get(ChildKind::Deployment, "d").await), None, "a WasmPolicy has its own namespace");
    world.active("all", 1).await;
    let said = world.policy_at(world.wasm_policies(), "own", "Active", active).await;
    assert_eq!(said["matched"], 0);
}

#[tokio::test]
async fn limits_of_a_policy_count() {
    let world = World::new("policy-fuel").await;
    let mut spec = sidecar(&world).await;
    spec["limits"] = json!({"fuel": 1000});
    world.apply_cluster_policy("sidecar", spec.clone()).await;
    let exhausted = |said: &Value| says(said, "SettingsValid", "False", "FuelExhausted");
    world.cluster_policy("sidecar", "FuelExhausted", exhausted).await;
    world.apply_gateway("x", json!({})).await;
    let gateway = world.gateway("x", "held", held).await;
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("False", "FuelExhausted"), &[]);
    spec["limits"] = json!({"memoryMiB": 1});
    world.apply_cluster_policy("sidecar", spec.clone()).await;
    let too_little = |said: &Value| says(said, "SettingsValid", "False", "MemoryLimit");
    world.cluster_policy("sidecar", "MemoryLimit", too_little).await;
    spec["limits"] = json!({"fuel": 5_000_000, "memoryMiB": 8});
    world.apply_cluster_policy("sidecar", spec).await;
    world.active("sidecar", 1).await;
    world.running("x").await;
}

#[tokio::test]
async fn the_switch_of_all_policies_holds_what_they_match_or_takes_them_away() {
    let mut world = World::new("policy-switch").await;
    let mut spec = sidecar(&world).await;
    lay(&mut spec, on("x"));
    world.apply_cluster_policy("sidecar", spec).await;
    world.active("sidecar", 0).await;
    gateway_on(&world, "x").await;
    gateway_on(&world, "y").await;
    world.active("sidecar", 1).await;
    world.running("x").await;
    world.running("y").await;

    world.stop().await;
    world.policies.switch = Switch::Hold;
    world.start().await;
    let is_held = |said: &Value| says(said, "Active", "False", "Held") && said["held"] == 1;
    world.cluster_policy("sidecar", "Held", is_held).await;
    let mut calls = world.calls().await;
    world.edit_parent("x", json!({"spec": {"replicas": 2}})).await;
    let gateway = world.gateway("x", "held", held).await;
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("False", "Held"), &["--policies=hold"]);
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "PolicyFailed"), &[]);
    assert_eq!(calls.read_children().await, [""; 0]);
    world.edit_parent("y", json!({"spec": {"replicas": 2}})).await;
    world.running("y").await;
    assert_eq!(world.get(ChildKind::Deployment, "y").await.data["spec"]["replicas"], 2);
    assert_eq!(containers(&world.get(ChildKind::Deployment, "x").await).len(), 2);

    world.stop().await;
    world.policies.switch = Switch::Off;
    world.start().await;
    world.gateway("x", "no policy", |status| condition(status, "PoliciesApplied").is_none()).await;
    world.running("x").await;
    let live = world.get(ChildKind::Deployment, "x").await;
    assert_eq!((containers(&live).len(), &live.data["spec"]["replicas"]), (1, &json!(2)));
    let said = world.cluster_policy("sidecar", "Off", |said| says(said, "Active", "False", "Off")).await;
    assert_condition(&said, "Active", ("False", "Off"), &["--policies=off"]);
}
