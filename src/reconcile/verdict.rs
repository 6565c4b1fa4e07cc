//! The driver's way through the policies: nothing is written before their verdict, and what one of them stands in the way of
//! is left as it is.

use std::time::Duration;

use super::{
    CacheView, Context, Turn, apply,
    apply::Stage,
    diff::{self, Action, Blocked, Plan},
    guard::Subject,
    outcome::{Applied, Done, Failed, Notice},
    prune::Pruned,
    reason::{Reason, Retry},
    render::{self, RenderError},
    report::{FromSpec, Report},
    rewrite::{self, About, Stop},
    seal::Sealed,
};
use crate::{
    cluster::Cluster,
    kinds::{Desired, KindCondition, Parent},
    object::{DesiredChild, ObjectId},
    policies::{
        PolicyId,
        entry::Broken,
        reason::{GUARD_VIOLATION, SUSPENDED},
        select::Chosen,
        tally::{Blame, Fare},
    },
};

/// Condition of a custom resource that policies match.
pub const POLICIES_APPLIED: &str = "PoliciesApplied";
/// Reason: everything went through them.
const APPLIED: &str = "PoliciesApplied";
/// Reason: the API server does not take what one of them made.
pub const REFUSED: &str = "RefusedByServer";

/// What is to be written after the policies have had their say.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) sealed: Vec<Sealed>,
    ran: Vec<(PolicyId, String)>,
    left: Vec<(PolicyId, Broken)>,
    /// Their short names.
    pub(super) short: Vec<String>,
    /// When to call the policies again.
    pub(super) again: Option<Duration>,
    fares: Vec<(PolicyId, u64, Fare)>,
}

/// What becomes of a custom resource.
pub(super) enum Ruling {
    /// This is written.
    Write(Verdict),
    /// Nothing is written, and nothing said: an event will come.
    Wait,
    /// Nothing is written.
    Held(Box<Held>),
}

/// Why nothing is written.
pub(super) struct Held {
    pub(super) failed: Failed,
    pub(super) condition: KindCondition,
    /// When trying again may help.
    pub(super) again: Option<Duration>,
    /// Whose fault it is.
    policy: Option<PolicyId>,
}

impl Held {
    pub(super) fn new(class: Reason, message: String, condition: (&str, &str)) -> Self {
        let (status, reason) = condition;
        let condition = KindCondition::new(POLICIES_APPLIED, status, reason, &message, false);
        Self { failed: Failed::new(class, None, message), condition, again: None, policy: None }
    }
}

