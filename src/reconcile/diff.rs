//! Stage: the sealed objects against the live ones: a plan, which is a value to print, count, test and carry out. PURE.

use std::{collections::HashMap, fmt, sync::Arc};

use serde_json::Value;

use super::seal::Sealed;
use crate::object::{
    ChildKind, KindInfo, ObjectId, ParentId,
    compare::{FieldChange, compare},
    live::Live,
};

/// What is to be done, object by object, in the order of doing it; deletions come last.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// One entry an object, also for those that are as they should be.
    pub changes: Vec<Change>,
}

/// What is to be done with one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which object.
    pub id: ObjectId,
    /// What is to be done.
    pub action: Action,
    /// The fields it is about.
    pub fields: Vec<Field>,
    /// What is there now.
    pub live: Option<Arc<Live>>,
}

/// A field of a change, and who set it to what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Path, old and new value.
    pub change: FieldChange,
    /// The other manager that holds the field.
    pub opponent: Option<Box<str>>,
}

/// What is to be done with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is as it should be.
    Unchanged,
    /// It does not exist.
    Create,
    /// It differs.
    Update(Cause),
    /// Nobody wants it any more.
    Delete,
    /// It must not be touched now.
    Blocked(Blocked),
}

/// Why an object differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The custom resource, or what it is related to, has changed.
    Intent,
    /// Somebody changed the object.
    Drift,
    /// It lost its owner reference.
    Reclaim,
}

/// Why an object must not be touched now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    /// Somebody else made it.
    Foreign,
    /// It belongs to another custom resource of the operator (`Kind/name`).
    OwnedBy(String),
    /// It belongs to a custom resource of the same name that was deleted; garbage collection takes it.
    LeftBehind,
    /// It is being deleted and something holds it.
    BeingDeleted,
    /// Objects of its kind cannot be read.
    Unreadable(Arc<str>),
    /// Objects of its kind have not been listed yet.
    Unlisted,
    /// The server is without its kind.
    Missing(ChildKind),
    /// Only policies add objects of its kind, and the operator was not told that they may.
    Off(ChildKind),
}

/// Whose a live object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Our custom resource's.
    Ours,
    /// Our custom resource's, but its owner reference is gone.
    OursStripped,
    /// A deleted custom resource's of the same name.
    Predecessors,
    /// Another custom resource's (`Kind/name`).
    OtherParents(String),
    /// Somebody else's.
    Foreign,
}

/// Decides whose an object is: by the uid of its controller, never by its name.
#[must_use]
pub fn whose(live: &Live, parent: &ParentId, uid: &str) -> Whose {
    let claim = format!("{}/{}", parent.kind, parent.name);
    match &live.controller {
        Some(controller) if &*controller.uid == uid => Whose::Ours,
        Some(controller) if live.claimed_by.is_some() && live.applied_by_us => {
            match format!("{}/{}", controller.kind, controller.name) {
                owner if owner == claim => Whose::Predecessors,
                owner => Whose::OtherParents(owner),
            }
        }
        Some(_) => Whose::Foreign,
        None if live.applied_by_us && live.claimed_by.as_deref() == Some(&claim) => Whose::OursStripped,
        None => Whose::Foreign,
    }
}

/// For each object whose last applied document the server did not take as it was: the intent, and the fields that
/// differ with the value the server made of them. Kept so that the same document is not applied for ever.
pub type Accepted = HashMap<ObjectId, (String, Vec<FieldChange>)>;

/// What the diff knows of the cluster.
pub trait View {
    /// The live object of this identity.
    fn live(&self, id: &ObjectId) -> Option<Arc<Live>>;
    /// Every object that the custom resource owns.
    fn owned(&self) -> Vec<(ObjectId, Arc<Live>)>;
    /// Why no object of a kind may be touched now, when none may.
    fn withheld(&self, kind: ChildKind) -> Option<Blocked>;
}

/// Compares everything that should exist with everything that does.
#[must_use]
pub fn diff(parent: &ParentId, uid: &str, sealed: &[Sealed], view: &impl View, accepted: &Accepted) -> Plan {
    let mut changes: Vec<Change> =
        sealed.iter().map(|wanted| change(parent, uid, wanted, view, accepted.get(&wanted.id))).collect();
    let mut orphans: Vec<_> = view.owned();
    orphans.retain(|(id, _)| sealed.iter().all(|wanted| wanted.id != *id));
    // In the reverse order of applying: an Ingress goes before its Service.
    orphans.sort_by(|(a, _), (b, _)| b.cmp(a));
    changes.extend(orphans.into_iter().map(|(id, live)| Change {
        id,
        action: if live.deleting { Action::Unchanged } else { Action::Delete },
        fields: Vec::new(),
        live: Some(live),
    }));
    Plan { changes }
}

