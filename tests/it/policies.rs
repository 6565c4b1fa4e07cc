//! Policies in the running operator: what is written after them, and what is not while one cannot do its work.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use igw::object::{ChildKind, POLICIES_ANNOTATION};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    guests::guest,
    policed::{containers, example, says},
    world::{World, assert_condition, condition, version, within},
};

/// A sidecar, with the grant that it needs.
pub(crate) async fn sidecar(world: &World) -> Value {
    let (bytes, settings) = example("add-sidecar");
    let module = world.ship("add-sidecar", &bytes).await;
    world.policy_spec(&module, json!({"settings": settings, "grants": {"images": ["docker.io/otel/"]}}))
}

/// Whether a policy holds a custom resource.
pub(crate) fn held(status: &Value) -> bool {
    condition(status, "PoliciesApplied").is_some_and(|c| c["status"] == "False")
}

/// Whether a custom resource went through its policies.
pub(crate) fn applied(status: &Value) -> bool {
    says(status, "PoliciesApplied", "True", "PoliciesApplied")
}

#[tokio::test]
async fn a_policy_has_its_say_before_anything_is_written() {
    let world = World::new("policy-says").await;
    world.apply_cluster_policy("sidecar", sidecar(&world).await).await;
    world.active("sidecar", 0).await;
    let gateway = world.run_gateway("x", json!({})).await;
    let deployment = world.get(ChildKind::Deployment, "x").await;
    assert_eq!(containers(&deployment), ["collector", "inference-gateway"]);
    assert_eq!(deployment.metadata.generation, Some(1), "never without it");
    let name = world.policy_name("sidecar");
    assert_eq!(deployment.annotations()[POLICIES_ANNOTATION], name);
    assert_eq!(world.get(ChildKind::Service, "x").await.annotations().get(POLICIES_ANNOTATION), None);
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("True", "PoliciesApplied"), &[&name, "sha256:"]);
    let status = world.active("sidecar", 1).await;
    assert_eq!((&status["matched"], &status["held"], &status["failed"]), (&json!(1), &json!(0), &json!(0)));
    for step in ["Accepted", "Verified", "Compiled", "SettingsValid"] {
        assert_condition(&status, step, ("True", step), &[]);
    }

    // Another one of a name that comes first runs first, and both are on the object.
    let (bytes, settings) = example("extra-env");
    let module = world.ship("extra-env", &bytes).await;
    world.apply_cluster_policy("env", world.policy_spec(&module, json!({"settings": settings}))).await;
    world.active("env", 1).await;
    let both = format!("{},{name}", world.policy_name("env"));
    assert_eq!(world.get(ChildKind::Deployment, "x").await.annotations()[POLICIES_ANNOTATION], both);

    // What a policy has done goes with it.
    for name in ["env", "sidecar"] {
        let name = world.policy_name(name);
        world.delete(world.cluster_policies(), &name, &DeleteParams::default()).await;
    }
    world.gateway("x", "no policy", |status| condition(status, "PoliciesApplied").is_none()).await;
    world.settled().await;
    let deployment = world.get(ChildKind::Deployment, "x").await;
    assert_eq!(containers(&deployment), ["inference-gateway"]);
    assert_eq!(deployment.annotations().get(POLICIES_ANNOTATION), None);
}

