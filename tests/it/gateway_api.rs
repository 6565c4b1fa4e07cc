//! Kinds that a cluster may be without: said while they are missing, made once they are there, and nobody stops when they go.

use std::{
    fs,
    time::{Duration, Instant},
};

use controlplane::{Audit, User};
use igw::object::ChildKind::{self, ApiGateway, Deployment, HttpRoute, Ingress};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PostParams},
    runtime::wait::{await_condition, conditions},
};
use serde_json::{Value, json};

use crate::world::{World, assert_condition, breakable_plane, condition, operator_user, within};

const LOOK_AGAIN: Duration = Duration::from_millis(500);

fn name(kind: ChildKind) -> String {
    let info = kind.info();
    format!("{}.{}", info.plural, info.group)
}

/// Installs the definitions.
pub(crate) async fn install(world: &World) {
    let folder = controlplane::gateway_api().expect("the definitions");
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    for kind in [ApiGateway, HttpRoute] {
        let info = kind.info();
        let file = folder.join(format!("{}_{}.yaml", info.group, info.plural));
        let text = fs::read_to_string(file).expect("a definition");
        let crd: CustomResourceDefinition = serde_saphyr::from_str(&text).expect("YAML");
        definitions.create(&PostParams::default(), &crd).await.expect("a valid definition");
        let name = name(kind);
        let established = await_condition(definitions.clone(), &name, conditions::is_crd_established());
        within("the definition to be established", established).await.expect("a watch");
    }
}

/// Takes the definitions away, and everything of their kinds with them.
pub(crate) async fn remove(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for kind in [ApiGateway, HttpRoute] {
        let name = name(kind);
        let uid = definitions.get(&name).await.expect("a definition").uid().expect("a uid");
        definitions.delete(&name, &DeleteParams::default()).await.expect("a delete");
        let gone = await_condition(definitions.clone(), &name, conditions::is_deleted(&uid));
        within("the definition to be gone", gone).await.expect("a watch");
    }
}

/// How often discovery was asked for the group since the last look.
async fn questions(audit: &mut Audit, world: &World) -> usize {
    let entries = audit.read_settled(&world.client).await.expect("an audit log");
    let asked = |entry: &&controlplane::AuditEntry| {
        entry.user.username == operator_user() && entry.request_uri == "/apis/gateway.networking.k8s.io/v1"
    };
    entries.iter().filter(asked).count()
}

async fn until_asked(audit: &mut Audit, world: &World) -> usize {
    let asked = async {
        loop {
            match questions(audit, world).await {
                0 => tokio::time::sleep(Duration::from_millis(20)).await,
                count => return count,
            }
        }
    };
    within("a question", asked).await
}

fn wish() -> Value {
    json!({
        "gatewayAPI": {
            "enabled": true,
            "gateway": {"gatewayClassName": "test", "tls": {"enabled": true, "issuer": "letsencrypt"}},
            "httpRoute": {"hostnames": ["api.example.com", "*.api.example.com"]},
        },
        "ingress": {"enabled": true, "host": "gateway.example.com"},
    })
}

fn says(kind: &'static str, status: &'static str, reason: &'static str) -> impl Fn(&Value) -> bool + Send {
    move |object| condition(object, kind).is_some_and(|c| c["status"] == status && c["reason"] == reason)
}

const ALL: [&str; 6] = [
    "ServiceAccount/gw",
    "Service/gw",
    "Gateway.gateway.networking.k8s.io/gw",
    "HTTPRoute/gw",
    "Deployment/gw",
    "Ingress/gw",
];

async fn world(name: &str) -> (World, tokio::sync::MutexGuard<'static, ()>) {
    let (plane, turn) = breakable_plane().await;
    let mut world = World::on(plane, name).await;
    world.look_again = LOOK_AGAIN;
    (world, turn)
}

