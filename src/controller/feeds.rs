//! The watches that feed the caches: generated objects, named ConfigMaps, namespaces. Whoever is concerned is woken.

use std::{collections::HashSet, pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};

use super::{PAGE, Shared, wakers::Wakers};
use crate::{
    cache::Seen,
    config_maps::Watched as WatchedConfigMap,
    object::{
        ChildKind, MANAGED_BY, MANAGED_BY_LABEL, ObjectId,
        live::{Live, Watched},
    },
};

/// How long to wait before a kind that may not be read is listed again.
pub(super) const REFUSED_AGAIN: Duration = Duration::from_secs(5);

/// Why a watch is not followed any more.
enum Ended {
    /// Its start was refused.
    Refused,
    /// The server is without the kind.
    Missing,
}

/// Feeds one kind of generated object into the cache and wakes whom it concerns. Returns when an optional kind is gone.
pub(super) async fn children(client: Client, kind: ChildKind, shared: Arc<Shared>, wakers: Arc<Wakers>) {
    let api: Api<Watched> = Api::all_with(client, &kind.info());
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}")).page_size(PAGE);
    let mut counted = kind.optional();
    loop {
        let events = watcher(api.clone(), config.clone()).default_backoff();
        match follow(kind, events, &shared, &wakers, &mut counted).await {
            Ended::Refused => tokio::time::sleep(REFUSED_AGAIN).await,
            Ended::Missing => return,
        }
    }
}

/// Feeds what a watch says until its start is refused: a watch that could go on after that would do so without a list,
/// and only a list shows that the kind can be read again.
async fn follow(
    kind: ChildKind,
    events: impl Stream<Item = watcher::Result<watcher::Event<Watched>>>,
    shared: &Shared,
    wakers: &Wakers,
    counted: &mut bool,
) -> Ended {
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        let start_refused = matches!(&event, Err(error) if refused(error).is_some() && !matches!(error, watcher::Error::InitialListFailed(_)));
        let (id, seen) = match event {
            Ok(watcher::Event::Init) => (None, Seen::ListBegins),
            Ok(watcher::Event::InitApply(watched) | watcher::Event::Apply(watched)) => {
                let id = identity(kind, &watched);
                if shared.context.cache.knows(&id, watched.0.version()) {
                    shared.context.cache.delivered(kind);
                    continue;
                }
                (Some(id), Seen::There(Live::new(kind, &watched.0)))
            }
            Ok(watcher::Event::Delete(watched)) => {
                (Some(identity(kind, &watched)), Seen::Deleted(Live::new(kind, &watched.0)))
            }
            Ok(watcher::Event::InitDone) => {
                shared.context.metrics.listed(kind.name());
                (None, Seen::ListComplete)
            }
            Err(error) if kind.optional() && is_missing(&error) => return Ended::Missing,
            Err(error) => match refused(&error) {
                Some(why) => (None, Seen::Unreadable(format!("failed to list {}: {why}", kind.info().plural))),
                // Whoever wants an optional kind waits for its first list, and is told when that does not come.
                None if kind.optional() && !shared.context.cache.listed(kind) => {
                    (None, Seen::Unreadable(format!("failed to list {}: {error}", kind.info().plural)))
                }
                None => {
                    tracing::warn!(%kind, %error, "the watch failed and is started again");
                    continue;
                }
            },
        };
        let cache = &shared.context.cache;
        let wake = cache.watch(kind, id, seen);
        if !*counted && cache.listed(kind) {
            *counted = true;
            shared.first_list();
        } else if cache.unreadable(kind).is_some() {
            shared.listed.send_replace(());
        }
        wakers.all(shared, wake);
        cache.delivered(kind);
        if start_refused {
            return Ended::Refused;
        }
    }
    Ended::Refused
}

fn identity(kind: ChildKind, watched: &Watched) -> ObjectId {
    let (namespace, name) = watched.0.key();
    ObjectId::new(kind, namespace, name)
}

/// Whether the server has no such kind.
pub(super) fn is_missing(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status)) | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            if status.code == 404
    )
}

/// The server's words, when a list or watch is refused and not only disturbed.
pub(super) fn refused(error: &watcher::Error) -> Option<String> {
    let error = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => return None,
    };
    match error {
        kube::Error::Api(status) if [401, 403, 404].contains(&status.code) => Some(status.message.clone()),
        _ => None,
    }
}

/// Feeds the ConfigMaps that custom resources name, once the first one does.
pub(super) async fn config_maps(client: Client, shared: Arc<Shared>, wakers: Arc<Wakers>) {
    let config_maps = &shared.context.config_maps;
    config_maps.wanted.notified().await;
    let api: Api<WatchedConfigMap> = Api::all(client);
    let mut events = pin!(watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff());
    while let Some(event) = events.next().await {
        let woken = match event {
            Ok(watcher::Event::Init) => {
                config_maps.list_begins();
                continue;
            }
            Ok(watcher::Event::InitApply(map) | watcher::Event::Apply(map)) => {
                config_maps.saw(&map.namespace().unwrap_or_default(), &map.name_any(), Some(map.digest()))
            }
            Ok(watcher::Event::Delete(map)) => {
                config_maps.saw(&map.namespace().unwrap_or_default(), &map.name_any(), None)
            }
            Ok(watcher::Event::InitDone) => config_maps.list_complete(),
            Err(error) => {
                tracing::warn!(%error, "the watch of ConfigMaps failed and is started again");
                refused(&error).map(|why| config_maps.refused(why)).unwrap_or_default()
            }
        };
        wakers.each(&shared, &woken);
    }
}

/// Feeds the namespaces into the scope, and their labels to the policies.
pub(super) async fn namespaces(client: Client, shared: Arc<Shared>, wakers: Arc<Wakers>) {
    let (scope, policies) = (&shared.scope, &shared.context.policies);
    if !scope.is_restricted() {
        policies.namespaces_wanted.notified().await;
    }
    let wake = |name: &str| {
        wakers.matching(&shared, |_, object| object.metadata.namespace.as_deref() == Some(name));
    };
    let api: Api<Namespace> = Api::all(client);
    let mut there = HashSet::new();
    let mut events = pin!(watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => there.clear(),
            Ok(watcher::Event::InitApply(namespace) | watcher::Event::Apply(namespace)) => {
                let name = namespace.name_any();
                there.insert(name.clone());
                let counts = scope.saw(&name, Some(namespace.labels()));
                if policies.saw_namespace(&name, Some(namespace.labels())) || counts {
                    wake(&name);
                }
            }
            Ok(watcher::Event::Delete(namespace)) => {
                scope.saw(&namespace.name_any(), None);
                policies.saw_namespace(&namespace.name_any(), None);
            }
            Ok(watcher::Event::InitDone) => {
                if scope.is_restricted() && scope.set_listed() {
                    shared.first_list();
                }
                policies.listed_namespaces(&there).iter().for_each(|name| wake(name));
            }
            Err(error) => {
                tracing::warn!(%error, "the watch of namespaces failed and is started again");
                if let Some(why) = refused(&error) {
                    let asked = policies.refused_namespaces(format!("failed to list namespaces: {why}"));
                    asked.iter().for_each(|name| wake(name));
                }
            }
        }
    }
}
