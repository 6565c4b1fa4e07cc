//! The inventory: every generated object of the cluster as the watches and our own writes last saw it.
//!
//! One entry an object, found by identity or by the uid of its owner. The answer of every apply goes in at once, and an
//! older event does not replace it. What vanished while a watch was cut off is found when its next list is complete.
//! No I/O here: the watches feed it, the stages read it, and it says who is to be woken.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::object::{ChildKind, ObjectId, ParentId, live::Live};

/// How long a deletion is remembered, so that the late answer to an apply does not bring an object back.
const TOMBSTONE: Duration = Duration::from_secs(60);

/// All generated objects.
#[derive(Debug, Default)]
pub struct Cache {
    inner: Mutex<Inner>,
    /// Kinds that only policies add and that are switched on.
    added: BTreeSet<ChildKind>,
    delivered: Notify,
    /// Rings when somebody wants objects of an optional kind that cannot be made now.
    pub wanted: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<ObjectId, Entry>,
    by_owner: HashMap<Box<str>, Owned>,
    /// Counts what watches saw somebody else do to the content of objects.
    epoch: u64,
    tombstones: HashMap<ObjectId, (u64, Instant)>,
    /// Custom resources that wait for a name to become free.
    waiting: HashMap<ObjectId, BTreeSet<ParentId>>,
    /// Custom resources that want objects of an optional kind and cannot have them now.
    wanting: HashMap<ChildKind, BTreeSet<ParentId>>,
    /// Per kind.
    watches: HashMap<ChildKind, Watch>,
}

/// What one custom resource owns.
#[derive(Debug, Default)]
struct Owned {
    ids: BTreeSet<ObjectId>,
    /// The epoch of the last change that was not our own write.
    changed: u64,
}

#[derive(Debug)]
struct Entry {
    live: Arc<Live>,
    /// The list in which it was last seen.
    list: u64,
}

#[derive(Debug, Default)]
struct Watch {
    list: u64,
    listed: bool,
    newest: u64,
    /// The newest version of which everybody concerned has been woken.
    delivered: u64,
    /// Why the kind cannot be read.
    unreadable: Option<Arc<str>>,
    /// Whether the server is without the kind.
    missing: bool,
}

/// Whether objects of a kind can be compared and made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// They can.
    Known,
    /// An optional kind has not been listed.
    Unlisted,
    /// They cannot be read.
    Unreadable(Arc<str>),
    /// The server is without the kind.
    Missing,
    /// Only policies add objects of the kind, and it is not switched on.
    Off,
}

/// Who made a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Us,
    Somebody,
}

/// What a watch of one kind says.
#[derive(Debug)]
pub enum Seen {
    /// A list begins.
    ListBegins,
    /// The list is complete: what was not in it is gone.
    ListComplete,
    /// An object is there, in this state.
    There(Live),
    /// An object is gone; this was its last state.
    Deleted(Live),
    /// The server refuses to list or watch the kind.
    Unreadable(String),
    /// The server is without the kind, and so without objects of it.
    Missing,
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held leaves maps that are still maps; the next list repairs their content.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Also keeps objects of these kinds, which only policies add.
    #[must_use]
    pub fn with_added(kinds: impl IntoIterator<Item = ChildKind>) -> Self {
        Self { added: kinds.into_iter().filter(|kind| kind.added_only()).collect(), ..Self::default() }
    }

    /// Every kind of which objects are kept, and so watched, in the order of applying.
    pub fn kinds(&self) -> impl Iterator<Item = ChildKind> {
        ChildKind::ALL.into_iter().filter(|kind| !kind.added_only() || self.added.contains(kind))
    }

