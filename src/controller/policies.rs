//! What policies need of the world: their watches and those of the ConfigMaps with their modules, the loading of modules, and
//! the writing of their statuses. I/O.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::task::{AbortHandle, JoinSet};

use super::{
    PAGE, Shared,
    feeds::{REFUSED_AGAIN, is_missing, refused},
    wakers::Wakers,
};
use crate::{
    cluster::{Cluster as _, Refusal},
    kinds::ParentInfo,
    object::digest,
    parent::ParentObject,
    policies::{
        PolicyId, Source, SourceKey,
        entry::{At, Bytes},
        load::Job,
        reason,
        report::StatusJob,
        status,
    },
    policy::{
        engine::Loaded,
        failure::Failure,
        limits,
        resource::{GROUP, VERSION},
    },
    reconcile::outcome::Notice,
};

/// Feeds one kind of policy, also when its definition is installed later or taken away.
pub(super) async fn watch(
    client: Client,
    kind: ParentInfo,
    look_again: Duration,
    shared: Arc<Shared>,
    wakers: Arc<Wakers>,
) {
    let policies = &shared.context.policies;
    let mut counted = !policies.counts(&kind);
    let mut settled = || {
        if !std::mem::replace(&mut counted, true) {
            shared.first_list();
        }
    };
    loop {
        let api: Api<ParentObject> = Api::all_with(client.clone(), &kind);
        let events = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
        let mut events = pin!(events.modify(ParentObject::trim));
        let mut there = HashSet::new();
        let pause = loop {
            let Some(event) = events.next().await else { break REFUSED_AGAIN };
            let now = Instant::now();
            let woken = match event {
                Ok(watcher::Event::Init) => {
                    there.clear();
                    continue;
                }
                Ok(watcher::Event::InitApply(object)) => {
                    there.insert(PolicyId::of(&object));
                    policies.saw(&Arc::new(object), now)
                }
                Ok(watcher::Event::Apply(object)) => policies.saw(&Arc::new(object), now),
                Ok(watcher::Event::Delete(object)) => policies.gone(&PolicyId::of(&object), now),
                Ok(watcher::Event::InitDone) => {
                    let woken = policies.listed(&kind, &there, now);
                    shared.context.metrics.listed(kind.kind);
                    settled();
                    woken
                }
                Err(error) if is_missing(&error) => {
                    let (woken, pause) = match elsewhere(&client, &kind).await {
                        None => (policies.absent(&kind, now), look_again),
                        Some(why) => (policies.refused(&kind, why), REFUSED_AGAIN),
                    };
                    settled();
                    wakers.woken(&shared, &woken);
                    break pause;
                }
                Err(error) => {
                    tracing::warn!(kind = kind.kind, %error, "the watch failed and is started again");
                    let Some(why) = refused(&error) else { continue };
                    let woken = policies.refused(&kind, format!("failed to list {}: {why}", kind.plural));
                    settled();
                    wakers.woken(&shared, &woken);
                    break REFUSED_AGAIN;
                }
            };
            wakers.woken(&shared, &woken);
        };
        tokio::time::sleep(pause).await;
    }
}

/// Why a kind that is not there in this version does not count as absent: it is there in another one, or that cannot be found
/// out.
async fn elsewhere(client: &Client, kind: &ParentInfo) -> Option<String> {
    let failed = |error: kube::Error| format!("failed to ask whether the cluster has {}: {error}", kind.plural);
    let groups = match client.list_api_groups().await {
        Ok(groups) => groups.groups,
        Err(error) => return Some(failed(error)),
    };
    let group = groups.into_iter().find(|group| group.name == GROUP)?;
    for version in group.versions.into_iter().filter(|version| version.version != VERSION) {
        match client.list_api_group_resources(&version.group_version).await {
            Ok(list) if list.resources.iter().any(|resource| resource.name == kind.plural) => {
                return Some(format!("{} are served as {}, and not as {VERSION}", kind.plural, version.group_version));
            }
            Ok(_) => {}
            Err(error) => return Some(failed(error)),
        }
    }
    None
}

/// Keeps one watch for each ConfigMap that holds a module.
pub(super) async fn sources(client: Client, shared: Arc<Shared>, wakers: Arc<Wakers>) {
    let policies = &shared.context.policies;
    let mut watches: JoinSet<()> = JoinSet::new();
    let mut running: HashMap<SourceKey, (u64, AbortHandle)> = HashMap::new();
    loop {
        let wanted = policies.sources();
        running.retain(|key, (reads, watch)| {
            let keep = wanted.get(key) == Some(reads);
            if !keep {
                watch.abort();
            }
            keep
        });
        for (key, reads) in wanted {
            running.entry(key.clone()).or_insert_with(|| {
                (reads, watches.spawn(source(client.clone(), key, Arc::clone(&shared), Arc::clone(&wakers))))
            });
        }
        while watches.try_join_next().is_some() {}
        policies.sources_changed.notified().await;
    }
}

