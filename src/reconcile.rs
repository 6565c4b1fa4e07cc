//! The driver: one custom resource through every stage, in the order of the list below. The only place where pure
//! stages and calls meet; a stage that takes the cluster touches the world, the others do not.

pub mod apply;
pub mod backoff;
pub mod diff;
pub mod guard;
pub mod managers;
pub mod memory;
pub mod outcome;
pub mod prune;
pub mod reason;
pub mod related;
pub mod render;
pub mod repair;
mod report;
pub mod rewrite;
pub mod seal;
pub mod status;
pub mod verdict;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use self::{
    apply::Stage,
    diff::{Blocked, Plan, View},
    memory::{Converged, Memories, Parent as ParentMemory},
    outcome::{Applied, Done, Failed, Notice, Obstacle},
    prune::Pruned,
    reason::Reason,
    related::{Sources, Unknown, related},
    render::RenderError,
    report::{FromSpec, Report, condition},
    verdict::{Held, Ruling, Verdict},
};
use crate::{
    cache::Cache,
    cards::Cards,
    cluster::Cluster,
    config_maps::ConfigMaps,
    directory::Directory,
    kinds::{Desired, Parent, ParentInfo, References, Related, Summary},
    object::{ChildKind, Identity, ObjectId, PAUSED_ANNOTATION, ParentId, live::Live},
    parent::ParentObject,
    pods::Pods,
    policies::{Policies, select::Selection, tally::Fare},
    policy::engine::Engine,
    telemetry::Metrics,
};

/// Reason: it cannot be found out which policies match.
const UNREADABLE: &str = "PoliciesUnreadable";

/// What the driver works with, for all custom resources of all kinds.
#[derive(Debug)]
pub struct Context<C> {
    /// Where calls go.
    pub cluster: C,
    /// The inventory.
    pub cache: Arc<Cache>,
    /// ConfigMaps that custom resources name.
    pub config_maps: Arc<ConfigMaps>,
    /// Custom resources that others look for.
    pub directory: Directory,
    /// Cards of agents.
    pub cards: Arc<Cards>,
    /// Policies that custom resources have to go through.
    pub policies: Arc<Policies>,
    /// What calls them.
    pub engine: Arc<Engine>,
    /// Why pods wait.
    pub pods: Pods,
    /// What is remembered between reconciles.
    pub memories: Memories,
    /// Where Events go.
    pub events: mpsc::Sender<(ParentObject, ParentInfo, Notice)>,
    /// Counters.
    pub metrics: Metrics,
}

impl<C> Context<C> {
    /// Where it is known from what is related to a custom resource.
    fn sources(&self) -> Sources<'_> {
        let Self { cache, config_maps, directory, cards, .. } = self;
        Sources { cache, config_maps, directory, cards }
    }
}

/// The cache as one custom resource sees it.
#[derive(Debug)]
pub struct CacheView<'a> {
    /// The cache.
    pub cache: &'a Cache,
    /// Uid of the custom resource.
    pub uid: &'a str,
}

impl View for CacheView<'_> {
    fn live(&self, id: &ObjectId) -> Option<Arc<Live>> {
        self.cache.get(id)
    }
    fn owned(&self) -> Vec<(ObjectId, Arc<Live>)> {
        self.cache.owned_by(self.uid)
    }
    fn withheld(&self, kind: ChildKind) -> Option<Blocked> {
        apply::withheld(self.cache, kind)
    }
}

