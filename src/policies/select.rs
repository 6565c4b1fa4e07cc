//! Which policies a custom resource has to go through, and who has to look again when that may have changed. PURE.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use super::{
    Entry, KINDS, Listing, Policies, PolicyId,
    entry::{Broken, Runnable},
    matching::{Labels, Matched, Matcher},
    place,
};
use crate::{kinds::ParentInfo, object::Identity, policy::resource::PolicySpec};

/// What a policy does to a custom resource that it matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// It is called.
    Run(Arc<Runnable>),
    /// It is being loaded: nothing is written before.
    Wait,
    /// The custom resource is held.
    Hold(Broken),
    /// The custom resource goes on without it, but for what it has changed.
    Leave(Broken),
}

/// A policy that matches a custom resource.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Which.
    pub id: PolicyId,
    /// Its spec; `None` when it cannot be read.
    pub spec: Option<Arc<PolicySpec>>,
    /// What it does.
    pub turn: Turn,
    /// Changes whenever that may change.
    pub stamp: u64,
}

/// The policies that a custom resource has to go through.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Not known yet; the custom resource is woken when it is.
    NotYet,
    /// Not to be found out, for this reason.
    Unreadable(String),
    /// These, in this order.
    Chosen(Vec<Chosen>),
}

impl Selection {
    /// A value that changes when a custom resource has to go through them again.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::NotYet => 0_u8.hash(&mut hasher),
            Self::Unreadable(why) => (1_u8, why).hash(&mut hasher),
            Self::Chosen(chosen) => {
                2_u8.hash(&mut hasher);
                chosen.iter().for_each(|chosen| (&chosen.id, chosen.stamp).hash(&mut hasher));
            }
        }
        hasher.finish()
    }
}

/// Custom resources that have to look again.
#[derive(Debug, Clone, Default)]
pub struct Woken {
    pub(super) everyone: bool,
    pub(super) matching: Vec<Arc<Matcher>>,
}

impl Woken {
    pub(super) fn everyone() -> Self {
        Self { everyone: true, matching: Vec::new() }
    }

    /// Whether it is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everyone && self.matching.is_empty()
    }

    /// Whether it is this one, for all that is known of its namespace.
    #[must_use]
    pub fn has(&self, kind: &ParentInfo, namespace: &str, labels: &Labels) -> bool {
        let matches = |m: &Arc<Matcher>| m.matches(kind, namespace, labels, || None) != Matched::No;
        self.everyone || self.matching.iter().any(matches)
    }
}

impl Policies {
    /// Takes in the labels of a namespace, or that it is gone. Returns whether policies may match differently there.
    pub fn saw_namespace(&self, namespace: &str, labels: Option<&Labels>) -> bool {
        let mut inner = self.lock();
        let asked = inner.entries.values().any(|entry| entry.matcher.namespaces.is_some());
        inner.asked_for.remove(namespace);
        let known = inner.namespaces.get_or_insert_default();
        let changed = match labels {
            Some(labels) if known.get(namespace).is_some_and(|known| **known == *labels) => false,
            Some(labels) => {
                known.insert(namespace.into(), Arc::new(labels.clone()));
                true
            }
            None => known.remove(namespace).is_some(),
        };
        changed && asked
    }

    /// The namespaces have been listed: there are these. Returns those that policies had asked for before.
    pub fn listed_namespaces(&self, there: &HashSet<String>) -> BTreeSet<String> {
        let mut inner = self.lock();
        inner.namespaces.get_or_insert_default().retain(|name, _| there.contains(name));
        inner.namespaces_refused = None;
        std::mem::take(&mut inner.asked_for)
    }

    /// The namespaces cannot be listed. What was known of them stands. Returns those that policies had asked for before.
    pub fn refused_namespaces(&self, why: String) -> BTreeSet<String> {
        let mut inner = self.lock();
        inner.namespaces_refused = Some(why);
        inner.asked_for.clone()
    }

    /// The policies that a custom resource has to go through.
    #[must_use]
    pub fn select(&self, kind: &ParentInfo, identity: &Identity) -> Selection {
        let mut inner = self.lock();
        for kind in KINDS.iter().filter(|kind| self.counts(kind)) {
            match &inner.lists[place(kind)] {
                Listing::NotYet => return Selection::NotYet,
                Listing::Refused(why) => return Selection::Unreadable(why.clone()),
                Listing::Listed | Listing::Absent => {}
            }
        }
        if identity.namespace == self.options.operator_namespace {
            return Selection::Chosen(Vec::new());
        }
        let mut found = Vec::new();
        for entry in inner.entries.values().filter(|entry| self.counts(&entry.id.info())) {
            let labels = || inner.namespaces.as_ref().and_then(|known| known.get(&identity.namespace).cloned());
            match entry.matcher.matches(kind, &identity.namespace, &identity.labels, labels) {
                Matched::Yes => found.push(entry),
                Matched::No => {}
                Matched::Unknown => {
                    inner.asked_for.insert(identity.namespace.clone());
                    self.namespaces_wanted.notify_one();
                    return inner.namespaces_refused.clone().map_or(Selection::NotYet, Selection::Unreadable);
                }
            }
        }
        let order = |entry: &&Entry| entry.spec.as_ref().map_or(0, |spec| spec.order);
        found.sort_by(|a, b| {
            let key = |entry: &&Entry| (entry.id.is_cluster(), order(entry));
            key(a).cmp(&key(b)).then_with(|| a.id.name.cmp(&b.id.name))
        });
        Selection::Chosen(found.into_iter().map(|entry| entry.chosen(self.hold())).collect())
    }
}
