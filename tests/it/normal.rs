//! What the API server drops, fills in or writes in another form is never applied twice: every optional field with its
//! zero value, through the real stages from guard to apply, without a kind of custom resource in between.

use std::{sync::Arc, time::Instant};

use igw::{
    cache::{Cache, Seen},
    cluster::{self, Cluster as _, kube::KubeCluster},
    kinds::{Parent as _, gateway::Gateway},
    object::{ChildKind, DesiredChild, Identity, ObjectId, ParentId},
    policy::grants::Grants,
    reconcile::{
        CacheView,
        apply::{Stage, apply},
        backoff::Memory,
        diff::{Plan, diff},
        guard::{Rewritten, Subject, guard},
        outcome::{Applied, Outcome},
        rewrite::Touched,
        seal::{Sealed, seal},
    },
};
use kube::{
    ResourceExt as _,
    api::{DynamicObject, Patch},
};
use serde_json::{Value, json};

use crate::{
    added_kinds, gateway_api,
    world::{World, breakable_plane},
};

/// The stages for a custom resource that nobody else looks after.
pub(crate) struct Stages {
    pub(crate) world: World,
    cluster: KubeCluster,
    pub(crate) cache: Arc<Cache>,
    parent: ParentId,
    pub(crate) identity: Identity,
    memory: Memory,
}

impl Stages {
    pub(crate) async fn new(world: World) -> Self {
        let gateway = world.apply_gateway("gw", json!({})).await;
        let config = world.config().await;
        Self {
            cluster: KubeCluster::new(cluster::kube::client(config).expect("client")),
            cache: empty_cache(),
            parent: ParentId {
                kind: Gateway::INFO.kind,
                namespace: world.namespace.as_str().into(),
                name: "gw".into(),
            },
            identity: Identity {
                namespace: world.namespace.clone(),
                name: "gw".into(),
                uid: gateway.uid().expect("a uid"),
                ..Identity::default()
            },
            memory: Memory::default(),
            world,
        }
    }

    fn sealed(&self, documents: &[(ChildKind, Value)]) -> Vec<Sealed> {
        let child = |(kind, document): &(ChildKind, Value)| {
            let mut body = document.clone();
            body["apiVersion"] = kind.info().api_version().into();
            body["kind"] = kind.info().kind.into();
            body["metadata"]["name"] = "x".into();
            body["metadata"]["namespace"] = self.identity.namespace.clone().into();
            DesiredChild { id: ObjectId::new(*kind, &self.identity.namespace, "x"), body, shared_fields: &[] }
        };
        self.seal(documents.iter().map(child).collect())
    }

    /// Seals objects as if they had been generated.
    pub(crate) fn seal(&self, children: Vec<DesiredChild>) -> Vec<Sealed> {
        let subject = Subject { identity: &self.identity, fixed: &[] };
        let rewritten = Rewritten(children.clone());
        let admitted = guard(&subject, &children, rewritten, &Grants::default()).expect("admitted");
        seal(&Gateway::INFO, &self.identity, admitted, &Touched::new())
    }

    pub(crate) fn plan(&self, sealed: &[Sealed]) -> Plan {
        let view = CacheView { cache: &self.cache, uid: &self.identity.uid };
        diff(&self.parent, &self.identity.uid, sealed, &view, &self.memory.accepted)
    }

    /// A new process knows nothing of the answers; it sees what the server has.
    pub(crate) async fn start_again(&mut self, sealed: &[Sealed]) {
        self.memory = Memory::default();
        self.cache = empty_cache();
        for wanted in sealed {
            let live = self.cluster.get(&wanted.id).await.expect("a read").expect("it exists");
            self.cache.watch(wanted.id.kind, Some(wanted.id.clone()), Seen::There(live));
        }
    }

    /// Takes in an object as a watch does.
    pub(crate) async fn see(&self, object: &DynamicObject) {
        let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
        let kind = ChildKind::ALL.into_iter().find(|k| k.info().kind == kind).expect("a child kind");
        let id = ObjectId::new(kind, &self.identity.namespace, &object.name_any());
        let live = self.cluster.get(&id).await.expect("a read").expect("it exists");
        self.cache.watch(kind, Some(id), Seen::There(live));
    }

    /// Applies documents; returns the objects of which the server did not take every field as it was sent.
    pub(crate) async fn apply(&mut self, sealed: &[Sealed]) -> Vec<ObjectId> {
        let applied = self.applied(sealed).await;
        for outcome in &applied.outcomes {
            assert!(outcome.result.is_ok(), "{}: {:?}", outcome.id, outcome.result);
        }
        applied.not_taken
    }

