//! Every policy of the cluster that this operator runs: what their custom resources and ConfigMaps say, how far their modules are,
//! and which of them a custom resource has to go through.
//!
//! No I/O here: the controller feeds it, loads what it asks for, and writes the statuses it makes.

pub mod entry;
pub mod matching;
pub mod reason;
pub mod status;
pub mod tally;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::Notify;

use self::{
    entry::{At, Broken, Bytes, Entry, Runnable, Stage, Target},
    matching::{Labels, Matched, Matcher},
    status::Facts,
    tally::Fare,
};
use crate::{
    kinds::ParentInfo,
    object::{ChildKind, Identity, ParentId},
    parent::ParentObject,
    policy::{
        engine::Loaded,
        failure::Failure,
        resource::{CLUSTER_WASM_POLICY, ConfigMapKey, Match, PolicySpec, WASM_POLICY},
    },
};

/// Policies of one namespace.
const MOST_OF_A_NAMESPACE: usize = 8;
/// Policies in all.
const MOST: usize = 64;

/// What is done with policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Switch {
    /// They run.
    #[default]
    Enforce,
    /// None runs, and whatever one matches is held.
    Hold,
    /// There are none.
    Off,
}

/// How policies are looked after.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is done with them.
    pub switch: Switch,
    /// Whether WasmPolicies run too.
    pub namespaced: bool,
    /// Kinds of objects that they may be granted to add.
    pub added_kinds: BTreeSet<ChildKind>,
    /// Namespaces, besides the operator's own, whose ConfigMaps may hold modules of ClusterWasmPolicies.
    pub module_namespaces: BTreeSet<String>,
    /// Those whose `spec.operator` says this.
    pub operator_name: String,
    /// Where no custom resource is ever matched.
    pub operator_namespace: String,
    /// Time between two writes of one status.
    pub status_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            switch: Switch::default(),
            namespaced: false,
            added_kinds: BTreeSet::new(),
            module_namespaces: BTreeSet::new(),
            operator_name: "default".into(),
            operator_namespace: "inference-gateway-system".into(),
            status_every: Duration::from_secs(10),
        }
    }
}

/// Which policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    /// Namespace of a WasmPolicy; empty for a ClusterWasmPolicy.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl PolicyId {
    /// Which one this is.
    #[must_use]
    pub fn of(object: &ParentObject) -> Self {
        let meta = &object.metadata;
        Self {
            namespace: meta.namespace.as_deref().unwrap_or_default().into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
        }
    }

    /// Whether it is a ClusterWasmPolicy.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.namespace.is_empty()
    }

    /// The namespace of a WasmPolicy.
    fn within(&self) -> Option<Arc<str>> {
        (!self.is_cluster()).then(|| Arc::clone(&self.namespace))
    }

    /// How the API server names its kind.
    #[must_use]
    pub fn info(&self) -> ParentInfo {
        if self.is_cluster() { CLUSTER_WASM_POLICY } else { WASM_POLICY }
    }

    /// Short, as on the objects it has changed and in metrics: `name`, or `namespace/name`.
    #[must_use]
    pub fn short(&self) -> String {
        if self.is_cluster() { (*self.name).into() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.info().kind, self.short())
    }
}

/// The ConfigMap of a module, as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It has not been read.
    Unread,
    /// It, or its key, is not there.
    Missing(String),
    /// It cannot be read.
    Unreadable(String),
    /// Its key holds something.
    There {
        /// 64 hexadecimal digits.
        digest: String,
        /// What it holds; `None` after it has been loaded.
        bytes: Option<Arc<[u8]>>,
    },
}

/// Namespace and name of a ConfigMap with a module.
pub type SourceKey = (String, String);

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
    everyone: bool,
    matching: Vec<Arc<Matcher>>,
}

