//! Stage: deletes what nobody wants any more. I/O through [`Cluster`] only.
//!
//! Only objects whose controller is this very custom resource (by uid, from the cache), in exactly the state that was
//! looked at, and only after every apply succeeded or met somebody else's object or a kind that the server is without:
//! what is wanted must be there before what is not goes.

use super::{
    diff::{Action, Plan},
    outcome::{Applied, Failed},
    reason::Reason,
};
use crate::{
    cluster::{Cluster, Refusal},
    object::ObjectId,
};

/// What the stage did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Objects that are gone.
    pub deleted: Vec<ObjectId>,
    /// The first deletion that failed.
    pub failed: Option<Failed>,
    /// Deletions wait for applies that have not succeeded.
    pub postponed: bool,
}

/// Carries out the deletions of a plan.
pub async fn prune<C: Cluster>(cluster: &C, plan: &Plan, applied: &Applied) -> Pruned {
    let mut pruned = Pruned::default();
    for change in plan.changes.iter().filter(|change| change.action == Action::Delete) {
        if !applied.lets_go(change.id.kind) {
            pruned.postponed = true;
            continue;
        }
        let Some(live) = &change.live else { continue };
        match cluster.delete(&change.id, live).await {
            Ok(()) => pruned.deleted.push(change.id.clone()),
            // Gone, or changed since: its event brings another look.
            Err(Refusal::Gone) => {}
            Err(refusal) => {
                let message = format!("failed to delete {}, which is no longer wanted: {refusal}", change.id);
                let reason = Reason::of_refusal(&refusal);
                pruned.failed.get_or_insert(Failed::new(reason, Some(change.id.kind), message));
            }
        }
    }
    pruned
}
