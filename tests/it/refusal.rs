//! What bad input and refusing servers get: words that name the field or the right, and the other objects go on.

use std::time::Instant;

use igw::object::ChildKind::{self, Deployment, Ingress, Service, ServiceAccount};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::world::{World, assert_condition, breakable_plane, condition, everything, within};

#[tokio::test]
async fn the_api_server_refuses_what_makes_no_sense_and_names_the_field() {
    let world = World::without_operator("refused").await;
    let secret = json!({"name": "x", "key": "y"});
    for (spec, field) in [
        (json!({"server": {"port": 99999}}), "spec.server.port"),
        (json!({"replicas": 0}), "spec.replicas"),
        (json!({"environment": "test"}), "spec.environment"),
        (json!({"image": 7}), "spec.image"),
        (json!({"server": {"timeouts": {"read": "soon"}}}), "spec.server.timeouts.read"),
        (json!({"resources": {"limits": {"memory": "much"}}}), "spec.resources.limits.memory"),
        (json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}), "spec.resources.requests.cpu"),
        (json!({"server": {"tls": {"enabled": true, "certificateRef": secret}}}), "certificateRef and keyRef"),
        (json!({"service": {"type": "ExternalName"}}), "spec.service.type"),
        (json!({"hpa": {"config": {"minReplicas": 3, "maxReplicas": 2}}}), "spec.hpa.config.minReplicas"),
        (json!({"providers": [{"env": []}]}), "spec.providers[0].name"),
        (json!({"routing": {"enabled": true}}), "spec.routing"),
        (json!({"routing": {"enabled": true, "config": ""}}), "spec.routing"),
        (json!({"routing": {"enabled": true, "config": "a", "configMapRef": secret}}), "spec.routing"),
        (json!({"routing": {"configMapRef": {"name": "x"}}}), "spec.routing.configMapRef.key"),
        (json!({"guardrails": {"failMode": "shut"}}), "spec.guardrails.failMode"),
        (json!({"guardrails": {"externalTimeout": "soon"}}), "spec.guardrails.externalTimeout"),
        (json!({"mcp": {"toolMode": "all"}}), "spec.mcp.toolMode"),
        (json!({"mcp": {"serviceDiscovery": {}}}), "spec.mcp.serviceDiscovery.enabled"),
        (json!({"gatewayAPI": {"httpRoute": {"hostnames": ["a_b"]}}}), "spec.gatewayAPI.httpRoute.hostnames[0]"),
        (json!({"gatewayAPI": {"gateway": {"parentRefs": [{}]}}}), "spec.gatewayAPI.gateway.parentRefs[0].name"),
    ] {
        let said = refusal(&world, "gw", &spec).await;
        assert!(said.contains(field), "{spec} gets {said:?}, not {field}");
    }
    let said = refusal(&world, &"x".repeat(64), &json!({})).await;
    assert!(said.contains("metadata.name") && said.contains("63"), "{said}");
}

/// What kubectl apply says of a Gateway that must not be taken.
async fn refusal(world: &World, name: &str, spec: &Value) -> String {
    let document = json!({
        "apiVersion": "core.inference-gateway.com/v1alpha1",
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": spec,
    });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), document.to_string()).expect("written");
    let path = file.path().to_string_lossy().into_owned();
    let (said, done) = world.try_kubectl(&["apply", "-n", &world.namespace, "-f", &path]).await;
    assert!(!done, "{spec} was taken: {said}");
    said
}

