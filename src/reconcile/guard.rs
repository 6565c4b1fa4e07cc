//! Stage: the guard admits a rewritten set, or says what it will not have. PURE.
//!
//! An [`AdmittedSet`] can only be made here, so nothing unguarded is ever compared or applied. What no policy may
//! change equals what was generated; without policies that is everything.

use std::collections::HashMap;

use super::rewrite::Rewritten;
use crate::object::{DesiredChild, Identity, ObjectId};

/// Objects that passed the guard.
#[derive(Debug, Clone)]
pub struct AdmittedSet(Vec<DesiredChild>);

impl AdmittedSet {
    /// The objects.
    #[must_use]
    pub fn into_children(self) -> Vec<DesiredChild> {
        self.0
    }
}

/// What the guard refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two documents for one object.
    #[error("{0} is generated twice")]
    Duplicate(ObjectId),
    /// An object outside the namespace of the custom resource, or one whose document names another object.
    #[error("{0} is not an object of this custom resource")]
    Identity(ObjectId),
    /// An object that was not generated, or was generated and is missing.
    #[error("{0} was added or dropped")]
    Membership(ObjectId),
    /// A change that no grant covers.
    #[error("{0} was changed without a grant")]
    PathNotAllowed(ObjectId),
}

/// Compares what the policies made with what was generated, by identity.
///
/// # Errors
/// The first thing that is not allowed.
pub fn guard(parent: &Identity, generated: &[DesiredChild], rewritten: Rewritten) -> Result<AdmittedSet, Violation> {
    let mut before: HashMap<&ObjectId, &DesiredChild> = HashMap::with_capacity(generated.len());
    for child in generated {
        if before.insert(&child.id, child).is_some() {
            return Err(Violation::Duplicate(child.id.clone()));
        }
    }
    for child in &rewritten.0 {
        identity(parent, child)?;
        match before.remove(&child.id) {
            Some(original) if original == child => {}
            Some(_) => return Err(Violation::PathNotAllowed(child.id.clone())),
            None => return Err(Violation::Membership(child.id.clone())),
        }
    }
    match before.into_keys().next() {
        Some(dropped) => Err(Violation::Membership(dropped.clone())),
        None => Ok(AdmittedSet(rewritten.0)),
    }
}

fn identity(parent: &Identity, child: &DesiredChild) -> Result<(), Violation> {
    let DesiredChild { id, body, .. } = child;
    let info = id.kind.info();
    let says = |pointer: &str, wanted: &str| body.pointer(pointer).and_then(|v| v.as_str()) == Some(wanted);
    let right = *id.namespace == parent.namespace
        && says("/apiVersion", &info.api_version())
        && says("/kind", info.kind)
        && says("/metadata/name", &id.name)
        && says("/metadata/namespace", &id.namespace);
    if right { Ok(()) } else { Err(Violation::Identity(id.clone())) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Violation, guard};
    use crate::{
        object::{ChildKind, DesiredChild, Identity, ObjectId},
        reconcile::rewrite::Rewritten,
    };

    fn parent() -> Identity {
        Identity { namespace: "ns".into(), name: "x".into(), ..Identity::default() }
    }

    fn service(namespace: &str) -> DesiredChild {
        DesiredChild {
            id: ObjectId::new(ChildKind::Service, namespace, "x"),
            body: json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": namespace}}),
            shared_fields: &[],
        }
    }

    #[test]
    fn what_was_generated_is_admitted() {
        assert!(guard(&parent(), &[service("ns")], Rewritten(vec![service("ns")])).is_ok());
    }

    #[test]
    fn nothing_else_is() {
        let id = service("ns").id;
        let mut changed = service("ns");
        changed.body["spec"] = json!({"type": "NodePort"});
        let mut renamed = service("ns");
        renamed.body["metadata"]["name"] = json!("y");
        let check = |generated: &[DesiredChild], rewritten: Vec<DesiredChild>, wanted: Violation| {
            assert_eq!(guard(&parent(), generated, Rewritten(rewritten)).err(), Some(wanted));
        };
        check(&[service("ns")], vec![changed], Violation::PathNotAllowed(id.clone()));
        check(&[service("ns")], vec![renamed], Violation::Identity(id.clone()));
        check(&[service("ns")], vec![], Violation::Membership(id.clone()));
        check(&[], vec![service("ns")], Violation::Membership(id.clone()));
        check(&[service("ns"), service("ns")], vec![service("ns")], Violation::Duplicate(id));
        check(&[service("other")], vec![service("other")], Violation::Identity(service("other").id));
    }
}