/// Brings everything that belongs to a custom resource to what it says, and its status to what is. Returns when to look
/// again without being woken.
pub async fn reconcile<P: Parent, C: Cluster>(object: &ParentObject, context: &Context<C>) -> Option<Duration> {
    let (id, identity) = (object.id(&P::INFO), object.identity());
    if object.metadata.deletion_timestamp.is_some() {
        // Garbage collection takes the children. Whatever was made now would be in its way.
        return None;
    }
    let now = Instant::now();
    let mut memory = context.memories.take(&id, &identity.uid, now);
    let said = said(object);
    if std::mem::replace(&mut memory.said, said) != said {
        memory.apply.try_at_once();
    }
    let turn = |memory| Turn {
        object,
        info: P::INFO,
        summary: P::SUMMARY,
        id: &id,
        identity: &identity,
        context,
        memory,
        now,
    };
    let selection = context.policies.select(&P::INFO, &identity);
    let policies = selection.stamp();
    let known = |references: &References| related(context.sources(), &id, &identity, object, references, now);
    if let Some(done) = memory.converged.take() {
        let untouched = done.said == said
            && done.policies == policies
            && context.cache.untouched(&identity.uid, done.epoch, done.objects)
            && context.cache.readable();
        if let Some(Ok((related, due))) = untouched.then(|| known(&done.references))
            && related == done.related
        {
            let again = turn(&mut memory).look(&done).await;
            memory.converged = Some(done);
            context.memories.put(id, memory);
            return earlier(again, due, now);
        }
    }
    let spec = object.spec::<P>();
    let (spec, references) = match spec.and_then(|spec| Ok((P::references(&identity, &spec)?, spec))) {
        Ok((references, spec)) => (Ok(spec), references),
        Err(invalid) => (Err(invalid), References::default()),
    };
    let (related, due, missing) = match known(&references) {
        Ok((related, due)) => (related, due, None),
        Err(Unknown::NotYet) => {
            context.memories.put(id, memory);
            return None;
        }
        Err(Unknown::Refused(why)) => (Related::default(), None, Some(RenderError::Related(why))),
    };
    let epoch = context.cache.epoch(&identity.uid);
    let desired = match (spec, missing) {
        (Err(invalid), _) => Err(invalid.into()),
        (Ok(_), Some(missing)) => Err(missing),
        (Ok(spec), None) => P::desired(&identity, &spec, &related).map_err(RenderError::from),
    };
    let named = !references.names_nothing();
    if let Selection::Chosen(chosen) = &selection
        && (desired.is_err() || is_paused(&identity))
    {
        // They match it all the same.
        let fares = chosen.iter().map(|policy| (policy.id.clone(), policy.stamp, Fare::Spared)).collect();
        context.policies.fared(&id, fares, now);
    }
    let again = match (desired, selection) {
        (Ok(desired), _) if is_paused(&identity) => turn(&mut memory).pause(&desired, named).await,
        (Err(error), _) => turn(&mut memory).refuse(&error).await,
        // It is woken when it is known which policies there are.
        (Ok(_), Selection::NotYet) => None,
        (Ok(desired), Selection::Unreadable(why)) => {
            let message = format!("it cannot be found out which policies match: {why}");
            let held = Held::new(Reason::PolicyFailed, message, ("Unknown", UNREADABLE));
            turn(&mut memory).held(desired, held, named).await
        }
        (Ok(mut desired), Selection::Chosen(chosen)) => {
            let mut turn = turn(&mut memory);
            match turn.judge::<P>(&desired.children, &chosen).await {
                Ruling::Wait => None,
                Ruling::Held(held) => turn.held(desired, *held, named).await,
                Ruling::Write(verdict) => {
                    let (again, converged) = turn.converge(&mut desired, &verdict, named).await;
                    memory.converged = converged.then(|| {
                        let Desired { status, conditions, notes, .. } = desired;
                        let mut ids = verdict.sealed.into_iter().map(|sealed| sealed.id);
                        let (objects, workload) = (ids.len(), ids.find(|id| id.kind == ChildKind::Deployment));
                        Box::new(Converged {
                            said,
                            policies,
                            references,
                            related,
                            epoch,
                            status,
                            conditions,
                            notes,
                            objects,
                            workload,
                        })
                    });
                    again
                }
            }
        }
    };
    context.memories.put(id, memory);
    earlier(again, due, now)
}

fn is_paused(identity: &Identity) -> bool {
    identity.annotations.get(PAUSED_ANNOTATION).is_some_and(|value| value == "true")
}

/// The earlier of two times to look again.
fn earlier(again: Option<Duration>, due: Option<Instant>, now: Instant) -> Option<Duration> {
    [again, due.map(|due| due.saturating_duration_since(now))].into_iter().flatten().min()
}

/// Digest of what a custom resource says that anything is decided from.
fn said(object: &ParentObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    let meta = &object.metadata;
    (&meta.generation, &meta.labels, &meta.annotations).hash(&mut hasher);
    hasher.finish()
}

/// One reconcile of one custom resource.
struct Turn<'a, C> {
    object: &'a ParentObject,
    info: ParentInfo,
    summary: Summary,
    id: &'a ParentId,
    identity: &'a Identity,
    context: &'a Context<C>,
    memory: &'a mut ParentMemory,
    now: Instant,
}

