//! Bytes as what a policy made of the objects of a custom resource: a few edits of real ones, anywhere in them. PURE.
//!
//! The first three bytes choose the objects and the grants; then each edit is where (a step a byte) and what.

use std::{collections::BTreeSet, sync::LazyLock};

use igw::{
    object::{ChildKind, DesiredChild, Identity, ObjectId, normal::normalise},
    policy::grants::{Grants, GroupKind},
    reconcile::guard::{Subject, check},
};
use serde_json::{Map, Value};

use super::oracle::allows;

/// Objects of a complete custom resource of each kind.
const PAGES: &[&str] = &[
    include_str!("../../golden/gateway/complete.yaml"),
    include_str!("../../golden/agent/complete.yaml"),
    include_str!("../../golden/mcp/complete.yaml"),
    include_str!("../../golden/orchestrator/complete.yaml"),
    include_str!("../../golden/gateway/minimal.yaml"),
];
/// Edits of one input.
const EDITS: usize = 6;
/// Names of fields, labels and annotations.
const FIELDS: &str = "name namespace kind apiVersion uid ownerReferences finalizers labels annotations app team example.com/x \
    app.kubernetes.io/name inference-gateway.com/config-hash sidecar.istio.io/inject \
    nginx.ingress.kubernetes.io/proxy-read-timeout nginx.ingress.kubernetes.io/configuration-snippet spec \
    status replicas selector strategy template containers initContainers ephemeralContainers volumes \
    volumeMounts mountPath subPath mountPropagation env envFrom value valueFrom secretKeyRef configMapKeyRef \
    fieldRef secretRef secret secretName configMap projected sources serviceAccountToken hostPath emptyDir \
    downwardAPI csi image command args exec ports hostPort livenessProbe lifecycle httpGet host resources \
    claims securityContext privileged capabilities drop add runAsUser seccompProfile type restartPolicy \
    hostNetwork serviceAccountName nodeName runtimeClassName imagePullSecrets tolerations affinity externalName \
    externalIPs rules tls hosts ingressClassName minReplicas maxReplicas metrics data a.b/c";
/// Values: some mean something to some rule, and some nothing to any. What is granted by name is "granted".
const PIECES: &str = r#"[
    {"name": "sidecar", "image": "granted"},
    {"name": "sidecar", "image": "granted", "securityContext": {"privileged": false, "runAsNonRoot": true}},
    {"name": "first", "image": "granted", "restartPolicy": "Always", "volumeMounts": [{"name": "scratch", "mountPath": "/s"}]},
    {"name": "evil", "image": "evil", "securityContext": {"privileged": true, "capabilities": {"add": ["ALL"]}}},
    {"name": "scratch", "emptyDir": {}},
    {"name": "scratch", "hostPath": {"path": "/"}},
    {"name": "scratch", "secret": {"secretName": "granted"}},
    {"name": "scratch", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"downwardAPI": {}}]}},
    {"name": "scratch", "mountPath": "/scratch"},
    {"name": "A", "value": "b"},
    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "granted", "key": "k"}}},
    {"secretRef": {"name": "granted"}},
    {"httpGet": {"host": "a", "path": "/", "port": 80}},
    {"exec": {"command": ["x"]}},
    {"containerPort": 7, "hostPort": 7},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "my-gateway-extra", "namespace": "inference-gateway"}, "data": {"a": "b"}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "my-gateway", "namespace": "kube-system"}, "spec": {}},
    {}, [], null, true, false, 0, 7, -1, 0.5,
    "changed", "granted", "NodePort", "Always", "RuntimeDefault", "None", "ALL", "scratch", "/granted",
    "ExternalName", "Unconfined", "HostToContainer", "inference-gateway", "my-gateway", "", "v1", "Service",
    "Deployment", "kube-system"
]"#;

struct Ground {
    identity: Identity,
    before: Vec<DesiredChild>,
}

static GROUNDS: LazyLock<Vec<Ground>> = LazyLock::new(|| PAGES.iter().map(|page| ground(page)).collect());
static VALUES: LazyLock<Vec<Value>> = LazyLock::new(|| serde_json::from_str(PIECES).expect("JSON"));
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| FIELDS.split(' ').collect());