    /// Applies documents; returns how each of them ended.
    pub(crate) async fn outcomes(&mut self, sealed: &[Sealed]) -> Vec<Outcome> {
        self.applied(sealed).await.outcomes
    }

    async fn applied(&mut self, sealed: &[Sealed]) -> Applied {
        let plan = self.plan(sealed);
        let stage = Stage {
            cluster: &self.cluster,
            cache: &self.cache,
            parent: &self.parent,
            identity: &self.identity,
            now: Instant::now(),
            left: &[],
        };
        apply(&stage, &plan, sealed, &mut self.memory).await
    }
}

/// A cache that knows that there is nothing.
fn empty_cache() -> Arc<Cache> {
    let cache = Arc::new(Cache::default());
    for kind in ChildKind::ALL {
        cache.watch(kind, None, Seen::ListBegins);
        cache.watch(kind, None, Seen::ListComplete);
    }
    cache
}

/// Every optional field of every kind with `false`, `0`, `""`, `{}`, `[]` or null, as far as the API server accepts
/// them there, and the values it writes in another form.
fn zeros() -> Vec<(ChildKind, Value)> {
    let probe = json!({
        "httpGet": {"path": "", "port": "http", "host": "", "scheme": "", "httpHeaders": []},
        "initialDelaySeconds": 0,
        "timeoutSeconds": 0,
        "periodSeconds": 0,
        "successThreshold": 0,
        "failureThreshold": 0,
    });
    let container = json!({
        "name": "a",
        "image": "a:1",
        "imagePullPolicy": "",
        "command": [],
        "args": ["", "0"],
        "workingDir": "",
        "env": [
            {"name": "EMPTY", "value": ""},
            {"name": "TWICE", "value": "1"},
            {"name": "REF", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": false}}},
            {"name": "FIELD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": ""}}},
            {"name": "SIZE", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}},
            {"name": "TWICE", "value": "2"},
        ],
        "envFrom": [{"prefix": "", "configMapRef": {"name": "c", "optional": false}}],
        "ports": [{"name": "http", "containerPort": 80, "hostPort": 0, "hostIP": "", "protocol": ""}],
        "resources": {"limits": {"cpu": 1, "memory": "0.5Gi"}, "requests": {"cpu": "0", "memory": "0"}, "claims": []},
        "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "", "subPathExpr": "", "readOnly": false}],
        "volumeDevices": [],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "lifecycle": {},
        "terminationMessagePath": "",
        "terminationMessagePolicy": "",
        "securityContext": {
            "privileged": false,
            "readOnlyRootFilesystem": false,
            "allowPrivilegeEscalation": false,
            "runAsNonRoot": false,
            "runAsUser": 0,
            "runAsGroup": 0,
            "capabilities": {"add": [], "drop": []},
            "seccompProfile": null,
            "procMount": null,
        },
        "stdin": false,
        "stdinOnce": false,
        "tty": false,
    });
    let pod = json!({
        "containers": [container],
        "initContainers": [{"name": "i", "image": "i:1", "env": [], "resources": {}}],
        "volumes": [
            {"name": "v", "emptyDir": {}},
            {"name": "w", "emptyDir": {"medium": "", "sizeLimit": "1Gi"}},
            {"name": "p", "projected": {"defaultMode": 0, "sources": [{"secret": {"name": "s", "items": [], "optional": false}}]}},
            {"name": "c", "configMap": {"name": "c", "defaultMode": 0, "items": [], "optional": false}},
        ],
        "restartPolicy": "",
        "terminationGracePeriodSeconds": 0,
        "dnsPolicy": "",
        "nodeSelector": {},
        "serviceAccountName": "",
        "automountServiceAccountToken": false,
        "nodeName": "",
        "hostNetwork": false,
        "hostPID": false,
        "hostIPC": false,
        "shareProcessNamespace": false,
        "enableServiceLinks": false,
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "fsGroup": 0, "supplementalGroups": [], "sysctls": []},
        "imagePullSecrets": [],
        "hostname": "",
        "subdomain": "",
        "affinity": {},
        "schedulerName": "",
        "tolerations": [{"key": "a", "operator": "Exists", "value": "", "effect": "NoExecute", "tolerationSeconds": 0}],
        "hostAliases": [],
        "priorityClassName": "",
        "dnsConfig": {},
        "readinessGates": [],
        "topologySpreadConstraints": [],
        "overhead": {},
        "setHostnameAsFQDN": false,
    });
    vec![
        (
            ChildKind::ServiceAccount,
            json!({"automountServiceAccountToken": false, "secrets": [], "imagePullSecrets": [], "metadata": {"labels": {}, "annotations": {"empty": ""}}}),
        ),
        (ChildKind::ConfigMap, json!({"immutable": false, "data": {"empty": ""}, "binaryData": {"none": ""}})),
        (
            ChildKind::Service,
            json!({"spec": {
                "type": "",
                "clusterIP": "",
                "clusterIPs": [],
                "externalIPs": [],
                "externalName": "",
                "externalTrafficPolicy": "",
                "healthCheckNodePort": 0,
                "ipFamilies": [],
                "loadBalancerIP": "",
                "loadBalancerSourceRanges": [],
                "publishNotReadyAddresses": false,
                "sessionAffinity": "",
                "selector": {"app": ""},
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "", "nodePort": 0}],
            }}),
        ),
        (
            ChildKind::Deployment,
            json!({"spec": {
                "replicas": 0,
                "paused": false,
                "minReadySeconds": 0,
                "revisionHistoryLimit": 0,
                "progressDeadlineSeconds": 600,
                "strategy": {"type": "", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
                "selector": {"matchLabels": {"app": "x"}, "matchExpressions": []},
                "template": {"metadata": {"labels": {"app": "x"}, "annotations": {}}, "spec": pod},
            }}),
        ),
        (
            ChildKind::Ingress,
            json!({"spec": {
                "ingressClassName": null,
                "tls": [{"hosts": [], "secretName": ""}],
                "rules": [{"host": "", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "x", "port": {"name": "http", "number": 0}}}}]}}],
            }}),
        ),
        (
            ChildKind::HorizontalPodAutoscaler,
            json!({"spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"},
                "minReplicas": null,
                "maxReplicas": 2,
                "metrics": [],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": null, "policies": []}, "scaleUp": {}},
            }}),
        ),
    ]
}

