//! Watches, queue and relations: starts every kind, wakes custom resources, and feeds the caches. I/O.
//!
//! Queue, deduplication, concurrency and graceful shutdown are the library's (`kube::runtime::Controller`); what wakes
//! a custom resource is ours, because the library's own relations lose deletions over a re-list.

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{self, Action, Config},
        events::{Event, EventType, Recorder, Reporter},
        predicates,
        reflector::{self, ObjectRef, store::Store},
        utils::Predicate as _,
        watcher,
    },
};
use tokio::sync::{mpsc, watch};

use crate::{
    activity::Activity,
    cache::{Cache, Seen, Wake},
    cluster::kube::KubeCluster,
    config_maps::{ConfigMaps, Watched as WatchedConfigMap},
    kinds::{self, Parent, ParentInfo, Visitor},
    object::{
        ChildKind, MANAGED_BY, MANAGED_BY_LABEL, ObjectId, ParentId,
        live::{Live, Watched},
    },
    parent::ParentObject,
    pods::Pods,
    reconcile::{self, Context, apply::Notice, memory::Memories},
    scope::Scope,
    telemetry::Metrics,
};

/// Objects a page of a list: what is decoded at once is what memory is needed for.
const PAGE: u32 = 50;
/// A reconcile that takes longer is given up and tried again.
const DEADLINE: Duration = Duration::from_secs(60);
/// Events that wait to be sent.
const EVENT_QUEUE: usize = 256;

/// How the operator runs.
#[derive(Debug)]
pub struct Options {
    /// Which namespaces it looks after.
    pub scope: Scope,
    /// Reconciles of one kind at a time.
    pub workers: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { scope: Scope::default(), workers: 16 }
    }
}

/// The operator.
pub struct Operator {
    client: Client,
    shared: Arc<Shared>,
    notices: mpsc::Receiver<(ParentObject, ParentInfo, Notice)>,
    workers: u16,
}

/// What tests, probes and metrics may look at while it runs.
pub struct Shared {
    /// What the driver works with.
    pub context: Context<KubeCluster>,
    /// Whether it has anything to do.
    pub activity: Activity,
    scope: Scope,
    /// Watches that have not had their first list.
    unlisted: AtomicUsize,
    listed: watch::Sender<()>,
}

impl Shared {
    /// Whether every watch has had its first list.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.unlisted.load(Ordering::Acquire) == 0
    }

    /// Waits until every watch has had its first list, and nothing waits or runs.
    pub async fn settled(&self) {
        let mut listed = self.listed.subscribe();
        // The sender lives as long as `self`.
        let _ = listed.wait_for(|()| self.ready()).await;
        self.activity.quiet().await;
    }

    fn first_list(&self) {
        self.unlisted.fetch_sub(1, Ordering::AcqRel);
        self.listed.send_replace(());
    }
}