/// Stored under a looser schema: gets a status, can be edited and deleted, and harms nobody else.
#[tokio::test]
async fn a_stored_gateway_that_cannot_be_decoded_is_alone_with_that() {
    let (plane, _turn) = breakable_plane().await;
    let mut world = World::on(plane, "undecodable").await;
    world.start().await;
    world.run_gateway("good", json!({"environment": "development"})).await;
    world.run_gateway("bad", json!({"environment": "development"})).await;
    let deployment = world.get(Deployment, "bad").await;
    world.stop().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let name = "gateways.core.inference-gateway.com";
    let strict = definitions.get(name).await.expect("the definition");
    let mut loose = serde_json::to_value(&strict).expect("JSON");
    let root = &mut loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    root["x-kubernetes-validations"] = Value::Null;
    root["properties"]["spec"] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let replace = async |definition: Value| {
        let patch = json!({"spec": definition["spec"]});
        let params = PatchParams::default();
        definitions.patch(name, &params, &Patch::Merge(patch)).await.expect("a valid definition");
    };
    let apply = async |name: &str, spec: Value, dry_run: bool| {
        let document = json!({
            "apiVersion": "core.inference-gateway.com/v1alpha1",
            "kind": "Gateway",
            "metadata": {"name": name},
            "spec": spec,
        });
        let params = PatchParams { dry_run, ..PatchParams::apply("user").force() };
        world.gateways().patch(name, &params, &Patch::Apply(&document)).await.is_ok()
    };
    // The server takes a moment to serve a changed definition.
    let until = async |taken: bool| {
        while apply("probe", json!({"image": 7}), true).await != taken {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    replace(loose).await;
    within("a looser schema", until(true)).await;
    assert!(apply("bad", json!({"image": 7}), false).await);
    assert!(apply("render", json!({"ingress": {"enabled": true}}), false).await);
    assert!(apply("range", json!({"server": {"port": 99999}}), false).await);
    replace(serde_json::to_value(&strict).expect("JSON")).await;
    within("the schema as it was", until(false)).await;

    world.start().await;
    let failed = |status: &Value| status["phase"] == "Failed";
    for (name, field) in [("bad", "spec.image"), ("render", "spec.ingress")] {
        let gateway = world.gateway(name, "phase Failed", failed).await;
        assert_condition(&gateway.data["status"], "Reconciled", ("False", "InvalidSpec"), &[field]);
        world.event(&["InvalidSpec", field]).await;
    }
    // Nothing was made of it, and what it had made before stays.
    assert!(world.find(Deployment, "render").await.is_none());
    assert_eq!(world.get(Deployment, "bad").await.uid(), deployment.uid());
    let bad = world.gateways().get("bad").await.expect("it exists");
    assert_eq!(bad.data["status"]["url"], format!("http://bad.{}.svc.cluster.local:8080", world.namespace));
    // The others go on.
    world.run_gateway("good", json!({"environment": "staging"})).await;

    // What is stored can be edited and deleted.
    let edit = async |name: &str, patch: Value| {
        world.gateways().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("a valid edit")
    };
    for name in ["bad", "render", "range"] {
        edit(name, json!({"metadata": {"annotations": {"a": "b"}}})).await;
    }
    edit("bad", json!({"spec": {"image": "good:1"}})).await;
    world.running("bad").await;
    for name in ["render", "range"] {
        world.delete(world.gateways(), name, &DeleteParams::background()).await;
    }
}

#[tokio::test]
async fn a_forbidden_kind_is_said_and_the_others_go_on() {
    let mut world = World::without_operator("forbidden").await;
    world.start_restricted(|_, resource, verb| resource != "ingresses" || !["create", "patch"].contains(&verb)).await;
    let mut calls = world.calls().await;
    let started = Instant::now();
    world.apply_gateway("gw", everything()).await;
    let gateway = world.gateway("gw", "phase Running", |status| status["phase"] == "Running").await;
    let words = ["Ingress", "gw", "cannot patch resource", "ingresses"];
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "Forbidden"), &words);
    assert_condition(&gateway.data["status"], "Ready", ("False", "Forbidden"), &words);
    world.event(&["Forbidden", "ingresses"]).await;
    world.settled().await;
    let tries = started.elapsed().as_secs().checked_ilog2().unwrap_or(0) as usize + 2;
    let made = calls.read().await;
    let refused = made.iter().filter(|call| *call == "patch ingresses/gw 403").count();
    assert!((1..=tries).contains(&refused), "{made:?}");

    world.restrict(|_, _, _| true).await;
    let well = |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["status"] == "True");
    world.gateway("gw", "Ready", well).await;
    assert!(world.find(Ingress, "gw").await.is_some());
}

#[tokio::test]
async fn without_a_look_at_deployments_the_phase_is_unknown() {
    let mut world = World::without_operator("unreadable").await;
    world.start_restricted(|_, resource, verb| resource != "deployments" || verb == "get").await;
    world.apply_gateway("gw", json!({})).await;
    let gateway = world.gateway("gw", "phase Unknown", |status| status["phase"] == "Unknown").await;
    let status = &gateway.data["status"];
    assert_condition(status, "Available", ("Unknown", "DeploymentUnreadable"), &["cannot list resource"]);
    assert_condition(status, "Reconciled", ("False", "Forbidden"), &["Deployment", "cannot list resource"]);
    assert!(world.find(Service, "gw").await.is_some(), "the others go on");
    world.restrict(|_, _, _| true).await;
    world.gateway("gw", "phase Running", |status| status["phase"] == "Running").await;
}