#[tokio::test]
async fn nothing_is_written_after_a_restart_until_slow_modules_are_loaded() {
    const GATEWAYS: usize = 100;
    let mut world = World::new("policy-slow").await;
    world.apply_cluster_policy("sidecar", sidecar(&world).await).await;
    world.active("sidecar", 0).await;
    for number in 0..GATEWAYS {
        world.apply_gateway(&format!("x{number}"), json!({})).await;
    }
    world.active("sidecar", GATEWAYS as u64).await;
    world.ready(&<igw::kinds::gateway::Gateway as igw::kinds::Parent>::INFO, "x99").await;
    world.settled().await;

    world.stop().await;
    let slow = std::env::temp_dir().join(format!("igw-slow-{}", std::process::id()));
    let program = world.engine.display();
    let script = format!("#!/bin/sh\ncase \"$1\" in policy-compile) sleep 5;; esac\nexec {program} \"$@\"\n");
    std::fs::write(&slow, script).expect("a script");
    std::fs::set_permissions(&slow, PermissionsExt::from_mode(0o755)).expect("a program");
    world.engine.clone_from(&slow);
    let mut calls = world.calls().await;
    world.start().await;
    let waited = std::time::Instant::now();
    within("the module", async {
        while world.operator().context.engine.figures().modules == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(waited.elapsed() > Duration::from_secs(3), "it was slow");
    let version = world.apply_gateway("x0", json!({"replicas": 2})).await.metadata.generation;
    world.gateway("x0", "its new generation", |status| status["observedGeneration"].as_i64() == version).await;
    world.settled().await;
    let calls = calls.read().await;
    let writes: Vec<_> = calls.iter().filter(|call| !call.starts_with("get") && !call.starts_with("list")).collect();
    let others: Vec<_> = writes.iter().filter(|call| !call.contains("/x0 ")).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(writes.iter().any(|call| call.contains("deployments/x0 ")), "{writes:?}");
    // Of every revision that has ever been.
    let sets: Api<ReplicaSet> = Api::namespaced(world.client.clone(), &world.namespace);
    let sets = sets.list(&ListParams::default()).await.expect("a list").items;
    assert!(sets.len() >= GATEWAYS, "{}", sets.len());
    for set in sets {
        let template = json!(set.spec.template);
        assert!(template.to_string().contains("\"collector\""), "{template}");
    }
    std::fs::remove_file(slow).expect("the script");
}

#[tokio::test]
async fn a_changed_source_never_runs_and_what_was_loaded_goes_on() {
    let mut world = World::new("policy-source").await;
    let spec = sidecar(&world).await;
    world.apply_cluster_policy("sidecar", spec.clone()).await;
    world.run_gateway("x", json!({})).await;
    world.active("sidecar", 1).await;
    let (mut bytes, _) = example("add-sidecar");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    world.ship("add-sidecar", &bytes).await;
    let changed = |status: &Value| says(status, "Verified", "False", "SourceChanged");
    let status = world.cluster_policy("sidecar", "SourceChanged", changed).await;
    assert_condition(&status, "Active", ("True", "Active"), &[]);
    world.edit_parent("x", json!({"spec": {"replicas": 2}})).await;
    world.running("x").await;
    assert_eq!(containers(&world.get(ChildKind::Deployment, "x").await), ["collector", "inference-gateway"]);

    // What ran before is not known after a restart: matching resources are held, and a child that goes stays away.
    world.stop().await;
    world.start().await;
    let lost = |status: &Value| says(status, "Active", "False", "LastGoodLost") && status["held"] == 1;
    let status = world.cluster_policy("sidecar", "LastGoodLost", lost).await;
    assert_condition(&status, "Verified", ("False", "DigestMismatch"), &["the ConfigMap holds"]);
    let gateway = world.gateway("x", "held", held).await;
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "PolicyFailed"), &["DigestMismatch"]);
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("False", "DigestMismatch"), &[]);
    world.event(&["PolicyFailed", "held by"]).await;
    world.edit(ChildKind::Deployment, "x", json!({"spec": {"minReadySeconds": 3}})).await;
    world.settled().await;
    let live = world.get(ChildKind::Deployment, "x").await;
    assert_eq!(live.data["spec"]["minReadySeconds"], 3, "held is held");

    // The pinned bytes come back.
    sidecar(&world).await;
    world.active("sidecar", 1).await;
    world.gateway("x", "applied", applied).await;
}

#[tokio::test]
async fn a_held_resource_keeps_what_it_has_and_gets_back_what_vanishes() {
    let world = World::new("policy-held").await;
    let spec = sidecar(&world).await;
    world.apply_cluster_policy("sidecar", spec.clone()).await;
    world.run_gateway("x", json!({})).await;
    world.active("sidecar", 1).await;

    // The grant is gone: what the policy wants is not allowed any more.
    let mut without = spec.clone();
    without["grants"] = json!({"images": ["docker.io/other/"]});
    world.apply_cluster_policy("sidecar", without).await;
    let gateway = world.gateway("x", "held", held).await;
    let status = &gateway.data["status"];
    assert_condition(status, "Reconciled", ("False", "GuardViolation"), &["collector", "grant images"]);
    assert_condition(status, "PoliciesApplied", ("False", "GuardViolation"), &["held by"]);
    let counts = |status: &Value| status["held"] == 1;
    let said = world.cluster_policy("sidecar", "one held", counts).await;
    assert_eq!(said["samples"][0]["reason"], "GuardViolation", "{said:#}");
    assert!(!said.to_string().contains("0.139.0"), "no value: {said:#}");

    let mut calls = world.calls().await;
    world.edit_parent("x", json!({"spec": {"replicas": 3, "image": "other:1"}})).await;
    world.gateway("x", "its generation", |_| true).await;
    world.settled().await;
    assert_eq!(calls.read_children().await, Vec::<String>::new());
    for (kind, name) in [(ChildKind::Service, "x"), (ChildKind::Deployment, "x")] {
        world.delete(world.api(kind), name, &DeleteParams::default()).await;
        let there = |object: Option<&kube::api::DynamicObject>| object.is_some();
        world.wait(world.api(kind), name, "it is back", there).await;
    }
    let back = world.get(ChildKind::Deployment, "x").await;
    assert_eq!(containers(&back), ["collector", "inference-gateway"], "as it was last admitted");
    assert_eq!(back.data["spec"]["replicas"], 1);
    world.event(&["Restored", "last admitted"]).await;

    // With the grant everything that was meant comes at once.
    world.apply_cluster_policy("sidecar", spec).await;
    world.gateway("x", "applied", applied).await;
    world.settled().await;
    let live = world.get(ChildKind::Deployment, "x").await;
    assert_eq!(live.data["spec"]["replicas"], 3);
    assert_eq!(containers(&live), ["collector", "inference-gateway"]);
}

