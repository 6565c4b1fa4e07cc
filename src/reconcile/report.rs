//! The driver's way to the status stage: gathers what it decides from, asks why pods wait when a rollout takes too long, and
//! writes what comes out. I/O through [`Cluster`] only.

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{
    Context, Turn, managers, memory,
    outcome::Failed,
    reason::Retry,
    status::{self, Input, Named, Verdict, Workload},
};
use crate::{
    cluster::{Cluster, Refusal},
    kinds::{Desired, KindCondition},
    object::{
        ChildKind,
        live::{self, Live},
    },
};

/// How long a rollout may take before its pods are asked why they wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often they are asked after that.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// Replica counts that move during a rollout are written this much later, with whatever else has changed by then.
const TRAILING: Duration = Duration::from_millis(300);

/// What a turn tells the status stage.
#[derive(Default)]
pub(super) struct Report<'a> {
    pub(super) from_spec: Option<FromSpec<'a>>,
    pub(super) failures: &'a [Failed],
    pub(super) objects: usize,
    pub(super) wrote: bool,
    pub(super) taken_over: Option<&'a str>,
    pub(super) workload: Option<Arc<Live>>,
    pub(super) conflict: bool,
    pub(super) rolled: bool,
    pub(super) names_some: bool,
}

/// What a status says that follows from the spec and what is related to it.
#[derive(Clone, Copy)]
pub(super) struct FromSpec<'a> {
    pub(super) status: &'a serde_json::Map<String, Value>,
    pub(super) conditions: &'a [KindCondition],
    pub(super) notes: &'a [String],
}

impl<'a> FromSpec<'a> {
    pub(super) fn of(desired: &'a Desired) -> Self {
        Self { status: &desired.status, conditions: &desired.conditions, notes: &desired.notes }
    }
}