    /// Takes in what a watch saw, under the identity it belongs to, and returns who is to be woken.
    pub fn watch(&self, kind: ChildKind, id: Option<ObjectId>, seen: Seen) -> BTreeSet<Wake> {
        let mut inner = self.lock();
        let mut wake = BTreeSet::new();
        match (seen, id) {
            (Seen::ListBegins, _) => {
                let watch = inner.watches.entry(kind).or_default();
                watch.list += 1;
                watch.missing = false;
            }
            (Seen::There(live), Some(id)) => {
                let newest = live.resource_version;
                inner.put(id, live, &mut wake, Writer::Somebody);
                let watch = inner.watches.entry(kind).or_default();
                watch.newest = watch.newest.max(newest);
            }
            (Seen::Deleted(last), Some(id)) => {
                let version = last.resource_version;
                inner.remove(&id, version, Some(&last), &mut wake, Writer::Somebody);
                let watch = inner.watches.entry(kind).or_default();
                watch.newest = watch.newest.max(version);
            }
            (Seen::ListComplete, _) => {
                let watch = inner.watches.entry(kind).or_default();
                let (list, newest) = (watch.list, watch.newest);
                let news = watch.unreadable.take().is_some() || !watch.listed;
                watch.listed = true;
                if news {
                    inner.wake_all(kind, &mut wake);
                }
                let gone: Vec<_> = inner
                    .objects
                    .iter()
                    .filter(|(id, entry)| id.kind == kind && entry.list < list)
                    .map(|(id, entry)| (id.clone(), newest.max(entry.live.resource_version)))
                    .collect();
                // Neither listed nor written since the list began, so also gone if it is newer than anything seen.
                for (id, version) in gone {
                    inner.remove(&id, version, None, &mut wake, Writer::Somebody);
                }
            }
            (Seen::Unreadable(why), _) => {
                let watch = inner.watches.entry(kind).or_default();
                let news = watch.unreadable.is_none();
                watch.unreadable = Some(why.into());
                watch.missing = false;
                if news {
                    inner.wake_all(kind, &mut wake);
                }
            }
            (Seen::Missing, _) => {
                let watch = inner.watches.entry(kind).or_default();
                let news = !watch.missing;
                *watch = Watch {
                    list: watch.list + 1,
                    newest: watch.newest,
                    delivered: watch.delivered,
                    missing: true,
                    ..Watch::default()
                };
                if news {
                    inner.wake_all(kind, &mut wake);
                }
                let gone: Vec<_> = inner
                    .objects
                    .iter()
                    .filter(|(id, _)| id.kind == kind)
                    .map(|(id, entry)| (id.clone(), entry.live.resource_version))
                    .collect();
                for (id, version) in gone {
                    inner.remove(&id, version, None, &mut wake, Writer::Somebody);
                }
            }
            (Seen::There(_) | Seen::Deleted(_), None) => {}
        }
        wake
    }

    /// Whether this state of an object is known already, as it is after every own write; in a list it counts as seen.
    /// Saves decoding what would be dropped.
    pub fn knows(&self, id: &ObjectId, version: u64) -> bool {
        let mut inner = self.lock();
        let list = inner.watches.get(&id.kind).map_or(0, |watch| watch.list);
        let known = inner.objects.get_mut(id).filter(|entry| entry.live.resource_version >= version);
        let Some(entry) = known else { return false };
        entry.list = list;
        let watch = inner.watches.entry(id.kind).or_default();
        watch.newest = watch.newest.max(version);
        true
    }

    /// Takes in the answer to an own write.
    pub fn wrote(&self, id: &ObjectId, live: Live) {
        let mut inner = self.lock();
        // Whoever is woken by an own write: nobody. The reconcile that wrote knows the answer.
        inner.put(id.clone(), live, &mut BTreeSet::new(), Writer::Us);
    }

    /// Forgets an object that an own call found to be gone, unless a newer state has arrived since `version`.
    pub fn gone(&self, id: &ObjectId, version: u64) {
        self.lock().remove(id, version, None, &mut BTreeSet::new(), Writer::Us);
    }

    /// The live object of this identity.
    #[must_use]
    pub fn get(&self, id: &ObjectId) -> Option<Arc<Live>> {
        self.lock().objects.get(id).map(|entry| Arc::clone(&entry.live))
    }

    /// Every object whose controller has this uid.
    #[must_use]
    pub fn owned_by(&self, uid: &str) -> Vec<(ObjectId, Arc<Live>)> {
        let inner = self.lock();
        let ids = inner.by_owner.get(uid).into_iter().flat_map(|owned| &owned.ids);
        ids.filter_map(|id| inner.objects.get(id).map(|e| (id.clone(), Arc::clone(&e.live)))).collect()
    }

    /// A value that changes whenever somebody else changes the content of an object that this uid owns.
    #[must_use]
    pub fn epoch(&self, uid: &str) -> u64 {
        self.lock().by_owner.get(uid).map_or(0, |owned| owned.changed)
    }

