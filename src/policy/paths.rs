//! What a policy may change, by path: the allow-list of every kind of object. PURE.
//!
//! A path that is in none of the tables may not change. A list is compared by the merge keys of its elements, never by
//! position, so an element that was put first is an added one and nothing else. What stands at a path is checked by the
//! function beside it, in the files below this one; a changed value must also be one that the server can read.

pub mod added;
mod containers;
mod difference;
mod env;
mod hosts;
mod keyed;
mod metadata;
mod probes;
mod references;
mod security;
mod typed;
pub mod violation;
mod volumes;

use k8s_openapi::api::{
    autoscaling::v2::MetricSpec,
    core::v1::{Affinity, Toleration},
};
use serde_json::{Map, Value};

pub use security::confine;

use self::{difference::given, violation::Violation};
use crate::{
    object::{
        ChildKind, ObjectId,
        compare::FieldChange,
        path::{Path, Trail},
    },
    policy::grants::{Grant, Grants},
};

type Outcome = Result<(), Violation>;
type Check = fn(&Case<'_>, &Trail<'_>, Option<&Value>, Option<&Value>) -> Outcome;

/// What may become of a field.
enum Rule {
    /// It is an object, and each of its fields has a rule.
    Fields(&'static [(&'static str, Rule)]),
    /// What a function allows; it is asked only when something differs.
    By(Check),
}

use Rule::{By, Fields};

const METADATA: Rule = Fields(&[("annotations", By(metadata::annotations)), ("labels", By(metadata::labels))]);

const EXPOSED_METADATA: Rule =
    Fields(&[("annotations", By(metadata::exposed_annotations)), ("labels", By(metadata::labels))]);

const DEPLOYMENT: Rule = Fields(&[
    ("metadata", METADATA),
    ("spec", Fields(&[("template", Fields(&[("metadata", METADATA), ("spec", By(containers::pod))]))])),
]);

const POD: Rule = Fields(&[
    ("affinity", By(typed::optional::<Affinity>)),
    ("containers", By(containers::containers)),
    ("imagePullSecrets", By(references::pull_secrets)),
    ("initContainers", By(containers::containers)),
    ("tolerations", By(typed::optional::<Vec<Toleration>>)),
    ("topologySpreadConstraints", By(containers::topology_spread)),
    ("volumes", By(volumes::volumes)),
]);

/// A container that was there before.
const GENERATED: Rule = Fields(&[
    ("args", By(containers::command)),
    ("command", By(containers::command)),
    ("env", By(env::env)),
    ("envFrom", By(env::env_from)),
    ("image", By(containers::image)),
    ("livenessProbe", By(probes::generated)),
    ("readinessProbe", By(probes::generated)),
    ("resources", By(containers::resources)),
    ("securityContext", By(security::generated)),
    ("startupProbe", By(probes::generated)),
    ("volumeMounts", By(volumes::mounts)),
]);

/// A container that the policy adds.
const ADDED: Rule = Fields(&[
    ("args", By(typed::optional::<Vec<String>>)),
    ("command", By(typed::optional::<Vec<String>>)),
    ("env", By(env::env)),
    ("envFrom", By(env::env_from)),
    ("image", By(containers::image)),
    ("imagePullPolicy", By(typed::optional::<String>)),
    ("lifecycle", By(probes::lifecycle)),
    ("livenessProbe", By(probes::added)),
    ("name", By(typed::required::<String>)),
    ("ports", By(containers::ports)),
    ("readinessProbe", By(probes::added)),
    ("resources", By(containers::resources)),
    ("restartPolicy", By(containers::restart)),
    ("securityContext", By(security::added)),
    ("startupProbe", By(probes::added)),
    ("stdin", By(typed::optional::<bool>)),
    ("stdinOnce", By(typed::optional::<bool>)),
    ("terminationMessagePath", By(typed::optional::<String>)),
    ("terminationMessagePolicy", By(typed::optional::<String>)),
    ("tty", By(typed::optional::<bool>)),
    ("volumeMounts", By(volumes::mounts)),
    ("workingDir", By(typed::optional::<String>)),
]);

const SERVICE: Rule = Fields(&[("metadata", EXPOSED_METADATA), ("spec", Fields(&[("type", By(hosts::service_type))]))]);

const INGRESS: Rule = Fields(&[
    ("metadata", EXPOSED_METADATA),
    ("spec", Fields(&[("rules", By(hosts::rules)), ("tls", By(hosts::tls))])),
]);

const AUTOSCALER: Rule = Fields(&[
    ("metadata", METADATA),
    (
        "spec",
        Fields(&[
            ("maxReplicas", By(typed::positive)),
            ("metrics", By(typed::optional::<Vec<MetricSpec>>)),
            ("minReplicas", By(typed::optional::<i32>)),
        ]),
    ),
]);

const ONLY_METADATA: Rule = Fields(&[("metadata", METADATA)]);

/// Nothing: an object that a policy has added is judged as a whole, by the rule of its kind in `added.rs`.
const ADDED_ONLY: Rule = Fields(&[]);

