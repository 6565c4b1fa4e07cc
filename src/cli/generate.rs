//! `igw crds` and `igw rbac`: what is installed, generated from the list of kinds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Error, admission, manifest};
use crate::{
    kinds::{self, GROUP, Parent, Visitor},
    object::ChildKind,
    policy::resource::{self, CLUSTER_WASM_POLICY, WASM_POLICY, definition},
};

/// Name of the operator's ClusterRole.
pub(super) const ROLE: &str = "operator-manager-role";

/// Every custom resource definition, as YAML documents.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn crds() -> Result<String, Error> {
    manifest::yaml(&definitions())
}

/// The operator's ClusterRole, as YAML: what it does and nothing else. `added`: kinds that policies may be granted to add.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn rbac(added: &BTreeSet<ChildKind>) -> Result<String, Error> {
    manifest::yaml(&[role(added)])
}

/// Every custom resource definition: the kinds of [`kinds::for_each`] and the two of policies.
pub(super) fn definitions() -> Vec<Value> {
    #[derive(Default)]
    struct All(Vec<Value>);
    impl Visitor for All {
        fn visit<P: Parent>(&mut self) {
            self.0.push(json!(P::crd()));
        }
    }
    let mut all = All::default();
    kinds::for_each(&mut all);
    all.0.extend(definition::definitions().iter().map(|crd| json!(crd)));
    all.0
}

/// Labels of what is installed.
pub(super) fn labels() -> Value {
    json!({"app.kubernetes.io/name": "operator"})
}

/// The operator's ClusterRole.
pub(super) fn role(added: &BTreeSet<ChildKind>) -> Value {
    #[derive(Default)]
    struct Plurals(Vec<&'static str>);
    impl Visitor for Plurals {
        fn visit<P: Parent>(&mut self) {
            self.0.push(P::INFO.plural);
        }
    }
    let mut plurals = Plurals::default();
    kinds::for_each(&mut plurals);
    let sub = |name: &str| plurals.0.iter().map(|plural| format!("{plural}/{name}")).collect::<Vec<_>>();

    let mut rules = vec![
        json!({"apiGroups": [GROUP], "resources": plurals.0, "verbs": ["get", "list", "watch"]}),
        json!({"apiGroups": [GROUP], "resources": sub("status"), "verbs": ["patch"]}),
        // Owner references that block the owner's deletion may only be set by who may update its finalizers.
        json!({"apiGroups": [GROUP], "resources": sub("finalizers"), "verbs": ["update"]}),
    ];
    let policies = [WASM_POLICY.plural, CLUSTER_WASM_POLICY.plural];
    rules.extend([
        json!({"apiGroups": [resource::GROUP], "resources": policies, "verbs": ["get", "list", "watch"]}),
        json!({
            "apiGroups": [resource::GROUP],
            "resources": policies.map(|plural| format!("{plural}/status")),
            "verbs": ["patch"],
        }),
        // Asked for once, at the start, when the policies of namespaces are to run.
        json!({
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
            "resourceNames": [admission::NAME],
            "verbs": ["get"],
        }),
    ]);
    let written = || ChildKind::ALL.into_iter().filter(|kind| !kind.added_only() || added.contains(kind));
    let mut groups: Vec<&str> = written().map(|kind| kind.info().group).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let kinds = written().map(ChildKind::info).filter(|info| info.group == group);
        let kinds: Vec<_> = kinds.map(|info| info.plural).collect();
        // A server-side apply that creates needs both create and patch.
        let verbs = ["get", "list", "watch", "create", "patch", "delete"];
        rules.push(json!({"apiGroups": [group], "resources": kinds, "verbs": verbs}));
    }
    rules.extend([
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}),
        json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]}),
        json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}),
    ]);
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": ROLE, "labels": labels()},
        "rules": rules,
    })
}