    /// Whether this uid owns as many objects as then, and nobody else has changed one since that epoch.
    #[must_use]
    pub fn untouched(&self, uid: &str, epoch: u64, objects: usize) -> bool {
        self.lock().by_owner.get(uid).is_some_and(|owned| owned.changed == epoch && owned.ids.len() == objects)
    }

    /// Whether every kind can be read.
    #[must_use]
    pub fn readable(&self) -> bool {
        self.lock().watches.values().all(|watch| watch.unreadable.is_none())
    }

    /// Wakes `parent` when objects of an optional kind can be made, or when it turns out why not.
    pub fn want(&self, kind: ChildKind, parent: &ParentId) {
        self.lock().wanting.entry(kind).or_default().insert(parent.clone());
        self.wanted.notify_one();
    }

    /// Takes back every [`Cache::want`] of `parent` but those of these kinds.
    pub fn want_only(&self, kinds: &[ChildKind], parent: &ParentId) {
        let mut inner = self.lock();
        for (kind, parents) in &mut inner.wanting {
            if !kinds.contains(kind) {
                parents.remove(parent);
            }
        }
    }

    /// Whether somebody wants objects of one of these kinds and cannot have them now.
    #[must_use]
    pub fn is_wanted(&self, kinds: &BTreeSet<ChildKind>) -> bool {
        let inner = self.lock();
        kinds.iter().any(|kind| inner.wanting.get(kind).is_some_and(|parents| !parents.is_empty()))
    }

    /// Wakes `parent` when the name `id` becomes free or changes hands.
    pub fn wait_for(&self, id: &ObjectId, parent: &ParentId) {
        self.lock().waiting.entry(id.clone()).or_default().insert(parent.clone());
    }

    /// Forgets what a custom resource that is gone waited for.
    pub fn forget(&self, parent: &ParentId) {
        self.lock().waiting.retain(|_, parents| {
            parents.remove(parent);
            !parents.is_empty()
        });
        self.want_only(&[], parent);
    }

    /// Forgets what custom resources of a kind waited for that are not among those that are there.
    pub fn retain(&self, kind: &str, there: &HashSet<ParentId>) {
        let mut inner = self.lock();
        let Inner { waiting, wanting, .. } = &mut *inner;
        for parents in waiting.values_mut().chain(wanting.values_mut()) {
            parents.retain(|parent| parent.kind != kind || there.contains(parent));
        }
        waiting.retain(|_, parents| !parents.is_empty());
    }

    /// Whether objects of a kind can be compared and made.
    #[must_use]
    pub fn readiness(&self, kind: ChildKind) -> Readiness {
        match self.lock().watches.get(&kind) {
            Some(Watch { unreadable: Some(why), .. }) => Readiness::Unreadable(Arc::clone(why)),
            Some(Watch { missing: true, .. }) => Readiness::Missing,
            Some(Watch { listed: true, .. }) => Readiness::Known,
            _ if kind.added_only() && !self.added.contains(&kind) => Readiness::Off,
            // Nobody begins before the other kinds have been listed.
            _ if kind.optional() => Readiness::Unlisted,
            _ => Readiness::Known,
        }
    }

    /// Why a kind cannot be read, when it cannot.
    #[must_use]
    pub fn unreadable(&self, kind: ChildKind) -> Option<Arc<str>> {
        self.lock().watches.get(&kind).and_then(|watch| watch.unreadable.clone())
    }

    /// Whether the kind has been listed, or is known to be unreadable.
    #[must_use]
    pub fn settled(&self, kind: ChildKind) -> bool {
        self.lock().watches.get(&kind).is_some_and(|watch| watch.listed || watch.unreadable.is_some())
    }

    /// Whether the kind has been listed.
    #[must_use]
    pub fn listed(&self, kind: ChildKind) -> bool {
        self.lock().watches.get(&kind).is_some_and(|watch| watch.listed)
    }

    /// Everybody concerned by what the watch of this kind has seen so far has been woken.
    pub fn delivered(&self, kind: ChildKind) {
        let mut inner = self.lock();
        let watch = inner.watches.entry(kind).or_default();
        watch.delivered = watch.newest;
        drop(inner);
        self.delivered.notify_waiters();
    }

