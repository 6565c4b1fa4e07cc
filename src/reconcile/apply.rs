//! Stage: carries out the creates and updates of a plan, in order, and says how each object ended. I/O through
//! [`Cluster`] only.
//!
//! A create is one server-side apply that fails when anything of that name exists; an update is one that fails when the
//! object is another one. Force is used for drift, for fields that change hands by the user's own toggle, and after a
//! conflict has been named.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    diff::{Accepted, Action, Blocked, Cause, Change, Field, Plan, Whose, whose},
    reason::{Reason, Retry},
    repair::repair,
    seal::Sealed,
};
use crate::{
    cache::Cache,
    cluster::{self, Apply, Cluster, Refusal},
    object::{
        ChildKind, FIELD_MANAGER, HANDOVER_MANAGER, Identity, ObjectId, ParentId,
        compare::compare,
        live::{Live, is_own_manager},
        object_at,
    },
};

/// How the object ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which object.
    pub id: ObjectId,
    /// How.
    pub result: Result<Done, Failed>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was as it should be.
    Unchanged,
    /// It was made.
    Created,
    /// It was changed.
    Updated(Cause),
}

/// Why an object is not as it should be.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Class.
    pub reason: Reason,
    /// Words for the user.
    pub message: String,
    /// Whether the object is somebody else's.
    pub foreign: bool,
}

/// Everything the stage did.
#[derive(Debug, Default)]
pub struct Applied {
    /// How each object ended, in order.
    pub outcomes: Vec<Outcome>,
    /// Objects of which the server did not take every field as it was sent.
    pub not_taken: Vec<ObjectId>,
    /// What to tell the user, as Events.
    pub notices: Vec<Notice>,
    /// The namespace is going away: nothing more is done for this custom resource.
    pub terminating: bool,
}

/// Something worth an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should look.
    pub warning: bool,
    /// Reason of the Event.
    pub reason: &'static str,
    /// The object it is about, and the fields of it.
    pub about: Option<(ObjectId, String)>,
    /// Message.
    pub message: String,
}

impl Notice {
    fn about(warning: bool, reason: &'static str, id: &ObjectId, fields: String, message: String) -> Self {
        Self { warning, reason, about: Some((id.clone(), fields)), message }
    }
}

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

/// What the stage works with.
#[derive(Debug)]
pub struct Stage<'a, C> {
    /// Where calls go.
    pub cluster: &'a C,
    /// Where answers go.
    pub cache: &'a Cache,
    /// Whose objects.
    pub parent: &'a ParentId,
    /// Uid and more of it.
    pub identity: &'a Identity,
    /// The time.
    pub now: Instant,
}

impl Applied {
    /// Whether every object is as it should be, or was refused because it is somebody else's.
    #[must_use]
    pub fn complete(&self) -> bool {
        !self.terminating && self.outcomes.iter().all(|o| o.result.as_ref().map_or_else(|f| f.foreign, |_| true))
    }

    /// Whether an object of this kind was changed because it is wanted differently now.
    #[must_use]
    pub fn rolled(&self, kind: ChildKind) -> bool {
        let changed = |done: &Done| matches!(done, Done::Created | Done::Updated(Cause::Intent | Cause::Reclaim));
        self.outcomes.iter().any(|o| o.id.kind == kind && o.result.as_ref().is_ok_and(changed))
    }
}

/// Carries out the plan.
pub async fn apply<C: Cluster>(stage: &Stage<'_, C>, plan: &Plan, sealed: &[Sealed], memory: &mut Memory) -> Applied {
    let mut applied = Applied::default();
    for (change, wanted) in plan.changes.iter().zip(sealed) {
        debug_assert_eq!(change.id, wanted.id, "the plan has the order of the sealed objects");
        let (mut result, seen) = match blocker(change, &applied.outcomes) {
            Some(message) => (Err(Failed { reason: Reason::Waiting, message, foreign: false }), true),
            None => {
                let seen = matches!(change.action, Action::Blocked(_));
                (stage.one(change, wanted, memory, &mut applied).await, seen)
            }
        };
        if applied.terminating {
            return applied;
        }
        remember(memory, wanted, &mut result, seen, stage.now, &mut applied.notices);
        applied.outcomes.push(Outcome { id: change.id.clone(), result });
    }
    memory.retries.retain(|id, _| sealed.iter().any(|wanted| wanted.id == *id));
    applied
}