impl Operator {
    /// Puts the operator together; nothing is asked of the server yet.
    ///
    /// # Errors
    /// When metrics cannot be set up.
    pub fn new(client: Client, options: Options) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (events, notices) = mpsc::channel(EVENT_QUEUE);
        let context = Context {
            cluster: KubeCluster::new(client.clone()),
            cache: Arc::new(Cache::default()),
            config_maps: Arc::new(ConfigMaps::default()),
            pods: Pods::default(),
            memories: Memories::default(),
            events,
            metrics: Metrics::new()?,
        };
        let shared = Arc::new(Shared {
            context,
            activity: Activity::default(),
            scope: options.scope,
            unlisted: AtomicUsize::new(0),
            listed: watch::Sender::new(()),
        });
        let seen = Arc::clone(&shared);
        let gauge = |about, name, read: fn(&Shared) -> u64| {
            let seen = Arc::clone(&seen);
            seen.clone().context.metrics.gauge(name, about, move || read(&seen));
        };
        gauge("Custom resources that wait to be looked at.", "queue", |s| s.activity.counts().0 as u64);
        gauge("Reconciles that run.", "running", |s| s.activity.counts().1 as u64);
        gauge("Generated objects in the cache.", "objects", |s| {
            ChildKind::ALL.iter().map(|kind| s.context.cache.count(*kind) as u64).sum()
        });
        Ok(Self { client, shared, notices, workers: options.workers })
    }

    /// What may be looked at while it runs.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Runs until `shutdown`, then lets the running reconciles end.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let Self { client, shared, notices, workers } = self;
        let mut wiring = Wiring {
            client: client.clone(),
            shared: Arc::clone(&shared),
            workers,
            shutdown: shutdown.boxed().shared(),
            wakers: HashMap::new(),
            controllers: Vec::new(),
        };
        kinds::for_each(&mut wiring);
        let Wiring { wakers, controllers, shutdown, .. } = wiring;
        let wakers = Arc::new(wakers);

        let mut feeds: Vec<BoxFuture<'static, ()>> = Vec::new();
        shared.unlisted.fetch_add(ChildKind::ALL.len(), Ordering::AcqRel);
        for kind in ChildKind::ALL {
            feeds.push(feed_children(client.clone(), kind, Arc::clone(&shared), Arc::clone(&wakers)).boxed());
        }
        feeds.push(feed_config_maps(client.clone(), Arc::clone(&shared), Arc::clone(&wakers)).boxed());
        if shared.scope.is_restricted() {
            shared.unlisted.fetch_add(1, Ordering::AcqRel);
            feeds.push(feed_namespaces(client.clone(), Arc::clone(&shared), Arc::clone(&wakers)).boxed());
        }
        let events = tokio::spawn(send_events(client, notices));
        // The feeds never end by themselves; they are dropped when the last reconcile has ended.
        let feeds: Vec<_> = feeds.into_iter().map(tokio::spawn).collect();
        futures::future::join_all(controllers).await;
        for task in feeds.iter().chain([&events]) {
            task.abort();
        }
        drop(shutdown);
    }
}

/// What a kind's queue is woken through.
#[derive(Debug)]
struct Waker {
    queue: mpsc::UnboundedSender<ObjectRef<ParentObject>>,
    store: Store<ParentObject>,
    info: ParentInfo,
}

type Wakers = HashMap<&'static str, Waker>;

/// Makes a controller of every kind.
struct Wiring {
    client: Client,
    shared: Arc<Shared>,
    workers: u16,
    shutdown: futures::future::Shared<BoxFuture<'static, ()>>,
    wakers: Wakers,
    controllers: Vec<tokio::task::JoinHandle<()>>,
}

impl Visitor for Wiring {
    fn visit<P: Parent>(&mut self) {
        let shared = Arc::clone(&self.shared);
        shared.unlisted.fetch_add(1, Ordering::AcqRel);
        let api: Api<ParentObject> = Api::all_with(self.client.clone(), &P::INFO);
        let writer = reflector::store::Writer::new(P::INFO);
        let reader = writer.as_reader();
        let (queue, woken) = mpsc::unbounded_channel();
        let waker = Waker { queue, store: reader.clone(), info: P::INFO };
        self.wakers.insert(P::INFO.kind, waker);

        let trigger = parents(api, writer, P::INFO, Arc::clone(&shared));
        let woken = stream::unfold(woken, |mut woken| async move { Some((woken.recv().await?, woken)) });
        let run = Controller::for_stream_with(trigger, reader, P::INFO)
            .with_config(Config::default().concurrency(self.workers))
            .reconcile_on(woken)
            .graceful_shutdown_on(self.shutdown.clone())
            .run(one::<P>, retry_later, Arc::clone(&shared))
            .for_each(move |ended| {
                if let Err(controller::Error::ObjectNotFound(gone)) = ended {
                    shared.activity.dropped(&ParentId {
                        kind: P::INFO.kind,
                        namespace: gone.namespace.as_deref().unwrap_or_default().into(),
                        name: gone.name.as_str().into(),
                    });
                }
                std::future::ready(())
            });
        self.controllers.push(tokio::spawn(run));
    }
}

/// A reconcile that was given up.
#[derive(Debug, thiserror::Error)]
#[error("failed to reconcile within {} s", DEADLINE.as_secs())]
struct TooLong;

