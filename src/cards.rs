//! The cards that agents serve: what is known of each, and how asking for it went. No I/O: see `cards/fetch.rs`.
//!
//! The last good card is kept whatever happens. Conditions have fixed words, so that a failure that repeats itself
//! changes nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    kinds::{CardSeen, CardSource, KindCondition, agent::card::NotACard},
    object::ParentId,
};

pub mod fetch;

/// Type of the condition.
pub const CARD_FETCHED: &str = "CardFetched";
/// Reason: the card is there.
pub const FETCHED: &str = "CardFetched";
/// Reason: nobody has asked yet.
pub const NOT_YET_FETCHED: &str = "NotYetFetched";

/// Waits between two tries when it is not, doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// A card that was good stays good for this many failures in a row: one lost packet is not worth a word.
const TOLERATED: u32 = 2;

/// The cards of all agents.
#[derive(Debug)]
pub struct Cards {
    inner: Mutex<HashMap<ParentId, Entry>>,
    /// How often a card is asked for when all is well.
    refresh: Duration,
    jobs: mpsc::UnboundedSender<Job>,
}

#[derive(Debug)]
struct Entry {
    uid: String,
    source: CardSource,
    seen: CardSeen,
    /// Whether somebody is to ask for it.
    running: bool,
    failures: u32,
    validators: Validators,
}

/// What makes a question conditional: the answer may be that nothing has changed (RFC 9110, section 13).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// Header ETag of the last answer.
    pub etag: Option<String>,
    /// Header Last-Modified of the last answer.
    pub last_modified: Option<String>,
}

/// What the fetcher is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Job {
    /// Ask for a card, again and again.
    Follow(ParentId, CardSource),
    /// Stop asking.
    Leave(ParentId),
}

/// How asking for a card ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A card.
    Card(Value, Validators),
    /// The one that is known.
    NotModified,
    /// None.
    Failed(Failure),
}

/// Why there is no card. The words are fixed: nothing of an answer is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Unreachable,
    /// No whole answer in time.
    Timeout,
    /// An answer of another status than 200.
    Status(u16),
    /// An answer that leads elsewhere.
    Redirected,
    /// A longer answer than a card can be.
    TooLarge,
    /// Something else than a card.
    NotACard(NotACard),
}

/// Reasons of the condition, and what they mean: rows for the reference of conditions.
pub const REASONS: &[(&str, &str)] = &[
    (FETCHED, "True: the card in the status is what the agent serves."),
    (NOT_YET_FETCHED, "Unknown: no pod of the agent has been available yet, so nobody has asked for its card."),
    ("CardUnreachable", "False: the agent takes no connection, or its certificate is not trusted."),
    ("CardTimeout", "False: the agent has not answered within 5 s."),
    ("CardNotServed", "False: the agent answers with an error where its card should be."),
    ("CardRedirected", "False: the agent leads elsewhere; that is not followed."),
    ("CardTooLarge", "False: the answer is larger than 256 KiB."),
    ("NotACard", "False: the answer is no agent card."),
];

impl Failure {
    fn words(&self) -> (&'static str, String) {
        match self {
            Self::Unreachable => ("CardUnreachable", "the agent takes no connection".into()),
            Self::Timeout => ("CardTimeout", format!("no answer within {} s", fetch::TIMEOUT.as_secs())),
            Self::Status(code) => ("CardNotServed", format!("the agent answers with status {code}")),
            Self::Redirected => ("CardRedirected", "the agent leads elsewhere, which is not followed".into()),
            Self::TooLarge => ("CardTooLarge", format!("the answer is larger than {} KiB", fetch::LARGEST / 1024)),
            Self::NotACard(why) => ("NotACard", format!("the answer is no agent card: {why}")),
        }
    }
}

