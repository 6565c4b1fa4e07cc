//! Stage: carries out the creates and updates of a plan, in order, and says how each object ended. I/O through
//! [`Cluster`] only.
//!
//! A create is one server-side apply that fails when anything of that name exists; an update is one that fails when the
//! object is another one. Force is used for drift, for fields that change hands by the user's own toggle, and after a
//! conflict has been named.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};

use super::{
    backoff::{Memory, remember},
    diff::{Action, Blocked, Cause, Change, Field, Plan, Whose, whose},
    managers::{self, Fold},
    outcome::{Applied, Done, Failed, Notice, Obstacle, Outcome},
    reason::Reason,
    repair::repair,
    seal::Sealed,
};
use crate::{
    cache::{Cache, Readiness},
    cluster::{self, Apply, Cluster, Refusal},
    object::{
        ADOPT_ANNOTATION, ChildKind, FIELD_MANAGER, HANDOVER_MANAGER, Identity, ObjectId, ParentId,
        compare::compare,
        live::{Live, is_own_manager},
        object_at,
    },
};

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
    /// Policies that do not run now, by their short names: what they have changed is left as it is.
    pub left: &'a [String],
}

/// Carries out the plan.
pub async fn apply<C: Cluster>(stage: &Stage<'_, C>, plan: &Plan, sealed: &[Sealed], memory: &mut Memory) -> Applied {
    let mut applied = Applied::default();
    for (change, wanted) in plan.changes.iter().zip(sealed) {
        debug_assert_eq!(change.id, wanted.id, "the plan has the order of the sealed objects");
        let (mut result, seen) = match blocker(change, &applied.outcomes) {
            Some(failed) => (Err(failed), true),
            None => (stage.one(change, wanted, memory, &mut applied).await, stage.sees(change)),
        };
        if applied.terminating {
            return applied;
        }
        remember(memory, wanted, &mut result, seen, stage.now, &mut applied.notices);
        applied.outcomes.push(Outcome { id: change.id.clone(), result });
    }
    memory.retries.retain(|id, _| sealed.iter().any(|wanted| wanted.id == *id));
    memory.accepted.retain(|id, _| sealed.iter().any(|wanted| wanted.id == *id));
    let blocked = plan.changes.iter().filter(|change| matches!(change.action, Action::Blocked(_)));
    let kinds: Vec<_> = blocked.map(|change| change.id.kind).filter(|kind| kind.optional()).collect();
    stage.cache.want_only(&kinds, stage.parent);
    applied
}

/// Why no object of a kind may be touched now, as far as the cache knows.
#[must_use]
pub fn withheld(cache: &Cache, kind: ChildKind) -> Option<Blocked> {
    match cache.readiness(kind) {
        Readiness::Known => None,
        Readiness::Unlisted => Some(Blocked::Unlisted),
        Readiness::Unreadable(why) => Some(Blocked::Unreadable(why)),
        Readiness::Missing => Some(Blocked::Missing(kind)),
        Readiness::Off => Some(Blocked::Off(kind)),
    }
}

/// Says what an object waits for, when something it needs could not be written.
fn blocker(change: &Change, outcomes: &[Outcome]) -> Option<Failed> {
    if change.action == Action::Unchanged {
        return None;
    }
    let spoilt = |o: &&Outcome| o.result.as_ref().is_err_and(|failed| failed.reason == Reason::PolicyFailed);
    if let Some(spoilt) = outcomes.iter().find(spoilt) {
        let message = format!("{} waits for {}", change.id, spoilt.id);
        return Some(Failed::new(Reason::Waiting, Some(change.id.kind), message));
    }
    let needs = change.id.kind.needs();
    outcomes.iter().filter(|o| needs.contains(&o.id.kind)).find_map(|outcome| match &outcome.result {
        // A ServiceAccount that somebody else made can be used as it is.
        Err(failed) if failed.obstacle == Obstacle::Foreign && outcome.id.kind == ChildKind::ServiceAccount => None,
        Err(failed) => {
            let obstacle = match failed.obstacle {
                Obstacle::Foreign | Obstacle::BehindForeign => Obstacle::BehindForeign,
                other => other,
            };
            let message = format!("{} waits for {}", change.id, outcome.id);
            Some(Failed { obstacle, ..Failed::new(Reason::Waiting, Some(change.id.kind), message) })
        }
        Ok(_) => None,
    })
}