async fn one<P: Parent>(object: Arc<ParentObject>, shared: Arc<Shared>) -> Result<Action, TooLong> {
    let id = object.id(&P::INFO);
    shared.activity.begin(&id);
    let started = Instant::now();
    let again = if shared.scope.contains(&id.namespace) {
        tokio::time::timeout(DEADLINE, reconcile::reconcile::<P, _>(&object, &shared.context)).await
    } else {
        Ok(None)
    };
    shared.context.metrics.reconciled(P::INFO.kind, started.elapsed());
    shared.activity.end(&id, again.as_ref().ok().copied().flatten());
    match again {
        Ok(Some(again)) => Ok(Action::requeue(again)),
        Ok(None) => Ok(Action::await_change()),
        Err(_) => {
            tracing::warn!(parent = %id, "{TooLong}");
            Err(TooLong)
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the library gives it by value")]
fn retry_later(_: Arc<ParentObject>, _: &TooLong, _: Arc<Shared>) -> Action {
    Action::requeue(Duration::from_secs(5))
}

/// The custom resources of a kind: into the store, and those with something new to look at out of the stream.
fn parents(
    api: Api<ParentObject>,
    writer: reflector::store::Writer<ParentObject>,
    info: ParentInfo,
    shared: Arc<Shared>,
) -> impl Stream<Item = Result<ParentObject, watcher::Error>> {
    let (at_event, at_trigger) = (Arc::clone(&shared), shared);
    let mut listed = false;
    let events = watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .modify(ParentObject::trim)
        .inspect(move |event| match event {
            Ok(watcher::Event::Delete(object)) => {
                let id = object.id(&info);
                at_event.context.memories.forget(&id);
                at_event.context.config_maps.forget(&id);
                at_event.activity.dropped(&id);
            }
            Ok(watcher::Event::InitDone) => {
                at_event.context.metrics.listed(info.kind);
                if !std::mem::replace(&mut listed, true) {
                    at_event.first_list();
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(kind = info.kind, %error, "the watch failed and is started again"),
        });
    // The controller must not begin before the children are known: everything would look absent.
    let children = Arc::clone(&at_trigger);
    let wait = async move {
        let mut listed = children.listed.subscribe();
        let settled = |()| ChildKind::ALL.iter().all(|kind| children.context.cache.settled(*kind));
        let _ = listed.wait_for(|&()| settled(())).await;
        let namespaces = |()| !children.scope.is_restricted() || children.scope.listed();
        let _ = listed.wait_for(|&()| namespaces(())).await;
    };
    // Deletion moves the generation of a custom resource, so it needs no predicate of its own.
    let news = predicates::generation.combine(predicates::labels).combine(predicates::annotations);
    let objects = events
        .reflect(writer)
        .applied_objects()
        .predicate_filter(news, kube::runtime::utils::PredicateConfig::default())
        .inspect_ok(move |object| at_trigger.activity.woken(object.id(&info)));
    wait.into_stream().map(|()| None).chain(objects.map(Some)).filter_map(std::future::ready)
}

/// Feeds one kind of generated object into the cache and wakes whom it concerns.
async fn feed_children(client: Client, kind: ChildKind, shared: Arc<Shared>, wakers: Arc<Wakers>) {
    let api: Api<Watched> = Api::all_with(client, &kind.info());
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}")).page_size(PAGE);
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut counted = false;
    while let Some(event) = events.next().await {
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
                shared.context.metrics.listed(kind.info().kind);
                (None, Seen::ListComplete)
            }
            Err(error) => match refused(&error) {
                Some(why) => (None, Seen::Unreadable(format!("failed to list {}: {why}", kind.info().plural))),
                None => {
                    tracing::warn!(%kind, %error, "the watch failed and is started again");
                    continue;
                }
            },
        };
        let cache = &shared.context.cache;
        let wake = cache.watch(kind, id, seen);
        if !counted && cache.listed(kind) {
            counted = true;
            shared.first_list();
        } else if cache.unreadable(kind).is_some() {
            shared.listed.send_replace(());
        }
        wake_all(&shared, &wakers, wake);
        cache.delivered(kind);
    }
}

fn identity(kind: ChildKind, watched: &Watched) -> ObjectId {
    let (namespace, name) = watched.0.key();
    ObjectId::new(kind, namespace, name)
}

/// The server's words, when a list or watch is refused and not only disturbed.
fn refused(error: &watcher::Error) -> Option<String> {
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
async fn feed_config_maps(client: Client, shared: Arc<Shared>, wakers: Arc<Wakers>) {
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
                continue;
            }
        };
        for parent in woken {
            wake_one(&shared, &wakers, parent.kind, &parent.namespace, &parent.name);
        }
    }
}

