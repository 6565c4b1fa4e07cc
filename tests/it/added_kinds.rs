//! Kinds of objects that only policies add: what the guard lets one say is stored as it was sent, a workload waits for its
//! controls, and nobody looks at a kind that is not switched on.

use std::{collections::BTreeSet, fs};

use controlplane::User;
use igw::{
    cache::{Cache, Seen},
    kinds::{Parent as _, gateway::Gateway},
    object::{
        ChildKind::{
            self, Deployment, DestinationRule, NetworkPolicy, PeerAuthentication, PodMonitor, Service, ServiceMonitor,
        },
        DesiredChild, Identity, ObjectId, ParentId,
    },
    policy::grants::{Grants, GroupKind},
    reconcile::{
        CacheView,
        diff::{Accepted, Action, diff},
        guard::{Rewritten, Subject, check, guard},
        rewrite::Touched,
        seal::seal,
    },
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{DynamicObject, PostParams},
    runtime::wait::{await_condition, conditions},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    normal::Stages,
    world::{World, operator_user, plane, within},
};

/// Every kind that only policies add.
pub(crate) fn all() -> impl Iterator<Item = ChildKind> {
    ChildKind::ALL.into_iter().filter(|kind| kind.added_only())
}

/// Installs the definitions of these kinds. They stay: who has not switched a kind on never asks for it.
pub(crate) async fn install() {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let install = || async {
        let client = plane().await.client(User::Admin).await.expect("client");
        let definitions: Api<CustomResourceDefinition> = Api::all(client);
        for kind in all().filter(|kind| kind.optional()) {
            definitions.create(&PostParams::default(), &definition(kind)).await.expect("a valid definition");
            let info = kind.info();
            let name = format!("{}.{}", info.plural, info.group);
            let established = await_condition(definitions.clone(), &name, conditions::is_crd_established());
            within("the definition to be established", established).await.expect("a watch");
        }
    };
    INSTALLED.get_or_init(install).await;
}

pub(crate) fn definition(kind: ChildKind) -> CustomResourceDefinition {
    let info = kind.info();
    let file = match kind {
        PeerAuthentication | DestinationRule => controlplane::istio().expect("the definitions"),
        _ => {
            let folder = controlplane::prometheus_operator().expect("the definitions");
            folder.join(format!("{}_{}.yaml", info.group, info.plural))
        }
    };
    let text = fs::read_to_string(file).expect("definitions");
    let name = format!("\n  name: {}.{}\n", info.plural, info.group);
    let document = text.split("\n---\n").find(|document| document.contains(&name)).expect("a definition");
    serde_saphyr::from_str(document).expect("YAML")
}

/// A new namespace where all of these kinds can be added; no operator runs.
pub(crate) async fn world(name: &str) -> World {
    install().await;
    let mut world = World::without_operator(name).await;
    world.added_kinds = all().collect();
    world
}

fn identity(namespace: &str) -> Identity {
    Identity { namespace: namespace.into(), name: "gw".into(), ..Identity::default() }
}

fn object(kind: ChildKind, namespace: &str, name: &str, spec: &Value) -> DesiredChild {
    let info = kind.info();
    let metadata = json!({"name": name, "namespace": namespace, "labels": {"app": "gw"}});
    let body = json!({"apiVersion": info.api_version(), "kind": info.kind, "metadata": metadata, "spec": spec});
    DesiredChild { id: ObjectId::new(kind, namespace, name), body, shared_fields: &[] }
}

fn service(namespace: &str) -> DesiredChild {
    let port = json!({"name": "http", "port": 80, "targetPort": "http"});
    object(Service, namespace, "gw", &json!({"selector": {"app": "gw"}, "ports": [port]}))
}