/// The same for the kinds that come with a definition: the API server keeps their zero values.
fn zeros_of_optional_kinds() -> Vec<(ChildKind, Value)> {
    vec![
        (
            ChildKind::ApiGateway,
            json!({"metadata": {"labels": {}, "annotations": {"empty": ""}}, "spec": {
                "gatewayClassName": "x",
                "addresses": [],
                "infrastructure": {"labels": {}, "annotations": {}, "parametersRef": null},
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", "hostname": null, "allowedRoutes": {"kinds": []}}],
            }}),
        ),
        (
            ChildKind::HttpRoute,
            json!({"spec": {
                "parentRefs": [{"name": "x", "group": "", "kind": "Service", "namespace": null}],
                "hostnames": [],
                "rules": [{"matches": [], "filters": [], "timeouts": {}, "backendRefs": [{"name": "x", "group": "", "port": 80, "weight": 0}]}],
            }}),
        ),
    ]
}

/// The same for the kinds that only policies add.
fn zeros_of_added_kinds() -> Vec<(ChildKind, Value)> {
    let endpoint = json!({
        "port": "http",
        "path": "",
        "params": {},
        "honorLabels": false,
        "metricRelabelings": [{"sourceLabels": [], "modulus": 0, "replacement": ""}, {}],
    });
    vec![
        (
            ChildKind::PeerAuthentication,
            json!({"metadata": {"labels": {}}, "spec": {
                "selector": {"matchLabels": {"app": ""}},
                "mtls": {},
                "portLevelMtls": {"80": {"mode": "UNSET"}},
            }}),
        ),
        (
            ChildKind::DestinationRule,
            json!({"spec": {
                "host": "x",
                "exportTo": [],
                "subsets": [{"name": "a", "labels": {}, "trafficPolicy": {}}],
                "trafficPolicy": {
                    "connectionPool": {"http": {"maxRetries": 0, "useClientProtocol": false}, "tcp": {"maxConnections": 0, "connectTimeout": "1s"}},
                    "loadBalancer": {"simple": "UNSPECIFIED"},
                    "outlierDetection": {"consecutive5xxErrors": 0, "interval": "1s", "splitExternalLocalOriginErrors": false},
                    "portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "SIMPLE", "sni": "", "subjectAltNames": []}}],
                },
                "workloadSelector": {"matchLabels": {"app": "x"}},
            }}),
        ),
        (
            ChildKind::NetworkPolicy,
            json!({"spec": {
                "podSelector": {"matchLabels": {"app": ""}, "matchExpressions": []},
                "policyTypes": [],
                "egress": [{}, {"to": [], "ports": []}],
                "ingress": [{
                    "from": [{"podSelector": {}, "namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": []}}],
                    "ports": [{}, {"protocol": "", "port": 80, "endPort": 90}, {"port": "http", "protocol": "UDP"}],
                }],
            }}),
        ),
        (
            ChildKind::ServiceMonitor,
            json!({"spec": {
                "endpoints": [endpoint, {"targetPort": 80, "scheme": null}],
                "selector": {"matchLabels": {"app": ""}, "matchExpressions": []},
                "namespaceSelector": {"matchNames": []},
                "jobLabel": "",
                "sampleLimit": 0,
                "targetLabels": [],
            }}),
        ),
        (
            ChildKind::PodMonitor,
            json!({"spec": {
                "podMetricsEndpoints": [endpoint, {"portNumber": 80}],
                "selector": {"matchLabels": {"app": ""}},
                "podTargetLabels": [],
                "targetLimit": 0,
            }}),
        ),
    ]
}