/// Feeds the namespaces into the scope.
async fn feed_namespaces(client: Client, shared: Arc<Shared>, wakers: Arc<Wakers>) {
    let api: Api<Namespace> = Api::all(client);
    let mut events = pin!(watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => {}
            Ok(watcher::Event::InitApply(namespace) | watcher::Event::Apply(namespace)) => {
                let name = namespace.name_any();
                if shared.scope.saw(&name, Some(namespace.labels())) {
                    wake_where(&shared, &wakers, |object| object.metadata.namespace.as_deref() == Some(&*name));
                }
            }
            Ok(watcher::Event::Delete(namespace)) => {
                shared.scope.saw(&namespace.name_any(), None);
            }
            Ok(watcher::Event::InitDone) => {
                if shared.scope.set_listed() {
                    shared.first_list();
                }
            }
            Err(error) => tracing::warn!(%error, "the watch of namespaces failed and is started again"),
        }
    }
}

fn wake_all(shared: &Shared, wakers: &Wakers, wake: BTreeSet<Wake>) {
    for wake in wake {
        match wake {
            Wake::Owner { kind, namespace, name } => wake_one(shared, wakers, &kind, &namespace, &name),
            Wake::Everyone => wake_where(shared, wakers, |_| true),
        }
    }
}

fn wake_one(shared: &Shared, wakers: &Wakers, kind: &str, namespace: &str, name: &str) {
    let Some(waker) = wakers.get(kind) else { return };
    let object = ObjectRef::new_with(name, waker.info).within(namespace);
    // The queue would only say that it is not there.
    if waker.store.get(&object).is_none() {
        return;
    }
    shared.activity.woken(ParentId { kind: waker.info.kind, namespace: namespace.into(), name: name.into() });
    // Fails only when the controller has ended.
    let _ = waker.queue.send(object);
}

fn wake_where(shared: &Shared, wakers: &Wakers, matches: impl Fn(&ParentObject) -> bool) {
    for waker in wakers.values() {
        for object in waker.store.state().iter().filter(|object| matches(object)) {
            let id = object.id(&waker.info);
            wake_one(shared, wakers, id.kind, &id.namespace, &id.name);
        }
    }
}

/// Sends Events one after the other: they are for people, and never in the way of work.
async fn send_events(client: Client, mut notices: mpsc::Receiver<(ParentObject, ParentInfo, Notice)>) {
    let recorder = Recorder::new(client, Reporter { controller: MANAGED_BY.into(), instance: None });
    while let Some((object, info, notice)) = notices.recv().await {
        let mut note = notice.message;
        note.truncate(note.floor_char_boundary(1000));
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason.into(),
            note: Some(note),
            action: "Reconcile".into(),
            // The library counts Events that differ in nothing but their note as one; the fields tell them apart.
            secondary: notice.about.map(|(id, fields)| k8s_openapi::api::core::v1::ObjectReference {
                api_version: Some(id.kind.info().api_version()),
                kind: Some(id.kind.info().kind.into()),
                namespace: Some((*id.namespace).into()),
                name: Some((*id.name).into()),
                field_path: (!fields.is_empty()).then_some(fields),
                ..Default::default()
            }),
        };
        if let Err(error) = recorder.publish(&event, &object.reference(&info)).await {
            tracing::warn!(parent = %object.id(&info), %error, "failed to send an Event");
        }
    }
}
