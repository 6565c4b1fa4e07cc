//! Custom resources that others look for: by label, or because only one may use a thing. Who looks is woken when what
//! it would find has changed, and not for anything else.
//!
//! No I/O: the watches of the custom resources feed it, the driver asks it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kube::core::SelectorExt as _;

use crate::{
    kinds::{Discovery, Found, InvalidSpec, Listing, Parent},
    object::ParentId,
    parent::ParentObject,
};

/// What is found counts when it has stayed the same for so long: changes that arrive together have one effect.
const QUIET: Duration = Duration::from_secs(2);
/// Or when it has kept changing for so long.
const LONGEST: Duration = Duration::from_secs(10);

/// Everything that can be found, and who looks.
#[derive(Debug, Default)]
pub struct Directory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<ParentId, Entry>,
    listed: BTreeSet<&'static str>,
    seekers: HashMap<ParentId, BTreeMap<&'static str, Seeker>>,
}

/// A custom resource as others find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Seconds since 1970 of its creation: of two with one claim the older one is right.
    pub created: i64,
    /// What it says of itself.
    pub listing: Listing,
}

impl Entry {
    /// How others find a custom resource; `None` when it is going.
    ///
    /// # Errors
    /// When its spec cannot be decoded.
    pub fn of<P: Parent>(object: &ParentObject) -> Result<Option<Self>, InvalidSpec> {
        let spec = object.spec::<P>()?;
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let identity = object.identity();
        let listing = P::listing(&identity, &spec, &object.status());
        let created = object.metadata.creation_timestamp.as_ref().map_or(0, |created| created.0.as_second());
        Ok(Some(Self { labels: identity.labels, created, listing }))
    }
}

/// One search of one custom resource.
#[derive(Debug)]
struct Seeker {
    discovery: Discovery,
    /// What counts; nothing does before the kind has been listed.
    settled: Option<Arc<[Found]>>,
    /// What would be found now, while it differs.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    found: Arc<[Found]>,
    first: Instant,
    last: Instant,
}

/// A kind has not been listed yet; whoever looks is woken when it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotListed;

/// What a custom resource finds, by kind, and when to look again without being woken.
pub type Finds = (BTreeMap<&'static str, Arc<[Found]>>, Option<Instant>);

impl Directory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a custom resource says of itself, or that it is gone or going. Returns who is to be woken.
    pub fn saw(&self, id: &ParentId, entry: Option<Entry>) -> BTreeSet<ParentId> {
        self.lock().saw(id, entry)
    }

    /// A kind has been listed, and these are there. Returns who is to be woken.
    pub fn listed(&self, kind: &'static str, there: &HashSet<ParentId>) -> BTreeSet<ParentId> {
        let mut inner = self.lock();
        let gone: Vec<_> = inner.entries.keys().filter(|id| id.kind == kind && !there.contains(id)).cloned().collect();
        let mut woken: BTreeSet<_> = gone.iter().flat_map(|id| inner.saw(id, None)).collect();
        if inner.listed.insert(kind) {
            woken.extend(inner.seekers.iter().filter(|(_, all)| all.contains_key(kind)).map(|(id, _)| id.clone()));
        }
        woken
    }

    /// What a custom resource finds. From now on it is woken when that changes; a change counts when it has settled, and
    /// another search counts at once.
    ///
    /// # Errors
    /// When one of the kinds has not been listed.
    pub fn seek(
        &self,
        parent: &ParentId,
        discoveries: &BTreeMap<&'static str, Discovery>,
        now: Instant,
    ) -> Result<Finds, NotListed> {
        let mut inner = self.lock();
        if discoveries.is_empty() {
            inner.seekers.remove(parent);
            return Ok((BTreeMap::new(), None));
        }
        let listed = discoveries.keys().all(|kind| inner.listed.contains(kind));
        let mut before = inner.seekers.remove(parent).unwrap_or_default();
        let mut after = BTreeMap::new();
        for (kind, discovery) in discoveries {
            let known = before.remove(kind).filter(|known| known.discovery == *discovery);
            let new = || Seeker { discovery: discovery.clone(), settled: None, pending: None };
            let mut seeker = known.unwrap_or_else(new);
            if listed {
                seeker.settle(inner.find(kind, discovery), now);
            }
            after.insert(*kind, seeker);
        }
        let found = after.iter().filter_map(|(kind, seeker)| Some((*kind, Arc::clone(seeker.settled.as_ref()?))));
        let found = found.collect();
        let due = after.values().filter_map(|seeker| seeker.pending.as_ref()).map(Pending::due).min();
        inner.seekers.insert(parent.clone(), after);
        if listed { Ok((found, due)) } else { Err(NotListed) }
    }

    /// Whether a custom resource has been seen.
    #[must_use]
    pub fn knows(&self, id: &ParentId) -> bool {
        self.lock().entries.contains_key(id)
    }

    /// What there is to find now.
    #[must_use]
    pub fn find(&self, kind: &str, discovery: &Discovery) -> Arc<[Found]> {
        self.lock().find(kind, discovery)
    }

    /// The oldest other custom resource of the same kind and namespace with this claim, if it is older than `parent`.
    #[must_use]
    pub fn rival(&self, parent: &ParentId, claim: &str) -> Option<Arc<str>> {
        let inner = self.lock();
        let age = |id: &ParentId, entry: &Entry| (entry.created, Arc::clone(&id.name));
        let own = age(parent, inner.entries.get(parent)?);
        let rivals = inner.claiming(parent, claim).map(|(id, entry)| age(id, entry)).filter(|rival| *rival < own);
        rivals.min().map(|(_, name)| name)
    }

    /// Forgets the custom resources of a kind that looked for others and are not among those that are there.
    pub fn retain(&self, kind: &str, there: &HashSet<ParentId>) {
        self.lock().seekers.retain(|parent, _| parent.kind != kind || there.contains(parent));
    }

    /// Forgets that a custom resource that is gone looks for others.
    pub fn forget(&self, parent: &ParentId) {
        self.lock().seekers.remove(parent);
    }
}

