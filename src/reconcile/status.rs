//! Stage: what the custom resource says of itself, from what was applied and what the Deployment says. PURE.
//!
//! While a rollout goes on nothing changes but replica counts: the conditions are written when it begins and when it
//! has ended, well or badly. `lastTransitionTime` moves only with the status of its condition.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    outcome::Failed,
    reason::{NOT_FOUND, NOT_YET_KNOWN, PODS_RUNNING, ROLLING_OUT, RUNNING, Reason, UNREADABLE},
};
use crate::{
    kinds::{KindCondition, Summary},
    object::{
        ChildKind,
        live::{self, Live},
    },
    parent::Condition,
};

/// What the stage decides from.
#[derive(Debug)]
pub struct Input<'a> {
    /// Generation of the custom resource that was looked at.
    pub generation: i64,
    /// The status as it is.
    pub before: &'a Value,
    /// How it sums up.
    pub summary: Summary,
    /// The fields that follow from the spec; `None` when it could not be decoded: the old ones stay.
    pub from_spec: Option<&'a Map<String, Value>>,
    /// Conditions that only its kind has; `None` when the spec could not be decoded: the old ones stay.
    pub conditions: Option<&'a [KindCondition]>,
    /// Sentences for the message.
    pub notes: &'a [String],
    /// What went wrong, the worst first.
    pub failures: &'a [Failed],
    /// How many objects are on the server.
    pub objects: usize,
    /// Whether anything was written, so that the message of Reconciled may change.
    pub wrote: bool,
    /// What was taken over from others.
    pub taken_over: Option<&'a str>,
    /// The workload.
    pub workload: Workload<'a>,
    /// Whether the custom resource names ConfigMaps or Secrets, and what is known of them.
    pub references: Named<'a>,
    /// Why containers wait, for people.
    pub waiting: Option<&'a str>,
    /// The time, RFC 3339.
    pub now: &'a str,
}

/// The workload of the custom resource.
#[derive(Debug)]
pub enum Workload<'a> {
    /// Deployments cannot be read.
    Unreadable(&'a str),
    /// It is not there, because it could not be written.
    Absent {
        /// Whether it cannot be there: somebody else's object has its name.
        conflict: bool,
    },
    /// It is there.
    Live {
        /// It.
        live: &'a Live,
        /// Whether this reconcile changed what it should be.
        rolled: bool,
    },
}

/// What is known of ConfigMaps and Secrets that the custom resource names.
#[derive(Debug, Clone, Copy)]
pub enum Named<'a> {
    /// It names none.
    None,
    /// It names some.
    Some,
    /// Something it names is not there.
    Missing(&'a str),
}

/// How far the rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollout<'a> {
    Unreadable(&'a str),
    Rolling,
    /// The right pods run; only their number moves.
    Scaling,
    Complete,
    Failed(&'a live::Condition),
    Conflict,
}

/// What to do with the new status.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is as it was.
    Same,
    /// Only replica counts differ while a rollout goes on: may be written a little later, with what comes next.
    Later(Value),
    /// It is to be written.
    Write(Value),
}

const COUNTS: [&str; 3] = ["replicas", "readyReplicas", "availableReplicas"];

/// Makes the status and compares it with the one that is there.
#[must_use]
pub fn status(input: &Input<'_>) -> Verdict {
    let before: BTreeMap<String, Condition> =
        serde_json::from_value::<Vec<Condition>>(input.before["conditions"].clone())
            .unwrap_or_default()
            .into_iter()
            .map(|condition| (condition.kind.clone(), condition))
            .collect();
    let rollout = rollout(input);
    let conditions = conditions(input, rollout, &before);
    let mut status = match input.from_spec {
        Some(fields) => fields.clone(),
        None => kept(input.before),
    };
    match input.summary {
        Summary::Phase => {
            status.insert("phase".into(), phase(input, rollout).into());
            status.extend(counts(&input.workload));
        }
        Summary::Ready => {
            let ready = conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True");
            status.insert("ready".into(), ready.into());
        }
    }
    status.insert("observedGeneration".into(), input.generation.into());
    let message = message(input, rollout);
    if !message.is_empty() {
        status.insert("message".into(), message.into());
    }
    status.insert("conditions".into(), json!(conditions));
    verdict(input.before, Value::Object(status), rollout)
}

