//! Wakes custom resources: puts them into the queue of their kind.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::{Stream, stream};
use kube::runtime::reflector::{ObjectRef, store::Store};
use tokio::sync::mpsc;

use super::Shared;
use crate::{cache::Wake, kinds::ParentInfo, object::ParentId, parent::ParentObject};

/// The queues of all kinds.
#[derive(Debug, Default)]
pub(super) struct Wakers(HashMap<&'static str, Waker>);

#[derive(Debug)]
struct Waker {
    queue: mpsc::UnboundedSender<ObjectRef<ParentObject>>,
    store: Store<ParentObject>,
    info: ParentInfo,
}

impl Wakers {
    /// Adds a kind, and returns its queue and what comes out of it.
    pub(super) fn add(
        &mut self,
        info: ParentInfo,
        store: Store<ParentObject>,
    ) -> (mpsc::UnboundedSender<ObjectRef<ParentObject>>, impl Stream<Item = ObjectRef<ParentObject>> + Send + 'static)
    {
        let (queue, woken) = mpsc::unbounded_channel();
        self.0.insert(info.kind, Waker { queue: queue.clone(), store, info });
        (queue, stream::unfold(woken, |mut woken| async move { Some((woken.recv().await?, woken)) }))
    }

    /// Wakes everybody a cache asks to wake.
    pub(super) fn all(&self, shared: &Shared, wake: BTreeSet<Wake>) {
        for wake in wake {
            match wake {
                Wake::Owner { kind, namespace, name } => self.one(shared, &kind, &namespace, &name),
                Wake::Everyone => self.matching(shared, |_| true),
            }
        }
    }

    /// Wakes one custom resource, if it is there.
    pub(super) fn one(&self, shared: &Shared, kind: &str, namespace: &str, name: &str) {
        let Some(waker) = self.0.get(kind) else { return };
        let object = ObjectRef::new_with(name, waker.info).within(namespace);
        // The queue would only say that it is not there.
        if waker.store.get(&object).is_none() {
            return;
        }
        shared.activity.woken(ParentId { kind: waker.info.kind, namespace: namespace.into(), name: name.into() });
        // Fails only when the controller has ended.
        let _ = waker.queue.send(object);
    }

    /// Wakes every custom resource that matches.
    pub(super) fn matching(&self, shared: &Shared, matches: impl Fn(&ParentObject) -> bool) {
        for waker in self.0.values() {
            let found: Vec<Arc<ParentObject>> = waker.store.state();
            for object in found.iter().filter(|object| matches(object)) {
                let id = object.id(&waker.info);
                self.one(shared, id.kind, &id.namespace, &id.name);
            }
        }
    }
}
