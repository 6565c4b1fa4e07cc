//! How the writing of objects ended: what the stages after it, the status, Events and metrics are made from. PURE.

use super::{diff::Cause, reason::Reason};
use crate::object::{ChildKind, ObjectId};

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
    /// The kind of the object.
    pub kind: Option<ChildKind>,
    /// Who stands in the way.
    pub obstacle: Obstacle,
}

/// Who stands in the way of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Nobody in particular.
    None,
    /// The object is somebody else's.
    Foreign,
    /// An object that it needs is somebody else's.
    BehindForeign,
    /// The server is without its kind, or without the kind of an object that it needs.
    Missing,
    /// Its kind has not been listed yet, or that of an object that it needs.
    Unlisted,
}

impl Failed {
    /// A failure without anybody in the way.
    #[must_use]
    pub const fn new(reason: Reason, kind: Option<ChildKind>, message: String) -> Self {
        Self { reason, message, kind, obstacle: Obstacle::None }
    }
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
    /// One that is about an object, and fields of it.
    #[must_use]
    pub fn about(warning: bool, reason: &'static str, id: &ObjectId, fields: String, message: String) -> Self {
        Self { warning, reason, about: Some((id.clone(), fields)), message }
    }
}

impl Applied {
    /// Whether an object of this kind that nobody wants any more may go: every other one is as it should be, or is not
    /// because something is somebody else's or of a kind that the server is without. In that case requests may still need the
    /// old way in. A control stays while the workload, or another control, is not as it should be: the pods that run may be those
    /// that it was made for.
    #[must_use]
    pub fn lets_go(&self, kind: ChildKind) -> bool {
        let mut failed =
            self.outcomes.iter().filter_map(|outcome| Some((outcome.id.kind, outcome.result.as_ref().err()?)));
        !self.terminating
            && failed.all(|(of, failed)| match failed.obstacle {
                _ if kind.protects() && (of.protects() || of == ChildKind::Deployment) => false,
                Obstacle::Foreign | Obstacle::BehindForeign => true,
                Obstacle::Missing => !kind.exposes(),
                Obstacle::None | Obstacle::Unlisted => false,
            })
    }

    /// Whether it is not yet known how an object will end, because its kind has not been listed.
    #[must_use]
    pub fn undecided(&self) -> bool {
        let unlisted = |failed: &Failed| failed.obstacle == Obstacle::Unlisted;
        self.outcomes.iter().any(|outcome| outcome.result.as_ref().is_err_and(unlisted))
    }

    /// Whether an object of this kind was changed because it is wanted differently now.
    #[must_use]
    pub fn rolled(&self, kind: ChildKind) -> bool {
        let changed = |done: &Done| matches!(done, Done::Created | Done::Updated(Cause::Intent | Cause::Reclaim));
        self.outcomes.iter().any(|o| o.id.kind == kind && o.result.as_ref().is_ok_and(changed))
    }
}

#[cfg(test)]
mod tests {
    use super::{Applied, Failed, Obstacle, Outcome};
    use crate::{
        object::{
            ChildKind::{
                self, ApiGateway, ConfigMap, Deployment, Ingress, NetworkPolicy, PeerAuthentication, PodMonitor,
            },
            ObjectId,
        },
        reconcile::reason::Reason,
    };

    fn lets_go(failed: ChildKind, obstacle: Obstacle, kind: ChildKind) -> bool {
        let failure = Failed { obstacle, ..Failed::new(Reason::Waiting, Some(failed), String::new()) };
        let outcome = Outcome { id: ObjectId::new(failed, "ns", "x"), result: Err(failure) };
        Applied { outcomes: vec![outcome], ..Applied::default() }.lets_go(kind)
    }

    #[test]
    fn what_is_not_there_yet_keeps_what_it_replaces() {
        assert!(Applied::default().lets_go(NetworkPolicy));
        assert!(lets_go(ApiGateway, Obstacle::Missing, ConfigMap) && !lets_go(ApiGateway, Obstacle::Missing, Ingress));
        assert!(!lets_go(ConfigMap, Obstacle::None, ConfigMap));
        assert!(lets_go(ConfigMap, Obstacle::Foreign, Ingress));
    }

    #[test]
    fn a_control_stays_until_workload_and_controls_are_as_they_should_be() {
        for obstacle in [Obstacle::Missing, Obstacle::Foreign, Obstacle::BehindForeign, Obstacle::None] {
            assert!(!lets_go(PeerAuthentication, obstacle, NetworkPolicy), "{obstacle:?}");
            assert!(!lets_go(Deployment, obstacle, NetworkPolicy), "{obstacle:?}");
        }
        assert!(lets_go(Ingress, Obstacle::Foreign, NetworkPolicy));
        assert!(lets_go(PodMonitor, Obstacle::Missing, NetworkPolicy));
        assert!(lets_go(PeerAuthentication, Obstacle::Missing, PodMonitor));
    }
}