/// Says what an object waits for, when something it needs could not be written.
fn blocker(change: &Change, outcomes: &[Outcome]) -> Option<String> {
    if change.action == Action::Unchanged {
        return None;
    }
    let needs = change.id.kind.needs();
    outcomes.iter().filter(|o| needs.contains(&o.id.kind)).find_map(|outcome| match &outcome.result {
        // A ServiceAccount that somebody else made can be used as it is.
        Err(failed) if !(failed.foreign && outcome.id.kind == ChildKind::ServiceAccount) => {
            Some(format!("{} waits for {}", change.id, outcome.id))
        }
        _ => None,
    })
}

/// Keeps a failure with its back-off; a new failure is worth an Event. One that the watches have `seen` has no
/// back-off: they also see its end, and whoever is woken by that must not be told to wait.
fn remember(
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
    let retry = match failed.reason.retry() {
        // What only a call has shown, no event will end.
        Retry::OnEvent => Retry::Slowly,
        retry => retry,
    };
    let delay = retry.delay(attempt, spread + u64::from(attempt)).filter(|_| !seen);
    if !known && failed.reason != Reason::Waiting {
        let message = failed.message.clone();
        notices.push(Notice::about(true, failed.reason.name(), &wanted.id, String::new(), message));
    }
    let due = delay.map(|delay| now + delay);
    let failure = Failure { intent: wanted.intent.clone(), attempt, due, failed: failed.clone() };
    memory.retries.insert(wanted.id.clone(), failure);
}