/// The numbers of pods.
fn counts(workload: &Workload<'_>) -> impl Iterator<Item = (String, Value)> {
    let rollout = match workload {
        Workload::Live { live, .. } => live.rollout.as_deref(),
        Workload::Unreadable(_) | Workload::Absent { .. } => None,
    };
    let numbers = rollout.map_or([0; 3], |rollout| [rollout.replicas, rollout.ready, rollout.available]);
    COUNTS.iter().map(ToString::to_string).zip(numbers.map(Value::from))
}

fn verdict(before: &Value, status: Value, rollout: Rollout<'_>) -> Verdict {
    if *before == status {
        return Verdict::Same;
    }
    let without = |status: &Value, left_out: &[&str]| {
        let mut status = status.clone();
        if let Value::Object(map) = &mut status {
            map.retain(|key, _| !left_out.contains(&key.as_str()));
        }
        status
    };
    let differ = |left_out: &[&str]| without(before, left_out) != without(&status, left_out);
    match rollout {
        // Pods that are made and not ready yet tell nobody anything.
        Rollout::Rolling if !differ(&["replicas"]) => Verdict::Same,
        Rollout::Rolling | Rollout::Scaling if !differ(&COUNTS) => Verdict::Later(status),
        _ => Verdict::Write(status),
    }
}

/// The fields of a status that follow from a spec, when the newest spec cannot be decoded.
fn kept(before: &Value) -> Map<String, Value> {
    let Value::Object(mut map) = before.clone() else { return Map::new() };
    map.remove("message");
    map
}

fn rollout<'a>(input: &Input<'a>) -> Rollout<'a> {
    let (live, rolled) = match &input.workload {
        Workload::Unreadable(why) => return Rollout::Unreadable(why),
        Workload::Absent { conflict: true } => return Rollout::Conflict,
        Workload::Absent { conflict: false } => return Rollout::Rolling,
        Workload::Live { live, rolled } => (live, *rolled),
    };
    let Some(rollout) = live.rollout.as_deref() else { return Rollout::Rolling };
    // The same pods as before, in another number or for a moment not counted, are not a rollout.
    let ran = !rolled && ran_before(input) && input.before["observedGeneration"].as_i64() == Some(input.generation);
    if rollout.observed_generation != live.generation {
        return if ran { Rollout::Scaling } else { Rollout::Rolling };
    }
    if let Some(failure) = rollout.replica_failure.as_ref().filter(|failure| &*failure.status == "True") {
        return Rollout::Failed(failure);
    }
    if let Some(progressing) = rollout.progressing.as_ref().filter(|progressing| &*progressing.status == "False") {
        return Rollout::Failed(progressing);
    }
    let available = rollout.available_condition.as_ref().is_some_and(|c| &*c.status == "True");
    match (rollout.complete() && available, ran && available && rollout.updated == rollout.replicas) {
        (true, _) => Rollout::Complete,
        (false, true) => Rollout::Scaling,
        (false, false) => Rollout::Rolling,
    }
}

/// Whether the pods of the newest spec had all been there.
fn ran_before(input: &Input<'_>) -> bool {
    match input.summary {
        Summary::Phase => input.before["phase"] == "Running",
        Summary::Ready => input.before["conditions"].as_array().into_iter().flatten().any(|condition| {
            condition["type"] == "Progressing" && condition["status"] == "True" && condition["reason"] != ROLLING_OUT
        }),
    }
}

fn phase(input: &Input<'_>, rollout: Rollout<'_>) -> &'static str {
    let blocked = input.failures.iter().any(|f| f.reason == Reason::InvalidSpec || f.reason == Reason::GuardViolation);
    let conflict = input.failures.iter().any(|f| {
        f.reason == Reason::ResourceConflict && matches!(f.kind, Some(ChildKind::Deployment | ChildKind::Service))
    });
    match rollout {
        Rollout::Unreadable(_) => "Unknown",
        _ if blocked || conflict => "Failed",
        Rollout::Failed(_) | Rollout::Conflict => "Failed",
        Rollout::Rolling => "Pending",
        Rollout::Scaling | Rollout::Complete => "Running",
    }
}