#[tokio::test]
async fn a_used_up_quota_is_said_and_the_others_go_on() {
    let world = World::new("quota").await;
    let quota = json!({
        "metadata": {"name": "none"},
        "spec": {"hard": {"count/ingresses.networking.k8s.io": "0"}},
    });
    let quotas: Api<k8s_openapi::api::core::v1::ResourceQuota> =
        Api::namespaced(world.client.clone(), &world.namespace);
    let quota = serde_json::from_value(quota).expect("a quota");
    quotas.create(&PostParams::default(), &quota).await.expect("a valid quota");
    let counted = |quota: Option<&k8s_openapi::api::core::v1::ResourceQuota>| {
        quota.and_then(|quota| quota.status.as_ref()?.hard.as_ref()).is_some_and(|hard| !hard.is_empty())
    };
    let known = kube::runtime::wait::await_condition(quotas.clone(), "none", counted);
    within("the quota to count", known).await.expect("a watch");
    world.apply_gateway("gw", everything()).await;
    let gateway = world.gateway("gw", "phase Running", |status| status["phase"] == "Running").await;
    let words = ["Ingress", "exceeded quota: none"];
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "QuotaExceeded"), &words);
    quotas.delete("none", &DeleteParams::default()).await.expect("a delete");
    let well = |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["status"] == "True");
    world.gateway("gw", "Ready", well).await;
}

#[tokio::test]
async fn a_namespace_that_goes_away_is_left_in_peace() {
    let world = World::new("going").await;
    world.run_gateway("gw", everything()).await;
    let mut calls = world.calls().await;
    // Something holds the namespace while its content goes.
    let hold = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hold", "finalizers": ["example.com/hold"]}});
    world.create(ChildKind::ConfigMap, hold).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::background()).await.expect("a delete");
    for kind in [ServiceAccount, Service, Deployment, Ingress] {
        world.wait(world.api(kind), "gw", "gone", |object: Option<&DynamicObject>| object.is_none()).await;
    }
    world.wait(world.gateways(), "gw", "gone", |object: Option<&DynamicObject>| object.is_none()).await;
    world.settled().await;
    let made = calls.read().await;
    let unexpected: Vec<_> = made.iter().filter(|call| !call.ends_with(" 403")).collect();
    let written: Vec<_> = unexpected.iter().filter(|call| call.ends_with(" 201")).collect();
    assert!(written.is_empty(), "nothing is made again: {made:?}");
    assert!(made.len() <= 12, "quiet: {made:?}");
    let said = format!("{:?}", world.events().await);
    assert!(!said.contains("Forbidden"), "{said}");
    world.edit(ChildKind::ConfigMap, "hold", json!({"metadata": {"finalizers": null}})).await;
}

#[tokio::test]
async fn a_child_that_a_finalizer_holds_is_waited_for() {
    let world = World::new("held").await;
    world.run_gateway("gw", json!({})).await;
    let held = world.edit(Service, "gw", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    world.seen(&held).await;
    let mut calls = world.calls().await;
    world.api(Service).delete("gw", &DeleteParams::background()).await.expect("a delete");
    let waiting = |status: &Value| condition(status, "Reconciled").is_some_and(|c| c["reason"] == "Waiting");
    let gateway = world.gateway("gw", "waiting", waiting).await;
    let words = ["Service", "being deleted", "finalizer"];
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "Waiting"), &words);
    world.settled().await;
    assert_eq!(calls.read_children().await, [""; 0], "no create until it is gone");
    world.edit(Service, "gw", json!({"metadata": {"finalizers": null}})).await;
    let well = |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["status"] == "True");
    world.gateway("gw", "Ready", well).await;
    assert_ne!(world.get(Service, "gw").await.uid(), held.uid());
    assert_eq!(calls.read_children().await, ["patch services/gw 201"]);
}

#[tokio::test]
async fn settings_without_effect_are_accepted_and_said() {
    let world = World::new("notes").await;
    for (name, auth, words) in [
        ("no-oidc", json!({"enabled": true}), "auth.enabled needs auth.oidc"),
        ("jwt", json!({"enabled": true, "provider": "jwt", "oidc": {}}), "auth.provider jwt has no effect"),
        ("basic", json!({"enabled": true, "provider": "basic", "oidc": {}}), "auth.provider basic has no effect"),
    ] {
        let gateway = world.run_gateway(name, json!({"auth": auth})).await;
        let message = gateway.data["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(words) && message.contains("OIDC only"), "{name}: {message}");
        assert_condition(&gateway.data["status"], "Ready", ("True", "Running"), &[]);
    }
}