impl Woken {
    fn everyone() -> Self {
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

/// A module to load.
#[derive(Debug)]
pub struct Job {
    /// For which policy.
    pub id: PolicyId,
    /// What there is.
    pub bytes: Bytes,
    /// For which part of its spec.
    pub target: Target,
    /// Uid and generation of the policy.
    pub key: String,
}

/// A status to write.
#[derive(Debug)]
pub struct StatusJob {
    /// Of which policy.
    pub id: PolicyId,
    /// It, as it was last seen.
    pub object: Arc<ParentObject>,
    /// Its status as it is.
    pub before: Value,
    /// What the new one is made from.
    pub facts: Facts,
}

/// What is known of the writes of a status.
#[derive(Debug, Default)]
struct Written {
    /// Something may have changed since then.
    dirty: Option<Instant>,
    last: Option<Instant>,
    /// Version and status of the last write, until the watch delivers it.
    status: Option<(u64, Value)>,
}

/// What is known of the list of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Listing {
    #[default]
    NotYet,
    Listed,
    /// The cluster is without the kind.
    Absent,
    Refused(String),
}

#[derive(Debug, Default)]
struct Inner {
    lists: [Listing; 2],
    entries: BTreeMap<PolicyId, Entry>,
    namespaces: Option<HashMap<String, Arc<Labels>>>,
    /// Namespaces whose labels were asked for and not known.
    asked_for: BTreeSet<String>,
    stamps: u64,
    /// Policies whose module is being loaded.
    loading: HashSet<PolicyId>,
    /// When a namespace had its last turn to load; the empty one is that of ClusterWasmPolicies.
    served: HashMap<Arc<str>, u64>,
    turns: u64,
}

/// Every policy.
#[derive(Debug, Default)]
pub struct Policies {
    options: Options,
    inner: Mutex<Inner>,
    /// Rings when there may be something to load.
    pub to_load: Notify,
    /// Rings when other ConfigMaps are to be watched.
    pub sources_changed: Notify,
    /// Rings when there may be a status to write.
    pub to_write: Notify,
    /// Rings when the labels of namespaces have to be known.
    pub namespaces_wanted: Notify,
}

/// The kinds of policies.
pub const KINDS: [ParentInfo; 2] = [CLUSTER_WASM_POLICY, WASM_POLICY];

fn place(kind: &ParentInfo) -> usize {
    usize::from(*kind == WASM_POLICY)
}

impl Policies {
    /// None yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// How they are looked after.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held leaves maps that are still maps.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self) -> bool {
        self.options.switch == Switch::Hold
    }

    /// Whether policies of a kind have a say; of the others only the status is written.
    #[must_use]
    pub fn counts(&self, kind: &ParentInfo) -> bool {
        self.options.switch != Switch::Off && (self.options.namespaced || *kind != WASM_POLICY)
    }

    /// Whether it is known of every kind that has a say which policies there are, or why that cannot be known.
    #[must_use]
    pub fn settled(&self) -> bool {
        let inner = self.lock();
        KINDS.iter().all(|kind| !self.counts(kind) || inner.lists[place(kind)] != Listing::NotYet)
    }

    /// Takes in a policy as it is now.
    pub fn saw(&self, object: &Arc<ParentObject>, now: Instant) -> Woken {
        let id = PolicyId::of(object);
        let raw = object.raw_spec();
        if raw.get("operator").and_then(Value::as_str).unwrap_or("default") != self.options.operator_name {
            return self.gone(&id, now);
        }
        let mut inner = self.lock();
        let new = Entry::new(id.clone(), Arc::clone(object));
        let entry = inner.entries.entry(id.clone()).or_insert(new);
        if entry.object.metadata.uid != object.metadata.uid {
            *entry = Entry::new(id.clone(), Arc::clone(object));
        }
        let generation = object.metadata.generation;
        let same = std::mem::replace(&mut entry.read, generation) == generation;
        entry.object = Arc::clone(object);
        if same {
            return Woken::default();
        }
        let before = Arc::clone(&entry.matcher);
        let spec = object.decode::<PolicySpec>().map_err(|invalid| invalid.to_string());
        let spec = spec.and_then(|spec| Ok((Matcher::new(id.within(), &spec.matches)?, spec)));
        match spec {
            Ok((matcher, spec)) => {
                entry.matcher = Arc::new(matcher);
                entry.spec = Some(Arc::new(self.effective(&id, spec)));
                entry.refused = entry.spec.as_ref().and_then(|spec| self.refuses(&id, spec));
            }
            Err(why) => {
                let matches = raw.get("match").cloned().and_then(|says| serde_json::from_value::<Match>(says).ok());
                let matcher = matches.and_then(|says| Matcher::new(id.within(), &says).ok());
                entry.matcher = Arc::new(matcher.unwrap_or_else(|| Matcher::everything(id.within())));
                entry.spec = None;
                entry.refused = Some(Broken::new(At::Accepted, reason::INVALID_SPEC, why));
            }
        }
        let key = source_key(entry);
        // Another policy may have read the same ConfigMap; whoever has dropped its bytes reads it again.
        entry.source = Source::Unread;
        entry.reads += 1;
        tracing::debug!(policy = %id, source = ?key, "the spec of a policy is new");
        inner.stamps += 1;
        let stamp = inner.stamps;
        if let Some(entry) = inner.entries.get_mut(&id) {
            entry.stamp = stamp;
        }
        let mut woken = self.count(&mut inner, now);
        let after = inner.entries.get(&id).map(|entry| Arc::clone(&entry.matcher));
        woken.matching.push(before);
        woken.matching.extend(after);
        drop(inner);
        self.ring();
        woken
    }

