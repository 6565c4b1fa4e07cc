//! Which custom resources a policy matches. PURE.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};

use crate::{
    kinds::ParentInfo,
    policy::{grants::GroupKind, resource::Match},
};

/// Labels of a namespace or of a custom resource.
pub type Labels = BTreeMap<String, String>;

/// What a policy matches, ready to be asked.
#[derive(Debug)]
pub struct Matcher {
    /// `None`: every kind.
    parents: Option<Vec<GroupKind>>,
    labels: Selector,
    /// `None`: every namespace.
    pub(super) namespaces: Option<Selector>,
    /// The namespace of a WasmPolicy.
    within: Option<Arc<str>>,
}

/// Whether a custom resource is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It depends on the labels of its namespace, which are not known.
    Unknown,
}

impl Matcher {
    /// What `spec.match` says. `within`: the namespace of a WasmPolicy.
    ///
    /// # Errors
    /// A selector that makes no sense, with its field.
    pub fn new(within: Option<Arc<str>>, says: &Match) -> Result<Self, String> {
        let selector = |field: &str, selector: &Option<LabelSelector>| {
            let read = selector.clone().map(Selector::try_from).transpose();
            read.map_err(|error| format!("spec.match.{field}: {error}"))
        };
        Ok(Self {
            parents: Some(says.parents.clone()),
            labels: selector("labelSelector", &says.label_selector)?.unwrap_or_default(),
            namespaces: selector("namespaceSelector", &says.namespace_selector)?.filter(|_| within.is_none()),
            within,
        })
    }

    /// Everything that a policy could match which cannot be read.
    #[must_use]
    pub fn everything(within: Option<Arc<str>>) -> Self {
        Self { parents: None, labels: Selector::default(), namespaces: None, within }
    }

    /// Whether a custom resource is matched. `of_namespace`: labels of its namespace, when they are known.
    #[must_use]
    pub fn matches(
        &self,
        kind: &ParentInfo,
        namespace: &str,
        labels: &Labels,
        of_namespace: impl FnOnce() -> Option<Arc<Labels>>,
    ) -> Matched {
        let is = |wanted: &GroupKind| wanted.group == kind.group && wanted.kind == kind.kind;
        let here = self.within.as_deref().is_none_or(|within| within == namespace)
            && self.parents.as_ref().is_none_or(|parents| parents.iter().any(is))
            && self.labels.matches(labels);
        match (&self.namespaces, here) {
            (_, false) => Matched::No,
            (None, true) => Matched::Yes,
            (Some(selector), true) => match of_namespace() {
                None => Matched::Unknown,
                Some(labels) if selector.matches(&labels) => Matched::Yes,
                Some(_) => Matched::No,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{Labels, Matched, Matcher};
    use crate::kinds::{Parent as _, agent::Agent, gateway::Gateway};

    fn matcher(within: Option<&str>, says: Value) -> Result<Matcher, String> {
        Matcher::new(within.map(Into::into), &serde_json::from_value(says).expect("a match"))
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn kind_labels_and_namespace_have_to_fit() {
        let gateways = json!([{"group": "core.inference-gateway.com", "kind": "Gateway"}]);
        let says = json!({
            "parents": gateways, "children": [],
            "labelSelector": {"matchLabels": {"team": "a"}},
            "namespaceSelector": {"matchLabels": {"tier": "x"}},
        });
        let all = matcher(None, says.clone()).expect("a matcher");
        let team = labels(&[("team", "a")]);
        let known = |pairs: &[(&str, &str)]| Some(Arc::new(labels(pairs)));
        let ask = |m: &Matcher, namespace: Option<Arc<Labels>>| m.matches(&Gateway::INFO, "ns", &team, || namespace);
        assert_eq!(ask(&all, known(&[("tier", "x")])), Matched::Yes);
        assert_eq!(ask(&all, known(&[])), Matched::No);
        assert_eq!(ask(&all, None), Matched::Unknown);
        assert_eq!(all.matches(&Agent::INFO, "ns", &team, || None), Matched::No, "no need to know the namespace");
        assert_eq!(all.matches(&Gateway::INFO, "ns", &labels(&[]), || None), Matched::No);
        let one = matcher(Some("ns"), says).expect("a matcher");
        assert_eq!(ask(&one, None), Matched::Yes, "a WasmPolicy has its namespace");
        assert_eq!(one.matches(&Gateway::INFO, "other", &team, || None), Matched::No);
    }

    #[test]
    fn what_cannot_be_read_matches_all_it_could() {
        let everything = Matcher::everything(Some("ns".into()));
        assert_eq!(everything.matches(&Agent::INFO, "ns", &labels(&[]), || None), Matched::Yes);
        assert_eq!(everything.matches(&Agent::INFO, "other", &labels(&[]), || None), Matched::No);
        let bad = json!({"parents": [], "children": [], "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}});
        assert!(matcher(None, bad).expect_err("no such operator").starts_with("spec.match.labelSelector: "));
    }
}
