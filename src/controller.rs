//! Watches, queue and relations: starts every kind, wakes custom resources, and feeds the caches. I/O.
//!
//! Queue, deduplication, concurrency and graceful shutdown are the library's (`kube::runtime::Controller`); what wakes
//! a custom resource is ours, because the library's own relations lose deletions over a re-list.

mod events;
mod feeds;
mod optional;
mod policies;
mod wakers;

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, future::BoxFuture};
use kube::{
    Api, Client,
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{self, Action, Config},
        predicates,
        reflector::{self, ObjectRef},
        utils::Predicate as _,
        watcher,
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use self::wakers::Wakers;
use crate::{
    activity::Activity,
    cache::Cache,
    cards::{Cards, Job, fetch, fetch::Fetcher},
    cluster::kube::KubeCluster,
    config_maps::ConfigMaps,
    directory::{Directory, Entry},
    kinds::{self, Parent, ParentInfo, Visitor},
    object::{ChildKind, ParentId},
    parent::ParentObject,
    pods::Pods,
    policies::{self as registry, Policies},
    policy::engine::Engine,
    reconcile::{self, Context, memory::Memories, outcome::Notice},
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
    /// How long to wait before asking again whether the server has a kind that is wanted and was missing.
    pub look_again: Duration,
    /// How agents are asked for their cards.
    pub agents: fetch::Options,
    /// How policies are looked after.
    pub policies: registry::Options,
    /// The program whose children compile and run policies; this very one when absent.
    pub engine: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            workers: 16,
            look_again: Duration::from_secs(60),
            agents: fetch::Options::default(),
            policies: registry::Options::default(),
            engine: None,
        }
    }
}

/// The operator.
pub struct Operator {
    client: Client,
    shared: Arc<Shared>,
    notices: mpsc::Receiver<(ParentObject, ParentInfo, Notice)>,
    fetcher: Fetcher,
    jobs: mpsc::UnboundedReceiver<Job>,
    workers: u16,
    look_again: Duration,
}

/// The watched kinds of objects that every server has: nothing is decided before they have been listed.
fn required(cache: &Cache) -> impl Iterator<Item = ChildKind> {
    cache.kinds().filter(|kind| !kind.optional())
}

/// What tests, probes and metrics may look at while it runs.
pub struct Shared {
    /// What the driver works with.
    pub context: Context<KubeCluster>,
    /// Whether it has anything to do.
    pub activity: Activity,
    scope: Scope,
    /// Watches that have not had their first list; those of optional kinds do not count.
    unlisted: AtomicUsize,
    listed: watch::Sender<()>,
}

impl Shared {
    /// Whether every watch has had its first list, but for those of optional kinds.
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

    /// A custom resource is gone.
    fn gone(&self, id: &ParentId) {
        self.forget(id);
        self.activity.dropped(id);
    }

    /// Nothing is done for a custom resource any more.
    fn forget(&self, id: &ParentId) {
        self.context.memories.forget(id);
        self.context.config_maps.forget(id);
        self.context.cache.forget(id);
        self.context.directory.forget(id);
        self.context.cards.forget(id);
        self.context.policies.forget(id, Instant::now());
    }

    /// Of a kind, only these custom resources are there.
    fn retain(&self, kind: &str, there: &HashSet<ParentId>) {
        self.context.memories.retain(kind, there);
        self.context.config_maps.retain(kind, there);
        self.context.cache.retain(kind, there);
        self.context.directory.retain(kind, there);
        self.context.cards.retain(kind, there);
        self.context.policies.retain(kind, there, Instant::now());
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
    /// When metrics, or the client that asks agents for their cards, cannot be set up.
    pub fn new(client: Client, options: Options) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (events, notices) = mpsc::channel(EVENT_QUEUE);
        let (cards, jobs) = Cards::new(options.agents.refresh);
        let context = Context {
            cluster: KubeCluster::new(client.clone()),
            cache: Arc::new(Cache::with_added(options.policies.added_kinds.clone())),
            config_maps: Arc::new(ConfigMaps::default()),
            directory: Directory::default(),
            cards: Arc::new(cards),
            policies: Arc::new(Policies::new(options.policies)),
            engine: Arc::new(options.engine.map_or_else(Engine::default, Engine::new)),
            pods: Pods::default(),
            memories: Memories::default(),
            events,
            metrics: Metrics::new()?,
        };
        let shared = Arc::new(Shared {
            context,
            activity: Activity::default(),
            scope: options.scope,
            // One for the start itself: nothing is ready before its watches have begun.
            unlisted: AtomicUsize::new(1),
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
            s.context.cache.kinds().map(|kind| s.context.cache.count(kind) as u64).sum()
        });
        let of_policies = |name, about, read: fn(&registry::report::Figures) -> u64| {
            let policies = Arc::clone(&shared.context.policies);
            let all =
                move || policies.figures().iter().map(|(policy, figures)| (policy.clone(), read(figures))).collect();
            shared.context.metrics.gauge_of_policies(name, about, all);
        };
        of_policies("policy_held", "Custom resources that are held because of a policy.", |f| f.held);
        of_policies("policy_source_ok", "1 while the ConfigMap of a policy holds the bytes it names.", |f| {
            u64::from(f.source_ok)
        });
        of_policies("policy_code_bytes", "Native code of a policy.", |f| f.code);
        let fetcher = Fetcher::new(&options.agents)?;
        Ok(Self { client, shared, notices, fetcher, jobs, workers: options.workers, look_again: options.look_again })
    }

