//! Objects that a policy may add, by grant: the closed list of their kinds, each with all that it may say. PURE.
//!
//! An added object stands in the namespace of the custom resource, is named after one of its objects, selects only its
//! Pods and speaks only of its Services. It names no file and no Secret: whoever reads it (a mesh, a monitoring system)
//! has rights that the policy has not.

mod istio;
mod monitoring;
mod network;
mod plain;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::metadata::reserved;
use crate::object::ChildKind;

/// A kind that can be added.
#[derive(Debug)]
pub struct AddedKind {
    /// Which kind.
    pub child: ChildKind,
    shape: &'static Shape,
}

/// Every kind that can be added.
pub static KINDS: [AddedKind; 6] = [
    AddedKind { child: ChildKind::ConfigMap, shape: &plain::CONFIG_MAP },
    AddedKind { child: ChildKind::NetworkPolicy, shape: &network::NETWORK_POLICY },
    AddedKind { child: ChildKind::PeerAuthentication, shape: &istio::PEER_AUTHENTICATION },
    AddedKind { child: ChildKind::DestinationRule, shape: &istio::DESTINATION_RULE },
    AddedKind { child: ChildKind::ServiceMonitor, shape: &monitoring::SERVICE_MONITOR },
    AddedKind { child: ChildKind::PodMonitor, shape: &monitoring::POD_MONITOR },
];

/// What an added object may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Namespace of the custom resource.
    pub namespace: &'a str,
    /// Its name: the value of the label `app` of its Pods and Services.
    pub name: &'a str,
    /// Names of the generated objects.
    pub children: &'a [&'a str],
    /// Names of the generated Services.
    pub services: &'a [&'a str],
}

/// Why an added object is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where.
    pub path: String,
    /// What is wrong there; follows the path and "which".
    pub why: &'static str,
}

/// What objects of a kind may say, when it can be added.
#[must_use]
pub fn of(child: ChildKind) -> Option<&'static AddedKind> {
    KINDS.iter().find(|known| known.child == child)
}

/// The kind of this group and name, when it can be added.
#[must_use]
pub fn kind(group: &str, kind: &str) -> Option<&'static AddedKind> {
    KINDS.iter().find(|known| known.child.info().group == group && known.child.info().kind == kind)
}

impl AddedKind {
    /// Checks a whole document of this kind.
    ///
    /// # Errors
    /// The first thing in it that an added object must not say.
    pub fn check(&self, own: &Own<'_>, body: &Value) -> Result<(), Refusal> {
        let info = self.child.info();
        let refuse = |path: &str, why| Err(Refusal { path: path.into(), why });
        let Some(document) = body.as_object() else { return refuse(".", "is no object") };
        if body.get("apiVersion").and_then(Value::as_str) != Some(&info.api_version()) {
            return refuse(".apiVersion", "is not the version that the operator watches");
        }
        if body.get("kind").and_then(Value::as_str) != Some(info.kind) {
            return refuse(".kind", "is another kind");
        }
        let Some(metadata) = body.get("metadata") else { return refuse(".metadata", "must be there") };
        METADATA.check(own, &mut ".metadata".into(), metadata)?;
        if metadata.get("name").is_none() || metadata.get("namespace").is_none() {
            return refuse(".metadata", "must have a name and a namespace");
        }
        let rest: Map<_, _> = document
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        self.shape.check(own, &mut String::new(), &Value::Object(rest))
    }
}

type Judge = fn(&Own<'_>, &Value) -> Result<(), &'static str>;

/// What a field of an added object may hold. A field that its shape does not name is refused.
#[derive(Debug)]
enum Shape {
    Text,
    Number,
    Flag,
    /// Text or a number.
    TextOrNumber,
    /// An object; the second list names what must be there.
    Fields(&'static [(&'static str, Shape)], &'static [&'static str]),
    List(&'static Shape),
    /// An object with keys of the writer's choice.
    Map(&'static Shape),
    /// What a function allows.
    By(Judge),
}

impl Shape {
    fn check(&self, own: &Own<'_>, path: &mut String, value: &Value) -> Result<(), Refusal> {
        let refuse = |path: &str, why| Err(Refusal { path: path.into(), why });
        let right = |right: bool, why| if right { Ok(()) } else { refuse(path, why) };
        match (self, value) {
            (Self::Text, value) => right(value.is_string(), "must be text"),
            (Self::Number, value) => right(value.is_i64(), "must be a whole number"),
            (Self::Flag, value) => right(value.is_boolean(), "must be true or false"),
            (Self::TextOrNumber, value) => right(value.is_string() || value.is_i64(), "must be text or a number"),
            (Self::By(judge), value) => judge(own, value).or_else(|why| refuse(path, why)),
            (Self::Fields(shapes, needed), Value::Object(map)) => {
                if let Some(missing) = needed.iter().find(|name| map.get(**name).is_none_or(Value::is_null)) {
                    return refuse(&format!("{path}.{missing}"), "must be there");
                }
                for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                    let shape = shapes.iter().find(|(name, _)| name == key);
                    let Some((_, shape)) = shape else {
                        return refuse(&format!("{path}.{key}"), "no added object of this kind may have");
                    };
                    within(path, &format!(".{key}"), |path| shape.check(own, path, value))?;
                }
                Ok(())
            }
            (Self::List(shape), Value::Array(items)) => items
                .iter()
                .enumerate()
                .try_for_each(|(place, item)| within(path, &format!("[{place}]"), |path| shape.check(own, path, item))),
            (Self::Map(shape), Value::Object(map)) => map
                .iter()
                .try_for_each(|(key, item)| within(path, &format!("[{key}]"), |path| shape.check(own, path, item))),
            (Self::Fields(..) | Self::Map(_), _) => refuse(path, "must be an object"),
            (Self::List(_), _) => refuse(path, "must be a list"),
        }
    }
}