    /// A policy is gone.
    pub fn gone(&self, id: &PolicyId, now: Instant) -> Woken {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.remove(id) else { return Woken::default() };
        let mut woken = self.count(&mut inner, now);
        woken.matching.push(entry.matcher);
        drop(inner);
        self.ring();
        woken
    }

    /// A kind has been listed: these are there.
    pub fn listed(&self, kind: &ParentInfo, there: &HashSet<PolicyId>, now: Instant) -> Woken {
        let mut woken = Woken::default();
        let of_kind = |id: &PolicyId| id.info() == *kind;
        let vanished: Vec<_> =
            self.lock().entries.keys().filter(|id| of_kind(id) && !there.contains(*id)).cloned().collect();
        for id in vanished {
            woken.matching.extend(self.gone(&id, now).matching);
        }
        let before = std::mem::replace(&mut self.lock().lists[place(kind)], Listing::Listed);
        woken.everyone = before != Listing::Listed;
        woken
    }

    /// The cluster is without a kind.
    pub fn absent(&self, kind: &ParentInfo, now: Instant) -> Woken {
        let mut woken = self.listed(kind, &HashSet::new(), now);
        let before = std::mem::replace(&mut self.lock().lists[place(kind)], Listing::Absent);
        woken.everyone |= before != Listing::Absent;
        woken
    }

    /// A kind cannot be listed. What was known before stands.
    pub fn refused(&self, kind: &ParentInfo, why: String) -> Woken {
        let list = &mut self.lock().lists[place(kind)];
        match list {
            // The watch is tried again, and what it has seen is true until then.
            Listing::Listed => Woken::default(),
            Listing::Refused(known) if *known == why => Woken::default(),
            _ => {
                *list = Listing::Refused(why);
                Woken::everyone()
            }
        }
    }

    /// As the spec counts: what its kind cannot have is left out.
    fn effective(&self, id: &PolicyId, mut spec: PolicySpec) -> PolicySpec {
        if id.is_cluster() {
            spec.module.config_map.namespace.get_or_insert_with(|| self.options.operator_namespace.clone());
        } else {
            spec.module.config_map.namespace = Some((*id.namespace).into());
            spec.grants = spec.grants.of_a_namespace();
            spec.matches.namespace_selector = None;
        }
        spec
    }

