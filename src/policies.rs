//! Every policy of the cluster that this operator runs: what their custom resources and ConfigMaps say, how far their modules are,
//! and which of them a custom resource has to go through.
//!
//! No I/O here: the controller feeds it, loads what it asks for, and writes the statuses it makes.

pub mod entry;
pub mod load;
pub mod matching;
pub mod reason;
pub mod report;
pub mod select;
pub mod status;
pub mod tally;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::Notify;

use self::{
    entry::{At, Broken, Entry},
    matching::{Labels, Matcher},
    select::Woken,
};
use crate::{
    kinds::ParentInfo,
    object::ChildKind,
    parent::ParentObject,
    policy::{
        grants::GroupKind,
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
    /// Why namespaces cannot be listed.
    namespaces_refused: Option<String>,
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
                let mut spec = self.effective(&id, spec);
                entry.refused = self.refuses(&id, &spec);
                // What is refused does not come in by the module that goes on.
                spec.grants.add_kinds.retain(|kind| self.is_added(kind));
                entry.set(Some(spec));
            }
            Err(why) => {
                let matches = raw.get("match").cloned().and_then(|says| serde_json::from_value::<Match>(says).ok());
                let matcher = matches.and_then(|says| Matcher::new(id.within(), &says).ok());
                entry.matcher = Arc::new(matcher.unwrap_or_else(|| Matcher::everything(id.within())));
                entry.set(None);
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
        if !inner.entries.keys().any(|other| other.namespace == id.namespace) {
            inner.served.remove(&id.namespace);
        }
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
        let known = self.lock().lists[place(kind)] == Listing::Absent;
        let mut woken = self.listed(kind, &HashSet::new(), now);
        self.lock().lists[place(kind)] = Listing::Absent;
        woken.everyone = !known;
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
        let Options { operator_namespace, module_namespaces, .. } = &self.options;
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
            if !self.is_added(wanted) {
                let shown = shown(&wanted.group, &wanted.kind);
                let message = format!(
                    "spec.grants.addKinds: {shown} is not switched on; start the operator with --policy-added-kinds={shown}"
                );
                return no(reason::KIND_NOT_AVAILABLE, message);
            }
        }
        None
    }

    /// Whether objects of a kind may be granted to be added.
    fn is_added(&self, wanted: &GroupKind) -> bool {
        let is = |kind: &ChildKind| kind.info().group == wanted.group && kind.info().kind == wanted.kind;
        self.options.added_kinds.iter().any(is)
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
}

fn shown(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.into() } else { format!("{kind}.{group}") }
}

fn source_key(entry: &Entry) -> Option<SourceKey> {
    let map = entry.config_map()?;
    Some((map.namespace.clone().unwrap_or_default(), map.name.clone()))
}

#[cfg(test)]
mod tests;