impl<C: Cluster> Turn<'_, C> {
    /// Has the generated objects go through the policies.
    pub(super) async fn judge<P: Parent>(&mut self, generated: &[DesiredChild], chosen: &[Chosen]) -> Ruling {
        let context = self.context;
        let spec = if chosen.is_empty() { serde_json::Value::Null } else { self.object.raw_spec() };
        let subject = Subject::of::<P>(self.identity);
        let about = About { kind: &self.info, identity: self.identity, spec: &spec, subject };
        let mut done = rewrite::rewrite(&context.engine, &about, chosen, generated).await;
        done.calls.iter().for_each(|call| context.metrics.policy_called(call));
        match done.stop.take() {
            None => self.admit::<P>(generated, done),
            Some(Stop::Wait) => {
                context.policies.fared(self.id, done.fares, self.now);
                Ruling::Wait
            }
            Some(Stop::Held { policy, reason, message, violation, again }) => {
                context.policies.fared(self.id, done.fares, self.now);
                let class = if violation { Reason::GuardViolation } else { Reason::PolicyFailed };
                let mut held = Held::new(class, format!("held by {policy}: {message}"), ("False", reason));
                held.policy = Some(policy);
                held.again = self.try_again(again);
                Ruling::Held(Box::new(held))
            }
        }
    }

    /// When to call the policies again, if that may help.
    fn try_again(&mut self, may_help: bool) -> Option<Duration> {
        if !may_help {
            self.memory.policy_failures = 0;
            return None;
        }
        let attempt = self.memory.policy_failures;
        self.memory.policy_failures = attempt.saturating_add(1);
        Retry::Slowly.delay(attempt, self.identity.generation.unsigned_abs())
    }

    /// Has the guard compare all of it with what was generated.
    fn admit<P: Parent>(&mut self, generated: &[DesiredChild], mut done: rewrite::Rewrite) -> Ruling {
        let again = self.try_again(done.again);
        let (ran, left) = (std::mem::take(&mut done.ran), std::mem::take(&mut done.left));
        let fares = std::mem::take(&mut done.fares);
        match render::admit::<P>(self.identity, generated, done) {
            Ok(sealed) => {
                let sealed = self.left_alone(sealed, &left);
                let short: Vec<String> = left.iter().map(|(id, _)| id.short()).collect();
                match (ran.is_empty(), left.is_empty()) {
                    (true, true) => self.memory.keep(&[]),
                    (false, true) => self.memory.keep(&sealed),
                    (_, false) => {
                        // As such an object is live it was not admitted in this process, and as it was made now it is not live.
                        let live = |sealed: &Sealed| self.context.cache.get(&sealed.id);
                        let spared = |sealed: &Sealed| {
                            live(sealed).is_some_and(|live| short.iter().any(|policy| live.touched_by(policy)))
                                && !sealed.was_touched_by(left.iter().map(|(id, _)| id))
                        };
                        let keep: Vec<Sealed> = sealed.iter().filter(|sealed| !spared(sealed)).cloned().collect();
                        self.memory.keep(&keep);
                    }
                }
                Ruling::Write(Verdict { sealed, ran, left, short, fares, again })
            }
            // Each went through alone: all of them are to blame.
            Err(error) => {
                let blame = Blame { reason: GUARD_VIOLATION, path: None };
                let held = |(id, stamp, _)| (id, stamp, Fare::Held(blame.clone()));
                self.context.policies.fared(self.id, fares.into_iter().map(held).collect(), self.now);
                let message = match &error {
                    RenderError::Violation(violation) => format!("policies may not do this: {violation}"),
                    other => other.to_string(),
                };
                Ruling::Held(Box::new(Held::new(Reason::GuardViolation, message, ("False", GUARD_VIOLATION))))
            }
        }
    }

    /// Nothing is created, changed or deleted for it, but what vanished is made again as it was last admitted.
    pub(super) async fn held(&mut self, mut desired: Desired, held: Held, names_some: bool) -> Option<Duration> {
        let Held { failed, condition, again, policy } = held;
        desired.conditions.push(condition);
        let made = self.make_again().await;
        // A policy that holds a thousand custom resources sends no thousand Events.
        let news = self.memory.refused.as_ref() != Some(&failed.message);
        if news && policy.is_some_and(|policy| !self.context.policies.may_tell(&policy, self.now)) {
            self.context.metrics.event_dropped();
            self.memory.refused = Some(failed.message.clone());
        }
        let report = Report { from_spec: Some(FromSpec::of(&desired)), names_some, ..Report::default() };
        let status = self.hold(failed.reason, failed.message, report).await;
        [again, made, status].into_iter().flatten().min()
    }

    /// Makes what vanished again, as it was last admitted in this process.
    async fn make_again(&mut self) -> Option<Duration> {
        let sealed = self.memory.kept();
        let Context { cluster, cache, metrics, .. } = self.context;
        let view = CacheView { cache, uid: &self.identity.uid };
        let mut plan = diff::diff(self.id, &self.identity.uid, &sealed, &view, &self.memory.apply.accepted);
        plan.changes.truncate(sealed.len());
        for change in &mut plan.changes {
            // What is in the way stays in it: a workload must not come back before what protects it.
            use Blocked::{Missing, Off, Unlisted, Unreadable};
            if !matches!(
                change.action,
                Action::Create | Action::Blocked(Missing(_) | Unlisted | Unreadable(_) | Off(_))
            ) {
                change.action = Action::Unchanged;
            }
        }
        if plan.is_empty() {
            return None;
        }
        let stage = Stage { cluster, cache, parent: self.id, identity: self.identity, now: self.now, left: &[] };
        let mut applied = apply::apply(&stage, &plan, &sealed, &mut self.memory.apply).await;
        let made = applied.outcomes.iter().filter(|outcome| matches!(outcome.result, Ok(Done::Created)));
        let made: Vec<Notice> = made
            .map(|outcome| {
                let id = &outcome.id;
                let message = format!("{id} was gone and was made again as it was last admitted");
                Notice::about(false, "Restored", id, String::new(), message)
            })
            .collect();
        applied.notices.extend(made);
        metrics.record(self.info.kind, &plan, &applied, &Pruned::default());
        self.tell(&applied.notices);
        self.memory.apply.next_try(self.now)
    }

    /// The objects to write, with what policies that do not run now have changed before as it was last admitted.
    fn left_alone(&self, mut sealed: Vec<Sealed>, left: &[(PolicyId, Broken)]) -> Vec<Sealed> {
        if left.is_empty() {
            return sealed;
        }
        for kept in self.memory.kept() {
            if !kept.was_touched_by(left.iter().map(|(id, _)| id)) {
                continue;
            }
            match sealed.iter_mut().find(|wanted| wanted.id == kept.id) {
                Some(wanted) => *wanted = kept,
                None => sealed.push(kept),
            }
        }
        sealed.sort_by(|a, b| a.id.cmp(&b.id));
        sealed
    }
}