/// Feeds what one ConfigMap holds.
async fn source(client: Client, key: SourceKey, shared: Arc<Shared>, wakers: Arc<Wakers>) {
    let (namespace, name) = &key;
    let api: Api<ConfigMap> = Api::namespaced(client, namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}")).page_size(1);
    let tell = |read: &dyn Fn(&str) -> Source| {
        wakers.woken(&shared, &shared.context.policies.source(&key, read, Instant::now()));
    };
    let absent = |_: &str| Source::Missing(format!("there is no ConfigMap {namespace}/{name}"));
    loop {
        let mut events = pin!(watcher(api.clone(), config.clone()).default_backoff());
        let mut there = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => there = false,
                Ok(watcher::Event::InitApply(map) | watcher::Event::Apply(map)) => {
                    there = true;
                    let bytes = map.binary_data.iter().flatten();
                    // Digests take time, and everybody waits for what is asked below.
                    let digests: HashMap<&str, String> =
                        bytes.map(|(key, value)| (key.as_str(), digest(&value.0))).collect();
                    tell(&|key| held(namespace, name, &map, key, &digests));
                }
                Ok(watcher::Event::InitDone) if there => {}
                Ok(watcher::Event::InitDone | watcher::Event::Delete(_)) => tell(&absent),
                Err(error) => {
                    tracing::warn!(namespace, name, %error, "the watch of a module's ConfigMap failed and is started again");
                    if let Some(why) = refused(&error) {
                        tell(&|_| Source::Unreadable(format!("failed to read ConfigMap {namespace}/{name}: {why}")));
                        break;
                    }
                }
            }
        }
        tokio::time::sleep(REFUSED_AGAIN).await;
    }
}

/// What a key of a ConfigMap holds.
fn held(namespace: &str, name: &str, map: &ConfigMap, key: &str, digests: &HashMap<&str, String>) -> Source {
    match map.binary_data.as_ref().and_then(|data| Some((data.get(key)?, digests.get(key)?))) {
        Some((bytes, digest)) => Source::There {
            digest: digest.trim_start_matches("sha256:").into(),
            bytes: Some(bytes.0.as_slice().into()),
        },
        None if map.data.as_ref().is_some_and(|data| data.contains_key(key)) => {
            Source::Missing(format!("ConfigMap {namespace}/{name} has {key} in data; a module belongs in binaryData"))
        }
        None => Source::Missing(format!("ConfigMap {namespace}/{name} has no {key} in binaryData")),
    }
}

/// Loads modules, one after the other.
pub(super) async fn load(shared: Arc<Shared>, wakers: Arc<Wakers>) {
    let policies = &shared.context.policies;
    loop {
        while let Some(job) = policies.next_job(Instant::now()) {
            let started = Instant::now();
            let ended = loaded(&shared, &job).await;
            let failed = ended.as_ref().err().map(|(_, failure)| failure.reason.as_str());
            tracing::info!(policy = %job.id, sha256 = job.target.sha256, failed, took = ?started.elapsed(), "loaded a policy");
            wakers.woken(&shared, &policies.finished(job, ended, Instant::now()));
        }
        let wait = policies.next_try().map(|due| due.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = policies.to_load.notified() => {}
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

async fn loaded(shared: &Shared, job: &Job) -> Result<Loaded, (At, Failure)> {
    let engine = &shared.context.engine;
    let loaded = match &job.bytes {
        Bytes::Loaded(loaded) => Arc::clone(loaded),
        Bytes::Raw(bytes) => {
            let most = if job.id.is_cluster() { limits::ALL_CODE } else { limits::CODE_WITH_NAMESPACES };
            engine.load_within(bytes, most).await.map_err(|failure| (At::Compiled, failure))?
        }
    };
    let checked = engine.validate_settings(&loaded, &job.target.settings, job.target.limits).await;
    checked.map(|()| loaded).map_err(|failure| (At::SettingsValid, failure))
}

/// Writes the statuses of policies, and tells of their transitions.
pub(super) async fn statuses(shared: Arc<Shared>) {
    let policies = &shared.context.policies;
    loop {
        // Before the first lists nothing waits, and nothing has been counted either.
        let quiet = shared.ready() && shared.activity.counts() == (0, 0);
        let (jobs, next) = policies.statuses(quiet, Instant::now());
        for job in jobs {
            write(&shared, &job).await;
        }
        // Quiet comes without ringing.
        let wait = next.map(|next| next.saturating_duration_since(Instant::now()).min(Duration::from_millis(500)));
        tokio::select! {
            () = policies.to_write.notified() => {}
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

async fn write(shared: &Shared, job: &StatusJob) {
    let StatusJob { id, object, before, facts } = job;
    let policies = &shared.context.policies;
    let Some(new) = status::status(facts, before, &Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()) else {
        return;
    };
    let answer = shared.context.cluster.apply_status(&id.info(), &object.identity(), &new).await;
    let became = match answer {
        Ok(became) => {
            shared.context.metrics.status_write(id.info().kind);
            tell(shared, job);
            Some(became)
        }
        // It is gone, or another one has taken its name: the watch tells.
        Err(Refusal::Gone | Refusal::NamespaceTerminating) => return,
        Err(refusal) => {
            tracing::warn!(policy = %id, %refusal, "failed to write the status");
            None
        }
    };
    policies.wrote(id, became, Instant::now());
}

/// An Event for each transition of Active: as it goes with a write of the status, there are no more of them than of those.
fn tell(shared: &Shared, job: &StatusJob) {
    let StatusJob { id, object, before, facts } = job;
    let Some((_, Some(active))) = facts.steps.iter().find(|(kind, _)| *kind == "Active") else { return };
    let conditions = before["conditions"].as_array().into_iter().flatten();
    let known = conditions.into_iter().find(|known| known["type"] == "Active");
    let same = known.is_some_and(|known| known["status"] == active.status && known["reason"] == active.reason);
    if same {
        return;
    }
    let notice = Notice {
        // What goes on with the version before is not what the spec says either.
        warning: active.status == "False" || active.reason == reason::LAST_GOOD,
        reason: active.reason,
        about: None,
        message: active.message.clone(),
    };
    // Not the message: parts of it may be a guest's own words.
    tracing::info!(policy = %id, active = active.status, reason = active.reason, "a policy has changed");
    if shared.context.events.try_send(((**object).clone(), id.info(), notice)).is_err() {
        shared.context.metrics.event_dropped();
    }
}