impl Inner {
    fn saw(&mut self, id: &ParentId, entry: Option<Entry>) -> BTreeSet<ParentId> {
        let before = match &entry {
            Some(entry) => self.entries.insert(id.clone(), entry.clone()),
            None => self.entries.remove(id),
        };
        if before == entry {
            return BTreeSet::new();
        }
        let found_by = |discovery: &Discovery, entry: Option<&Entry>| {
            entry.is_some_and(|entry| entry.listing.url.is_some() && discovery.selector.matches(&entry.labels))
        };
        let url = |entry: &Option<Entry>| entry.as_ref().and_then(|entry| entry.listing.url.clone());
        let same_url = url(&before) == url(&entry);
        let mut woken = BTreeSet::new();
        for (seeker, searches) in &self.seekers {
            let Some(search) = searches.get(id.kind).filter(|s| *s.discovery.namespace == *id.namespace) else {
                continue;
            };
            let (was, is) = (found_by(&search.discovery, before.as_ref()), found_by(&search.discovery, entry.as_ref()));
            if was != is || (is && !same_url) {
                woken.insert(seeker.clone());
            }
        }
        let claim = |entry: &Option<Entry>| entry.as_ref().and_then(|entry| entry.listing.claim.clone());
        let (old, new) = (claim(&before), claim(&entry));
        if old != new {
            for claim in [old, new].into_iter().flatten() {
                woken.extend(self.claiming(id, &claim).map(|(id, _)| id.clone()));
            }
        }
        woken
    }

    fn find(&self, kind: &str, discovery: &Discovery) -> Arc<[Found]> {
        let there = |id: &ParentId| id.kind == kind && *id.namespace == *discovery.namespace;
        let matching = self.entries.iter().filter(|(id, entry)| there(id) && discovery.selector.matches(&entry.labels));
        // Entries are in the order of their names.
        matching
            .filter_map(|(id, entry)| {
                Some(Found { name: Arc::clone(&id.name), url: entry.listing.url.as_deref()?.into() })
            })
            .collect()
    }

    /// The other custom resources of a kind and namespace with a claim.
    fn claiming(&self, parent: &ParentId, claim: &str) -> impl Iterator<Item = (&ParentId, &Entry)> {
        self.entries.iter().filter(move |(id, entry)| {
            id.kind == parent.kind
                && id.namespace == parent.namespace
                && id.name != parent.name
                && entry.listing.claim.as_deref() == Some(claim)
        })
    }
}

impl Seeker {
    fn settle(&mut self, current: Arc<[Found]>, now: Instant) {
        if self.settled.as_ref().is_none_or(|settled| *settled == current) {
            self.settled = Some(current);
            self.pending = None;
            return;
        }
        let pending =
            self.pending.get_or_insert_with(|| Pending { found: Arc::clone(&current), first: now, last: now });
        if pending.found != current {
            pending.found = current;
            pending.last = now;
        }
        if pending.due() <= now {
            self.settled = Some(Arc::clone(&pending.found));
            self.pending = None;
        }
    }
}

impl Pending {
    fn due(&self) -> Instant {
        (self.last + QUIET).min(self.first + LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet, HashSet},
        time::{Duration, Instant},
    };

    use kube::core::Expression;

    use super::{Directory, Entry, NotListed};
    use crate::{
        kinds::{Discovery, Listing},
        object::ParentId,
    };

    fn id(kind: &'static str, name: &str) -> ParentId {
        ParentId { kind, namespace: "ns".into(), name: name.into() }
    }