impl Cards {
    /// No cards; what is to be asked for goes into the queue, and is asked for again after `refresh`.
    #[must_use]
    pub fn new(refresh: Duration) -> (Self, mpsc::UnboundedReceiver<Job>) {
        let (jobs, queue) = mpsc::unbounded_channel();
        (Self { inner: Mutex::default(), refresh, jobs }, queue)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ParentId, Entry>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a card. From now on it is asked for, while a pod is `running`. `stored`: the status, from which
    /// is taken what was known before this process began.
    pub fn seen(
        &self,
        id: &ParentId,
        uid: &str,
        source: &CardSource,
        running: bool,
        stored: impl FnOnce() -> Value,
    ) -> CardSeen {
        let mut inner = self.lock();
        if inner.get(id).is_some_and(|entry| entry.uid != uid) && inner.remove(id).is_some_and(|entry| entry.running) {
            self.tell(Job::Leave(id.clone()));
        }
        let entry = inner.entry(id.clone()).or_insert_with(|| Entry {
            uid: uid.to_owned(),
            source: source.clone(),
            seen: restored(&stored()),
            running: false,
            failures: 0,
            validators: Validators::default(),
        });
        if entry.running && (!running || entry.source != *source) {
            self.tell(Job::Leave(id.clone()));
            entry.running = false;
        }
        if running && !entry.running {
            entry.source = source.clone();
            entry.validators = Validators::default();
            entry.failures = 0;
            entry.running = true;
            self.tell(Job::Follow(id.clone(), source.clone()));
        }
        entry.seen.clone()
    }

    /// Takes in an answer. Returns whether the custom resource is to be woken, and when to ask again.
    pub fn answered(&self, id: &ParentId, source: &CardSource, answer: Answer) -> (bool, Duration) {
        let mut inner = self.lock();
        // An answer to a question that nobody would ask any more.
        let Some(entry) = inner.get_mut(id).filter(|entry| entry.source == *source) else {
            return (false, self.refresh);
        };
        let before = entry.seen.clone();
        let next = match answer {
            Answer::Card(card, validators) => {
                if entry.seen.card.as_deref() != Some(&card) {
                    entry.seen.card = Some(Arc::new(card));
                }
                entry.validators = validators;
                entry.succeeded();
                self.refresh
            }
            Answer::NotModified => {
                entry.succeeded();
                self.refresh
            }
            Answer::Failed(failure) => entry.failed(failure),
        };
        (before != entry.seen, next)
    }

    /// What makes the next question conditional.
    #[must_use]
    pub fn validators(&self, id: &ParentId) -> Validators {
        self.lock().get(id).map(|entry| entry.validators.clone()).unwrap_or_default()
    }

    /// Forgets the card of a custom resource that is gone, or has none any more.
    pub fn forget(&self, id: &ParentId) {
        let mut inner = self.lock();
        // Told under the lock, so that it never comes after the `Follow` of whoever looks next.
        if inner.remove(id).is_some_and(|entry| entry.running) {
            self.tell(Job::Leave(id.clone()));
        }
    }

    /// Forgets the cards of custom resources of a kind that are not among those that are there.
    pub fn retain(&self, kind: &str, there: &HashSet<ParentId>) {
        let gone: Vec<_> = self.lock().keys().filter(|id| id.kind == kind && !there.contains(id)).cloned().collect();
        gone.iter().for_each(|id| self.forget(id));
    }

    fn tell(&self, job: Job) {
        // Fails only when the operator is ending.
        let _ = self.jobs.send(job);
    }
}

impl Entry {
    fn succeeded(&mut self) {
        self.failures = 0;
        self.seen.condition = condition("True", FETCHED, "the agent serves its card");
    }

    fn failed(&mut self, failure: Failure) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let good = &*self.seen.condition.status == "True";
        if !good || self.failures > TOLERATED {
            let (reason, message) = failure.words();
            self.seen.condition = condition("False", reason, &format!("{message}: {}", self.source.base));
        }
        let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(self.failures - 1));
        doubled.min(LONGEST_RETRY)
    }
}

fn condition(status: &str, reason: &str, message: &str) -> KindCondition {
    KindCondition::new(CARD_FETCHED, status, reason, message, true)
}

