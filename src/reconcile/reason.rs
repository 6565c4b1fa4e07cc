//! The one table of what a reconcile can end in: condition reason, metric label and when to try again. PURE.
//!
//! The reference of conditions is printed from [`TABLE`].

use std::time::Duration;

use super::diff::Blocked;
use crate::{cards, cluster::Refusal, policies::reason as of_policies};

/// How the writing of one object, or of the whole set, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The whole desired set is on the server.
    Applied,
    /// The user has stopped all changes.
    Paused,
    /// An object waits for another one, for a deletion or for a later try.
    Waiting,
    /// The API server could not be reached or answered with a fault of its own.
    ApplyFailed,
    /// The server is without the kind of an object.
    KindMissing,
    /// The quota of the namespace is used up.
    QuotaExceeded,
    /// The operator, or an admission plugin, may not do it.
    Forbidden,
    /// An object of that name belongs to somebody else.
    ResourceConflict,
    /// A policy cannot do its work, or the server does not take what it made.
    PolicyFailed,
    /// A rewritten object is not allowed.
    GuardViolation,
    /// The spec, or what was made of it, is not valid.
    InvalidSpec,
}

/// When to try again without being woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not at all: an event will come.
    OnEvent,
    /// From 100 ms up to 30 s.
    Soon,
    /// From 1 s up to 5 min.
    Slowly,
}

/// One row: reason, its name in conditions and metrics, retry class, and what it means for a reader of the reference.
pub const TABLE: &[(Reason, &str, Retry, &str)] = &[
    (Reason::Applied, "Applied", Retry::OnEvent, "The whole desired set is on the server."),
    (
        Reason::Paused,
        "Paused",
        Retry::OnEvent,
        "The annotation `inference-gateway.com/paused` says that nothing is to be created, changed or deleted.",
    ),
    (Reason::Waiting, "Waiting", Retry::OnEvent, "An object waits for another one or for a deletion to end."),
    (
        Reason::ApplyFailed,
        "ApplyFailed",
        Retry::Soon,
        "The API server could not be reached or could not do it; tried again by itself.",
    ),
    (
        Reason::KindMissing,
        "KindMissing",
        Retry::OnEvent,
        "The cluster is without the CustomResourceDefinition of an object; the other objects are made, and this one once the \
         definition is there.",
    ),
    (Reason::QuotaExceeded, "QuotaExceeded", Retry::Slowly, "A quota of the namespace is used up."),
    (
        Reason::Forbidden,
        "Forbidden",
        Retry::Slowly,
        "The operator lacks a permission, or an admission plugin refused the object.",
    ),
    (
        Reason::ResourceConflict,
        "ResourceConflict",
        Retry::Slowly,
        "An object of that name exists and was not made for this resource; it is left as it is.",
    ),
    (
        Reason::PolicyFailed,
        "PolicyFailed",
        Retry::Slowly,
        "A policy that matches it cannot be loaded or fails, or the API server does not take what the policy made; the last \
         good objects stay. `PoliciesApplied` says why.",
    ),
    (
        Reason::GuardViolation,
        "GuardViolation",
        Retry::OnEvent,
        "A generated or rewritten object is not allowed; the last good objects stay.",
    ),
    (
        Reason::InvalidSpec,
        "InvalidSpec",
        Retry::Slowly,
        "The spec, or an object made from it, is not valid; the last good objects stay.",
    ),
];