const fn rule(kind: ChildKind) -> &'static Rule {
    match kind {
        ChildKind::Deployment => &DEPLOYMENT,
        ChildKind::Service => &SERVICE,
        ChildKind::Ingress => &INGRESS,
        ChildKind::HorizontalPodAutoscaler => &AUTOSCALER,
        ChildKind::ServiceAccount | ChildKind::ConfigMap | ChildKind::ApiGateway | ChildKind::HttpRoute => {
            &ONLY_METADATA
        }
        ChildKind::PeerAuthentication
        | ChildKind::DestinationRule
        | ChildKind::NetworkPolicy
        | ChildKind::ServiceMonitor
        | ChildKind::PodMonitor => &ADDED_ONLY,
    }
}

/// Checks every difference between two states of one object. `fixed`: paths (`/spec/replicas`) that its kind of custom
/// resource keeps to itself, whatever is granted.
///
/// # Errors
/// The first thing that is not allowed.
pub fn changed<'a>(
    object: &ObjectId,
    before: &Value,
    after: &Value,
    fixed: impl IntoIterator<Item = &'a str>,
    grants: &Grants,
) -> Result<(), Violation> {
    let case = Case { object, grants, before, pod: None };
    for path in fixed {
        unchanged_at(&case, &Trail::Root, path.trim_start_matches('/'), Some(before), Some(after))?;
    }
    walk(&case, rule(object.kind), &Trail::Root, Some(before), Some(after))
}

/// One comparison of one object.
#[derive(Clone, Copy)]
struct Case<'a> {
    object: &'a ObjectId,
    grants: &'a Grants,
    before: &'a Value,
    /// Inside a Deployment: what its parts must know of each other.
    pod: Option<&'a containers::Pod<'a>>,
}

impl Case<'_> {
    fn change(trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Box<FieldChange> {
        Box::new(FieldChange { path: trail.path(), old: old.cloned(), new: new.cloned() })
    }

    fn refused(&self, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Violation {
        Violation::PathNotAllowed { object: self.object.clone(), change: Self::change(trail, old, new) }
    }

    fn needs(&self, grant: Grant, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Violation {
        Violation::NotGranted { object: self.object.clone(), grant, change: Self::change(trail, old, new) }
    }

    fn wrong_type(&self, trail: &Trail<'_>) -> Violation {
        Violation::WrongType { object: self.object.clone(), path: trail.path(), inside: String::new() }
    }

    fn duplicate(&self, path: Path) -> Violation {
        Violation::DuplicateKey { object: self.object.clone(), path }
    }
}

fn walk(case: &Case<'_>, rule: &Rule, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    match rule {
        _ if old == new => Ok(()),
        By(check) => check(case, trail, old, new),
        Fields(rules) => fields(case, rules, trail, old, new),
    }
}

fn fields(
    case: &Case<'_>,
    rules: &[(&'static str, Rule)],
    trail: &Trail<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Outcome {
    let (before, after) = (map(case, trail, old)?, map(case, trail, new)?);
    for (key, old, new) in both(before, after) {
        let trail = Trail::Field(trail, key);
        match rules.iter().find(|(name, _)| *name == key) {
            Some((_, rule)) => walk(case, rule, &trail, old, new)?,
            None => unchanged(case, &trail, old, new)?,
        }
    }
    Ok(())
}

/// Refuses every difference.
fn unchanged(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    match difference::first(trail, old, new) {
        None => Ok(()),
        Some(change) => Err(Violation::PathNotAllowed { object: case.object.clone(), change: Box::new(change) }),
    }
}

fn unchanged_at(case: &Case<'_>, trail: &Trail<'_>, path: &str, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let (field, rest) = path.split_once('/').unwrap_or((path, ""));
    let trail = Trail::Field(trail, field);
    let (old, new) = (old.and_then(|v| v.get(field)), new.and_then(|v| v.get(field)));
    if rest.is_empty() { unchanged(case, &trail, old, new) } else { unchanged_at(case, &trail, rest, old, new) }
}

/// The keys of two objects, each once, with both values; what the server takes for absent is absent.
fn both<'a>(
    old: Option<&'a Map<String, Value>>,
    new: Option<&'a Map<String, Value>>,
) -> impl Iterator<Item = (&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let of = move |map: Option<&'a Map<String, Value>>, key: &str| map.and_then(|map| given(key, map.get(key)));
    let gone = old.into_iter().flatten().filter(move |(key, _)| new.is_none_or(|new| !new.contains_key(*key)));
    let keys = new.into_iter().flatten().chain(gone).map(|(key, _)| key.as_str());
    keys.map(move |key| (key, of(old, key), of(new, key)))
}

fn map<'a>(
    case: &Case<'_>,
    trail: &Trail<'_>,
    value: Option<&'a Value>,
) -> Result<Option<&'a Map<String, Value>>, Violation> {
    match value {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(case.wrong_type(trail)),
    }
}

fn list<'a>(case: &Case<'_>, trail: &Trail<'_>, value: Option<&'a Value>) -> Result<&'a [Value], Violation> {
    match value {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(case.wrong_type(trail)),
    }
}
