//! Stage: what the world outside a custom resource adds to it. Reads caches only.

use std::{sync::Arc, time::Instant};

use crate::{
    cache::Cache,
    cards::Cards,
    config_maps::{ConfigMaps, Unlisted},
    directory::Directory,
    kinds::{References, Related},
    object::{ChildKind, Identity, ObjectId, ParentId, live::Live},
    parent::ParentObject,
};

/// Where it is known from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Generated objects.
    pub cache: &'a Cache,
    /// ConfigMaps.
    pub config_maps: &'a ConfigMaps,
    /// Custom resources that others look for.
    pub directory: &'a Directory,
    /// Cards.
    pub cards: &'a Cards,
}

/// Why it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// A list is on its way; the custom resource is woken when it is there.
    NotYet,
    /// The server refuses a list, with these words.
    Refused(String),
}

/// What is known, and when to look again without being woken. The custom resource is woken when any of it changes.
///
/// # Errors
/// When something is not known.
pub fn related(
    sources: Sources<'_>,
    id: &ParentId,
    identity: &Identity,
    object: &ParentObject,
    references: &References,
    now: Instant,
) -> Result<(Related, Option<Instant>), Unknown> {
    let Sources { cache, config_maps, directory, cards } = sources;
    let maps = config_maps.digests(id, &references.config_maps);
    let found = directory.seek(id, &references.discoveries, now);
    let config_maps = maps.map_err(|unlisted| match unlisted {
        Unlisted::NotYet => Unknown::NotYet,
        Unlisted::Refused(why) => Unknown::Refused(why),
    })?;
    let (found, again) = found.map_err(|_| Unknown::NotYet)?;
    let rival = references.claim.as_ref().and_then(|claim| directory.rival(id, claim));
    let card = references.card.as_ref().map(|source| {
        // Both are this custom resource's: somebody else's Service would lead to somebody else's card.
        let owned = cache.owned_by(&identity.uid);
        let has = |kind| move |(id, live): &&(ObjectId, Arc<Live>)| id.kind == kind && !live.deleting;
        let mut workloads = owned.iter().filter(has(ChildKind::Deployment));
        let available = workloads.any(|(_, live)| live.rollout.as_ref().is_some_and(|rollout| rollout.available > 0));
        let running = available && owned.iter().any(|object| has(ChildKind::Service)(&object));
        cards.seen(id, &identity.uid, source, running, || object.status())
    });
    if card.is_none() {
        cards.forget(id);
    }
    Ok((Related { config_maps, found, card, rival }, again))
}