    /// Waits until the watch of this kind has delivered a resource version.
    pub async fn reached(&self, kind: ChildKind, version: u64) {
        loop {
            let delivered = self.delivered.notified();
            if self.lock().watches.get(&kind).is_some_and(|watch| watch.delivered >= version) {
                return;
            }
            delivered.await;
        }
    }

    /// How many objects of a kind there are.
    #[must_use]
    pub fn count(&self, kind: ChildKind) -> usize {
        self.lock().objects.keys().filter(|id| id.kind == kind).count()
    }
}

/// Who is to look again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// The custom resource that owns, or owned, an object.
    Owner {
        /// Kind, as the owner reference has it.
        kind: Box<str>,
        /// Namespace.
        namespace: Arc<str>,
        /// Name.
        name: Box<str>,
    },
    /// Every custom resource.
    Everyone,
}

impl Wake {
    fn parent(parent: &ParentId) -> Self {
        let ParentId { kind, namespace, name } = parent;
        Self::Owner { kind: (*kind).into(), namespace: Arc::clone(namespace), name: (**name).into() }
    }

    fn owner(namespace: &Arc<str>, live: &Live) -> Option<Self> {
        let (kind, name) = match (&live.controller, &live.claimed_by) {
            (Some(controller), _) => (&*controller.kind, &*controller.name),
            (None, Some(claim)) => claim.split_once('/')?,
            (None, None) => return None,
        };
        Some(Self::Owner { kind: kind.into(), namespace: Arc::clone(namespace), name: name.into() })
    }
}

impl Inner {
    /// Wakes whoever is concerned by news about a whole kind.
    fn wake_all(&self, kind: ChildKind, wake: &mut BTreeSet<Wake>) {
        if kind.optional() {
            wake.extend(self.wanting.get(&kind).into_iter().flatten().map(Wake::parent));
            let there = self.objects.iter().filter(|(id, _)| id.kind == kind);
            wake.extend(there.filter_map(|(id, entry)| Wake::owner(&id.namespace, &entry.live)));
        } else {
            wake.insert(Wake::Everyone);
        }
    }

    fn put(&mut self, id: ObjectId, live: Live, wake: &mut BTreeSet<Wake>, writer: Writer) {
        let (list, missing) = self.watches.get(&id.kind).map_or((0, false), |watch| (watch.list, watch.missing));
        if missing {
            // The late answer to an apply.
            return;
        }
        if self.tombstones.get(&id).is_some_and(|(version, _)| *version >= live.resource_version) {
            return;
        }
        let old = self.objects.get_mut(&id);
        if let Some(old) = old {
            old.list = list;
            if old.live.resource_version >= live.resource_version {
                return;
            }
        }
        let old = self.objects.get(&id).map(|entry| Arc::clone(&entry.live));
        // A new resource version alone (a status nobody decides from) wakes nobody.
        let changed = old.as_ref().is_none_or(|old| !old.same_body(&live) || old.rollout != live.rollout);
        if changed {
            wake.extend(old.as_ref().and_then(|old| Wake::owner(&id.namespace, old)));
            wake.extend(Wake::owner(&id.namespace, &live));
        }
        let (old_owner, new_owner) = (old.as_deref().and_then(owner_uid), owner_uid(&live));
        if old_owner != new_owner {
            self.disown(&id, old_owner.as_deref());
            // A name that gets its first owner has not become free: whoever waits goes on waiting.
            if old_owner.is_some() && writer == Writer::Somebody {
                self.wake_waiting(&id, wake);
            }
            if let Some(uid) = new_owner {
                self.by_owner.entry(uid).or_default().ids.insert(id.clone());
            }
        }
        let touched = old.as_ref().is_none_or(|old| !old.same_body(&live));
        if writer == Writer::Somebody && touched {
            self.touch(old_owner.as_deref());
            self.touch(owner_uid(&live).as_deref());
        }
        self.objects.insert(id, Entry { live: Arc::new(live), list });
    }

