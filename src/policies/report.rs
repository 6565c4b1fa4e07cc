//! How policies fare, and what is said of it: counts, statuses that are due, Events, figures for metrics. PURE.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Entry, Policies, PolicyId, Source, entry::Stage, status::Facts, tally::Fare};
use crate::{object::ParentId, parent::ParentObject};

/// How long what is on its way may keep a status from being written.
const HALFWAY: Duration = Duration::from_secs(3);
/// The same after the start of the operator, for a spec whose status is there: every module has to be loaded first.
const AT_START: Duration = Duration::from_secs(60);

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
pub(super) struct Written {
    /// Something may have changed since then.
    pub(super) dirty: Option<Instant>,
    pub(super) last: Option<Instant>,
    /// Whether one was due before, in this process.
    pub(super) due_before: bool,
    /// Version and status of the last write, until the watch delivers it.
    pub(super) status: Option<(u64, Value)>,
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

impl Policies {
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
    pub fn forget(&self, parent: &ParentId, now: Instant) {
        self.fared(parent, Vec::new(), now);
    }

    /// Of a kind, only these custom resources are there.
    pub fn retain(&self, kind: &str, there: &HashSet<ParentId>, now: Instant) {
        for entry in self.lock().entries.values_mut() {
            if entry.tally.retain(kind, there) {
                entry.written.dirty.get_or_insert(now);
            }
        }
        self.to_write.notify_one();
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
                // What was said of this very spec before the operator was started stands meanwhile.
                let said = !entry.written.due_before && entry.has_said();
                due = due.max(since + if said { AT_START } else { every.min(HALFWAY) });
            }
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            entry.written.dirty = None;
            entry.written.due_before = true;
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
            let target = entry.target.as_ref();
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