fn message(input: &Input<'_>, rollout: Rollout<'_>) -> String {
    let mut sentences: Vec<&str> = Vec::new();
    sentences.extend(input.failures.first().map(|failed| failed.message.as_str()));
    if let Rollout::Unreadable(why) = rollout {
        sentences.push(why);
    }
    if let Rollout::Failed(condition) = rollout {
        sentences.push(&condition.message);
    }
    if let Named::Missing(what) = input.references {
        sentences.push(what);
    } else if rollout != Rollout::Complete {
        sentences.extend(input.waiting);
    }
    let unmet = input.conditions.into_iter().flatten().filter(|known| known.needed && &*known.status == "False");
    sentences.extend(unmet.map(|known| &*known.message));
    sentences.extend(input.notes.iter().map(String::as_str));
    sentences.dedup();
    sentences.join("; ")
}

struct Conditions<'a> {
    generation: i64,
    now: &'a str,
    before: &'a BTreeMap<String, Condition>,
    made: Vec<Condition>,
}

impl Conditions<'_> {
    fn put(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let since = self.before.get(kind).filter(|before| before.status == status);
        self.made.push(Condition {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            last_transition_time: since.map_or(self.now, |before| &before.last_transition_time).into(),
            observed_generation: self.generation,
        });
    }

    fn keep(&mut self, kind: &str, otherwise: (&str, &str, &str)) {
        match self.before.get(kind) {
            Some(before) => {
                let before = before.clone();
                self.put(kind, &before.status, &before.reason, &before.message);
            }
            None => self.put(kind, otherwise.0, otherwise.1, otherwise.2),
        }
    }
}

const NOT_YET: (&str, &str, &str) = ("False", ROLLING_OUT, "the first pods are not available yet");

fn conditions(input: &Input<'_>, rollout: Rollout<'_>, before: &BTreeMap<String, Condition>) -> Vec<Condition> {
    let mut all = Conditions { generation: input.generation, now: input.now, before, made: Vec::with_capacity(6) };
    reconciled(input, &mut all);
    let live = match &input.workload {
        Workload::Live { live, .. } => live.rollout.as_deref(),
        _ => None,
    };
    let absent = matches!(input.workload, Workload::Absent { .. });
    let believed = match &input.workload {
        Workload::Live { live, .. } => live.rollout.as_ref().is_some_and(|r| r.observed_generation == live.generation),
        _ => false,
    };
    let available = live.and_then(|r| r.available_condition.as_ref());
    match (rollout, available) {
        (Rollout::Unreadable(why), _) => all.put("Available", "Unknown", UNREADABLE, why),
        (Rollout::Conflict, _) => {
            all.put("Available", "False", "ResourceConflict", "the Deployment of this name is somebody else's");
        }
        // Held, or refused: no pod is on its way.
        _ if absent => all.put("Available", "False", ROLLING_OUT, "the Deployment is not there"),
        (Rollout::Scaling, _) => all.keep("Available", NOT_YET),
        (Rollout::Complete | Rollout::Failed(_), Some(own)) => {
            all.put("Available", &own.status, &own.reason, &own.message);
        }
        (Rollout::Failed(_), None) => all.put("Available", NOT_YET.0, NOT_YET.1, NOT_YET.2),
        (_, Some(own)) if believed && &*own.status == "True" => {
            all.put("Available", "True", &own.reason, &own.message);
        }
        (_, Some(own)) if believed && &*own.status == "False" && has_run(before) => {
            all.put("Available", "False", ROLLING_OUT, "fewer pods are available than the Deployment needs");
        }
        (_, Some(_)) if !believed => all.keep("Available", NOT_YET),
        _ => all.put("Available", NOT_YET.0, NOT_YET.1, NOT_YET.2),
    }
    match rollout {
        Rollout::Unreadable(_) | Rollout::Conflict => {}
        _ if absent => {}
        Rollout::Rolling => all.put("Progressing", "True", ROLLING_OUT, "the newest pods are being rolled out"),
        Rollout::Scaling => all.keep("Progressing", ("True", ROLLING_OUT, "the newest pods are being rolled out")),
        Rollout::Complete | Rollout::Failed(_) => {
            if let Some(own) = live.and_then(|r| r.progressing.as_ref()) {
                all.put("Progressing", &own.status, &own.reason, &own.message);
            }
        }
    }
    if let Some(own) = live.and_then(|r| r.replica_failure.as_ref()).filter(|own| believed && &*own.status == "True") {
        all.put("ReplicaFailure", "True", &own.reason, &own.message);
    }
    match (input.references, rollout) {
        (Named::None, _) => {}
        (Named::Missing(what), _) => all.put("ReferencesResolved", "False", NOT_FOUND, what),
        (Named::Some, Rollout::Complete | Rollout::Scaling) => {
            all.put("ReferencesResolved", "True", PODS_RUNNING, "pods run with everything they name");
        }
        (Named::Some, _) => {
            all.put("ReferencesResolved", "Unknown", NOT_YET_KNOWN, "pods have not started with what they name");
        }
    }
    let needed = of_kind(input, &mut all);
    ready(rollout, &needed, &mut all);
    all.made
}

