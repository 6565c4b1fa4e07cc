//! How fast the operator puts back what somebody else changed: deleted Services and changed images, one after the other.

use std::{
    collections::HashMap,
    pin::{Pin, pin},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use controlplane::AuditEntry;
use futures::{Stream, TryStreamExt, future};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, Patch, PatchParams, Request, WatchEvent, WatchParams},
    core::NamespaceResourceScope,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::timeout;

use super::{
    calls::{Calls, by_operator},
    creation::QUIET,
    observer::Observer,
    site::Site,
    statistics::percentile,
    steady::PATIENCE,
    table::{Table, Unit},
    workload::{IMAGE, NAMESPACE, name},
};

/// How often each sort of change is made.
const TIMES: usize = 50;
/// How long one revert may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What matters of an object in a watch.
#[derive(Clone, Debug, Deserialize)]
struct Seen {
    metadata: Metadata,
    #[serde(default)]
    spec: serde_json::Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

/// How long reverts took.
#[derive(Default)]
struct Times {
    /// Counted from the moment the foreign write was sent.
    sent: Vec<Duration>,
    /// Counted from the moment it was answered. The API server may answer late: it tells watchers of a deleted Service before it has
    /// taken back the address, and answers after that.
    answered: Vec<Duration>,
}

/// Deletes Services.
pub(super) async fn deletions(site: &Site, observer: &mut Observer, count: usize, table: &mut Table) -> Result<()> {
    eprintln!("bench: {TIMES} deleted Services");
    observer.settled().await?;
    let api: Api<Service> = Api::namespaced(site.admin.clone(), NAMESPACE);
    let mut events = pin!(watch::<Service>(&site.admin).await?);
    let mut times = Times::default();
    for number in 0..TIMES {
        let name = name(number % count);
        let delete = async { api.delete(&name, &DeleteParams::default()).await.map(drop) };
        let made = |event: &WatchEvent<Seen>| matches!(event, WatchEvent::Added(seen) if seen.metadata.name == name);
        let result = times.measure(delete, events.as_mut(), made).await;
        result.with_context(|| format!("the Service {name} was deleted and does not come back"))?;
    }
    rows("Deleted Services", &times, observer, table).await
}

/// Changes the image of Deployments.
pub(super) async fn edits(site: &Site, observer: &mut Observer, count: usize, table: &mut Table) -> Result<()> {
    eprintln!("bench: {TIMES} changed images");
    observer.settled().await?;
    let api: Api<Deployment> = Api::namespaced(site.admin.clone(), NAMESPACE);
    let mut events = pin!(watch::<Deployment>(&site.admin).await?);
    let mut times = Times::default();
    for number in 0..TIMES {
        let name = name(number % count);
        let container = json!({"name": "inference-gateway", "image": "example.test/foreign:1"});
        let patch = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": [container]}}}}));
        let edit = async { api.patch(&name, &PatchParams::default(), &patch).await.map(drop) };
        // The foreign change itself comes first in the watch; what was before it is passed over too.
        let mut changed = false;
        let back = |event: &WatchEvent<Seen>| {
            let WatchEvent::Modified(seen) = event else { return false };
            if seen.metadata.name != name {
                return false;
            }
            let ours = seen.spec.pointer("/template/spec/containers/0/image").is_some_and(|image| image == IMAGE);
            changed |= !ours;
            changed && ours
        };
        let result = times.measure(edit, events.as_mut(), back).await;
        result.with_context(|| format!("the Deployment {name} was changed and is not put back"))?;
    }
    rows("Changed images of Deployments", &times, observer, table).await
}

impl Times {
    /// Makes a foreign write and waits for the event that shows it undone.
    async fn measure(
        &mut self,
        write: impl Future<Output = kube::Result<()>>,
        mut events: Pin<&mut impl Stream<Item = kube::Result<WatchEvent<Seen>>>>,
        mut undone: impl FnMut(&WatchEvent<Seen>) -> bool,
    ) -> Result<()> {
        let sent = Instant::now();
        let write = async { write.await.map(|()| Instant::now()).context("the write failed") };
        let search = async {
            while let Some(event) = events.try_next().await? {
                if undone(&event) {
                    return Ok(Instant::now());
                }
            }
            bail!("the watch ended")
        };
        // Both at once, so that no event waits for the answer.
        let both = timeout(DEADLINE, future::try_join(write, search)).await;
        let (answered, back) = both.with_context(|| format!("waited {} s", DEADLINE.as_secs()))??;
        self.sent.push(back - sent);
        self.answered.push(back.saturating_duration_since(answered));
        Ok(())
    }
}

/// A watch of all objects of a kind, from now on.
async fn watch<K>(client: &Client) -> Result<impl Stream<Item = kube::Result<WatchEvent<Seen>>> + use<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
    let version = api
        .list_metadata(&ListParams::default().limit(1))
        .await?
        .metadata
        .resource_version
        .context("a list has no version")?;
    let request = Request::new(K::url_path(&(), Some(NAMESPACE))).watch(&WatchParams::default(), &version)?;
    Ok(client.request_events::<Seen>(request).await?)
}

async fn rows(title: &str, times: &Times, observer: &mut Observer, table: &mut Table) -> Result<()> {
    let entries = observer.quiet(QUIET, PATIENCE).await?;
    let calls = Calls::of(&entries);
    let per_revert = |number: usize| number as f64 / times.sent.len() as f64;
    let milliseconds = |times: &[Duration], part| percentile(times, part).unwrap_or_default().as_secs_f64() * 1000.0;
    table.section(title);
    table.at_most("back after the answer, median", milliseconds(&times.answered, 50), Unit::Milliseconds, 10.0);
    table.row("back after the answer, 90 % of them", milliseconds(&times.answered, 90), Unit::Milliseconds);
    table.row("back after the request, median", milliseconds(&times.sent, 50), Unit::Milliseconds);
    table.row("back after the request, 90 % of them", milliseconds(&times.sent, 90), Unit::Milliseconds);
    table.row(
        "operator's write arrives after the request, median",
        milliseconds(&reactions(&entries), 50),
        Unit::Milliseconds,
    );
    table.at_most("writes to children, each", per_revert(calls.child_writes()), Unit::PerObject, 1.0);
    table.row("writes of a status, each", per_revert(calls.apply_status), Unit::PerObject);
    table.row("all calls, each", per_revert(calls.total()), Unit::PerObject);
    table.row("Events", calls.events as f64, Unit::Count);
    Ok(())
}

/// From a foreign write's arrival at the API server to the arrival of the operator's write of the same object: what the operator and
/// the watch take, without what the API server takes for the operator's write.
fn reactions(entries: &[AuditEntry]) -> Vec<Duration> {
    let mut waiting = HashMap::new();
    let mut reactions = Vec::new();
    let mut writes: Vec<&AuditEntry> = entries.iter().filter(|entry| entry.is_write()).collect();
    writes.sort_by_key(|entry| entry.request_received_timestamp.0);
    for entry in writes {
        let Some(object) = &entry.object_ref else { continue };
        let (key, received) = ((&object.resource, &object.name), entry.request_received_timestamp.0);
        if !by_operator(entry) {
            waiting.insert(key, received);
        } else if let Some(foreign) = waiting.remove(&key) {
            reactions.push(received.duration_since(foreign).unsigned_abs());
        }
    }
    reactions
}