#[tokio::test]
async fn every_failure_policy_does_what_it_says() {
    let world = World::new("policy-fails").await;
    let spec = sidecar(&world).await;
    world.apply_cluster_policy("sidecar", spec.clone()).await;
    world.run_gateway("x", json!({})).await;
    world.active("sidecar", 1).await;
    let broken = world.ship("broken", b"no module").await;
    let with = |module: &Value, on_failure: Value| {
        let mut spec = spec.clone();
        spec["module"] = module.clone();
        spec["failurePolicy"] = on_failure;
        spec
    };

    // LastGood: the module of before goes on, also for what changes.
    world.apply_cluster_policy("sidecar", with(&broken, json!({}))).await;
    let last_good = |status: &Value| says(status, "Active", "True", "LastGood");
    let status = world.cluster_policy("sidecar", "LastGood", last_good).await;
    assert_condition(&status, "Compiled", ("False", "NotAComponent"), &[]);
    world.edit_parent("x", json!({"spec": {"replicas": 2}})).await;
    world.running("x").await;
    let live = world.get(ChildKind::Deployment, "x").await;
    assert_eq!((live.data["spec"]["replicas"].as_i64(), containers(&live).len()), (Some(2), 2));

    // Fail: held.
    world.apply_cluster_policy("sidecar", with(&broken, json!({"load": "Fail"}))).await;
    let gateway = world.gateway("x", "held", held).await;
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("False", "NotAComponent"), &[]);

    // Ignore: what it has changed stays, the rest goes on, and new ones go without.
    world.apply_cluster_policy("sidecar", with(&broken, json!({"load": "Ignore"}))).await;
    world.gateway("x", "goes on", |status| says(status, "Reconciled", "True", "Applied")).await;
    world.edit_parent("x", json!({"spec": {"replicas": 3, "service": {"type": "NodePort"}}})).await;
    world.gateway("x", "its generation", |status| says(status, "Reconciled", "True", "Applied")).await;
    world.settled().await;
    let live = world.get(ChildKind::Deployment, "x").await;
    assert_eq!(containers(&live).len(), 2);
    assert_eq!(live.data["spec"]["replicas"], 2, "what it has changed is held");
    assert_eq!(world.get(ChildKind::Service, "x").await.data["spec"]["type"], "NodePort", "the rest is not");
    world.run_gateway("new", json!({})).await;
    assert_eq!(containers(&world.get(ChildKind::Deployment, "new").await), ["inference-gateway"]);
    world.delete(world.api(ChildKind::Deployment), "x", &DeleteParams::default()).await;
    world
        .wait(world.api(ChildKind::Deployment), "x", "it is back", |o: Option<&kube::api::DynamicObject>| o.is_some())
        .await;
    assert_eq!(containers(&world.get(ChildKind::Deployment, "x").await).len(), 2, "as it was last admitted");

    // The same when it is called and fails.
    let trap = world.ship("trap", &guest("trap").bytes).await;
    world.apply_cluster_policy("sidecar", with(&trap, json!({"evaluation": "Ignore"}))).await;
    let without = |status: &Value| says(status, "PoliciesApplied", "False", "Trapped");
    let gateway = world.gateway("x", "goes on without it", without).await;
    assert_condition(&gateway.data["status"], "Reconciled", ("True", "Applied"), &[]);
    world.apply_cluster_policy("sidecar", with(&trap, json!({}))).await;
    let gateway = world.gateway("x", "held", |status| says(status, "Reconciled", "False", "PolicyFailed")).await;
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("False", "Trapped"), &["held by"]);
    assert_eq!(containers(&world.get(ChildKind::Deployment, "x").await).len(), 2);
}

