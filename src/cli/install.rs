//! `igw install`: everything a cluster needs to run the operator, in the order in which it can be applied.
//!
//! The names are those of the Go operator's manifest, so that applying this one takes the place of that one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Error, admission, generate, manifest};
use crate::{
    kinds::{self, GROUP, Parent, Visitor},
    object::ChildKind,
    policy::resource::{self, CLUSTER_WASM_POLICY, WASM_POLICY},
};

/// Name of the operator's Deployment and of its ServiceAccount.
pub const ACCOUNT: &str = "operator-inference-gateway";

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Everything, as YAML documents: namespace, definitions, the rule for authors of policies, rights, metrics Service and
/// Deployment. `added`: kinds that policies may be granted to add.
///
/// # Errors
/// When an object cannot be written as YAML.
pub fn install(image: &str, namespace: &str, added: &BTreeSet<ChildKind>) -> Result<String, Error> {
    let mut objects = vec![json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": generate::labels()},
    })];
    objects.extend(generate::definitions());
    objects.extend(admission::objects());
    objects.push(json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": namespace, "labels": generate::labels()},
    }));
    objects.push(generate::role(added));
    objects.push(json!({
        "apiVersion": RBAC,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "operator-manager-rolebinding", "labels": generate::labels()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": generate::ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    }));
    let mut users = UserRoles::default();
    kinds::for_each(&mut users);
    objects.extend(users.0);
    objects.extend(policy_roles());
    objects.push(service(namespace));
    objects.push(deployment(image, namespace, added));
    manifest::yaml(&objects)
}

/// Roles for people, three for each kind of custom resource. By their labels they become part of the cluster's own roles
/// `view`, `edit` and `admin`, so who may edit a namespace may edit custom resources there.
#[derive(Default)]
struct UserRoles(Vec<Value>);

impl Visitor for UserRoles {
    fn visit<P: Parent>(&mut self) {
        const CHANGE: &[&str] = &["get", "patch", "update"];
        let versions = P::crd().spec.versions;
        let scales = versions.iter().any(|v| v.subresources.as_ref().is_some_and(|s| s.scale.is_some()));
        for (name, into, verbs, scale, status) in [
            ("admin", "admin", WRITE, CHANGE, CHANGE),
            ("editor", "edit", WRITE, CHANGE, &["get"][..]),
            ("viewer", "view", READ, &["get"][..], &["get"][..]),
        ] {
            let plural = P::INFO.plural;
            let mut rules = vec![
                json!({"apiGroups": [GROUP], "resources": [plural], "verbs": verbs}),
                json!({"apiGroups": [GROUP], "resources": [format!("{plural}/status")], "verbs": status}),
            ];
            if scales {
                rules.push(json!({"apiGroups": [GROUP], "resources": [format!("{plural}/scale")], "verbs": scale}));
            }
            let mut labels = generate::labels();
            labels[format!("rbac.authorization.k8s.io/aggregate-to-{into}")] = "true".into();
            self.0.push(json!({
                "apiVersion": RBAC,
                "kind": "ClusterRole",
                "metadata": {"name": format!("operator-{}-{name}-role", P::INFO.kind.to_lowercase()), "labels": labels},
                "rules": rules,
            }));
        }
    }
}

/// Roles of people for policies. A policy is code that acts with the operator's rights, so editing a namespace is not
/// enough to write one. None has the verb `grant`, and none lets anybody write the status of a policy. Policies of the
/// whole cluster belong to its administrators; whoever else is to read them gets the role by a binding.
fn policy_roles() -> Vec<Value> {
    [
        (WASM_POLICY, "admin", Some("admin"), WRITE),
        (WASM_POLICY, "viewer", Some("view"), READ),
        (CLUSTER_WASM_POLICY, "viewer", None, READ),
    ]
    .map(|(info, name, into, verbs)| {
        let mut labels = generate::labels();
        if let Some(into) = into {
            labels[format!("rbac.authorization.k8s.io/aggregate-to-{into}")] = "true".into();
        }
        json!({
            "apiVersion": RBAC,
            "kind": "ClusterRole",
            "metadata": {"name": format!("operator-{}-{name}-role", info.kind.to_lowercase()), "labels": labels},
            "rules": [
                {"apiGroups": [resource::GROUP], "resources": [info.plural], "verbs": verbs},
                {"apiGroups": [resource::GROUP], "resources": [format!("{}/status", info.plural)], "verbs": ["get"]},
            ],
        })
    })
    .into()
}

/// The labels that the operator's pods are found by. The Go operator's Deployment has the same: they cannot change.
fn pods() -> Value {
    let mut labels = generate::labels();
    labels["control-plane"] = "inference-gateway-operator".into();
    labels
}

fn service(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("{ACCOUNT}-metrics-service"), "namespace": namespace, "labels": pods()},
        "spec": {
            "selector": pods(),
            "ports": [{"name": "http", "port": 9090, "protocol": "TCP", "targetPort": "metrics"}],
        },
    })
}

fn deployment(image: &str, namespace: &str, added: &BTreeSet<ChildKind>) -> Value {
    let added: Vec<_> = added.iter().map(|kind| kind.info().group_kind()).collect();
    let added = (!added.is_empty()).then(|| format!("--policy-added-kinds={}", added.join(",")));
    let args = ["run", "--metrics-bind-address=:9090", "--health-probe-bind-address=:8081", "--log-format=json"];
    let args: Vec<_> = args.into_iter().map(str::to_owned).chain(added).collect();
    let container = json!({
        "name": "operator",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": args,
        // No policy ever matches what is in the operator's own namespace.
        "env": [{"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
        "ports": [
            {"name": "metrics", "containerPort": 9090, "protocol": "TCP"},
            {"name": "health", "containerPort": 8081, "protocol": "TCP"},
        ],
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "health"},
            "initialDelaySeconds": 15,
            "periodSeconds": 20,
        },
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "health"},
            "initialDelaySeconds": 5,
            "periodSeconds": 10,
        },
        // Of the container, so of the children that compile and run policies too. Memory: on cgroup v2 who runs out of it
        // takes all processes of the container along, so there must be room for everything at once: 256 MiB for a module
        // that is compiled, 64 MiB for the code of all modules in the operator and again in the child that runs them, where
        // 64 MiB go to the one that runs; the rest is the operator. Processor: the 10 s that compiling may use have to
        // fit into the 15 s that the operator waits for it.
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "640Mi"},
        },
        // What the children put on themselves fits into this: they start from /proc/self/exe, write no files, and a filter
        // of system calls needs no privilege.
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
    });
    let annotations = json!({
        "kubectl.kubernetes.io/default-container": "operator",
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9090",
        "prometheus.io/path": "/metrics",
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": ACCOUNT, "namespace": namespace, "labels": pods()},
        "spec": {
            "replicas": 1,
            // Two at a time would work against each other: the old one ends before the new one begins.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": pods()},
            "template": {
                "metadata": {"labels": pods(), "annotations": annotations},
                "spec": {
                    "serviceAccountName": ACCOUNT,
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "terminationGracePeriodSeconds": 10,
                    "containers": [container],
                },
            },
        },
    })
}
