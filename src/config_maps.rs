//! The ConfigMaps that custom resources name: their digests, and who is to be woken when one changes.
//!
//! Nothing is watched until the first custom resource names one. No I/O here: the controller feeds it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kube::{Resource, core::ObjectMeta};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::object::{ParentId, digest};

type Key = (String, String);

/// Digests by namespace and name.
#[derive(Debug, Default)]
pub struct ConfigMaps {
    inner: Mutex<Inner>,
    /// Rings when the watch is to start.
    pub wanted: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    digests: HashMap<Key, String>,
    named_by: HashMap<Key, BTreeSet<ParentId>>,
    listed: bool,
    refused: Option<String>,
    listing: Option<BTreeSet<Key>>,
}

/// Why there are no digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlisted {
    /// The list is on its way.
    NotYet,
    /// The server refuses it, with these words.
    Refused(String),
}

/// A ConfigMap as it is watched: its content is not kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    metadata: ObjectMeta,
    data: Option<Box<RawValue>>,
    binary_data: Option<Box<RawValue>>,
}

impl Watched {
    /// Digest of the content, as the server wrote it (keys in order).
    #[must_use]
    pub fn digest(&self) -> String {
        let text = |raw: &Option<Box<RawValue>>| raw.as_ref().map_or("{}", |raw| raw.get()).to_owned();
        digest(format!("{}{}", text(&self.data), text(&self.binary_data)).as_bytes())
    }
}

impl Resource for Watched {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "ConfigMap".into()
    }
    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }
    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        "configmaps".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl ConfigMaps {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Digests of the ConfigMaps of these names that exist. The custom resource is woken when one changes, and when they
    /// have been listed.
    ///
    /// # Errors
    /// While they have not been listed.
    pub fn digests(&self, parent: &ParentId, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Unlisted> {
        let mut inner = self.lock();
        let key = |name: &String| (parent.namespace.to_string(), name.clone());
        for name in names {
            inner.named_by.entry(key(name)).or_default().insert(parent.clone());
        }
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        if !inner.listed {
            self.wanted.notify_one();
            return Err(inner.refused.clone().map_or(Unlisted::NotYet, Unlisted::Refused));
        }
        Ok(names.iter().filter_map(|n| Some((n.clone(), inner.digests.get(&key(n))?.clone()))).collect())
    }

    /// Forgets who a deleted custom resource named.
    pub fn forget(&self, parent: &ParentId) {
        self.lock().named_by.retain(|_, parents| {
            parents.remove(parent);
            !parents.is_empty()
        });
    }

    /// The server refuses the list. Returns who is to be woken.
    pub fn refused(&self, why: String) -> BTreeSet<ParentId> {
        let mut inner = self.lock();
        if inner.listed || inner.refused.replace(why).is_some() {
            return BTreeSet::new();
        }
        inner.named_by.values().flatten().cloned().collect()
    }

    /// Forgets the custom resources of a kind that are not among those that are there.
    pub fn retain(&self, kind: &str, there: &HashSet<ParentId>) {
        self.lock().named_by.retain(|_, parents| {
            parents.retain(|parent| parent.kind != kind || there.contains(parent));
            !parents.is_empty()
        });
    }

    /// A list begins.
    pub fn list_begins(&self) {
        self.lock().listing = Some(BTreeSet::new());
    }

    /// A ConfigMap is there with this content, or gone. Returns who is to be woken.
    pub fn saw(&self, namespace: &str, name: &str, digest: Option<String>) -> BTreeSet<ParentId> {
        let mut inner = self.lock();
        let key = (namespace.to_owned(), name.to_owned());
        if let (Some(listing), Some(_)) = (&mut inner.listing, &digest) {
            listing.insert(key.clone());
        }
        let before = match &digest {
            Some(digest) => inner.digests.insert(key.clone(), digest.clone()),
            None => inner.digests.remove(&key),
        };
        if before == digest { BTreeSet::new() } else { inner.named_by.get(&key).cloned().unwrap_or_default() }
    }

    /// A list is complete: what was not in it is gone. Returns who is to be woken.
    pub fn list_complete(&self) -> BTreeSet<ParentId> {
        let mut inner = self.lock();
        let seen = inner.listing.take().unwrap_or_default();
        let first = !std::mem::replace(&mut inner.listed, true);
        let gone: Vec<Key> = inner.digests.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        for key in &gone {
            inner.digests.remove(key);
        }
        let woken = inner.named_by.iter().filter(|(key, _)| first || gone.contains(key));
        woken.flat_map(|(_, parents)| parents.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ConfigMaps, Unlisted};
    use crate::object::ParentId;

    #[test]
    fn whoever_names_a_config_map_is_woken() {
        let maps = ConfigMaps::default();
        let parent = ParentId { kind: "Gateway", namespace: "ns".into(), name: "x".into() };
        let names = BTreeSet::from(["a".to_owned()]);
        assert_eq!(maps.digests(&parent, &names), Err(Unlisted::NotYet));
        assert_eq!(maps.refused("no".into()), BTreeSet::from([parent.clone()]));
        assert_eq!(maps.digests(&parent, &names), Err(Unlisted::Refused("no".into())));
        maps.list_begins();
        maps.saw("ns", "a", Some("1".into()));
        assert_eq!(maps.list_complete(), BTreeSet::from([parent.clone()]));
        assert_eq!(maps.digests(&parent, &names).map(|d| d.len()), Ok(1));
        assert!(maps.saw("ns", "a", Some("1".into())).is_empty(), "nothing changed");
        assert_eq!(maps.saw("ns", "a", Some("2".into())).len(), 1);
        assert!(maps.saw("ns", "b", Some("2".into())).is_empty(), "nobody names it");
        maps.list_begins();
        assert_eq!(maps.list_complete().len(), 1, "it vanished while the watch was cut off");
    }
}
