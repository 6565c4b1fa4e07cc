//! What the apply stage remembers of a custom resource: which object failed, and when it may be tried again. PURE.
//!
//! Back-off belongs to the failing object: an event for another one does not bring it forward, a changed wish does.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    diff::Accepted,
    outcome::{Done, Failed, Notice},
    reason::Reason,
    seal::Sealed,
};
use crate::object::ObjectId;

/// What is remembered of a custom resource between two reconciles.
#[derive(Debug, Default)]
pub struct Memory {
    /// Objects that failed, and when they may be tried again.
    pub retries: HashMap<ObjectId, Failure>,
    /// See [`Accepted`].
    pub accepted: Accepted,
}

/// A failure that waits for its next try.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was to be applied: another intent is tried at once.
    intent: String,
    /// Tries so far.
    attempt: u32,
    /// When the next one is due.
    pub due: Option<Instant>,
    failed: Failed,
}

impl Memory {
    /// The failure of an object that may not be tried again yet.
    #[must_use]
    pub fn waits(&self, wanted: &Sealed, now: Instant) -> Option<Failed> {
        let known = self.retries.get(&wanted.id).filter(|known| known.intent == wanted.intent)?;
        known.due.is_some_and(|due| due > now).then(|| known.failed.clone())
    }

    /// Somebody has changed something: what failed is tried again without waiting.
    pub fn try_at_once(&mut self) {
        self.retries.values_mut().for_each(|failure| failure.due = None);
    }

    /// How long until the first object that failed may be tried again.
    #[must_use]
    pub fn next_try(&self, now: Instant) -> Option<Duration> {
        self.retries.values().filter_map(|failure| failure.due).min().map(|due| due.saturating_duration_since(now))
    }
}

/// Keeps a failure with its back-off; a new failure is worth an Event. One that the watches have `seen` has no
/// back-off: they also see its end, and whoever is woken by that must not be told to wait.
pub fn remember(
    memory: &mut Memory,
    wanted: &Sealed,
    result: &mut Result<Done, Failed>,
    seen: bool,
    now: Instant,
    notices: &mut Vec<Notice>,
) {
    let Err(failed) = result else {
        memory.retries.remove(&wanted.id);
        return;
    };
    let before = memory.retries.get(&wanted.id).filter(|known| known.intent == wanted.intent);
    if !seen && before.is_some_and(|known| known.due.is_some_and(|due| due > now)) {
        return;
    }
    let known = before.is_some_and(|known| known.failed.message == failed.message);
    let attempt = before.map_or(0, |known| known.attempt.saturating_add(u32::from(!seen)));
    let spread = u64::from_str_radix(wanted.intent.get(7..15).unwrap_or("0"), 16).unwrap_or_default();
    let retry = failed.reason.retry_after_call();
    let delay = retry.delay(attempt, spread + u64::from(attempt)).filter(|_| !seen);
    if !known && failed.reason != Reason::Waiting {
        let message = failed.message.clone();
        notices.push(Notice::about(true, failed.reason.name(), &wanted.id, String::new(), message));
    }
    let due = delay.map(|delay| now + delay);
    let failure = Failure { intent: wanted.intent.clone(), attempt, due, failed: failed.clone() };
    memory.retries.insert(wanted.id.clone(), failure);
}