impl<C: Cluster> Stage<'_, C> {
    /// Brings one object to what is wanted.
    async fn one(
        &self,
        change: &Change,
        wanted: &Sealed,
        memory: &mut Memory,
        applied: &mut Applied,
    ) -> Result<Done, Failed> {
        let foreign_again = matches!(change.action, Action::Create);
        if let Some(known) = memory.retries.get(&wanted.id)
            && known.intent == wanted.intent
            && known.due.is_some_and(|due| due > self.now)
            && (foreign_again || matches!(change.action, Action::Update(_)))
        {
            return Err(known.failed.clone());
        }
        match &change.action {
            Action::Unchanged | Action::Delete => Ok(Done::Unchanged),
            Action::Blocked(why) => {
                if matches!(why, Blocked::Foreign | Blocked::OwnedBy(_)) {
                    self.cache.wait_for(&change.id, self.parent);
                }
                Err(blocked(&change.id, why))
            }
            Action::Create => self.create(wanted, memory, applied).await,
            Action::Update(cause) => {
                let Some(live) = &change.live else { return self.create(wanted, memory, applied).await };
                match self.update(wanted, live, *cause, &change.fields, memory, applied).await {
                    Err(Refusal::Gone) => {
                        self.cache.gone(&change.id, live.resource_version);
                        self.create(wanted, memory, applied).await
                    }
                    Err(refusal) => Err(failed(wanted, refusal, applied)),
                    Ok(()) => Ok(Done::Updated(*cause)),
                }
            }
        }
    }

    async fn create(&self, wanted: &Sealed, memory: &mut Memory, applied: &mut Applied) -> Result<Done, Failed> {
        let mut body = wanted.body.clone();
        // No object can be at version 1, so this fails on anything that exists and creates otherwise.
        object_at(&mut body, &["metadata"]).insert("resourceVersion".into(), "1".into());
        match self.send(wanted, &body, false, memory, applied).await {
            Ok(()) => Ok(Done::Created),
            Err(Refusal::Exists) => self.found(wanted, memory, applied).await,
            Err(refusal) => Err(failed(wanted, refusal, applied)),
        }
    }

    /// A create found an object that the cache does not have: ours without its label, or somebody else's.
    async fn found(&self, wanted: &Sealed, memory: &mut Memory, applied: &mut Applied) -> Result<Done, Failed> {
        let live = match self.cluster.get(&wanted.id).await {
            Ok(Some(live)) => live,
            Ok(None) => return Err(failed(wanted, Refusal::Gone, applied)),
            Err(refusal) => return Err(failed(wanted, refusal, applied)),
        };
        let why = match whose(&live, self.parent, &self.identity.uid) {
            _ if live.deleting => Blocked::BeingDeleted,
            Whose::Foreign => Blocked::Foreign,
            Whose::Predecessors => Blocked::LeftBehind,
            Whose::OtherParents(other) => Blocked::OwnedBy(other),
            Whose::Ours | Whose::OursStripped => {
                let fields = field_changes(wanted, &live);
                let cause = Cause::Reclaim;
                return match self.update(wanted, &live, cause, &fields, memory, applied).await {
                    Ok(()) => Ok(Done::Updated(cause)),
                    Err(refusal) => Err(failed(wanted, refusal, applied)),
                };
            }
        };
        if matches!(why, Blocked::Foreign | Blocked::OwnedBy(_)) {
            self.cache.wait_for(&wanted.id, self.parent);
        }
        Err(blocked(&wanted.id, &why))
    }

    async fn update(
        &self,
        wanted: &Sealed,
        live: &Live,
        cause: Cause,
        fields: &[Field],
        memory: &mut Memory,
        applied: &mut Applied,
    ) -> Result<(), Refusal> {
        self.hand_over_replicas(wanted, live).await?;
        let mut body = wanted.body.clone();
        object_at(&mut body, &["metadata"]).insert("uid".into(), (*live.uid).into());
        if cause == Cause::Drift {
            let shown: Vec<_> = fields.iter().map(|field| field.show(false)).collect();
            let message = format!("took back {}: {}", wanted.id, list(&shown));
            applied.notices.push(Notice::about(false, "DriftReverted", &wanted.id, paths(fields), message));
            return self.force(wanted, live, &body, memory, applied).await;
        }
        if cause == Cause::Reclaim {
            let message = format!("{} had lost its owner reference or label and was taken back", wanted.id);
            applied.notices.push(Notice::about(false, "Reclaimed", &wanted.id, String::new(), message));
        }
        match self.send(wanted, &body, false, memory, applied).await {
            Err(Refusal::FieldConflict(causes)) => {
                let reported: Vec<_> = causes.iter().filter(|cause| !is_settled(cause, wanted)).collect();
                if !reported.is_empty() {
                    let named: Vec<_> = reported.iter().map(|cause| named(cause, fields)).collect();
                    let message = format!("took over fields of {}: {}", wanted.id, list(&named));
                    let paths = reported.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>().join(", ");
                    applied.notices.push(Notice::about(true, "FieldConflict", &wanted.id, paths, message));
                }
                self.force(wanted, live, &body, memory, applied).await
            }
            Err(refusal @ Refusal::Content { .. }) => {
                self.make_room(wanted, live, &body, refusal, memory, applied).await
            }
            answer => answer,
        }
    }

    /// Forces a document.
    async fn force(
        &self,
        wanted: &Sealed,
        live: &Live,
        body: &Value,
        memory: &mut Memory,
        applied: &mut Applied,
    ) -> Result<(), Refusal> {
        match self.send(wanted, body, true, memory, applied).await {
            Err(refusal @ Refusal::Content { .. }) => {
                self.make_room(wanted, live, body, refusal, memory, applied).await
            }
            answer => answer,
        }
    }

    /// When what somebody left beside our fields makes the whole invalid, that is put right first.
    async fn make_room(
        &self,
        wanted: &Sealed,
        live: &Live,
        body: &Value,
        refusal: Refusal,
        memory: &mut Memory,
        applied: &mut Applied,
    ) -> Result<(), Refusal> {
        let operations = repair(&wanted.body, &live.document());
        if operations.is_empty() {
            return Err(refusal);
        }
        self.cluster.patch(&wanted.id, live, &operations).await?;
        self.send(wanted, body, true, memory, applied).await?;
        if let Some(live) = self.cluster.forget_updates(&wanted.id).await? {
            self.cache.wrote(&wanted.id, live);
        }
        Ok(())
    }

    /// Before `replicas` leaves the document because an autoscaler takes over: a second manager holds the running
    /// number until the autoscaler sets its own. Without this the server would fall back to one replica.
    async fn hand_over_replicas(&self, wanted: &Sealed, live: &Live) -> Result<(), Refusal> {
        let given_up =
            wanted.shared_fields.contains(&"/spec/replicas") && wanted.body["spec"].get("replicas").is_none();
        let Some(rollout) = live.rollout.as_ref().filter(|_| given_up && live.owns_replicas) else {
            return Ok(());
        };
        let info = wanted.id.kind.info();
        let body = json!({
            "apiVersion": info.api_version(),
            "kind": info.kind,
            "metadata": {"name": &*wanted.id.name, "namespace": &*wanted.id.namespace, "uid": &*live.uid},
            "spec": {"replicas": rollout.wanted},
        });
        let apply = Apply { id: &wanted.id, body: &body, manager: HANDOVER_MANAGER, force: false, dry_run: false };
        match self.cluster.apply(apply).await {
            // A conflict means that somebody holds the number already, which is as good.
            Ok(_) | Err(Refusal::FieldConflict(_)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Sends one document; what the server made of it goes into the cache, and what it did not take is remembered.
    async fn send(
        &self,
        wanted: &Sealed,
        body: &Value,
        force: bool,
        memory: &mut Memory,
        applied: &mut Applied,
    ) -> Result<(), Refusal> {
        let apply = Apply { id: &wanted.id, body, manager: FIELD_MANAGER, force, dry_run: false };
        let live = self.cluster.apply(apply).await?;
        let left = compare(&wanted.body, &live.document());
        if left.is_empty() {
            memory.accepted.remove(&wanted.id);
        } else {
            tracing::warn!(object = %wanted.id, ?left, "the server changed what was applied; its form is kept");
            applied.not_taken.push(wanted.id.clone());
            memory.accepted.insert(wanted.id.clone(), (wanted.intent.clone(), left));
        }
        self.cache.wrote(&wanted.id, live);
        Ok(())
    }
}

/// The fields of an object that a create stumbled over.
fn field_changes(wanted: &Sealed, live: &Live) -> Vec<Field> {
    let changes = compare(&wanted.body, &live.document()).into_iter();
    changes.map(|change| Field { change, opponent: None }).collect()
}

/// Whether taking this field over needs no words: our own managers, our own metadata, and fields that change hands by
/// the user's own toggle.
fn is_settled(cause: &cluster::Cause, wanted: &Sealed) -> bool {
    let manager = cause.manager.split(' ').next().unwrap_or_default();
    let shared = wanted.shared_fields.iter().any(|pointer| pointer.replace('/', ".") == cause.field);
    let own_metadata = cause.field.starts_with(".metadata.")
        && (cause.field.contains("inference-gateway.com/") || cause.field.contains("managed-by"));
    is_own_manager(manager) || shared || own_metadata
}

/// A conflicting field with both values, as far as the diff knows them.
fn named(cause: &cluster::Cause, fields: &[Field]) -> String {
    let known = fields.iter().filter(|field| field.change.path.overlaps(&cause.field));
    let known: Vec<_> = known
        .map(|field| Field { opponent: Some(cause.manager.as_str().into()), ..field.clone() }.show(false))
        .collect();
    if known.is_empty() { format!("{} (held by {})", cause.field, cause.manager) } else { known.join("; ") }
}

fn paths(fields: &[Field]) -> String {
    fields.iter().map(|field| field.change.path.to_string()).collect::<Vec<_>>().join(", ")
}

fn list(items: &[String]) -> String {
    const MOST: usize = 5;
    let mut text = items.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
    if items.len() > MOST {
        text.push_str(&format!("; and {} more", items.len() - MOST));
    }
    text
}

fn blocked(id: &ObjectId, why: &Blocked) -> Failed {
    let hint = match why {
        Blocked::Foreign if id.kind == ChildKind::ServiceAccount => "; the pods use it as it is",
        Blocked::Foreign => "; rename this resource, or delete or rename that object",
        _ => "",
    };
    Failed {
        reason: Reason::of_blocked(why),
        message: format!("{id} is left as it is: {why}{hint}"),
        foreign: matches!(why, Blocked::Foreign | Blocked::OwnedBy(_)),
    }
}

fn failed(wanted: &Sealed, refusal: Refusal, applied: &mut Applied) -> Failed {
    if refusal == Refusal::NamespaceTerminating {
        applied.terminating = true;
    }
    let reason = Reason::of_refusal(&refusal);
    let field = match &refusal {
        Refusal::Content { field: Some(field), .. } => format!(" (field {field})"),
        _ => String::new(),
    };
    Failed { reason, message: format!("failed to apply {}{field}: {refusal}", wanted.id), foreign: false }
}

impl Memory {
    /// How long until the first object that failed may be tried again.
    #[must_use]
    pub fn next_try(&self, now: Instant) -> Option<Duration> {
        self.retries.values().filter_map(|failure| failure.due).min().map(|due| due.saturating_duration_since(now))
    }

    /// Whether an object failed for a reason that may pass by itself.
    #[must_use]
    pub fn has_passing_failures(&self) -> bool {
        self.retries.values().any(|failure| failure.failed.reason.retry() == Retry::Soon)
    }
}

/// The live object of the first outcome of a kind.
#[must_use]
pub fn live_of(cache: &Cache, outcomes: &[Outcome], kind: ChildKind) -> Option<Arc<Live>> {
    outcomes.iter().find(|outcome| outcome.id.kind == kind).and_then(|outcome| cache.get(&outcome.id))
}