#[tokio::test]
async fn a_missing_kind_is_said_and_made_once_it_is_there() {
    let (mut world, _turn) = world("missing-kind").await;
    let mut audit = world.plane.audit();
    audit.skip().expect("an audit log");
    world.start().await;
    assert_eq!(until_asked(&mut audit, &world).await, 1, "once at start");
    world.run_gateway("plain", json!({})).await;

    let began = Instant::now();
    world.apply_gateway("gw", wish()).await;
    let gateway = world.gateway("gw", "running", |status| status["phase"] == "Running").await;
    let words =
        ["Gateway.gateway.networking.k8s.io", "gateways.gateway.networking.k8s.io", "kubectl apply", "HTTPRoute"];
    for kind in ["Reconciled", "Ready"] {
        assert_condition(&gateway.data["status"], kind, ("False", "KindMissing"), &words);
    }
    world.event(&["KindMissing", "gateways.gateway.networking.k8s.io"]).await;
    world.settled().await;
    assert_eq!(world.children().await.len(), 3 + 4, "the other objects of both are there");
    let mut calls = world.calls().await;

    // What is no longer wanted goes, but for the old way in.
    let mut without_ingress = wish();
    without_ingress["ingress"]["enabled"] = false.into();
    without_ingress["hpa"] = json!({"enabled": true});
    world.run_gateway("gw", without_ingress.clone()).await;
    without_ingress["hpa"]["enabled"] = false.into();
    world.run_gateway("gw", without_ingress).await;
    assert!(world.find(Ingress, "gw").await.is_some(), "it stays until there is another one");
    assert!(world.find(ChildKind::HorizontalPodAutoscaler, "gw-hpa").await.is_none());
    world.run_gateway("gw", wish()).await;
    let made = calls.read().await;
    assert!(!made.iter().any(|call| call.contains("/gw 404")), "nobody tries to make what cannot be: {made:?}");

    install(&world).await;
    let gateway = world.gateway("gw", "Ready", says("Ready", "True", "Running")).await;
    assert_eq!(gateway.data["status"]["url"], "http://gateway.example.com");
    assert!(gateway.data["status"].get("message").is_none(), "{}", gateway.data["status"]);
    let most = 2 + began.elapsed().as_millis() / LOOK_AGAIN.as_millis();
    let asked = questions(&mut audit, &world).await;
    assert!((1..=usize::try_from(most).expect("few")).contains(&asked), "asked {asked} times");
    world.settled().await;
    let own: Vec<_> = world.children().await.into_iter().filter(|child| child.ends_with("/gw")).collect();
    assert_eq!(own, ALL);
    let listeners = &world.get(ApiGateway, "gw").await.data["spec"]["listeners"];
    assert_eq!(listeners.as_array().map(Vec::len), Some(2), "{listeners}");

    drift_is_taken_back(&world).await;
    nothing_is_asked_or_written_while_nothing_changes(&mut world, &mut audit).await;

    // Switched off: both go, and the Ingress stays.
    let mut calls = world.calls().await;
    let mut off = wish();
    off["gatewayAPI"]["enabled"] = false.into();
    world.run_gateway("gw", off).await;
    let deleted: Vec<_> = calls.read().await.into_iter().filter(|call| call.starts_with("delete")).collect();
    assert_eq!(deleted, ["delete httproutes/gw 200", "delete gateways/gw 200"]);
    world.stop().await;
    remove(&world.client).await;
}

async fn drift_is_taken_back(world: &World) {
    let back = |pointer: &'static str, wanted: Value| {
        move |object: Option<&DynamicObject>| object.is_some_and(|o| o.data.pointer(pointer) == Some(&wanted))
    };
    world.edit(HttpRoute, "gw", json!({"spec": {"hostnames": ["other.example.com"]}})).await;
    let hostnames = json!(["api.example.com", "*.api.example.com"]);
    world.wait(world.api(HttpRoute), "gw", "taken back", back("/spec/hostnames", hostnames)).await;
    world.event(&["DriftReverted", "HTTPRoute", ".spec.hostnames"]).await;
    world.edit(ApiGateway, "gw", json!({"spec": {"gatewayClassName": "other"}})).await;
    world.wait(world.api(ApiGateway), "gw", "taken back", back("/spec/gatewayClassName", json!("test"))).await;
    // A listener of another name for the same requests would be in the way of ours.
    let rename = json!([{"op": "replace", "path": "/spec/listeners/0/name", "value": "web"}]);
    let rename = Patch::Json(serde_json::from_value(rename).expect("a patch"));
    world.edit_by(ApiGateway, "gw", rename).await;
    world.wait(world.api(ApiGateway), "gw", "taken back", back("/spec/listeners/0/name", json!("https"))).await;
    world.gateway("gw", "Ready", says("Ready", "True", "Running")).await;
    world.settled().await;
}

async fn nothing_is_asked_or_written_while_nothing_changes(world: &mut World, audit: &mut Audit) {
    questions(audit, world).await;
    let mut calls = world.calls().await;
    let began = Instant::now();
    // Something else happens for longer than it would take to ask.
    while began.elapsed() < LOOK_AGAIN * 3 {
        world.run_gateway("plain", json!({"replicas": 2})).await;
        world.run_gateway("plain", json!({})).await;
    }
    assert_eq!(questions(audit, world).await, 0, "what is there is not asked for");
    let own: Vec<_> = calls.read().await.into_iter().filter(|call| call.contains("/gw ")).collect();
    assert_eq!(own, [""; 0]);

    // The block that gatewayAPI was before means the same.
    let mut older = wish();
    older["routing"] = older["gatewayAPI"].take();
    world.run_gateway("gw", older).await;
    assert_eq!(calls.read_children().await, [""; 0]);
    world.run_gateway("gw", wish()).await;

    world.stop().await;
    let mut calls = world.calls().await;
    world.start().await;
    both_listed(world).await;
    assert_eq!(calls.read().await, [""; 0], "a restart writes nothing");
    assert_eq!(questions(audit, world).await, 1);
}