    /// What may be looked at while it runs.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Runs until `shutdown`, then lets the running reconciles end.
    ///
    /// # Errors
    /// When a part of it has ended before, which is a fault of ours: going on without it would look like working.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Broken> {
        let Self { client, shared, notices, fetcher, jobs, workers, look_again } = self;
        let wakers = Arc::new(Wakers::default());
        let mut wiring = Wiring {
            client: client.clone(),
            shared: Arc::clone(&shared),
            workers,
            shutdown: shutdown.boxed().shared(),
            wakers: Arc::clone(&wakers),
            controllers: JoinSet::new(),
        };
        kinds::for_each(&mut wiring);
        let mut controllers = wiring.controllers;

        // Everything here never ends by itself, and is dropped when the last reconcile has ended.
        let mut beside = JoinSet::new();
        let kinds: Vec<_> = required(&shared.context.cache).collect();
        shared.unlisted.fetch_add(kinds.len(), Ordering::AcqRel);
        for kind in kinds {
            beside.spawn(feeds::children(client.clone(), kind, Arc::clone(&shared), Arc::clone(&wakers)));
        }
        beside.spawn(optional::watch(client.clone(), look_again, Arc::clone(&shared), Arc::clone(&wakers)));
        beside.spawn(feeds::config_maps(client.clone(), Arc::clone(&shared), Arc::clone(&wakers)));
        if shared.scope.is_restricted() {
            shared.unlisted.fetch_add(1, Ordering::AcqRel);
        }
        beside.spawn(feeds::namespaces(client.clone(), Arc::clone(&shared), Arc::clone(&wakers)));
        for kind in registry::KINDS {
            shared.unlisted.fetch_add(usize::from(shared.context.policies.counts(&kind)), Ordering::AcqRel);
            beside.spawn(policies::watch(client.clone(), kind, look_again, Arc::clone(&shared), Arc::clone(&wakers)));
        }
        beside.spawn(policies::sources(client.clone(), Arc::clone(&shared), Arc::clone(&wakers)));
        beside.spawn(policies::load(Arc::clone(&shared), Arc::clone(&wakers)));
        beside.spawn(policies::statuses(Arc::clone(&shared)));
        let (seen, woken) = (Arc::clone(&shared), Arc::clone(&wakers));
        let wake = move |agent: &ParentId| woken.each(&seen, [agent]);
        beside.spawn(fetcher.run(Arc::clone(&shared.context.cards), jobs, wake));
        beside.spawn(events::send(client, notices));
        shared.first_list();
        loop {
            tokio::select! {
                ended = controllers.join_next() => match ended {
                    None => return Ok(()),
                    Some(ended) => ended.map_err(|error| Broken(format!("a queue has failed: {error}")))?,
                },
                Some(ended) = beside.join_next() => {
                    let why = ended.err().map_or_else(|| "it has ended".into(), |error| error.to_string());
                    return Err(Broken(format!("a watch has failed: {why}")));
                }
            }
        }
    }
}

/// Makes a controller of every kind.
struct Wiring {
    client: Client,
    shared: Arc<Shared>,
    workers: u16,
    shutdown: futures::future::Shared<BoxFuture<'static, ()>>,
    wakers: Arc<Wakers>,
    controllers: JoinSet<()>,
}

/// A part of the operator that must not end has ended.
#[derive(Debug, thiserror::Error)]
#[error("{0}; start the operator again, and report this with the log")]
pub struct Broken(String);