impl<C: Cluster> Turn<'_, C> {
    /// Everything is as it should be: only the status may have to follow.
    async fn look(&mut self, done: &Converged) -> Option<Duration> {
        let workload = done.workload.as_ref().and_then(|id| self.context.cache.get(id));
        self.status(Report {
            from_spec: Some(FromSpec { status: &done.status, conditions: &done.conditions, notes: &done.notes }),
            objects: done.objects,
            workload,
            names_some: !done.references.names_nothing(),
            ..Report::default()
        })
        .await
    }

    /// Returns when to look again, and whether everything is as it should be.
    async fn converge(
        &mut self,
        desired: &mut Desired,
        verdict: &Verdict,
        names_some: bool,
    ) -> (Option<Duration>, bool) {
        self.memory.refused = None;
        let sealed = &verdict.sealed;
        let Context { cluster, cache, metrics, .. } = self.context;
        let view = CacheView { cache, uid: &self.identity.uid };
        let mut plan = diff::diff(self.id, &self.identity.uid, sealed, &view, &self.memory.apply.accepted);
        verdict.spare(&mut plan);
        log(self.id, &plan);
        let left = &verdict.short;
        let stage = Stage { cluster, cache, parent: self.id, identity: self.identity, now: self.now, left };
        let mut applied = apply::apply(&stage, &plan, sealed, &mut self.memory.apply).await;
        if applied.terminating {
            return (None, false);
        }
        self.restored(&mut applied);
        let pruned = match &self.memory.prune_failed {
            Some((due, failed)) if *due > self.now => Pruned { failed: Some(failed.clone()), ..Pruned::default() },
            _ => prune::prune(cluster, &plan, &applied).await,
        };
        self.remember_prune(pruned.failed.clone());
        metrics.record(self.info.kind, &plan, &applied, &pruned);
        self.tell(&applied.notices);

        let mut failures: Vec<Failed> =
            applied.outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err()).cloned().collect();
        failures.extend(pruned.failed.clone());
        failures.sort_by_key(|failed| std::cmp::Reverse(failed.reason));
        let taken_over = taken_over(&applied);
        let conflict = has_conflict(&applied);
        // A Deployment that is not this custom resource's says nothing of it.
        let ours = |live: &Arc<Live>| live.controller.as_ref().is_some_and(|owner| *owner.uid == *self.identity.uid);
        let workload = apply::live_of(cache, &applied.outcomes, ChildKind::Deployment).filter(ours);
        // Its generation moves with its annotations, its pods do not.
        let before = plan.changes.iter().find(|change| change.id.kind == ChildKind::Deployment);
        let before = before.and_then(|change| change.live.as_ref());
        let same = || before.zip(workload.as_ref()).is_some_and(|(before, after)| before.same_content(after));
        let rolled = applied.rolled(ChildKind::Deployment) && !same();
        if rolled {
            self.memory.rolled_at = self.now;
            self.memory.pods = None;
        }
        if applied.undecided() {
            // The list that is missing brings another look at once; what was said before stands until then.
            return (self.memory.apply.next_try(self.now), false);
        }
        let done = failures.is_empty() && !pruned.postponed && verdict.again.is_none();
        desired.conditions.extend(verdict.condition(&applied));
        self.context.policies.fared(self.id, verdict.fares(&applied, done), self.now);
        let status = self
            .status(Report {
                from_spec: Some(FromSpec::of(desired)),
                failures: &failures,
                objects: sealed.len(),
                wrote: !plan.is_empty(),
                taken_over: taken_over.as_deref(),
                workload,
                conflict,
                rolled,
                names_some,
            })
            .await;
        let retry = self.memory.apply.next_try(self.now);
        let prune_again = self.memory.prune_failed.as_ref().map(|(due, _)| due.saturating_duration_since(self.now));
        let again = [status, retry, prune_again, verdict.again].into_iter().flatten().min();
        (again, done)
    }

    /// Gives a failed deletion its back-off; a new failure is worth an Event.
    fn remember_prune(&mut self, failed: Option<Failed>) {
        let Some(failed) = failed else {
            self.memory.prune_failed = None;
            self.memory.prune_failures = 0;
            return;
        };
        if self.memory.prune_failed.as_ref().is_some_and(|(due, _)| *due > self.now) {
            return;
        }
        if self.memory.prune_failures == 0 {
            let message = failed.message.clone();
            self.tell(&[Notice { warning: true, reason: failed.reason.name(), about: None, message }]);
        }
        let retry = failed.reason.retry_after_call();
        let delay = retry.delay(self.memory.prune_failures, self.identity.generation.unsigned_abs());
        self.memory.prune_failures += 1;
        self.memory.prune_failed = delay.map(|delay| (self.now + delay, failed));
    }

    /// Tells of objects that were made again: at this generation everything had been there.
    fn restored(&mut self, applied: &mut Applied) {
        let made = applied.outcomes.iter().filter(|outcome| matches!(outcome.result, Ok(Done::Created)));
        let made: Vec<_> = made.map(|outcome| outcome.id.clone()).collect();
        if made.is_empty() {
            return;
        }
        let before = self.memory.status_before(self.object);
        let complete = before["observedGeneration"].as_i64() == Some(self.identity.generation)
            && condition(&before, "Reconciled").is_some_and(|reconciled| reconciled["status"] == "True");
        let again = made.into_iter().filter(|_| complete);
        applied.notices.extend(again.map(|id| Notice {
            warning: false,
            reason: "Restored",
            message: format!("{id} was gone and was made again"),
            about: Some((id, String::new())),
        }));
    }

    /// Says what is wrong with the custom resource; what it made before stays.
    async fn refuse(&mut self, error: &RenderError) -> Option<Duration> {
        let (reason, message) = match error {
            RenderError::InvalidSpec(invalid) => (Reason::InvalidSpec, format!("{} is not valid: {invalid}", self.id)),
            RenderError::Violation(violation) => (Reason::GuardViolation, violation.to_string()),
            RenderError::Related(_) => (Reason::Forbidden, error.to_string()),
        };
        self.hold(reason, message, Report { wrote: true, ..Report::default() }).await
    }

    /// The user wants nothing to change: only the status goes on.
    async fn pause(&mut self, desired: &Desired, names_some: bool) -> Option<Duration> {
        let message = format!("nothing is created, changed or deleted: {PAUSED_ANNOTATION} is true");
        let from_spec = Some(FromSpec::of(desired));
        self.hold(Reason::Paused, message, Report { from_spec, names_some, ..Report::default() }).await
    }

    /// Leaves all objects as they are and says why, with an Event the first time.
    async fn hold(&mut self, reason: Reason, message: String, report: Report<'_>) -> Option<Duration> {
        // Said before this process began.
        let before = self.memory.status_before(self.object);
        let said = condition(&before, "Reconciled").is_some_and(|known| known["message"] == message);
        if self.memory.refused.is_none() && said {
            self.memory.refused = Some(message.clone());
        }
        if self.memory.refused.as_ref() != Some(&message) {
            let warning = reason != Reason::Paused;
            self.tell(&[Notice { warning, reason: reason.name(), about: None, message: message.clone() }]);
            self.memory.refused = Some(message.clone());
        }
        let owned = self.context.cache.owned_by(&self.identity.uid);
        let workload = owned.into_iter().find(|(id, _)| id.kind == ChildKind::Deployment).map(|(_, live)| live);
        let failures = [Failed::new(reason, None, message)];
        self.status(Report { failures: &failures, workload, ..report }).await
    }

    fn tell(&self, notices: &[Notice]) {
        for notice in notices {
            // The words of a policy and of the server may hold what only readers of its namespace may see.
            let said = match Reason::of_name(notice.reason) {
                Some(Reason::PolicyFailed | Reason::GuardViolation | Reason::InvalidSpec) => "see its conditions",
                _ => &notice.message,
            };
            tracing::info!(parent = %self.id, reason = notice.reason, "{said}");
            let event = (self.object.clone(), self.info, notice.clone());
            // Events are for people; when they pile up, reconciling goes on without them.
            if self.context.events.try_send(event).is_err() {
                self.context.metrics.event_dropped();
            }
        }
    }
}

fn has_conflict(applied: &Applied) -> bool {
    applied.outcomes.iter().any(|o| {
        o.id.kind == ChildKind::Deployment
            && o.result.as_ref().is_err_and(|failed| failed.obstacle == Obstacle::Foreign)
    })
}

fn taken_over(applied: &Applied) -> Option<String> {
    let said: Vec<_> =
        applied.notices.iter().filter(|n| n.reason == "FieldConflict").map(|n| n.message.as_str()).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn log(parent: &ParentId, plan: &Plan) {
    if !plan.is_empty() && tracing::enabled!(tracing::Level::DEBUG) {
        tracing::debug!(%parent, plan = plan.show(false), "plan");
    }
}
