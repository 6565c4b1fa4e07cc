//! The watches of kinds that a server may be without: discovery is asked whether it has them, and a watch runs while it does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::Client;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Shared,
    feeds::{REFUSED_AGAIN, children},
    wakers::Wakers,
};
use crate::{
    cache::{Cache, Readiness, Seen},
    object::{ChildKind, KindInfo},
};

/// Longest wait for an answer of discovery.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a server that has a kind for good lets one do with it. While its definition is being deleted `create` is left out.
const VERBS: [&str; 4] = ["list", "watch", "create", "patch"];

/// Asks once, for what is left of earlier times; again when somebody wants a kind that is not there, at most once in
/// `look_again`.
pub(super) async fn watch(client: Client, look_again: Duration, shared: Arc<Shared>, wakers: Arc<Wakers>) {
    let cache = &shared.context.cache;
    let say = |kind, seen| wakers.all(&shared, cache.watch(kind, None, seen));
    let mut absent: BTreeSet<ChildKind> = cache.kinds().filter(|kind| kind.optional()).collect();
    let mut watches = JoinSet::new();
    let mut wanted = false;
    loop {
        wanted |= cache.is_wanted(&absent);
        let mut failed = false;
        for (kind, answer) in ask(&client, &absent).await {
            match answer {
                Ok(true) => {
                    tracing::info!(%kind, "the cluster has the kind");
                    absent.remove(&kind);
                    let watch = children(client.clone(), kind, Arc::clone(&shared), Arc::clone(&wakers));
                    watches.spawn(async move {
                        watch.await;
                        kind
                    });
                }
                Ok(false) => say(kind, Seen::Missing),
                Err(why) => {
                    tracing::warn!(%kind, why, "failed to ask whether the cluster has the kind");
                    failed = true;
                    // What is known stands.
                    if cache.readiness(kind) == Readiness::Unlisted {
                        say(kind, Seen::Unreadable(why));
                    }
                }
            }
        }
        // The first one who wants such a kind need not wait.
        let pause = if failed { REFUSED_AGAIN } else { look_again };
        let next = Instant::now() + if wanted || failed { pause } else { Duration::ZERO };
        loop {
            tokio::select! {
                Some(ended) = watches.join_next() => {
                    // A watch that has failed is told by whoever waits for this function to end.
                    let Ok(kind) = ended else { return };
                    tracing::warn!(%kind, "the cluster has lost the kind");
                    absent.insert(kind);
                    say(kind, Seen::Missing);
                }
                () = due(cache, &absent, failed, next) => break,
            }
        }
    }
}

/// Waits until it is time to ask again, and there is somebody to ask for or the last answer was none.
async fn due(cache: &Cache, absent: &BTreeSet<ChildKind>, failed: bool, next: Instant) {
    loop {
        let news = cache.wanted.notified();
        if !failed && !cache.is_wanted(absent) {
            news.await;
        } else if Instant::now() < next {
            sleep_until(next).await;
        } else {
            return;
        }
    }
}

/// Asks once for each group which of these kinds the server has.
async fn ask(client: &Client, kinds: &BTreeSet<ChildKind>) -> Vec<(ChildKind, Result<bool, String>)> {
    let versions: BTreeSet<_> = kinds.iter().map(|kind| kind.info().api_version()).collect();
    let mut answers = BTreeMap::new();
    for version in versions {
        let answer = resources(client, &version).await;
        answers.insert(version, answer);
    }
    let answer = |kind: &ChildKind| match answers.get(&kind.info().api_version()) {
        Some(Ok(resources)) => Ok(resources.iter().any(|resource| is_served(resource, kind.info()))),
        Some(Err(why)) => Err(why.clone()),
        None => Ok(false),
    };
    kinds.iter().map(|kind| (*kind, answer(kind))).collect()
}

async fn resources(client: &Client, version: &str) -> Result<Vec<APIResource>, String> {
    match timeout(PATIENCE, client.list_api_group_resources(version)).await {
        Ok(Ok(list)) => Ok(list.resources),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(Vec::new()),
        Ok(Err(error)) => Err(format!("failed to ask which kinds {version} has: {error}")),
        Err(_) => Err(format!("failed to ask which kinds {version} has: no answer in {} s", PATIENCE.as_secs())),
    }
}

fn is_served(resource: &APIResource, info: KindInfo) -> bool {
    resource.name == info.plural && VERBS.iter().all(|verb| resource.verbs.iter().any(|allowed| allowed == verb))
}