fn change(
    parent: &ParentId,
    uid: &str,
    wanted: &Sealed,
    view: &impl View,
    accepted: Option<&(String, Vec<FieldChange>)>,
) -> Change {
    let id = wanted.id.clone();
    let done = |action, fields, live| Change { id: id.clone(), action, fields, live };
    if let Some(why) = view.withheld(wanted.id.kind) {
        return done(Action::Blocked(why), Vec::new(), None);
    }
    let Some(live) = view.live(&wanted.id) else {
        return done(Action::Create, Vec::new(), None);
    };
    let reclaim = match whose(&live, parent, uid) {
        Whose::Ours => false,
        Whose::OursStripped => true,
        Whose::Predecessors => return done(Action::Blocked(Blocked::LeftBehind), Vec::new(), Some(live)),
        Whose::OtherParents(name) => {
            return done(Action::Blocked(Blocked::OwnedBy(name)), Vec::new(), Some(live));
        }
        Whose::Foreign => return done(Action::Blocked(Blocked::Foreign), Vec::new(), Some(live)),
    };
    if live.deleting {
        return done(Action::Blocked(Blocked::BeingDeleted), Vec::new(), Some(live));
    }
    let same_intent = live.intent.as_deref() == Some(&wanted.intent);
    let mut fields = compare(&wanted.body, &live.document());
    if let Some((intent, known)) = accepted
        && *intent == wanted.intent
    {
        fields.retain(|field| !known.contains(field));
    }
    let action = match (fields.is_empty(), reclaim, same_intent) {
        (true, ..) => Action::Unchanged,
        (_, true, _) => Action::Update(Cause::Reclaim),
        (_, _, true) => Action::Update(Cause::Drift),
        (_, _, false) => Action::Update(Cause::Intent),
    };
    let fields = fields.into_iter().map(|change| Field { opponent: opponent(&change, &live), change }).collect();
    done(action, fields, Some(live))
}

/// Who holds a field, as far as the managed fields tell. A field that somebody removed is held by nobody.
fn opponent(change: &FieldChange, live: &Live) -> Option<Box<str>> {
    let holds =
        |fields: &str| serde_json::from_str::<Value>(fields).is_ok_and(|fields| change.path.is_held_by(&fields));
    live.foreign.iter().find(|foreign| holds(&foreign.fields)).map(|foreign| foreign.manager.clone())
}

impl Plan {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| change.action == Action::Unchanged)
    }

    /// The plan for people. Literal values of environment variables are masked unless `show_values`.
    #[must_use]
    pub fn show(&self, show_values: bool) -> String {
        self.changes.iter().map(|change| change.show(show_values)).collect()
    }
}

impl Change {
    fn show(&self, show_values: bool) -> String {
        let mut text = match &self.action {
            Action::Unchanged => format!("  {} unchanged\n", self.id),
            Action::Create => format!("+ {} create\n", self.id),
            Action::Update(cause) => format!("~ {} update ({cause})\n", self.id),
            Action::Delete => format!("- {} delete\n", self.id),
            Action::Blocked(why) => format!("! {} not touched: {why}\n", self.id),
        };
        for field in &self.fields {
            text.push_str(&format!("    {}\n", field.show(show_values)));
        }
        text
    }
}

impl Field {
    /// `path: old -> new (held by manager)`.
    #[must_use]
    pub fn show(&self, show_values: bool) -> String {
        let held = self.opponent.as_ref().map(|manager| format!(" (held by {manager})")).unwrap_or_default();
        format!("{}{held}", self.change.show(show_values))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intent => "changed",
            Self::Drift => "drifted",
            Self::Reclaim => "lost its owner reference",
        })
    }
}

/// How to get the optional kinds there are, by their group.
const GET: &[(&str, &str)] = &[
    (
        "gateway.networking.k8s.io",
        "to get it, install the Gateway API: kubectl apply --server-side -f \
         https://github.com/kubernetes-sigs/gateway-api/releases/latest/download/standard-install.yaml",
    ),
    ("security.istio.io", "to get it, install Istio"),
    ("networking.istio.io", "to get it, install Istio"),
    ("monitoring.coreos.com", "to get it, install the Prometheus operator"),
];

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("it exists and was not made by this operator"),
            Self::OwnedBy(other) => write!(f, "it belongs to {other}"),
            Self::LeftBehind => f.write_str("a deleted resource of this name made it, and garbage collection takes it"),
            Self::BeingDeleted => f.write_str("it is being deleted and a finalizer holds it"),
            Self::Unreadable(why) => write!(f, "objects of its kind cannot be read: {why}"),
            Self::Unlisted => f.write_str("objects of its kind have not been listed yet"),
            Self::Missing(kind) => {
                let KindInfo { plural, group, version, .. } = kind.info();
                write!(f, "the cluster is without CustomResourceDefinition {plural}.{group} in version {version}")?;
                GET.iter().find(|(of, _)| *of == group).map_or(Ok(()), |(_, how)| write!(f, "; {how}"))
            }
            Self::Off(kind) => write!(
                f,
                "policies may add objects of its kind only when the operator runs with --policy-added-kinds={}",
                kind.info().group_kind()
            ),
        }
    }
}
