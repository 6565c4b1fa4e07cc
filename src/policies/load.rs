//! What there is to load: the ConfigMaps to watch, what they hold, and which module has its turn. PURE.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Instant,
};

use super::{
    Entry, Inner, Policies, PolicyId, Source, SourceKey,
    entry::{At, Bytes, Stage, Target},
    select::Woken,
    source_key,
};
use crate::policy::{engine::Loaded, failure::Failure};

/// A module to load.
#[derive(Debug)]
pub struct Job {
    /// For which policy.
    pub id: PolicyId,
    /// What there is.
    pub bytes: Bytes,
    /// For which part of its spec.
    pub target: Target,
    /// Uid and generation of the policy.
    pub key: String,
}

impl Policies {
    /// The ConfigMaps to watch, each with a number that changes when it has to be read again.
    #[must_use]
    pub fn sources(&self) -> HashMap<SourceKey, u64> {
        let inner = self.lock();
        let mut wanted: HashMap<SourceKey, DefaultHasher> = HashMap::new();
        for entry in inner.entries.values() {
            if let Some(key) = source_key(entry) {
                // With the uid: a policy that was deleted and made again has to be told too.
                (&entry.object.metadata.uid, entry.reads).hash(wanted.entry(key).or_default());
            }
        }
        wanted.into_iter().map(|(key, hasher)| (key, hasher.finish())).collect()
    }

    /// Takes in what a ConfigMap holds. `read` is asked for the value of a key.
    pub fn source(&self, key: &SourceKey, read: impl Fn(&str) -> Source, now: Instant) -> Woken {
        let mut inner = self.lock();
        let of_it = |entry: &&mut Entry| source_key(entry).as_ref() == Some(key);
        let ids: Vec<_> = inner
            .entries
            .values_mut()
            .filter(of_it)
            .map(|entry| {
                if let Some(map) = entry.config_map() {
                    entry.source = read(&map.key);
                }
                entry.written.dirty.get_or_insert(now);
                entry.id.clone()
            })
            .collect();
        let matching = ids.iter().filter_map(|id| self.advance(&mut inner, id, now)).collect();
        drop(inner);
        self.ring();
        Woken { everyone: false, matching }
    }

    /// The next module to load: the namespaces take turns, so that no one waits for another's whole queue.
    #[must_use]
    pub fn next_job(&self, now: Instant) -> Option<Job> {
        let mut inner = self.lock();
        let due: Vec<_> = inner.entries.values().filter(|e| e.again().is_some_and(|again| again <= now)).collect();
        let due: Vec<_> = due.into_iter().map(|entry| entry.id.clone()).collect();
        for id in due {
            // Whatever comes of it, nobody is concerned before it has been loaded.
            let _ = self.advance(&mut inner, &id, now);
            self.sources_changed.notify_one();
            self.to_write.notify_one();
        }
        let Inner { entries, loading, served, turns, .. } = &mut *inner;
        let waiting = entries.values().filter(|e| e.stage == Stage::Loading && !loading.contains(&e.id));
        let next = waiting.min_by_key(|entry| served.get(&entry.id.namespace).copied().unwrap_or_default())?;
        let (bytes, target) = next.bytes()?;
        let meta = &next.object.metadata;
        let key = format!("{}/{}", meta.uid.as_deref().unwrap_or_default(), meta.generation.unwrap_or_default());
        *turns += 1;
        served.insert(Arc::clone(&next.id.namespace), *turns);
        loading.insert(next.id.clone());
        Some(Job { id: next.id.clone(), bytes, target, key })
    }

    /// When loading something that failed may be tried again.
    #[must_use]
    pub fn next_try(&self) -> Option<Instant> {
        self.lock().entries.values().filter_map(Entry::again).min()
    }

    /// Takes in how a job has ended.
    pub fn finished(&self, job: Job, ended: Result<Loaded, (At, Failure)>, now: Instant) -> Woken {
        let mut inner = self.lock();
        inner.loading.remove(&job.id);
        let Some(entry) = inner.entries.get_mut(&job.id) else { return Woken::default() };
        entry.loaded(job.target, job.key, ended, now);
        let matching = self.advance(&mut inner, &job.id, now).into_iter().collect();
        drop(inner);
        self.ring();
        Woken { everyone: false, matching }
    }
}