#[tokio::test]
async fn a_suspended_policy_leaves_what_it_has_changed() {
    let mut world = World::new("policy-suspended").await;
    let spec = sidecar(&world).await;
    world.apply_cluster_policy("sidecar", spec.clone()).await;
    world.run_gateway("x", json!({})).await;
    let mut suspended = spec.clone();
    suspended["mode"] = json!("Suspended");
    world.apply_cluster_policy("sidecar", suspended).await;
    world.cluster_policy("sidecar", "Suspended", |status| says(status, "Active", "False", "Suspended")).await;
    world.run_gateway("new", json!({})).await;
    assert_eq!(containers(&world.get(ChildKind::Deployment, "new").await), ["inference-gateway"]);
    world.edit_parent("x", json!({"spec": {"image": "other:1"}})).await;
    let gateway = world.running("x").await;
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("True", "PoliciesApplied"), &["suspended"]);
    // Also after a restart, when only the object itself tells who has changed it.
    world.stop().await;
    world.start().await;
    world.edit_parent("x", json!({"spec": {"image": "other:2"}})).await;
    world.running("x").await;
    assert_eq!(containers(&world.get(ChildKind::Deployment, "x").await), ["collector", "inference-gateway"]);
    world.apply_cluster_policy("sidecar", spec).await;
    world.active("sidecar", 2).await;
    assert_eq!(containers(&world.get(ChildKind::Deployment, "new").await), ["collector", "inference-gateway"]);
}

#[tokio::test]
async fn what_is_not_known_any_more_is_not_made_again_without_its_policy() {
    let mut world = World::new("policy-unknown").await;
    let mut spec = sidecar(&world).await;
    world.apply_cluster_policy("sidecar", spec.clone()).await;
    world.run_gateway("x", json!({})).await;
    spec["mode"] = json!("Suspended");
    world.apply_cluster_policy("sidecar", spec.clone()).await;
    world.cluster_policy("sidecar", "Suspended", |status| says(status, "Active", "False", "Suspended")).await;
    world.stop().await;
    world.start().await;
    world.settled().await;
    // With the policy gone wrong, what this process made of the Gateway without it is not what was admitted last.
    let broken = world.ship("broken", b"no module").await;
    (spec["mode"], spec["module"]) = (json!("Enforce"), broken);
    // The module that was suspended may have been loaded meanwhile: it is not to go on.
    spec["failurePolicy"] = json!({"load": "Fail"});
    world.apply_cluster_policy("sidecar", spec).await;
    world.gateway("x", "held", held).await;
    world.delete(world.api(ChildKind::Deployment), "x", &DeleteParams::default()).await;
    world.delete(world.api(ChildKind::Service), "x", &DeleteParams::default()).await;
    let there = |object: Option<&kube::api::DynamicObject>| object.is_some();
    world.wait(world.api(ChildKind::Service), "x", "it is back", there).await;
    world.settled().await;
    assert!(world.find(ChildKind::Deployment, "x").await.is_none());
}

#[tokio::test]
async fn what_the_server_refuses_is_traced_to_the_policy() {
    let world = World::new("policy-refused").await;
    let mut spec = sidecar(&world).await;
    spec["settings"]["container"]["resources"]["limits"]["memory"] = json!("5Mi");
    world.apply_cluster_policy("sidecar", spec).await;
    world.apply_gateway("x", json!({"ingress": {"enabled": true, "host": "a.example.com"}})).await;
    let refused = |status: &Value| says(status, "PoliciesApplied", "False", "RefusedByServer");
    let gateway = world.gateway("x", "refused", refused).await;
    let name = world.policy_name("sidecar");
    let words = ["resources.requests", "5Mi", "changed by ClusterWasmPolicy", &name];
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "PolicyFailed"), &words);
    assert!(world.find(ChildKind::Ingress, "x").await.is_none(), "nothing else is written");
    let status = world.cluster_policy("sidecar", "one failed", |status| status["failed"] == 1).await;
    assert!(!status.to_string().contains("5Mi"), "no words of the server: {status:#}");
}

