//! Whether the operator has anything to do: a value that tests, the benchmark and metrics wait for or read.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::object::ParentId;

/// A requeue within this time still counts as being at work.
const SOON: Duration = Duration::from_secs(1);

/// What is waiting and what is running.
#[derive(Debug, Default)]
pub struct Activity {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: HashSet<ParentId>,
    running: usize,
}

impl Activity {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A custom resource is to be looked at.
    pub fn woken(&self, parent: ParentId) {
        self.lock().waiting.insert(parent);
    }

    /// A reconcile begins.
    pub fn begin(&self, parent: &ParentId) {
        let mut inner = self.lock();
        inner.waiting.remove(parent);
        inner.running += 1;
    }

    /// A reconcile has ended, and the next one is due after `again`.
    pub fn end(&self, parent: &ParentId, again: Option<Duration>) {
        let mut inner = self.lock();
        inner.running -= 1;
        if again.is_some_and(|again| again <= SOON) {
            inner.waiting.insert(parent.clone());
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// A custom resource that was to be looked at is gone.
    pub fn dropped(&self, parent: &ParentId) {
        self.lock().waiting.remove(parent);
        self.changed.notify_waiters();
    }

    /// How many custom resources wait, and how many are being looked at.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.waiting.len(), inner.running)
    }

    /// Waits until nothing waits and nothing runs.
    pub async fn quiet(&self) {
        loop {
            let changed = self.changed.notified();
            if self.counts() == (0, 0) {
                return;
            }
            changed.await;
        }
    }
}
