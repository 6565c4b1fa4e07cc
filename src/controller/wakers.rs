//! Wakes custom resources: puts them into the queue of their kind.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use futures::{Stream, stream};
use kube::runtime::reflector::{ObjectRef, store::Store};
use tokio::sync::mpsc;

use super::Shared;
use crate::{cache::Wake, kinds::ParentInfo, object::ParentId, parent::ParentObject, policies::select::Woken};

/// The queues of all kinds.
#[derive(Debug, Default)]
pub(super) struct Wakers(RwLock<HashMap<&'static str, Waker>>);

#[derive(Debug, Clone)]
struct Waker {
    queue: mpsc::UnboundedSender<ObjectRef<ParentObject>>,
    store: Store<ParentObject>,
    info: ParentInfo,
}

impl Wakers {
    /// Adds a kind, and returns its queue and what comes out of it.
    pub(super) fn add(
        &self,
        info: ParentInfo,
        store: Store<ParentObject>,
    ) -> (mpsc::UnboundedSender<ObjectRef<ParentObject>>, impl Stream<Item = ObjectRef<ParentObject>> + Send + 'static)
    {
        let (queue, woken) = mpsc::unbounded_channel();
        let waker = Waker { queue: queue.clone(), store, info };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(info.kind, waker);
        (queue, stream::unfold(woken, |mut woken| async move { Some((woken.recv().await?, woken)) }))
    }

    /// Wakes everybody a cache asks to wake.
    pub(super) fn all(&self, shared: &Shared, wake: BTreeSet<Wake>) {
        for wake in wake {
            match wake {
                Wake::Owner { kind, namespace, name } => self.one(shared, &kind, &namespace, &name),
                Wake::Everyone => self.matching(shared, |_, _| true),
            }
        }
    }

    /// Wakes those that are there of these custom resources.
    pub(super) fn each<'a>(&self, shared: &Shared, parents: impl IntoIterator<Item = &'a ParentId>) {
        for ParentId { kind, namespace, name } in parents {
            self.one(shared, kind, namespace, name);
        }
    }

    /// Wakes one custom resource, if it is there.
    pub(super) fn one(&self, shared: &Shared, kind: &str, namespace: &str, name: &str) {
        let Some(waker) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(kind).cloned() else { return };
        let object = ObjectRef::new_with(name, waker.info).within(namespace);
        // The queue would only say that it is not there.
        if waker.store.get(&object).is_none() {
            return;
        }
        shared.activity.woken(ParentId { kind: waker.info.kind, namespace: namespace.into(), name: name.into() });
        // Fails only when the controller has ended.
        let _ = waker.queue.send(object);
    }

    /// Wakes every custom resource that policies may treat differently now.
    pub(super) fn woken(&self, shared: &Shared, woken: &Woken) {
        if woken.is_empty() {
            return;
        }
        let none = BTreeMap::new();
        self.matching(shared, |info, object| {
            let meta = &object.metadata;
            let namespace = meta.namespace.as_deref().unwrap_or_default();
            woken.has(info, namespace, meta.labels.as_ref().unwrap_or(&none))
        });
    }

    /// Wakes every custom resource that matches.
    pub(super) fn matching(&self, shared: &Shared, matches: impl Fn(&ParentInfo, &ParentObject) -> bool) {
        let wakers: Vec<_> = self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for waker in wakers {
            let found: Vec<Arc<ParentObject>> = waker.store.state();
            for object in found.iter().filter(|object| matches(&waker.info, object)) {
                let id = object.id(&waker.info);
                self.one(shared, id.kind, &id.namespace, &id.name);
            }
        }
    }
}