#[tokio::test]
async fn policies_run_in_their_order_the_cluster_last() {
    let mut world = World::without_operator("policy-order").await;
    world.policies.namespaced = true;
    world.start().await;
    let (bytes, _) = example("extra-env");
    let env = |name: &str, order: i32| json!({"settings": {"env": [{"name": name, "value": "x"}]}, "order": order});
    let module = world.ship_to(&world.namespace.clone(), "env", &bytes).await;
    let of_cluster = world.ship("env", &bytes).await;
    world.apply_wasm_policy("z", world.policy_spec(&module, env("FIRST", -1))).await;
    world.apply_wasm_policy("a", world.policy_spec(&module, env("SECOND", 0))).await;
    world.apply_cluster_policy("c", world.policy_spec(&of_cluster, env("LAST", -5))).await;
    let active = |status: &Value| says(status, "Active", "True", "Active");
    for name in ["a", "z"] {
        world.policy_at(world.wasm_policies(), name, "Active", active).await;
    }
    world.active("c", 0).await;
    world.run_gateway("x", json!({})).await;
    let live = world.get(ChildKind::Deployment, "x").await;
    let names = format!("{ns}/z,{ns}/a,{ns}-c", ns = world.namespace);
    assert_eq!(live.annotations()[POLICIES_ANNOTATION], names);
    let env = &live.data["spec"]["template"]["spec"]["containers"][0]["env"];
    let names: Vec<_> = env.as_array().into_iter().flatten().filter_map(|var| var["name"].as_str()).collect();
    assert!(names.ends_with(&["FIRST", "SECOND", "LAST"]), "the cluster has the last word: {names:?}");
}

#[tokio::test]
async fn a_change_beside_the_pod_template_is_one_apply_and_one_status() {
    let world = World::new("policy-beside").await;
    let mut spec = sidecar(&world).await;
    world.apply_cluster_policy("a", spec.clone()).await;
    let (bytes, settings) = example("extra-env");
    let module = world.ship("extra-env", &bytes).await;
    world.apply_cluster_policy("b", world.policy_spec(&module, json!({"settings": settings}))).await;
    world.active("a", 0).await;
    world.active("b", 0).await;
    world.run_gateway("x", json!({})).await;
    world.active("b", 1).await;
    world.settled().await;
    let mut calls = world.calls().await;
    // The container is the same wherever it is added; the annotation that names the policies is not.
    spec["order"] = json!(1);
    world.apply_cluster_policy("a", spec).await;
    let first = world.policy_name("b");
    let turned = |status: &Value| {
        condition(status, "PoliciesApplied")
            .is_some_and(|c| c["message"].as_str().is_some_and(|m| m.starts_with(&first)))
    };
    world.gateway("x", "its policies in another order", turned).await;
    let believed = |live: Option<&kube::api::DynamicObject>| {
        live.is_some_and(|live| live.data["status"]["observedGeneration"].as_i64() == live.metadata.generation)
    };
    let live =
        world.wait(world.api(ChildKind::Deployment), "x", "the controller", believed).await.expect("it is there");
    world.seen_version(ChildKind::Deployment, version(&live)).await;
    world.active("a", 1).await;
    assert_eq!(calls.read().await, ["patch deployments/x 200", "patch gateways/status/x 200"]);
    assert_eq!(live.annotations()["deployment.kubernetes.io/revision"], "1", "the pods are the same");
}

#[tokio::test]
async fn labels_of_namespace_and_resource_count_when_they_change() {
    let world = World::new("policy-labels").await;
    let mut spec = sidecar(&world).await;
    spec["match"]["namespaceSelector"] = json!({"matchLabels": {"tier": world.namespace}});
    spec["match"]["labelSelector"] = json!({"matchLabels": {"team": "a"}});
    world.apply_cluster_policy("sidecar", spec).await;
    world.active("sidecar", 0).await;
    world.run_gateway("x", json!({})).await;
    world.edit_parent("x", json!({"metadata": {"labels": {"team": "a"}}})).await;
    world.settled().await;
    assert_eq!(containers(&world.get(ChildKind::Deployment, "x").await).len(), 1);
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(world.client.clone());
    let label = |value: Value| Patch::Merge(json!({"metadata": {"labels": {"tier": value}}}));
    let params = PatchParams::default();
    namespaces.patch(&world.namespace, &params, &label(json!(world.namespace))).await.expect("a label");
    world.gateway("x", "applied", applied).await;
    world.active("sidecar", 1).await;
    assert_eq!(containers(&world.get(ChildKind::Deployment, "x").await).len(), 2);
    world.edit_parent("x", json!({"metadata": {"labels": {"team": "b"}}})).await;
    world.gateway("x", "no policy", |status| condition(status, "PoliciesApplied").is_none()).await;
    world.settled().await;
    assert_eq!(containers(&world.get(ChildKind::Deployment, "x").await).len(), 1);
    world.active("sidecar", 0).await;
}