/// The conditions other than Reconciled: type, reason, and what it means. `(own)` stands for the words of the
/// Deployment.
pub const CONDITIONS: &[(&str, &str, &str)] = &[
    ("Ready", RUNNING, "True: every object is on the server and every pod is available."),
    ("Ready", "(any)", "False or Unknown: the reason and message of the first condition that does not hold."),
    ("Available", "(own)", "Whether enough pods are available, in the words of the Deployment."),
    ("Available", ROLLING_OUT, "False: the first pods are not available yet, or fewer than are needed."),
    ("Available", "ResourceConflict", "False: the Deployment of this name is somebody else's."),
    ("Available", UNREADABLE, "Unknown: the operator may not read Deployments."),
    ("Progressing", ROLLING_OUT, "True: the newest pods are being rolled out."),
    ("Progressing", "(own)", "How the rollout ended: NewReplicaSetAvailable, or ProgressDeadlineExceeded."),
    ("ReplicaFailure", "(own)", "True: pods cannot be made, for example because of a quota. Absent otherwise."),
    (
        "PoliciesApplied",
        "PoliciesApplied",
        "True: every policy that matches has had its say; the message names each with the digest of its module. Absent while \
         none matches.",
    ),
    (
        "PoliciesApplied",
        "RefusedByServer",
        "False: the API server refuses what a policy made; the message has its words and the policies.",
    ),
    (
        "PoliciesApplied",
        "(of the policy)",
        "False: a policy cannot do its work, for the reason that its own conditions or its failures have.",
    ),
    (
        "PoliciesApplied",
        "PoliciesUnreadable",
        "Unknown: the operator may not list policies. Nothing is changed until it may.",
    ),
    ("ReferencesResolved", PODS_RUNNING, "True: pods run with every Secret and ConfigMap that is named."),
    ("ReferencesResolved", NOT_YET_KNOWN, "Unknown: pods have not started with what is named."),
    ("ReferencesResolved", NOT_FOUND, "False: a Secret, a ConfigMap or a key in one is missing; the message names it."),
    (
        "Discovered",
        "AgentsDiscovered",
        "True: how many Agents an Orchestrator has found. Absent while it looks for none.",
    ),
    (
        "MCPsDiscovered",
        "MCPsDiscovered",
        "True: how many MCPs an Orchestrator has found. Absent while it looks for none.",
    ),
    (
        "ChannelsReady",
        "NoChannelEnabled",
        "False: an Orchestrator has nothing to do, and its program ends at once. Absent otherwise.",
    ),
    (
        "TokenExclusive",
        "TokenShared",
        "False: an older Orchestrator of the namespace has the same Telegram token. Absent otherwise.",
    ),
];

/// Reason: the newest pods are on their way.
pub const ROLLING_OUT: &str = "RollingOut";
/// Reason: all is well.
pub const RUNNING: &str = "Running";
/// Reason: Deployments cannot be read.
pub const UNREADABLE: &str = "DeploymentUnreadable";
/// Reason: pods run with what they name.
pub const PODS_RUNNING: &str = "PodsRunning";
/// Reason: pods have not started.
pub const NOT_YET_KNOWN: &str = "NotYetKnown";
/// Reason: something that is named is not there.
pub const NOT_FOUND: &str = "ReferenceNotFound";

/// The reference of conditions, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Conditions\n\nWhat the `conditions` of a status say. A condition that does not apply is absent.\n\n\
         ## Reconciled\n\nWhether the whole desired set is on the server; with several reasons the gravest is named.\n\n\
         | Status | Reason | Meaning | Tried again |\n|---|---|---|---|\n",
    );
    for (reason, name, retry, meaning) in TABLE {
        let status = if *reason == Reason::Applied { "True" } else { "False" };
        let again = match retry {
            Retry::OnEvent => "when something changes",
            Retry::Soon => "after 100 ms, growing to 30 s",
            Retry::Slowly => "after 1 s, growing to 5 min, and when something changes",
        };
        text.push_str(&format!("| {status} | `{name}` | {meaning} | {again} |\n"));
    }
    text.push_str("\n## The others\n\n| Type | Reason | Meaning |\n|---|---|---|\n");
    let cards = cards::REASONS.iter().map(|(reason, meaning)| (cards::CARD_FETCHED, *reason, *meaning));
    for (kind, reason, meaning) in CONDITIONS.iter().copied().chain(cards) {
        text.push_str(&format!("| {kind} | `{reason}` | {meaning} |\n"));
    }
    text.push_str("\nReasons of Events: the reasons of Reconciled when an object begins to fail, `FieldConflict` (fields of other managers \
         were taken over), `DriftReverted` (somebody's change was taken back), `Restored` (a deleted object was made again), \
         `Reclaimed` (an object that had lost its owner reference or label was taken back), \
         `Adopted` (an object that another operator or person had made is looked after now).\n");
    text.push_str(&of_policies::reference());
    text
}