    /// Why a policy is not even looked at.
    fn refuses(&self, id: &PolicyId, spec: &PolicySpec) -> Option<Broken> {
        let no = |reason, message| Some(Broken::new(At::Accepted, reason, message));
        if self.options.switch == Switch::Off {
            return Some(Broken::new(At::Switched, reason::OFF, "the operator runs with --policies=off"));
        }
        if !self.counts(&id.info()) {
            return no(reason::NAMESPACED_POLICIES_OFF, "the operator runs without --namespaced-policies".into());
        }
        let ConfigMapKey { namespace, .. } = &spec.module.config_map;
        let namespace = namespace.as_deref().unwrap_or_default();
        let Options { operator_namespace, module_namespaces, added_kinds, .. } = &self.options;
        let allowed = namespace == operator_namespace || module_namespaces.contains(namespace);
        if id.is_cluster() && !allowed {
            let message = format!(
                "spec.module.configMap.namespace: modules from {namespace} are not allowed; start the operator with \
                 --policy-module-namespaces={namespace}"
            );
            return no(reason::NAMESPACE_NOT_ALLOWED, message);
        }
        for wanted in &spec.matches.children {
            let known = |kind: &&ChildKind| kind.info().group == wanted.group && kind.info().kind == wanted.kind;
            if !ChildKind::ALL.iter().any(|kind| known(&kind)) {
                let message =
                    format!("spec.match.children: the operator makes no {}", shown(&wanted.group, &wanted.kind));
                return no(reason::KIND_NOT_AVAILABLE, message);
            }
        }
        for wanted in &spec.grants.add_kinds {
            let known = |kind: &&ChildKind| kind.info().group == wanted.group && kind.info().kind == wanted.kind;
            if !added_kinds.iter().any(|kind| known(&kind)) {
                let shown = shown(&wanted.group, &wanted.kind);
                let message = format!(
                    "spec.grants.addKinds: {shown} is not switched on; start the operator with --policy-added-kinds={shown}"
                );
                return no(reason::KIND_NOT_AVAILABLE, message);
            }
        }
        None
    }

    /// Counts the policies, and finds out how far each of them is.
    fn count(&self, inner: &mut Inner, now: Instant) -> Woken {
        let created = |entry: &Entry| entry.object.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let mut ids: Vec<_> = inner.entries.values().map(|e| (!e.id.is_cluster(), created(e), e.id.clone())).collect();
        ids.sort();
        let mut in_namespace: HashMap<Arc<str>, usize> = HashMap::new();
        let (mut count, mut woken) = (0, Woken::default());
        for (_, _, id) in ids.into_iter().filter(|(.., id)| self.counts(&id.info())) {
            let here = in_namespace.entry(Arc::clone(&id.namespace)).or_default();
            let too_many = if count >= MOST {
                Some(format!("there are {MOST} older policies, which is the most"))
            } else if !id.is_cluster() && *here >= MOST_OF_A_NAMESPACE {
                Some(format!("the namespace has {MOST_OF_A_NAMESPACE} older policies, which is the most"))
            } else {
                None
            };
            if too_many.is_none() {
                count += 1;
                *here += 1;
            }
            let Some(entry) = inner.entries.get_mut(&id) else { continue };
            let is_limit = entry.refused.as_ref().is_some_and(|refused| refused.reason == reason::TOO_MANY_POLICIES);
            if entry.refused.is_none() || is_limit {
                entry.refused = too_many.map(|message| Broken::new(At::Accepted, reason::TOO_MANY_POLICIES, message));
            }
        }
        let all: Vec<_> = inner.entries.keys().cloned().collect();
        woken.matching.extend(all.iter().filter_map(|id| self.advance(inner, id, now)));
        woken
    }

    /// Finds out how far a policy is. Returns whom that concerns.
    fn advance(&self, inner: &mut Inner, id: &PolicyId, now: Instant) -> Option<Arc<Matcher>> {
        let entry = inner.entries.get_mut(id)?;
        entry.advance(now);
        let turn = entry.turn(self.hold());
        let news = entry.turn_before.as_ref() != Some(&turn);
        let facts = entry.facts_of_stage();
        if news || entry.facts_before.as_ref() != Some(&facts) {
            entry.facts_before = Some(facts);
            entry.written.dirty.get_or_insert(now);
        }
        news.then(|| {
            entry.turn_before = Some(turn);
            inner.stamps += 1;
            entry.stamp = inner.stamps;
            Arc::clone(&entry.matcher)
        })
    }

    fn ring(&self) {
        self.to_load.notify_one();
        self.sources_changed.notify_one();
        self.to_write.notify_one();
    }