impl Visitor for Wiring {
    fn visit<P: Parent>(&mut self) {
        let shared = Arc::clone(&self.shared);
        shared.unlisted.fetch_add(1, Ordering::AcqRel);
        let api: Api<ParentObject> = Api::all_with(self.client.clone(), &P::INFO);
        let writer = reflector::store::Writer::new(P::INFO);
        let reader = writer.as_reader();
        let (queue, woken) = self.wakers.add(P::INFO, reader.clone());
        let store = reader.clone();

        let trigger = parents::<P>(api, writer, queue, Arc::clone(&shared), Arc::clone(&self.wakers));
        let run = Controller::for_stream_with(trigger, reader, P::INFO)
            .with_config(Config::default().concurrency(self.workers))
            .reconcile_on(woken)
            .graceful_shutdown_on(self.shutdown.clone())
            .run(one::<P>, retry_later, Arc::clone(&shared))
            .for_each(move |ended| {
                let (namespace, name) = match ended {
                    Ok((object, _)) => (object.namespace.unwrap_or_default(), object.name),
                    Err(controller::Error::ObjectNotFound(gone)) => (gone.namespace.unwrap_or_default(), gone.name),
                    Err(_) => return std::future::ready(()),
                };
                // A reconcile that went on while its custom resource was deleted has remembered things again, among them
                // what keeps others at work: a card that is asked for, a kind that is looked for.
                if store.get(&ObjectRef::new_with(&name, P::INFO).within(&namespace)).is_none() {
                    shared.gone(&ParentId { kind: P::INFO.kind, namespace: namespace.into(), name: name.into() });
                }
                std::future::ready(())
            });
        self.controllers.spawn(run);
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
        // Its namespace may have been among those that are looked after.
        shared.forget(&id);
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

fn retry_later(_: Arc<ParentObject>, _: &TooLong, _: Arc<Shared>) -> Action {
    Action::requeue(Duration::from_secs(5))
}

/// The custom resources of a kind: into the store and the directory, and those with something new to look at out of the
/// stream.
fn parents<P: Parent>(
    api: Api<ParentObject>,
    writer: reflector::store::Writer<ParentObject>,
    queue: mpsc::UnboundedSender<ObjectRef<ParentObject>>,
    shared: Arc<Shared>,
    wakers: Arc<Wakers>,
) -> impl Stream<Item = Result<ParentObject, watcher::Error>> {
    let info = P::INFO;
    let (at_event, at_trigger) = (Arc::clone(&shared), Arc::clone(&shared));
    let store = writer.as_reader();
    let mut listed = false;
    let events = watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .modify(ParentObject::trim)
        .reflect(writer)
        .inspect(move |event| match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                wakers.each(&at_event, &list_in_directory::<P>(&at_event.context.directory, object));
            }
            Ok(watcher::Event::Delete(object)) => {
                let id = object.id(&info);
                at_event.gone(&id);
                wakers.each(&at_event, &at_event.context.directory.saw(&id, None));
            }
            Ok(watcher::Event::Init) => {}
            Ok(watcher::Event::InitDone) => {
                let all = store.state();
                let there: HashSet<ParentId> = all.iter().map(|object| object.id(&info)).collect();
                at_event.retain(info.kind, &there);
                wakers.each(&at_event, &at_event.context.directory.listed(info.kind, &there));
                at_event.context.metrics.listed(info.kind);
                // The store takes a list in at its end, page by page the queue has looked at the old state: look again.
                // At the first list the queue waits for the store by itself.
                if std::mem::replace(&mut listed, true) {
                    for object in all {
                        at_event.activity.woken(object.id(&info));
                        let _ = queue.send(ObjectRef::from_obj_with(&*object, info));
                    }
                } else {
                    at_event.first_list();
                }
            }
            Err(error) => tracing::warn!(kind = info.kind, %error, "the watch failed and is started again"),
        });
    // The controller must not begin before the children are known: everything would look absent.
    let wait = async move {
        let mut listed = shared.listed.subscribe();
        let settled = |()| required(&shared.context.cache).all(|kind| shared.context.cache.settled(kind));
        let _ = listed.wait_for(|&()| settled(())).await;
        let _ = listed.wait_for(|&()| shared.context.policies.settled()).await;
        let namespaces = |()| !shared.scope.is_restricted() || shared.scope.listed();
        let _ = listed.wait_for(|&()| namespaces(())).await;
    };
    // Deletion moves the generation of a custom resource, so it needs no predicate of its own.
    let news = predicates::generation.combine(predicates::labels).combine(predicates::annotations);
    let objects = events
        .applied_objects()
        .predicate_filter(news, kube::runtime::utils::PredicateConfig::default())
        .inspect_ok(move |object| at_trigger.activity.woken(object.id(&info)));
    wait.into_stream().map(|()| None).chain(objects.map(Some)).filter_map(std::future::ready)
}

/// What others find of a custom resource. Returns who is to be woken.
fn list_in_directory<P: Parent>(directory: &Directory, object: &ParentObject) -> BTreeSet<ParentId> {
    if !P::LISTED {
        return BTreeSet::new();
    }
    match Entry::of::<P>(object) {
        Ok(entry) => directory.saw(&object.id(&P::INFO), entry),
        // What it said last stands while it cannot be decoded, as its pods do.
        Err(_) => BTreeSet::new(),
    }
}