impl<C: Cluster> Turn<'_, C> {
    /// Makes the status and writes it when it differs.
    pub(super) async fn status(&mut self, report: Report<'_>) -> Option<Duration> {
        let Context { cache, metrics, .. } = self.context;
        let before = self.memory.status_before(self.object);
        let unreadable = cache.unreadable(ChildKind::Deployment);
        // Without a Deployment there are no pods to ask.
        let starting = report.workload.as_ref().is_some_and(|live| {
            let unfinished = |r: &live::Rollout| !r.complete() || r.observed_generation != live.generation;
            live.rollout.as_deref().is_none_or(unfinished)
        });
        if starting && !self.memory.rolling {
            // Whoever began this rollout: its pods get their time, and the last one's say nothing of them.
            self.memory.rolled_at = self.now;
            self.memory.pods = None;
        }
        self.memory.rolling = starting;
        // Pods that have not been made say nothing; their Deployment's next event does.
        let has_pods = report.workload.as_ref().is_some_and(|l| l.rollout.as_ref().is_some_and(|r| r.replicas > 0));
        let ask = if starting && has_pods && unreadable.is_none() { self.ask_pods().await } else { None };
        let pods = self.memory.pods.as_ref();
        let missing = match pods {
            Some(pods) => pods.missing.clone(),
            // Nothing is known yet in this process: what was known before it started still stands.
            None if starting && !report.rolled => previously_missing(&before),
            None => None,
        };
        let waiting = match pods {
            Some(pods) => pods.waiting.clone(),
            None if starting && !report.rolled => previously_waiting(&before),
            None => None,
        };
        let now = timestamp();
        let input = Input {
            generation: self.identity.generation,
            before: &before,
            summary: self.summary,
            from_spec: report.from_spec.map(|from_spec| from_spec.status),
            conditions: report.from_spec.map(|from_spec| from_spec.conditions),
            notes: report.from_spec.map(|from_spec| from_spec.notes).unwrap_or_default(),
            failures: report.failures,
            objects: report.objects,
            wrote: report.wrote,
            taken_over: report.taken_over,
            workload: match (&unreadable, &report.workload) {
                (Some(why), _) => Workload::Unreadable(why),
                (None, Some(live)) => Workload::Live { live, rolled: report.rolled },
                (None, None) => Workload::Absent { conflict: report.conflict },
            },
            references: match (&missing, report.names_some) {
                (Some(missing), _) if starting => Named::Missing(missing),
                (_, true) => Named::Some,
                (_, false) => Named::None,
            },
            waiting: waiting.as_deref(),
            now: &now,
        };
        let due = self.memory.counts_due.filter(|due| *due <= self.now);
        let new = match status::status(&input) {
            Verdict::Same => {
                self.memory.counts_due = None;
                return ask;
            }
            Verdict::Later(new) | Verdict::Write(new) if self.memory.is_accepted(&new, &before) => {
                self.memory.counts_due = None;
                return ask;
            }
            Verdict::Later(_) if due.is_none() => {
                let due = *self.memory.counts_due.get_or_insert(self.now + TRAILING);
                let wait = due.saturating_duration_since(self.now);
                return Some(ask.map_or(wait, |ask| ask.min(wait)));
            }
            Verdict::Later(new) | Verdict::Write(new) => new,
        };
        self.memory.counts_due = None;
        match self.write_status(&new).await {
            Ok((version, became)) => {
                metrics.status_write(self.info.kind);
                self.memory.status_failures = 0;
                self.memory.wrote_status(version, new, became);
                ask
            }
            // The custom resource is gone, or going: there is nothing to say any more.
            Err(Refusal::Gone | Refusal::NamespaceTerminating) => None,
            Err(refusal) => {
                tracing::warn!(parent = %self.id, %refusal, "failed to write the status");
                self.memory.status_failures += 1;
                let wait = if refusal.needs_somebody() { Retry::Slowly } else { Retry::Soon };
                let wait = wait.delay(self.memory.status_failures - 1, self.identity.generation.unsigned_abs());
                [wait, ask].into_iter().flatten().min()
            }
        }
    }

    /// Writes a status, and returns the version and what the server made of it. What a predecessor left in it, a condition
    /// that nobody would ever touch again, goes: once in a process, because whoever applies conditions of their own may.
    async fn write_status(&mut self, status: &Value) -> Result<(u64, Value), Refusal> {
        let cluster = &self.context.cluster;
        let written = cluster.apply_status(&self.info, self.identity, status).await?;
        if written.1 == *status || std::mem::replace(&mut self.memory.status_cleaned, true) {
            return Ok(written);
        }
        let clean = |object: &Value| managers::without_leftovers(object, status);
        if let Some(cleaned) = cluster.change_status(&self.info, self.identity, clean).await? {
            return Ok(cleaned);
        }
        Ok(written)
    }

    /// Asks why pods wait once a rollout takes too long; returns when to ask again.
    async fn ask_pods(&mut self) -> Option<Duration> {
        let due = match &self.memory.pods {
            Some(pods) => pods.at + ASK_AGAIN,
            None => self.memory.rolled_at + PATIENCE,
        };
        if due > self.now {
            return Some(due - self.now);
        }
        match self.context.pods.waiting(&self.context.cluster, &self.identity.namespace, due).await {
            Some(waiting) => {
                self.memory.pods = Some(memory::PodsSeen::new(&self.identity.name, &waiting, self.now));
                Some(ASK_AGAIN)
            }
            None => Some(ASK_AGAIN / 3),
        }
    }
}

fn previously_missing(status: &Value) -> Option<String> {
    let known = condition(status, "ReferencesResolved").filter(|known| known["status"] == "False")?;
    known["message"].as_str().map(str::to_owned)
}

fn previously_waiting(status: &Value) -> Option<String> {
    let sentences = status["message"].as_str()?.split("; ");
    sentences.into_iter().find(|sentence| sentence.starts_with(memory::PODS_WAIT)).map(str::to_owned)
}

pub(super) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn timestamp() -> String {
    let now = Timestamp::now();
    format!("{}", Timestamp::from_second(now.as_second()).unwrap_or(now))
}
