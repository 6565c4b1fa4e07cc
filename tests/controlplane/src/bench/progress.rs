//! What the audit log says of the creation so far: which children and statuses are there, and when that was.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result};
use controlplane::AuditEntry;
use k8s_openapi::jiff::Timestamp;

use super::{
    calls::{Calls, by_operator, is_call},
    workload::CHILDREN,
};

/// What the audit log says so far.
pub(super) struct Progress {
    pub(super) count: usize,
    entries: Vec<AuditEntry>,
    /// When the first Gateway was asked for.
    first: Option<Timestamp>,
    /// When the operator's last call was answered.
    pub(super) last: Option<Timestamp>,
    pub(super) children: HashSet<(String, String)>,
    /// Gateways whose status was written.
    pub(super) statuses: HashSet<String>,
    /// When the last child or the last first status was there.
    pub(super) complete: Option<Timestamp>,
    /// A first status was not the one that was waited for.
    late: bool,
}

impl Progress {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            entries: Vec::new(),
            first: None,
            last: None,
            children: HashSet::new(),
            statuses: HashSet::new(),
            complete: None,
            late: false,
        }
    }

    /// Whether there was a call of the operator among them.
    pub(super) fn note(&mut self, entries: Vec<AuditEntry>) -> bool {
        let mut called = false;
        for entry in entries {
            if by_operator(&entry) {
                self.note_own(&entry);
                called |= is_call(&entry);
                self.entries.push(entry);
            } else if entry.verb == "create" && entry.resource() == "gateways" && entry.code() == 201 {
                let received = entry.request_received_timestamp.0;
                self.first = Some(self.first.map_or(received, |first| first.min(received)));
            }
        }
        called
    }

    fn note_own(&mut self, entry: &AuditEntry) {
        let answered = entry.stage_timestamp.0;
        if is_call(entry) {
            self.last = Some(self.last.map_or(answered, |last| last.max(answered)));
        }
        let name = entry.object_ref.as_ref().map(|object| object.name.clone()).unwrap_or_default();
        let counts = match (entry.resource().as_str(), entry.code()) {
            ("events", _) => false,
            ("gateways/status", 200) => self.statuses.insert(name) || self.late,
            (resource, 201) => self.children.insert((resource.to_owned(), name)),
            _ => false,
        };
        if counts && self.children.len() == self.count * CHILDREN && self.statuses.len() == self.count {
            self.complete = Some(answered);
        }
    }

    /// Somebody has looked and a status is not complete: the next one decides.
    pub(super) fn wait_for_next_status(&mut self) {
        self.complete = None;
        self.late = true;
    }

    pub(super) fn calls_until(&self, end: Timestamp) -> Calls {
        Calls::of(self.entries.iter().filter(|entry| entry.stage_timestamp.0 <= end))
    }

    pub(super) fn since_first(&self, end: Timestamp) -> Result<Duration> {
        let first = self.first.context("no Gateway was created")?;
        Ok(end.duration_since(first).unsigned_abs())
    }
}
