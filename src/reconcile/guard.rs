//! Stage: the guard admits a rewritten set, or says what it will not have. PURE.
//!
//! An [`AdmittedSet`] can only be made here, so nothing unguarded is ever compared or applied. [`check`] runs after each
//! policy, with what that policy was granted; [`guard`] once over all of them, with what was generated on one side and
//! all grants together on the other. What may change is in `policy/paths.rs`. An object that an earlier policy has added may be
//! changed by a later one that could have added it like that itself.

use std::collections::HashMap;

pub use crate::policy::paths::violation::Violation;
use crate::{
    kinds::Parent,
    object::{ChildKind, DesiredChild, Identity, ObjectId},
    policy::{
        grants::Grants,
        paths::{
            self,
            added::{self, Own, Refusal},
        },
    },
};

/// What policies made of the generated objects. It is not trusted.
#[derive(Debug)]
pub struct Rewritten(pub Vec<DesiredChild>);

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

/// Whose objects they are.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The custom resource.
    pub identity: &'a Identity,
    /// See [`Parent::FIXED`].
    pub fixed: &'static [(ChildKind, &'static str)],
}

impl<'a> Subject<'a> {
    /// A custom resource of a kind.
    #[must_use]
    pub const fn of<P: Parent>(identity: &'a Identity) -> Self {
        Self { identity, fixed: P::FIXED }
    }
}

/// Compares what the policies together made with what was generated. `grants`: all of theirs.
///
/// # Errors
/// The first thing that is not allowed.
pub fn guard(
    subject: &Subject<'_>,
    generated: &[DesiredChild],
    rewritten: Rewritten,
    grants: &Grants,
) -> Result<AdmittedSet, Violation> {
    check(subject, generated, rewritten.0, grants).map(AdmittedSet)
}

/// Compares what one policy made with what it was given, by identity, and fills in how added containers are confined.
/// `before`: every object that there was; `after`: every one that there should be, also those that the policy did not see.
///
/// # Errors
/// The first thing that this policy may not do.
pub fn check(
    subject: &Subject<'_>,
    before: &[DesiredChild],
    mut after: Vec<DesiredChild>,
    grants: &Grants,
) -> Result<Vec<DesiredChild>, Violation> {
    // Each with whether it is in `after`.
    let mut known: HashMap<&ObjectId, (&DesiredChild, bool)> = HashMap::with_capacity(before.len());
    for child in before {
        if known.insert(&child.id, (child, false)).is_some() {
            return Err(Violation::Duplicate(child.id.clone()));
        }
    }
    let mut added = HashMap::new();
    for child in &mut after {
        identity(subject.identity, child)?;
        let Some((original, seen)) = known.get_mut(&child.id) else {
            if added.insert(child.id.clone(), ()).is_some() {
                return Err(Violation::Duplicate(child.id.clone()));
            }
            child.shared_fields = &[];
            admit(subject.identity, before, child, grants)?;
            continue;
        };
        if std::mem::replace(seen, true) {
            return Err(Violation::Duplicate(child.id.clone()));
        }
        // Not a policy's to say.
        child.shared_fields = original.shared_fields;
        if original.body == child.body {
            continue;
        }
        if child.id.kind.added_only() {
            admit(subject.identity, before, child, grants)?;
        } else {
            paths::confine(&original.body, &mut child.body);
            let fixed = subject.fixed.iter().filter(|(kind, _)| *kind == child.id.kind).map(|(_, path)| *path);
            paths::changed(&child.id, &original.body, &child.body, fixed, grants)?;
        }
    }
    match before.iter().find(|child| known.get(&child.id).is_none_or(|(_, seen)| !seen)) {
        Some(dropped) => Err(Violation::Dropped(dropped.id.clone())),
        None => Ok(after),
    }
}

/// Whether an object that was not generated may be, and be like this.
fn admit(parent: &Identity, before: &[DesiredChild], child: &DesiredChild, grants: &Grants) -> Result<(), Violation> {
    let info = child.id.kind.info();
    let kind = added::of(child.id.kind).filter(|_| grants.adds(info.group, info.kind));
    let Some(kind) = kind else { return Err(Violation::Added(child.id.clone())) };
    let children: Vec<&str> = before.iter().map(|child| &*child.id.name).collect();
    let services = before.iter().filter(|child| child.id.kind == ChildKind::Service);
    let services: Vec<&str> = services.map(|child| &*child.id.name).collect();
    let own = Own { namespace: &parent.namespace, name: &parent.name, children: &children, services: &services };
    kind.check(&own, &child.body).map_err(|Refusal { path, why }| Violation::AddedContent {
        object: child.id.clone(),
        path,
        why,
    })
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

    use super::{Rewritten, Subject, Violation, guard};
    use crate::{
        object::{ChildKind, DesiredChild, Identity, ObjectId},
        policy::grants::Grants,
    };

    fn parent() -> Identity {
        Identity { namespace: "ns".into(), name: "x".into(), ..Identity::default() }
    }

    fn admit(generated: &[DesiredChild], rewritten: Vec<DesiredChild>) -> Result<super::AdmittedSet, Violation> {
        let subject = Subject { identity: &parent(), fixed: &[(ChildKind::Service, "/metadata/annotations")] };
        guard(&subject, generated, Rewritten(rewritten), &Grants::default())
    }

    fn service(namespace: &str) -> DesiredChild {
        DesiredChild {
            id: ObjectId::new(ChildKind::Service, namespace, "x"),
            body: json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": namespace}}),
            shared_fields: &["/spec/x"],
        }
    }

    #[test]
    fn what_was_generated_is_admitted() {
        assert!(admit(&[service("ns")], vec![service("ns")]).is_ok());
    }

    #[test]
    fn an_object_stays_what_it_is() {
        let id = service("ns").id;
        let mut renamed = service("ns");
        renamed.body["metadata"]["name"] = json!("y");
        let check = |generated: &[DesiredChild], rewritten: Vec<DesiredChild>, wanted: Violation| {
            assert_eq!(admit(generated, rewritten).err(), Some(wanted));
        };
        check(&[service("ns")], vec![renamed], Violation::Identity(id.clone()));
        check(&[service("ns")], vec![], Violation::Dropped(id.clone()));
        check(&[], vec![service("ns")], Violation::Added(id.clone()));
        check(&[service("ns"), service("ns")], vec![service("ns")], Violation::Duplicate(id.clone()));
        check(&[service("ns")], vec![service("ns"), service("ns")], Violation::Duplicate(id));
        check(&[service("other")], vec![service("other")], Violation::Identity(service("other").id));
    }

    #[test]
    fn what_a_policy_cannot_say_is_put_back() {
        let mut changed = service("ns");
        changed.shared_fields = &[];
        changed.body["metadata"]["labels"] = json!({"team": "a"});
        let admitted = admit(&[service("ns")], vec![changed]).expect("a label is allowed").into_children();
        assert_eq!(admitted[0].shared_fields, ["/spec/x"]);
    }

    #[test]
    fn a_fixed_path_stays_whatever_is_allowed() {
        let mut changed = service("ns");
        changed.body["metadata"]["annotations"] = json!({"team": "a"});
        let found = admit(&[service("ns")], vec![changed]).expect_err("fixed");
        assert!(matches!(found, Violation::PathNotAllowed { .. }), "{found}");
    }
}