/// What a status says of the card.
fn restored(status: &Value) -> CardSeen {
    let known = status["conditions"].as_array().into_iter().flatten().find(|known| known["type"] == CARD_FETCHED);
    let text = |known: &Value, field: &str| known[field].as_str().unwrap_or_default().to_owned();
    CardSeen {
        card: status.get("card").filter(|card| card.is_object()).map(|card| Arc::new(card.clone())),
        condition: match known {
            Some(known) => condition(&text(known, "status"), &text(known, "reason"), &text(known, "message")),
            None => condition("Unknown", NOT_YET_FETCHED, "the card has not been asked for: no pod has been available"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{Answer, Cards, Failure, Job, Validators};
    use crate::{kinds::CardSource, object::ParentId};

    const REFRESH: Duration = Duration::from_secs(30);

    fn id() -> ParentId {
        ParentId { kind: "Agent", namespace: "ns".into(), name: "a".into() }
    }

    fn source(port: u16) -> CardSource {
        CardSource { base: format!("http://a.ns.svc.cluster.local:{port}") }
    }

    fn card(version: &str) -> Answer {
        Answer::Card(json!({"name": "a", "version": version}), Validators::default())
    }

    #[test]
    fn a_card_is_asked_for_while_a_pod_runs() {
        let (cards, mut queue) = Cards::new(REFRESH);
        let seen = |port, running| cards.seen(&id(), "u", &source(port), running, || Value::Null);
        assert_eq!(&*seen(1, false).condition.status, "Unknown");
        assert!(queue.try_recv().is_err(), "nobody can answer yet");
        seen(1, true);
        seen(1, true);
        assert_eq!(queue.try_recv(), Ok(Job::Follow(id(), source(1))));
        assert!(queue.try_recv().is_err(), "once");
        seen(2, true);
        assert_eq!((queue.try_recv(), queue.try_recv()), (Ok(Job::Leave(id())), Ok(Job::Follow(id(), source(2)))));
        assert!(!cards.answered(&id(), &source(1), card("1")).0, "an answer from where it was before");
        cards.forget(&id());
        assert_eq!(queue.try_recv(), Ok(Job::Leave(id())));
    }

    #[test]
    fn the_last_good_card_is_kept_and_failures_say_the_same_each_time() {
        let (cards, _queue) = Cards::new(REFRESH);
        let seen = || cards.seen(&id(), "u", &source(1), true, || Value::Null);
        let answered = |answer| cards.answered(&id(), &source(1), answer);
        seen();
        let (woken, first) = answered(Answer::Failed(Failure::Unreachable));
        let (again, second) = answered(Answer::Failed(Failure::Unreachable));
        assert!(woken && !again && second > first, "{first:?} {second:?}");
        assert_eq!(&*seen().condition.reason, "CardUnreachable");
        assert!(answered(card("1")).0);
        assert!(!answered(card("1")).0 && !answered(Answer::NotModified).0, "nothing new");
        for failure in 1..=3 {
            assert_eq!(answered(Answer::Failed(Failure::Timeout)).0, failure == 3, "{failure}");
        }
        let now = seen();
        assert_eq!(
            (&*now.condition.reason, now.card.as_ref().map(|card| &card["version"])),
            ("CardTimeout", Some(&json!("1")))
        );
        assert!(answered(Answer::NotModified).0);
        assert_eq!(&*seen().condition.status, "True");
    }

    #[test]
    fn what_the_status_says_is_known_after_a_restart() {
        let (cards, _queue) = Cards::new(REFRESH);
        let condition = json!({"type": "CardFetched", "status": "True", "reason": "CardFetched", "message": "the agent serves its card"});
        let status = json!({"card": {"name": "a", "version": "1"}, "conditions": [condition]});
        let seen = cards.seen(&id(), "u", &source(1), true, || status.clone());
        assert_eq!(seen.card.as_deref(), Some(&status["card"]));
        assert!(!cards.answered(&id(), &source(1), card("1")).0, "it still is what the agent serves");
        let other = cards.seen(&id(), "another", &source(1), true, || Value::Null);
        assert_eq!(other.card, None, "an agent of the same name, made later");
    }
}