/// One object of each kind, with much of what it may say.
fn added(namespace: &str) -> Vec<DesiredChild> {
    let own = json!({"matchLabels": {"app": "gw"}});
    let endpoint = json!({
        "port": "http",
        "path": "/metrics",
        "interval": "30s",
        "scheme": "http",
        "params": {"format": ["prometheus"]},
        "honorLabels": true,
        "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "go_.*", "action": "drop"}, {"regex": "id", "action": "labeldrop"}],
    });
    let monitor =
        |endpoints: &str| json!({endpoints: [endpoint], "selector": own, "sampleLimit": 1000, "jobLabel": "app"});
    let documents = [
        (
            PeerAuthentication,
            json!({"selector": own, "mtls": {"mode": "STRICT"}, "portLevelMtls": {"9464": {"mode": "PERMISSIVE"}}}),
        ),
        (
            DestinationRule,
            json!({
                "host": format!("gw.{namespace}.svc.cluster.local"),
                "exportTo": ["."],
                "trafficPolicy": {
                    "tls": {"mode": "ISTIO_MUTUAL"},
                    "connectionPool": {"http": {"http1MaxPendingRequests": 10}, "tcp": {"maxConnections": 100, "connectTimeout": "5s"}},
                    "outlierDetection": {"consecutive5xxErrors": 5, "interval": "10s", "baseEjectionTime": "30s"},
                    "portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}],
                },
                "subsets": [{"name": "all", "labels": {"app": "gw"}}],
            }),
        ),
        (
            NetworkPolicy,
            json!({
                "podSelector": own,
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{
                    "from": [{"podSelector": {"matchLabels": {"role": "client"}}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                    "ports": [{"port": "http"}, {"port": 9000, "endPort": 9010, "protocol": "TCP"}],
                }],
                "egress": [{}],
            }),
        ),
        (ServiceMonitor, monitor("endpoints")),
        (PodMonitor, monitor("podMetricsEndpoints")),
    ];
    documents.into_iter().map(|(kind, spec)| object(kind, namespace, "gw-extra", &spec)).collect()
}

/// A generated Service and all of these, as the guard admits them.
fn admitted(namespace: &str) -> Vec<DesiredChild> {
    let generated = vec![service(namespace)];
    let after: Vec<_> = generated.iter().cloned().chain(added(namespace)).collect();
    let kind = |kind: ChildKind| GroupKind { group: kind.info().group.into(), kind: kind.info().kind.into() };
    let grants = Grants { add_kinds: all().map(kind).collect(), ..Grants::default() };
    let identity = identity(namespace);
    let subject = Subject { identity: &identity, fixed: &[] };
    let refused = check(&subject, &generated, after.clone(), &Grants::default());
    assert!(refused.is_err(), "nothing was granted");
    check(&subject, &generated, after, &grants).expect("admitted")
}

/// An edit by somebody else, and where it shows.
fn edits() -> [(ChildKind, Value, &'static str); 6] {
    let beside = json!([{
        "from": [{"podSelector": {"matchLabels": {"role": "client"}}, "namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
        "ports": [{"port": "http", "protocol": "TCP"}, {"port": 9000, "endPort": 9010, "protocol": "TCP"}],
    }]);
    [
        (PeerAuthentication, json!({"spec": {"mtls": {"mode": "DISABLE"}}}), ".spec.mtls.mode"),
        (DestinationRule, json!({"spec": {"subsets": [{"name": "other"}]}}), ".spec.subsets[0].name"),
        (NetworkPolicy, json!({"spec": {"ingress": [{}]}}), ".spec.ingress[0].from"),
        (NetworkPolicy, json!({"spec": {"ingress": beside}}), ".spec.ingress[0].from[0].namespaceSelector"),
        (ServiceMonitor, json!({"spec": {"endpoints": [{"port": "other"}]}}), ".spec.endpoints[0].port"),
        (
            PodMonitor,
            json!({"spec": {"selector": {"matchLabels": {"app": "other"}}}}),
            ".spec.selector.matchLabels.app",
        ),
    ]
}

#[tokio::test]
async fn what_a_policy_may_add_is_stored_as_it_was_sent() {
    let mut stages = Stages::new(world("added").await).await;
    let sealed = stages.seal(admitted(&stages.identity.namespace));
    assert_eq!(stages.apply(&sealed).await, []);
    assert!(stages.plan(&sealed).is_empty(), "{}", stages.plan(&sealed).show(true));
    stages.start_again(&sealed).await;
    assert!(stages.plan(&sealed).is_empty(), "{}", stages.plan(&sealed).show(true));
    for (kind, edit, path) in edits() {
        let edited = stages.world.edit(kind, "gw-extra", edit).await;
        stages.see(&edited).await;
        let plan = stages.plan(&sealed);
        assert!(plan.show(true).contains(&format!("    {path}: ")), "{kind}: {}", plan.show(true));
        assert_eq!(stages.apply(&sealed).await, []);
        assert!(stages.plan(&sealed).is_empty(), "{}", stages.plan(&sealed).show(true));
    }
}

#[tokio::test]
async fn pods_wait_for_their_controls_and_not_for_their_monitors() {
    let mut stages = Stages::new(world("added-order").await).await;
    let namespace = stages.identity.namespace.clone();
    let pod = json!({"containers": [{"name": "a", "image": "a:1"}]});
    let template = json!({"metadata": {"labels": {"app": "gw"}}, "spec": pod});
    let workload = json!({"selector": {"matchLabels": {"app": "gw"}}, "template": template});
    let mut children = admitted(&namespace);
    children.push(object(Deployment, &namespace, "gw", &workload));
    let sealed = stages.seal(children);
    let missing = |stages: &Stages, kind: ChildKind| stages.cache.watch(kind, None, Seen::Missing);
    let there = |stages: &Stages, kind: ChildKind| {
        stages.cache.watch(kind, None, Seen::ListBegins);
        stages.cache.watch(kind, None, Seen::ListComplete)
    };
    let failures = |outcomes: Vec<igw::reconcile::outcome::Outcome>| -> Vec<String> {
        outcomes.into_iter().filter_map(|outcome| outcome.result.err()).map(|failed| failed.message).collect()
    };
    missing(&stages, PeerAuthentication);
    missing(&stages, PodMonitor);
    let said = failures(stages.outcomes(&sealed).await);
    let [control, monitor, workload] = &said[..] else { panic!("{said:#?}") };
    assert!(control.contains("without CustomResourceDefinition peerauthentications.security.istio.io"), "{control}");
    assert!(control.ends_with("install Istio"), "{control}");
    assert!(monitor.ends_with("install the Prometheus operator"), "{monitor}");
    let waits = format!("Deployment {namespace}/gw waits for PeerAuthentication {namespace}/gw-extra");
    assert_eq!(*workload, waits);
    assert!(stages.world.find(Deployment, "gw").await.is_none());
    there(&stages, PeerAuthentication);
    assert_eq!(failures(stages.outcomes(&sealed).await), [monitor.as_str()]);
    assert!(stages.world.find(Deployment, "gw").await.is_some());
}

#[test]
fn objects_of_a_kind_that_is_not_switched_on_are_never_made() {
    let cache = Cache::with_added(all().filter(|kind| *kind != NetworkPolicy));
    let parent = ParentId { kind: Gateway::INFO.kind, namespace: "ns".into(), name: "gw".into() };
    let identity = identity("ns");
    let children = admitted("ns");
    let subject = Subject { identity: &identity, fixed: &[] };
    let admitted = guard(&subject, &children, Rewritten(children.clone()), &Grants::default());
    let sealed = seal(&Gateway::INFO, &identity, admitted.expect("as generated"), &Touched::new());
    let plan = diff(&parent, "uid", &sealed, &CacheView { cache: &cache, uid: "uid" }, &Accepted::default());
    let blocked: Vec<_> = plan.changes.iter().filter(|change| matches!(change.action, Action::Blocked(_))).collect();
    let shown = plan.show(false);
    assert_eq!(blocked.len(), 5, "the others have not been listed: {shown}");
    let words = "! NetworkPolicy ns/gw-extra not touched: policies may add objects of its kind only when the operator \
                 runs with --policy-added-kinds=NetworkPolicy.networking.k8s.io\n";
    assert!(shown.contains(words), "{shown}");
}

/// What the operator asked of the kinds that only policies add, since the last look.
async fn asked(world: &World, audit: &mut controlplane::Audit, user: &str) -> Vec<String> {
    let entries = audit.read_settled(&world.client).await.expect("an audit log");
    let about = |uri: &str| all().any(|kind| uri.contains(kind.info().plural) || uri.contains(".istio.io"));
    let ours = entries.iter().filter(|entry| entry.user.username == user && about(&entry.request_uri));
    ours.map(|entry| format!("{} {}", entry.verb, entry.request_uri)).collect()
}

#[tokio::test]
async fn what_nobody_adds_any_more_goes_once_its_kind_is_switched_on() {
    let mut stages = Stages::new(world("added-left").await).await;
    let sealed = stages.seal(admitted(&stages.identity.namespace));
    stages.apply(&sealed).await;
    let mut world = stages.world;

    let mut audit = world.plane.audit();
    audit.skip().expect("an audit log");
    let kinds: BTreeSet<_> = std::mem::take(&mut world.added_kinds);
    world.start().await;
    world.running("gw").await;
    world.settled().await;
    assert_eq!(asked(&world, &mut audit, &operator_user()).await, [""; 0]);
    for kind in all() {
        assert!(world.find(kind, "gw-extra").await.is_some(), "{kind}");
        assert!(!world.operator().context.cache.listed(kind), "{kind}");
    }
    world.stop().await;

    world.added_kinds = kinds;
    world.start().await;
    for kind in all() {
        let gone = |object: Option<&DynamicObject>| object.is_none();
        world.wait(world.api(kind), "gw-extra", "gone", gone).await;
    }
    world.settled().await;
    let cache = &world.operator().context.cache;
    assert!(all().all(|kind| cache.listed(kind)), "watched, used or not");

    // Nobody asks again while nothing changes.
    let user = world.user();
    asked(&world, &mut audit, &user).await;
    world.run_gateway("gw", json!({"replicas": 2})).await;
    world.settled().await;
    assert_eq!(asked(&world, &mut audit, &user).await, [""; 0]);
}