impl Reason {
    fn row(self) -> &'static (Self, &'static str, Retry, &'static str) {
        let row = TABLE.iter().find(|(reason, ..)| *reason == self);
        // A test holds the table against the enum.
        row.unwrap_or(&TABLE[0])
    }

    /// Its name in conditions, Events and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The reason of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|(_, known, ..)| *known == name).map(|(reason, ..)| *reason)
    }

    /// When to try again.
    #[must_use]
    pub fn retry(self) -> Retry {
        self.row().2
    }

    /// When to try again what only a call has shown: no event will tell of its end.
    #[must_use]
    pub fn retry_after_call(self) -> Retry {
        match self.retry() {
            Retry::OnEvent => Retry::Slowly,
            retry => retry,
        }
    }

    /// What a refusal of the server means for the object.
    #[must_use]
    pub const fn of_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Exists => Self::ResourceConflict,
            Refusal::Gone | Refusal::NamespaceTerminating => Self::Waiting,
            Refusal::FieldConflict(_) | Refusal::Transient { .. } => Self::ApplyFailed,
            Refusal::Forbidden(_) => Self::Forbidden,
            Refusal::UnknownKind(_) => Self::KindMissing,
            Refusal::Quota(_) => Self::QuotaExceeded,
            Refusal::Content { .. } => Self::InvalidSpec,
        }
    }

    /// Why an object that must not be touched is not.
    #[must_use]
    pub const fn of_blocked(blocked: &Blocked) -> Self {
        match blocked {
            Blocked::Foreign | Blocked::OwnedBy(_) => Self::ResourceConflict,
            Blocked::LeftBehind | Blocked::BeingDeleted | Blocked::Unlisted => Self::Waiting,
            Blocked::Missing(_) => Self::KindMissing,
            Blocked::Off(_) => Self::GuardViolation,
            Blocked::Unreadable(_) => Self::Forbidden,
        }
    }
}

impl Retry {
    /// The wait before try number `attempt` (from 0), with up to a fifth more by `spread`, so that many failures of one
    /// moment do not come back in one moment.
    #[must_use]
    pub fn delay(self, attempt: u32, spread: u64) -> Option<Duration> {
        let (first, longest) = match self {
            Self::OnEvent => return None,
            Self::Soon => (100, 30_000),
            Self::Slowly => (1_000, 300_000),
        };
        let wait = 2_u64.saturating_pow(attempt).saturating_mul(first).min(longest);
        Some(Duration::from_millis(wait + spread % (wait / 5)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Retry, TABLE};

    #[test]
    fn every_reason_has_its_row() {
        let all = [
            Reason::Applied,
            Reason::Paused,
            Reason::Waiting,
            Reason::ApplyFailed,
            Reason::KindMissing,
            Reason::QuotaExceeded,
            Reason::Forbidden,
            Reason::ResourceConflict,
            Reason::PolicyFailed,
            Reason::GuardViolation,
            Reason::InvalidSpec,
        ];
        assert_eq!(TABLE.iter().map(|(reason, ..)| *reason).collect::<Vec<_>>(), all);
    }

    #[test]
    fn waits_grow_to_a_bound() {
        let seconds = |retry: Retry, attempt| retry.delay(attempt, 0).map(|d| d.as_millis());
        assert_eq!(seconds(Retry::Soon, 0), Some(100));
        assert_eq!(seconds(Retry::Soon, 3), Some(800));
        assert_eq!(seconds(Retry::Soon, 63), Some(30_000));
        assert_eq!(seconds(Retry::Slowly, 40), Some(300_000));
        assert_eq!(seconds(Retry::OnEvent, 0), None);
    }
}
