//! `igw crds` and `igw rbac`: what is installed, generated from the list of kinds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use super::{Error, manifest};
use crate::{
    kinds::{self, GROUP, Parent, Visitor},
    object::ChildKind,
};

/// Every custom resource definition, as YAML documents.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn crds() -> Result<String, Error> {
    #[derive(Default)]
    struct All(Vec<CustomResourceDefinition>);
    impl Visitor for All {
        fn visit<P: Parent>(&mut self) {
            self.0.push(P::crd());
        }
    }
    let mut all = All::default();
    kinds::for_each(&mut all);
    let documents: Vec<Value> = all.0.into_iter().map(|crd| json!(crd)).collect();
    manifest::yaml(&documents)
}

/// The operator's ClusterRole, as YAML: what it does and nothing else.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn rbac() -> Result<String, Error> {
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
    let mut groups: Vec<&str> = ChildKind::ALL.iter().map(|kind| kind.info().group).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let kinds: Vec<_> = ChildKind::ALL
            .iter()
            .map(|kind| kind.info())
            .filter(|info| info.group == group)
            .map(|i| i.plural)
            .collect();
        // A server-side apply that creates needs both create and patch.
        let verbs = ["get", "list", "watch", "create", "patch", "delete"];
        rules.push(json!({"apiGroups": [group], "resources": kinds, "verbs": verbs}));
    }
    rules.extend([
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}),
        json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]}),
        json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}),
    ]);
    manifest::yaml(&[json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "operator-manager-role"},
        "rules": rules,
    })])
}