/// Waits until the operator knows what there is of both kinds.
async fn both_listed(world: &World) {
    let cache = &world.operator().context.cache;
    let listed = async {
        while !cache.listed(ApiGateway) || !cache.listed(HttpRoute) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("both kinds to be listed", listed).await;
    world.settled().await;
}

#[tokio::test]
async fn a_kind_that_goes_is_said_and_the_operator_goes_on() {
    let (mut world, _turn) = world("lost-kind").await;
    install(&world).await;
    world.start().await;
    world.apply_gateway("gw", wish()).await;
    world.gateway("gw", "Ready", says("Ready", "True", "Running")).await;
    world.settled().await;

    // The definitions go although somebody wants objects of their kinds.
    remove(&world.client).await;
    let said = |status: &Value| {
        let words = "without CustomResourceDefinition gateways.gateway.networking.k8s.io";
        condition(status, "Reconciled").is_some_and(|c| c["message"].as_str().is_some_and(|m| m.contains(words)))
    };
    let gateway = world.gateway("gw", "the kind named", said).await;
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "KindMissing"), &[]);
    assert_eq!(gateway.data["status"]["phase"], "Running");
    let cache = &world.operator().context.cache;
    assert_eq!((cache.count(ApiGateway), cache.count(HttpRoute)), (0, 0));
    let mut other = wish();
    other["environment"] = "staging".into();
    world.apply_gateway("gw", other.clone()).await;
    world.running("gw").await;
    let env = &world.get(Deployment, "gw").await.data["spec"]["template"]["spec"]["containers"][0]["env"];
    assert!(env.to_string().contains("staging"), "the operator goes on");

    // Back again, without a restart.
    install(&world).await;
    world.gateway("gw", "Ready", says("Ready", "True", "Running")).await;
    world.settled().await;
    assert_eq!(world.children().await, ALL);

    // What was switched off while nobody looked is found at the next start, although nobody wants the kind.
    world.stop().await;
    other["gatewayAPI"]["enabled"] = false.into();
    world.apply_gateway("gw", other).await;
    world.start().await;
    for kind in [HttpRoute, ApiGateway] {
        world.wait(world.api(kind), "gw", "gone", |object: Option<&DynamicObject>| object.is_none()).await;
    }
    world.stop().await;
    remove(&world.client).await;
}

#[tokio::test]
async fn without_rights_for_an_optional_kind_only_those_who_want_it_are_told() {
    let (mut world, _turn) = world("no-rights").await;
    install(&world).await;
    world.start_restricted(|group, _, _| group != "gateway.networking.k8s.io").await;
    world.settled().await;
    world.run_gateway("plain", json!({})).await;
    world.apply_gateway("gw", wish()).await;
    let gateway = world.gateway("gw", "running", |status| status["phase"] == "Running").await;
    let words = ["Gateway.gateway.networking.k8s.io", "cannot list resource"];
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "Forbidden"), &words);
    world.restrict(|_, _, _| true).await;
    world.gateway("gw", "Ready", says("Ready", "True", "Running")).await;
    world.stop().await;
    remove(&world.client).await;
}

#[tokio::test]
async fn diff_says_which_kind_is_missing() {
    let (world, _turn) = world("diff-missing").await;
    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    let document = json!({
        "apiVersion": "core.inference-gateway.com/v1alpha1",
        "kind": "Gateway",
        "metadata": {"name": "gw", "namespace": world.namespace},
        "spec": wish(),
    });
    fs::write(file.path(), document.to_string()).expect("written");
    let mut igw = tokio::process::Command::new(env!("CARGO_BIN_EXE_igw"));
    igw.arg("diff").arg("--kubeconfig").arg(world.plane.kubeconfig(User::Admin)).arg("-f").arg(file.path());
    let output = within("igw to end", igw.output()).await.expect("igw");
    let said = String::from_utf8_lossy(&output.stdout);
    let missing =
        format!("! HTTPRoute {}/gw not touched: the cluster is without CustomResourceDefinition", world.namespace);
    assert!(said.contains(&missing) && said.contains("+ Ingress"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("would be refused"), "{said}");
}