    /// The ConfigMaps to watch, each with a number that changes when it has to be read again.
    #[must_use]
    pub fn sources(&self) -> HashMap<SourceKey, u64> {
        let inner = self.lock();
        let mut wanted = HashMap::new();
        for entry in inner.entries.values() {
            if let Some(key) = source_key(entry) {
                *wanted.entry(key).or_default() += entry.reads;
            }
        }
        wanted
    }

    /// Takes in what a ConfigMap holds. `read` is asked for the value of a key.
    pub fn source(&self, key: &SourceKey, read: impl Fn(&str) -> Source, now: Instant) -> Woken {
        let mut inner = self.lock();
        let of_it = |entry: &&mut Entry| source_key(entry).as_ref() == Some(key);
        let ids: Vec<_> = inner
            .entries
            .values_mut()
            .filter(of_it)
            .map(|entry| {
                if let Some(map) = entry.config_map() {
                    entry.source = read(&map.key);
                }
                entry.written.dirty.get_or_insert(now);
                entry.id.clone()
            })
            .collect();
        let matching = ids.iter().filter_map(|id| self.advance(&mut inner, id, now)).collect();
        drop(inner);
        self.ring();
        Woken { everyone: false, matching }
    }

    /// Takes in the labels of a namespace, or that it is gone. Returns whether policies may match differently there.
    pub fn saw_namespace(&self, namespace: &str, labels: Option<&Labels>) -> bool {
        let mut inner = self.lock();
        let asked = inner.entries.values().any(|entry| entry.matcher.namespaces.is_some());
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
        std::mem::take(&mut inner.asked_for)
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
                    return Selection::NotYet;
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

    /// Takes in how policies fare with a custom resource; those that are not named do not match it.
    pub fn fared(&self, parent: &ParentId, fares: Vec<(PolicyId, u64, Fare)>, now: Instant) {
        let mut inner = self.lock();
        if inner.entries.is_empty() {
            return;
        }
        let mut fares: HashMap<PolicyId, (u64, Fare)> =
            fares.into_iter().map(|(id, stamp, fare)| (id, (stamp, fare))).collect();
        let mut news = false;
        for entry in inner.entries.values_mut() {
            let changed = match fares.remove(&entry.id) {
                Some((stamp, fare)) => entry.tally.put(parent, stamp, fare),
                None => entry.tally.remove(parent),
            };
            if changed {
                news = true;
                entry.written.dirty.get_or_insert(now);
            }
        }
        drop(inner);
        if news {
            self.to_write.notify_one();
        }
    }

    /// A custom resource is gone.
    pub fn forget(&self, parent: &ParentId) {
        self.fared(parent, Vec::new(), Instant::now());
    }

    /// Of a kind, only these custom resources are there.
    pub fn retain(&self, kind: &str, there: &HashSet<ParentId>) {
        let now = Instant::now();
        for entry in self.lock().entries.values_mut() {
            if entry.tally.retain(kind, there) {
                entry.written.dirty.get_or_insert(now);
            }
        }
        self.to_write.notify_one();
    }

    /// The next module to load: the namespaces take turns, so that no one waits for another's whole queue.
    #[must_use]
    pub fn next_job(&self, now: Instant) -> Option<Job> {
        let mut inner = self.lock();
        let due: Vec<_> = inner.entries.values().filter(|e| e.again().is_some_and(|again| again <= now)).collect();
        let due: Vec<_> = due.into_iter().map(|entry| entry.id.clone()).collect();
        for id in due {
            // Whatever comes of it, nobody is concerned before it has been loaded.
            let _ = self.advance(&mut inner, &id, now);
            self.sources_changed.notify_one();
        }
        let Inner { entries, loading, served, turns, .. } = &mut *inner;
        let waiting = entries.values().filter(|e| e.stage == Stage::Loading && !loading.contains(&e.id));
        let next = waiting.min_by_key(|entry| served.get(&entry.id.namespace).copied().unwrap_or_default())?;
        let (bytes, target) = next.bytes()?;
        let meta = &next.object.metadata;
        let key = format!("{}/{}", meta.uid.as_deref().unwrap_or_default(), meta.generation.unwrap_or_default());
        *turns += 1;
        served.insert(Arc::clone(&next.id.namespace), *turns);
        loading.insert(next.id.clone());
        Some(Job { id: next.id.clone(), bytes, target, key })
    }

    /// Whether an Event may tell that this policy holds another custom resource: 25 at once, then one a second.
    pub fn may_tell(&self, id: &PolicyId, now: Instant) -> bool {
        const AT_ONCE: u64 = 25;
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(id) else { return true };
        let (left, since) = entry.events.get_or_insert((AT_ONCE, now));
        let more = now.saturating_duration_since(*since).as_secs();
        if more > 0 {
            (*left, *since) = ((*left + more).min(AT_ONCE), now);
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    /// When loading something that failed may be tried again.
    #[must_use]
    pub fn next_try(&self) -> Option<Instant> {
        self.lock().entries.values().filter_map(Entry::again).min()
    }

    /// Takes in how a job has ended.
    pub fn finished(&self, job: Job, ended: Result<Loaded, (At, Failure)>, now: Instant) -> Woken {
        let mut inner = self.lock();
        inner.loading.remove(&job.id);
        let Some(entry) = inner.entries.get_mut(&job.id) else { return Woken::default() };
        entry.loaded(job.target, job.key, ended, now);
        let matching = self.advance(&mut inner, &job.id, now).into_iter().collect();
        drop(inner);
        self.ring();
        Woken { everyone: false, matching }
    }

    /// The statuses that may be due, and when to ask again. `quiet`: whether no custom resource waits to be looked at.
    #[must_use]
    pub fn statuses(&self, quiet: bool, now: Instant) -> (Vec<StatusJob>, Option<Instant>) {
        let hold = self.hold();
        let every = self.options.status_every;
        let mut inner = self.lock();
        let (mut jobs, mut next) = (Vec::new(), None::<Instant>);
        for entry in inner.entries.values_mut() {
            let Some(since) = entry.written.dirty else { continue };
            let mut due = entry.written.last.map_or(now, |last| last + every);
            // What is on its way would be written twice, and after a restart for nothing.
            let halfway = matches!(entry.stage, Stage::Reading | Stage::Loading)
                || !quiet
                || (!hold && !entry.tally.complete(entry.stamp));
            if halfway {
                due = due.max(since + every.min(Duration::from_secs(3)));
            }
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            entry.written.dirty = None;
            let (id, object, before) = (entry.id.clone(), Arc::clone(&entry.object), entry.stored());
            jobs.push(StatusJob { id, object, before, facts: entry.facts(hold) });
        }
        (jobs, next)
    }

    /// A status was written, or could not be.
    pub fn wrote(&self, id: &PolicyId, became: Option<(u64, Value)>, now: Instant) {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(id) else { return };
        entry.written.last = Some(now);
        match became {
            Some(became) => entry.written.status = Some(became),
            None => {
                entry.written.dirty.get_or_insert(now);
            }
        }
    }

    /// Figures of every policy, for metrics.
    #[must_use]
    pub fn figures(&self) -> Vec<(String, Figures)> {
        let inner = self.lock();
        let figures = |entry: &Entry| {
            let counts = entry.tally.counts(entry.stamp);
            let target = entry.target();
            let right = match &entry.source {
                Source::There { digest, .. } => target.is_some_and(|target| target.sha256 == *digest),
                _ => false,
            };
            Figures {
                held: counts.held,
                source_ok: right,
                code: entry.running.as_ref().map_or(0, |running| running.loaded.code() as u64),
            }
        };
        inner.entries.values().map(|entry| (entry.id.short(), figures(entry))).collect()
    }
}

/// Figures of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Custom resources that are held because of it.
    pub held: u64,
    /// Whether its ConfigMap holds the bytes that its digest names.
    pub source_ok: bool,
    /// Bytes of native code.
    pub code: u64,
}

fn shown(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.into() } else { format!("{kind}.{group}") }
}

fn source_key(entry: &Entry) -> Option<SourceKey> {
    let map = entry.config_map()?;
    Some((map.namespace.clone().unwrap_or_default(), map.name.clone()))
}