fn ground(page: &str) -> Ground {
    let (_, output) = page.split_once("# Output\n").expect("an output");
    let documents: Vec<Value> = serde_saphyr::from_multiple(output).expect("YAML");
    let before: Vec<_> = documents.into_iter().filter_map(child).collect();
    let own = &before.iter().find(|child| child.id.kind == ChildKind::Deployment).expect("a Deployment").id;
    let identity = Identity { namespace: own.namespace.to_string(), name: own.name.to_string(), ..Identity::default() };
    Ground { identity, before }
}

/// The object that a document says it is, as the stage before the guard takes it.
fn child(body: Value) -> Option<DesiredChild> {
    let text = |pointer| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, version) = (text("/kind"), text("/apiVersion"));
    let known = |known: &ChildKind| known.info().kind == kind && known.info().api_version() == version;
    let kind = ChildKind::ALL.into_iter().find(known)?;
    let id = ObjectId::new(kind, text("/metadata/namespace"), text("/metadata/name"));
    Some(DesiredChild { id, body, shared_fields: &[] })
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }
}

fn grants(bits: usize) -> Grants {
    let on = |bit: usize| bits & (1 << bit) != 0;
    let named = |bit: usize| if on(bit) { vec!["granted".to_owned()] } else { vec![] };
    let hosts = if on(6) { vec!["granted".to_owned(), "gateway.example.com".into()] } else { vec![] };
    let kind = |kind: &str| GroupKind { group: String::new(), kind: kind.into() };
    Grants {
        images: named(0),
        secrets: named(1),
        config_maps: named(2),
        container_security: on(3),
        command: on(4),
        service_type: on(5),
        ingress_hosts: hosts,
        add_kinds: if on(7) { vec![kind("ConfigMap"), kind("Service")] } else { vec![] },
    }
}

/// Goes down some steps and gives what is there.
fn descend<'a>(mut here: &'a Value, input: &mut Input<'_>) -> &'a Value {
    loop {
        let step = input.next();
        let inside = match here {
            Value::Array(list) if step > 0 => list.get((step - 1) % list.len().max(1)),
            Value::Object(map) if step > 0 => map.values().nth((step - 1) % map.len().max(1)),
            _ => None,
        };
        let Some(inside) = inside else { return here };
        here = inside;
    }
}

/// One edit of a document that is a list of objects.
fn edit(document: &mut Value, before: &Value, input: &mut Input<'_>) {
    let mut here = document;
    loop {
        let step = input.next();
        let size = match &*here {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        };
        if step == 0 || size == 0 {
            break;
        }
        let place = (step - 1) % size;
        here = match here {
            Value::Array(list) => &mut list[place],
            Value::Object(map) => map.values_mut().nth(place).expect("counted"),
            _ => unreachable!("only these have a size"),
        };
    }
    let deed = input.next() % 8;
    let place = input.next();
    let new = match input.next() % 3 {
        0 => VALUES[input.next() % VALUES.len()].clone(),
        1 => descend(before, input).clone(),
        _ => VALUES[place % VALUES.len()].clone(),
    };
    let name = || NAMES[place % NAMES.len()].to_owned();
    match (deed, here) {
        (0, Value::Array(list)) if !list.is_empty() => drop(list.remove(place % list.len())),
        (0, Value::Object(map)) => drop(nth(map, place).and_then(|key| map.remove(&key))),
        (1, Value::Array(list)) => list.insert(place % (list.len() + 1), new),
        (1 | 2, Value::Object(map)) => drop(map.insert(name(), new)),
        (2, Value::Array(list)) if !list.is_empty() => {
            let again = list[place % list.len()].clone();
            list.push(again);
        }
        (3, Value::Array(list)) => list.reverse(),
        (3, Value::Object(map)) => {
            if let Some(value) = nth(map, place).and_then(|key| map.remove(&key)) {
                map.insert(NAMES[input.next() % NAMES.len()].to_owned(), value);
            }
        }
        (4, Value::Array(list)) if !list.is_empty() => {
            let at = place % list.len();
            list[at] = new;
        }
        (4, Value::Object(map)) => {
            if let Some(slot) = nth(map, place).and_then(|key| map.get_mut(&key)) {
                *slot = new;
            }
        }
        (_, here) => *here = new,
    }
}

