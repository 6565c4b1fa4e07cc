//! The one table of what a reconcile can end in: condition reason, metric label and when to try again. PURE.
//!
//! The reference of conditions is printed from [`TABLE`].

use std::time::Duration;

use super::diff::Blocked;
use crate::cluster::Refusal;

/// How the writing of one object, or of the whole set, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The whole desired set is on the server.
    Applied,
    /// An object waits for another one, for a deletion or for a later try.
    Waiting,
    /// The API server could not be reached or answered with a fault of its own.
    ApplyFailed,
    /// The quota of the namespace is used up.
    QuotaExceeded,
    /// The operator, or an admission plugin, may not do it.
    Forbidden,
    /// An object of that name belongs to somebody else.
    ResourceConflict,
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
    (Reason::Waiting, "Waiting", Retry::OnEvent, "An object waits for another one or for a deletion to end."),
    (
        Reason::ApplyFailed,
        "ApplyFailed",
        Retry::Soon,
        "The API server could not be reached or could not do it; tried again by itself.",
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

    /// When to try again.
    #[must_use]
    pub fn retry(self) -> Retry {
        self.row().2
    }

    /// What a refusal of the server means for the object.
    #[must_use]
    pub const fn of_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Exists => Self::ResourceConflict,
            Refusal::Gone | Refusal::NamespaceTerminating => Self::Waiting,
            Refusal::FieldConflict(_) | Refusal::Transient { .. } => Self::ApplyFailed,
            Refusal::Forbidden(_) => Self::Forbidden,
            Refusal::UnknownKind(_) => Self::ApplyFailed,
            Refusal::Quota(_) => Self::QuotaExceeded,
            Refusal::Content { .. } => Self::InvalidSpec,
        }
    }

    /// Why an object that must not be touched is not.
    #[must_use]
    pub const fn of_blocked(blocked: &Blocked) -> Self {
        match blocked {
            Blocked::Foreign | Blocked::OwnedBy(_) => Self::ResourceConflict,
            Blocked::BeingDeleted => Self::Waiting,
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
            Reason::Waiting,
            Reason::ApplyFailed,
            Reason::QuotaExceeded,
            Reason::Forbidden,
            Reason::ResourceConflict,
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