impl Verdict {
    /// Takes out of a plan whatever would change an object that a policy has changed which does not run now.
    pub(super) fn spare(&self, plan: &mut Plan) {
        if self.left.is_empty() {
            return;
        }
        for change in &mut plan.changes {
            let touched =
                change.live.as_deref().is_some_and(|live| self.short.iter().any(|policy| live.touched_by(policy)));
            if touched && matches!(change.action, Action::Update(_) | Action::Delete) {
                change.action = Action::Unchanged;
                change.fields.clear();
            }
        }
    }

    /// What the custom resource says of its policies; `None` when none matches it.
    pub(super) fn condition(&self, applied: &Applied) -> Option<KindCondition> {
        if self.ran.is_empty() && self.left.is_empty() {
            return None;
        }
        let ran = self
            .ran
            .iter()
            .map(|(id, digest)| format!("{} (sha256:{})", id.short(), digest.get(..12).unwrap_or(digest)));
        let left = self.left.iter().map(|(id, why)| match why.reason {
            SUSPENDED => format!("{} (suspended: what it has changed stays as it is)", id.short()),
            _ => format!(
                "{} (goes on without it, but for what it has changed: {}: {})",
                id.short(),
                why.reason,
                why.message
            ),
        });
        let message = ran.chain(left).collect::<Vec<_>>().join(", ");
        let refused = applied.outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err());
        if let Some(refused) = refused.into_iter().find(|failed| failed.reason == Reason::PolicyFailed) {
            return Some(KindCondition::new(POLICIES_APPLIED, "False", REFUSED, &refused.message, false));
        }
        let failed = self.left.iter().find(|(_, why)| why.reason != SUSPENDED);
        let (status, reason) = failed.map_or(("True", APPLIED), |(_, why)| ("False", why.reason));
        Some(KindCondition::new(POLICIES_APPLIED, status, reason, &message, false))
    }

    /// How each policy fares after everything has been tried.
    pub(super) fn fares(&self, applied: &Applied, done: bool) -> Vec<(PolicyId, u64, Fare)> {
        let refused: Vec<&ObjectId> = applied
            .outcomes
            .iter()
            .filter(|outcome| outcome.result.as_ref().is_err_and(|failed| failed.reason == Reason::PolicyFailed))
            .map(|outcome| &outcome.id)
            .collect();
        let guilty = |id: &PolicyId| {
            let touched = |sealed: &&Sealed| sealed.touched.iter().any(|(policy, _)| policy == id);
            self.sealed.iter().filter(|sealed| refused.contains(&&sealed.id)).any(|sealed| touched(&sealed))
        };
        let fare = |(id, stamp, fare): &(PolicyId, u64, Fare)| {
            let fare = match fare {
                Fare::UpToDate if guilty(id) => Fare::Failed(Blame { reason: REFUSED, path: None }),
                Fare::UpToDate if !done => Fare::Pending,
                other => other.clone(),
            };
            (id.clone(), *stamp, fare)
        };
        self.fares.iter().map(fare).collect()
    }
}