fn nth(map: &Map<String, Value>, place: usize) -> Option<String> {
    map.keys().nth(place % map.len().max(1)).cloned()
}

/// A document as it is applied: what the server takes for absent is taken out behind the guard.
fn applied(child: &DesiredChild) -> Value {
    let mut body = child.body.clone();
    normalise(child.id.kind, &mut body);
    body
}

/// Whether the oracle allows a change. It pairs entries of an Ingress by their place, where these edits move them: there
/// only what they name is looked at.
fn agreed(kind: ChildKind, old: &Value, new: &Value, grants: &Grants) -> bool {
    if kind != ChildKind::Ingress {
        return old == new || allows(kind, old, new, grants);
    }
    let (mut known, mut named) = (BTreeSet::new(), BTreeSet::new());
    names(&old["spec"], &mut known);
    names(&new["spec"], &mut named);
    let granted = grants.ingress_hosts.iter().chain(&grants.secrets);
    known.extend(granted.map(String::as_str));
    known.is_superset(&named)
}

/// Every text in a document.
fn names<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => map.values().for_each(|value| names(value, found)),
        Value::Array(list) => list.iter().for_each(|value| names(value, found)),
        Value::String(text) => drop(found.insert(text)),
        _ => {}
    }
}

/// Every container that was not there has an image that is granted, and may do nothing that is not.
fn confined(old: &Value, new: &Value, grants: &Grants) {
    let containers = |body: &Value| {
        let lists = ["containers", "initContainers"].map(|list| body["spec"]["template"]["spec"][list].clone());
        lists.into_iter().filter_map(|list| list.as_array().cloned()).flatten().collect::<Vec<_>>()
    };
    let known: Vec<_> = containers(old).iter().map(|container| container["name"].clone()).collect();
    for container in containers(new).iter().filter(|container| !known.contains(&container["name"])) {
        assert!(container["image"].as_str().is_some_and(|image| grants.image(image)), "{container}");
        let context = &container["securityContext"];
        let drops = context["capabilities"]["drop"].as_array().is_some_and(|list| list.contains(&"ALL".into()));
        let tight = context["allowPrivilegeEscalation"] == false && drops && context["privileged"] != true;
        assert!(tight || grants.container_security, "{container}");
    }
}

/// Whether the guard admits it. What it admits is allowed by the oracle too, is admitted again without a change, and is
/// every object that there was, each once.
pub(crate) fn run(data: &[u8]) -> bool {
    let mut input = Input(data);
    let ground = &GROUNDS[input.next() % GROUNDS.len()];
    let grants = grants(input.next());
    let before: Value = ground.before.iter().map(|child| child.body.clone()).collect();
    let mut document = before.clone();
    for _ in 0..=input.next() % EDITS {
        edit(&mut document, &before, &mut input);
    }
    let Value::Array(objects) = document else { return false };
    // What is of no kind that the guard compares is for its rules of added objects.
    let after: Vec<DesiredChild> = objects.into_iter().filter_map(child).collect();
    let subject = Subject { identity: &ground.identity, fixed: &[] };
    let admitted = match check(&subject, &ground.before, after.clone(), &grants) {
        Ok(admitted) => admitted,
        Err(violation) => {
            // It can be said.
            assert!(!violation.to_string().is_empty());
            let _ = violation.path();
            return false;
        }
    };
    for old in &ground.before {
        let same: Vec<_> = after.iter().filter(|child| child.id == old.id).collect();
        assert_eq!(same.len(), 1, "{} is there once", old.id);
        let (old, new) = (applied(old), applied(same[0]));
        assert!(agreed(same[0].id.kind, &old, &new, &grants), "{grants:?}: the oracle does not allow {old} -> {new}");
    }
    for child in &admitted {
        if let Some(old) = ground.before.iter().find(|old| old.id == child.id) {
            confined(&applied(old), &applied(child), &grants);
        }
    }
    for new in admitted.iter().filter(|new| ground.before.iter().all(|old| old.id != new.id)) {
        assert!(!grants.add_kinds.is_empty() && *new.id.namespace == ground.identity.namespace, "{} was added", new.id);
    }
    let again = check(&subject, &ground.before, admitted.clone(), &grants);
    assert_eq!(again.expect("it was admitted before"), admitted);
    true
}