    fn remove(&mut self, id: &ObjectId, version: u64, last: Option<&Live>, wake: &mut BTreeSet<Wake>, writer: Writer) {
        let Some(entry) = self.objects.get(id) else {
            // A foreign object that went away may be what somebody waits for.
            self.wake_waiting(id, wake);
            return;
        };
        if entry.live.resource_version > version {
            return;
        }
        let live = Arc::clone(&entry.live);
        self.objects.remove(id);
        self.disown(id, owner_uid(&live).as_deref());
        self.touch(owner_uid(&live).as_deref());
        wake.extend(Wake::owner(&id.namespace, &live));
        wake.extend(last.and_then(|last| Wake::owner(&id.namespace, last)));
        // What we ourselves found gone we make again; whoever waits for the name goes on waiting.
        if writer == Writer::Somebody {
            self.wake_waiting(id, wake);
        }
        let now = Instant::now();
        if self.tombstones.len() > 1024 {
            self.tombstones.retain(|_, (_, at)| now.duration_since(*at) < TOMBSTONE);
        }
        self.tombstones.insert(id.clone(), (version, now));
    }

    fn disown(&mut self, id: &ObjectId, uid: Option<&str>) {
        if let Some(uid) = uid
            && let Some(owned) = self.by_owner.get_mut(uid)
        {
            owned.ids.remove(id);
            if owned.ids.is_empty() {
                self.by_owner.remove(uid);
            }
        }
    }

    fn touch(&mut self, uid: Option<&str>) {
        if let Some(owned) = uid.and_then(|uid| self.by_owner.get_mut(uid)) {
            self.epoch += 1;
            owned.changed = self.epoch;
        }
    }

    fn wake_waiting(&mut self, id: &ObjectId, wake: &mut BTreeSet<Wake>) {
        wake.extend(self.waiting.remove(id).iter().flatten().map(Wake::parent));
    }
}

fn owner_uid(live: &Live) -> Option<Box<str>> {
    live.controller.as_ref().map(|controller| controller.uid.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Cache, Readiness, Seen, Wake};
    use crate::object::{
        ChildKind::{self, ConfigMap, HttpRoute, NetworkPolicy, PeerAuthentication, PodMonitor},
        ParentId,
    };

    #[test]
    fn kinds_that_only_policies_add_are_kept_when_they_are_switched_on() {
        let generated: Vec<_> = ChildKind::ALL.into_iter().filter(|kind| !kind.added_only()).collect();
        let cache = Cache::default();
        assert_eq!(cache.kinds().collect::<Vec<_>>(), generated);
        assert_eq!(cache.readiness(NetworkPolicy), Readiness::Off);
        assert_eq!(cache.readiness(PeerAuthentication), Readiness::Off);
        let cache = Cache::with_added([NetworkPolicy, PeerAuthentication, ConfigMap]);
        assert_eq!(cache.kinds().count(), generated.len() + 2, "a ConfigMap is generated too");
        assert_eq!(cache.readiness(NetworkPolicy), Readiness::Known, "nobody begins before it has been listed");
        assert_eq!(cache.readiness(PeerAuthentication), Readiness::Unlisted);
        assert_eq!(cache.readiness(PodMonitor), Readiness::Off);
    }

    #[test]
    fn whoever_wants_an_optional_kind_is_woken_when_it_comes_and_goes() {
        let cache = Cache::default();
        let parent = ParentId { kind: "Gateway", namespace: "ns".into(), name: "x".into() };
        let (kinds, woken) = (BTreeSet::from([HttpRoute]), BTreeSet::from([Wake::parent(&parent)]));
        let see = |seen| cache.watch(HttpRoute, None, seen);
        assert_eq!(cache.readiness(HttpRoute), Readiness::Unlisted);
        assert!(see(Seen::Missing).is_empty(), "nobody wants it");
        cache.want(HttpRoute, &parent);
        assert!(cache.is_wanted(&kinds));
        assert_eq!(cache.readiness(HttpRoute), Readiness::Missing);
        assert!(see(Seen::ListBegins).is_empty());
        assert_eq!(cache.readiness(HttpRoute), Readiness::Unlisted);
        assert_eq!(see(Seen::ListComplete), woken);
        assert_eq!(cache.readiness(HttpRoute), Readiness::Known);
        assert_eq!(see(Seen::Missing), woken);
        assert!(see(Seen::Missing).is_empty(), "it is known");
        assert_eq!(see(Seen::Unreadable("no".into())), woken);
        assert_eq!(cache.readiness(HttpRoute), Readiness::Unreadable("no".into()));
        cache.want_only(&[], &parent);
        assert!(!cache.is_wanted(&kinds));
        assert!(see(Seen::ListComplete).is_empty());
    }
}