fn within<T>(path: &mut String, step: &str, inside: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push_str(step);
    let result = inside(path);
    path.truncate(length);
    result
}

const METADATA: Shape = Shape::Fields(
    &[
        ("annotations", Shape::By(free_keys)),
        ("labels", Shape::By(own_labels)),
        ("name", Shape::By(named_after_a_child)),
        ("namespace", Shape::By(own_namespace)),
    ],
    &["name", "namespace"],
);

/// `matchLabels` with the label of the own Pods; anything more only narrows it down.
const SELECTOR: Shape = Shape::Fields(
    &[("matchExpressions", Shape::List(&EXPRESSION)), ("matchLabels", Shape::By(own_pods))],
    &["matchLabels"],
);

/// The same where there are no expressions.
const LABELS_ONLY: Shape = Shape::Fields(&[("matchLabels", Shape::By(own_pods))], &["matchLabels"]);

const EXPRESSION: Shape = Shape::Fields(
    &[("key", Shape::Text), ("operator", Shape::Text), ("values", Shape::List(&Shape::Text))],
    &["key", "operator"],
);

fn texts(value: &Value) -> Result<BTreeMap<&str, &str>, &'static str> {
    let map = value.as_object().ok_or("must be an object")?;
    map.iter().map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect::<Option<_>>().ok_or("must hold text")
}

fn own_pods(own: &Own<'_>, labels: &Value) -> Result<(), &'static str> {
    let labels = texts(labels)?;
    if labels.get("app") == Some(&own.name) {
        Ok(())
    } else {
        Err("must select the Pods of the custom resource by app")
    }
}

fn own_labels(own: &Own<'_>, labels: &Value) -> Result<(), &'static str> {
    let app = texts(labels)?.get("app").is_none_or(|app| *app == own.name);
    free_keys(own, labels)?;
    if app { Ok(()) } else { Err("must not name another app") }
}

fn free_keys(_: &Own<'_>, pairs: &Value) -> Result<(), &'static str> {
    let taken = texts(pairs)?.into_keys().any(reserved);
    if taken { Err("must not use the domains of the operator or of Kubernetes") } else { Ok(()) }
}

fn own_namespace(own: &Own<'_>, namespace: &Value) -> Result<(), &'static str> {
    if namespace == own.namespace { Ok(()) } else { Err("must be the namespace of the custom resource") }
}

fn named_after_a_child(own: &Own<'_>, name: &Value) -> Result<(), &'static str> {
    let name = name.as_str().ok_or("must be text")?;
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    let after = |child: &&str| {
        name.strip_prefix(*child)
            .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(|r| !r.is_empty()))
    };
    if plain && own.children.iter().any(after) {
        Ok(())
    } else {
        Err("must be the name of a generated object, or begin with one and a hyphen")
    }
}

/// The name of an own Service, short or in full.
fn own_service(own: &Own<'_>, host: &Value) -> Result<(), &'static str> {
    let host = host.as_str().ok_or("must be text")?;
    let service = own
        .services
        .iter()
        .find_map(|service| host.strip_prefix(*service).filter(|r| r.is_empty() || r.starts_with('.')));
    let rest = service.and_then(|rest| match rest.strip_prefix('.') {
        None => Some(""),
        Some(rest) => rest.strip_prefix(own.namespace),
    });
    match rest {
        Some("" | ".svc" | ".svc.cluster.local") => Ok(()),
        _ => Err("must be a Service of the custom resource"),
    }
}

#[cfg(test)]
mod tests;