    fn agent(team: &str, url: &str) -> Option<Entry> {
        let labels = BTreeMap::from([("team".to_owned(), team.to_owned())]);
        Some(Entry { labels, created: 0, listing: Listing { url: Some(url.into()), claim: None } })
    }

    fn team(team: &str) -> BTreeMap<&'static str, Discovery> {
        let selector = Expression::Equal("team".into(), team.into()).into();
        BTreeMap::from([("Agent", Discovery { namespace: "ns".into(), selector })])
    }

    fn names(directory: &Directory, wanted: &str, now: Instant) -> Vec<String> {
        let (found, _) = directory.seek(&id("Orchestrator", "o"), &team(wanted), now).expect("listed");
        found["Agent"].iter().map(|found| format!("{}={}", found.name, found.url)).collect()
    }

    #[test]
    fn nothing_counts_before_the_kind_has_been_listed() {
        let (directory, seeker, now) = (Directory::default(), id("Orchestrator", "o"), Instant::now());
        assert_eq!(directory.seek(&seeker, &team("a"), now), Err(NotListed));
        directory.saw(&id("Agent", "x"), agent("a", "u"));
        assert_eq!(directory.listed("Agent", &HashSet::from([id("Agent", "x")])), BTreeSet::from([seeker]));
        assert_eq!(names(&directory, "a", now), ["x=u"], "at once, because it is the first look");
    }

    #[test]
    fn only_whoever_would_see_a_change_is_woken() {
        let (directory, seeker, now) = (Directory::default(), id("Orchestrator", "o"), Instant::now());
        directory.listed("Agent", &HashSet::new());
        assert!(names(&directory, "a", now).is_empty());
        let woken = |entry| !directory.saw(&id("Agent", "x"), entry).is_empty();
        assert!(!woken(agent("b", "u")), "another team");
        assert!(woken(agent("a", "u")), "labelled");
        assert!(!woken(agent("a", "u")), "the same again");
        assert!(woken(agent("a", "v")), "moved");
        assert!(woken(agent("b", "v")), "unlabelled");
        assert!(!woken(None), "deleted, and not found before");
        woken(agent("a", "u"));
        assert_eq!(directory.listed("Agent", &HashSet::new()), BTreeSet::from([seeker.clone()]), "gone in a list");
        directory.forget(&seeker);
        assert!(!woken(agent("a", "u")));
    }

    #[test]
    fn changes_that_arrive_together_count_once() {
        let (directory, start) = (Directory::default(), Instant::now());
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        directory.listed("Agent", &HashSet::new());
        assert!(names(&directory, "a", start).is_empty());
        for number in 0..3 {
            directory.saw(&id("Agent", &number.to_string()), agent("a", "u"));
            assert!(names(&directory, "a", after(number * 1000)).is_empty());
        }
        assert!(names(&directory, "a", after(3900)).is_empty(), "2 s after the last one");
        assert_eq!(names(&directory, "a", after(4000)).len(), 3);
        directory.saw(&id("Agent", "1"), None);
        assert_eq!(names(&directory, "a", after(5000)).len(), 3);
        directory.saw(&id("Agent", "1"), agent("a", "u"));
        assert_eq!(names(&directory, "a", after(9000)).len(), 3, "it came back: nothing has changed");
        assert!(names(&directory, "b", after(9001)).is_empty(), "another search counts at once");
    }

    #[test]
    fn what_keeps_changing_counts_after_a_while() {
        let (directory, start) = (Directory::default(), Instant::now());
        directory.listed("Agent", &HashSet::new());
        assert!(names(&directory, "a", start).is_empty());
        for second in 1..12 {
            directory.saw(&id("Agent", &format!("{second:02}")), agent("a", "u"));
            let found = names(&directory, "a", start + Duration::from_secs(second));
            assert_eq!(found.is_empty(), second < 11, "{second}");
        }
    }

    #[test]
    fn of_two_claims_the_older_one_is_right() {
        let directory = Directory::default();
        let claim = |created| {
            Some(Entry {
                labels: BTreeMap::new(),
                created,
                listing: Listing { url: None, claim: Some("token".into()) },
            })
        };
        let (old, young) = (id("Orchestrator", "old"), id("Orchestrator", "young"));
        assert!(directory.saw(&young, claim(2)).is_empty());
        assert_eq!(directory.rival(&young, "token"), None);
        assert_eq!(directory.saw(&old, claim(1)), BTreeSet::from([young.clone()]));
        assert_eq!(directory.rival(&young, "token").as_deref(), Some("old"));
        assert_eq!(directory.rival(&old, "token"), None);
        assert_eq!(directory.saw(&old, None), BTreeSet::from([young.clone()]));
        assert_eq!(directory.rival(&young, "token"), None);
    }
}