impl<C: Cluster> Stage<'_, C> {
    /// Whether what blocks an object is still what the plan saw, so that its end will be an event for whoever waits.
    fn sees(&self, change: &Change) -> bool {
        let version = |live: &Live| live.resource_version;
        match &change.action {
            Action::Blocked(
                why @ (Blocked::Unreadable(_) | Blocked::Unlisted | Blocked::Missing(_) | Blocked::Off(_)),
            ) => withheld(self.cache, change.id.kind).as_ref() == Some(why),
            // What ended it was a call.
            Action::Blocked(_) if self.takes_over(change) => false,
            Action::Blocked(_) => {
                self.cache.get(&change.id).as_deref().map(version) == change.live.as_deref().map(version)
            }
            _ => false,
        }
    }

    /// Brings one object to what is wanted.
    async fn one(
        &self,
        change: &Change,
        wanted: &Sealed,
        memory: &mut Memory,
        applied: &mut Applied,
    ) -> Result<Done, Failed> {
        let calls = matches!(change.action, Action::Create | Action::Update(_)) || self.takes_over(change);
        if let Some(known) = memory.waits(wanted, self.now).filter(|_| calls) {
            return Err(known);
        }
        match &change.action {
            Action::Unchanged | Action::Delete => Ok(Done::Unchanged),
            Action::Blocked(_) if self.takes_over(change) => self.found(wanted, memory, applied).await,
            Action::Blocked(why) => {
                match why {
                    Blocked::Foreign | Blocked::OwnedBy(_) => self.cache.wait_for(&change.id, self.parent),
                    Blocked::Unreadable(_) | Blocked::Unlisted | Blocked::Missing(_) if change.id.kind.optional() => {
                        self.cache.want(change.id.kind, self.parent);
                    }
                    _ => {}
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
        if self.left.iter().any(|policy| live.touched_by(policy)) {
            return Ok(Done::Unchanged);
        }
        let why = match whose(&live, self.parent, &self.identity.uid) {
            _ if live.deleting => Blocked::BeingDeleted,
            Whose::Foreign if !self.handed_over(&live) => Blocked::Foreign,
            Whose::Predecessors => Blocked::LeftBehind,
            Whose::OtherParents(other) => Blocked::OwnedBy(other),
            Whose::Ours | Whose::OursStripped | Whose::Foreign => {
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
        let given = self.handed_over(live) && whose(live, self.parent, &self.identity.uid) == Whose::Foreign;
        let adopted = if live.applied_by_us { None } else { self.adopt(wanted, live).await? };
        let (live, adopted) = match &adopted {
            Some((live, names)) => (live, Some(format!("was made by {names}"))),
            None => (live, given.then(|| "was handed over".to_owned())),
        };
        self.hand_over_replicas(wanted, live).await?;
        let mut body = wanted.body.clone();
        object_at(&mut body, &["metadata"]).insert("uid".into(), (*live.uid).into());
        let (notice, done) = match cause {
            Cause::Drift => {
                let shown: Vec<_> = fields.iter().map(|field| field.show(false)).collect();
                let message = format!("took back {}: {}", wanted.id, list(&shown));
                let notice = Notice::about(false, "DriftReverted", &wanted.id, paths(fields), message);
                (Some(notice), self.force(wanted, live, &body, memory, applied).await)
            }
            Cause::Intent | Cause::Reclaim => match self.send(wanted, &body, false, memory, applied).await {
                Err(Refusal::FieldConflict(causes)) => {
                    (taken_over(wanted, &causes, fields), self.force(wanted, live, &body, memory, applied).await)
                }
                Err(refusal @ Refusal::Content { .. }) => {
                    (None, self.make_room(wanted, live, &body, refusal, memory, applied).await)
                }
                answer => (None, answer),
            },
        };
        // Said when it is done, so that nobody reads of what was refused.
        if done.is_ok() {
            applied.notices.extend(notice);
            if let Some(adopted) = adopted {
                let message = format!("{} {adopted} and is looked after by this operator now", wanted.id);
                applied.notices.push(Notice::about(false, "Adopted", &wanted.id, String::new(), message));
            } else if cause == Cause::Reclaim {
                let message = format!("{} had lost its owner reference or label and was taken back", wanted.id);
                applied.notices.push(Notice::about(false, "Reclaimed", &wanted.id, String::new(), message));
            }
        }
        done
    }

    /// Whether the object of a change is somebody else's, and the user says that it may be taken over.
    fn takes_over(&self, change: &Change) -> bool {
        change.action == Action::Blocked(Blocked::Foreign)
            && change.live.as_deref().is_some_and(|live| self.handed_over(live))
    }

    /// Whether the user says that an object without a controller may be taken over.
    fn handed_over(&self, live: &Live) -> bool {
        // Another custom resource of the operator may have lost hold of it for a moment.
        let claim = format!("{}/{}", self.parent.kind, self.parent.name);
        live.controller.is_none()
            && live.claimed_by.as_deref().is_none_or(|by| by == claim)
            && self.identity.annotations.get(ADOPT_ANNOTATION).is_some_and(|value| value == "true")
    }

    /// Makes the fields of whoever made the object before us ours, so that what we no longer want goes with the apply that
    /// follows. Returns the object after that, and their names.
    async fn adopt(&self, wanted: &Sealed, live: &Live) -> Result<Option<(Live, String)>, Refusal> {
        let fold = if self.handed_over(live) { Fold::All } else { Fold::OwnedBy(&self.identity.uid) };
        let names = Mutex::new(Vec::new());
        let rewrite = |before: &[Value]| {
            let after = managers::folded(before, fold)?;
            *names.lock().unwrap_or_else(PoisonError::into_inner) = managers::predecessors(before, &after);
            Some(after)
        };
        let live = self.cluster.rewrite_managers(&wanted.id, &live.uid, rewrite).await?;
        let names = names.into_inner().unwrap_or_else(PoisonError::into_inner).join(", ");
        Ok(live.map(|live| (live, names)))
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
        if let Some(live) = self.cluster.rewrite_managers(&wanted.id, &live.uid, managers::without_updates).await? {
            self.cache.wrote(&wanted.id, live);
        }
        Ok(())
    }

    /// Before `replicas` leaves the document because an autoscaler takes over: a second manager holds the running
    /// number until the autoscaler sets its own. Without this the server would fall back to one replica. None is not
    /// handed over: an autoscaler leaves a Deployment without pods alone, so there the fallback is right.
    async fn hand_over_replicas(&self, wanted: &Sealed, live: &Live) -> Result<(), Refusal> {
        let given_up =
            wanted.shared_fields.contains(&"/spec/replicas") && wanted.body["spec"].get("replicas").is_none();
        let Some(rollout) = live.rollout.as_ref().filter(|r| given_up && live.owns_replicas && r.wanted > 0) else {
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
            // Not the values: a policy may have put them there.
            let paths: Vec<_> = left.iter().map(|change| change.path.to_string()).collect();
            tracing::warn!(object = %wanted.id, ?paths, "the server changed what was applied; its form is kept");
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

/// Names the fields that are taken over and have to be said.
fn taken_over(wanted: &Sealed, causes: &[cluster::Cause], fields: &[Field]) -> Option<Notice> {
    let said: Vec<_> = causes.iter().filter(|cause| !is_settled(cause, wanted)).collect();
    let named: Vec<_> = said.iter().map(|cause| named(cause, fields)).collect();
    let paths = said.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!("took over fields of {}: {}", wanted.id, list(&named));
    (!said.is_empty()).then(|| Notice::about(true, "FieldConflict", &wanted.id, paths, message))
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
        Blocked::Foreign => {
            "; rename this resource, delete or rename that object, or hand it over with the annotation inference-gateway.com/adopt"
        }
        _ => "",
    };
    let obstacle = match why {
        Blocked::Foreign | Blocked::OwnedBy(_) => Obstacle::Foreign,
        Blocked::Unlisted => Obstacle::Unlisted,
        Blocked::Missing(_) => Obstacle::Missing,
        _ => Obstacle::None,
    };
    let what = match why {
        Blocked::Missing(_) | Blocked::Off(_) => "cannot be made",
        _ => "is left as it is",
    };
    Failed { obstacle, ..Failed::new(Reason::of_blocked(why), Some(id.kind), format!("{id} {what}: {why}{hint}")) }
}

fn failed(wanted: &Sealed, refusal: Refusal, applied: &mut Applied) -> Failed {
    if refusal == Refusal::NamespaceTerminating {
        applied.terminating = true;
    }
    let (field, culprits) = match &refusal {
        Refusal::Content { field, .. } => (field.as_deref(), wanted.culprits(field.as_deref())),
        Refusal::Forbidden(_) => (None, wanted.culprits(None)),
        _ => (None, Vec::new()),
    };
    let mut message = format!("failed to apply {}", wanted.id);
    if let Some(field) = field {
        message.push_str(&format!(" (field {field})"));
    }
    message.push_str(&format!(": {refusal}"));
    let reason = match &refusal {
        Refusal::Content { .. } if !culprits.is_empty() => Reason::PolicyFailed,
        _ => Reason::of_refusal(&refusal),
    };
    if !culprits.is_empty() {
        let names: Vec<_> = culprits.iter().map(ToString::to_string).collect();
        message.push_str(&format!("; changed by {}", names.join(", ")));
    }
    Failed::new(reason, Some(wanted.id.kind), message)
}

/// The live object of the first outcome of a kind.
#[must_use]
pub fn live_of(cache: &Cache, outcomes: &[Outcome], kind: ChildKind) -> Option<Arc<Live>> {
    outcomes.iter().find(|outcome| outcome.id.kind == kind).and_then(|outcome| cache.get(&outcome.id))
}