#[tokio::test]
async fn zero_values_of_added_kinds_are_applied_once() {
    let documents = zeros_of_added_kinds();
    assert!(documents.iter().map(|(kind, _)| *kind).eq(added_kinds::all()), "every kind");
    applied_once(added_kinds::world("added-zeros").await, &documents).await;
}

#[tokio::test]
async fn zero_values_are_applied_once() {
    let documents = zeros();
    let built_in = |kind: &ChildKind| !kind.optional() && !kind.added_only();
    assert_eq!(documents.len(), ChildKind::ALL.into_iter().filter(built_in).count(), "every kind");
    applied_once(World::without_operator("zeros").await, &documents).await;
}

#[tokio::test]
async fn zero_values_of_optional_kinds_are_applied_once() {
    let (plane, _turn) = breakable_plane().await;
    let world = World::on(plane, "optional-zeros").await;
    gateway_api::install(&world).await;
    let documents = zeros_of_optional_kinds();
    let optional = |kind: &ChildKind| kind.optional() && !kind.added_only();
    assert_eq!(documents.len(), ChildKind::ALL.into_iter().filter(optional).count(), "every kind");
    let client = world.client.clone();
    applied_once(world, &documents).await;
    gateway_api::remove(&client).await;
}

async fn applied_once(world: World, documents: &[(ChildKind, Value)]) {
    let mut stages = Stages::new(world).await;
    let sealed = stages.sealed(documents);
    let not_taken = stages.apply(&sealed).await;
    // A default that the table of normal forms does not know is learnt from the answer, and counted.
    let learnt = not_taken.iter().flat_map(|id| {
        stages.memory.accepted[id].1.iter().map(move |field| {
            let shown = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
            format!("{id} {}: sent {}, is {}", field.path, shown(&field.new), shown(&field.old))
        })
    });
    let learnt: Vec<_> = learnt.collect();
    assert!(learnt.is_empty(), "fields that the server changed: {learnt:#?}");
    assert!(stages.plan(&sealed).is_empty(), "{}", stages.plan(&sealed).show(true));

    stages.start_again(&sealed).await;
    assert!(stages.plan(&sealed).is_empty(), "{}", stages.plan(&sealed).show(true));
    drop(stages.world);
}

/// A value that the server stores in another form: its form counts from then on.
#[tokio::test]
async fn what_the_server_does_not_take_is_not_sent_twice() {
    let mut stages = Stages::new(World::without_operator("not-taken").await).await;
    let deployment = |cpu: &str| {
        let container = json!({"name": "a", "image": "a:1", "resources": {"limits": {"cpu": cpu}}});
        let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container]}});
        let spec = json!({"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": template});
        [(ChildKind::Deployment, json!({"spec": spec}))]
    };
    // Rounded up to a thousandth of a CPU.
    let sealed = stages.sealed(&deployment("100u"));
    let not_taken = stages.apply(&sealed).await;
    assert_eq!(not_taken, [sealed[0].id.clone()]);
    assert!(stages.plan(&sealed).is_empty(), "{}", stages.plan(&sealed).show(true));

    // Only for this intent, and only that value: another change is seen.
    let live = stages.world.edit_by(ChildKind::Deployment, "x", edited("7")).await;
    stages.see(&live).await;
    assert!(stages.plan(&sealed).show(true).contains(r#"cpu: "7" -> "100u""#), "{}", stages.plan(&sealed).show(true));
    let sealed = stages.sealed(&deployment("1000m"));
    assert!(stages.apply(&sealed).await.is_empty(), "one CPU in another form is no difference");
    assert!(stages.plan(&sealed).is_empty());
}

fn edited(cpu: &str) -> Patch<Value> {
    let container = json!({"name": "a", "resources": {"limits": {"cpu": cpu}}});
    Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": [container]}}}}))
}