/// Whether pods of this custom resource were available before.
fn has_run(before: &BTreeMap<String, Condition>) -> bool {
    before.get("Available").is_some_and(|available| available.status == "True" || available.message != NOT_YET.2)
}

fn reconciled(input: &Input<'_>, all: &mut Conditions<'_>) {
    if let Some(worst) = input.failures.first() {
        let messages: Vec<_> = input.failures.iter().map(|failed| failed.message.as_str()).collect();
        return all.put("Reconciled", "False", worst.reason.name(), &messages.join("; "));
    }
    let unchanged = all
        .before
        .get("Reconciled")
        .filter(|before| !input.wrote && before.status == "True" && before.observed_generation == input.generation);
    let message = match (unchanged, input.taken_over) {
        (Some(before), _) => before.message.clone(),
        (None, Some(taken_over)) => format!("{} objects are on the server; {taken_over}", input.objects),
        (None, None) => format!("{} objects are on the server", input.objects),
    };
    all.put("Reconciled", "True", Reason::Applied.name(), &message);
}

/// Types that every kind has.
const COMMON: [&str; 5] = ["Reconciled", "ReferencesResolved", "ReplicaFailure", "Available", "Progressing"];

/// The conditions that only this kind has. Returns the types that Ready needs.
fn of_kind(input: &Input<'_>, all: &mut Conditions<'_>) -> Vec<&'static str> {
    let Some(conditions) = input.conditions else {
        let before = all.before;
        for known in before.values().filter(|known| known.kind != "Ready" && !COMMON.contains(&known.kind.as_str())) {
            all.put(&known.kind, &known.status, &known.reason, &known.message);
        }
        return Vec::new();
    };
    for condition in conditions {
        all.put(condition.kind, &condition.status, &condition.reason, &condition.message);
    }
    conditions.iter().filter(|condition| condition.needed).map(|condition| condition.kind).collect()
}

/// Ready sums the others up, with the words of the first that does not hold.
fn ready(rollout: Rollout<'_>, needed: &[&str], all: &mut Conditions<'_>) {
    let first_bad = COMMON
        .iter()
        .chain(needed)
        .filter_map(|kind| all.made.iter().find(|condition| condition.kind == *kind))
        .find(|condition| match condition.kind.as_str() {
            "ReplicaFailure" => condition.status == "True",
            // While pods start, nothing is known to be wrong with what they name.
            "ReferencesResolved" => condition.status == "False",
            _ => condition.status != "True",
        })
        .map(|condition| (condition.reason.clone(), condition.message.clone()));
    match (first_bad, rollout) {
        (Some((reason, message)), Rollout::Unreadable(_)) => all.put("Ready", "Unknown", &reason, &message),
        (Some((reason, message)), _) => all.put("Ready", "False", &reason, &message),
        (None, Rollout::Rolling) => all.put("Ready", "False", ROLLING_OUT, "the newest pods are being rolled out"),
        (None, _) => all.put("Ready", "True", RUNNING, "every object is on the server and every pod is available"),
    }
}
