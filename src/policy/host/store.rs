//! What belongs to one call: its limits, its log, and what it said before it ended itself.

use wasmtime::ResourceLimiter;

use crate::policy::{
    failure::clean,
    limits::{self, Limits},
    protocol::{Level, Line},
};

/// The data of a store.
#[derive(Debug)]
pub(super) struct State {
    memory_limit: usize,
    memory_used: usize,
    refused: Option<String>,
    panic: Option<String>,
    log: Vec<Line>,
    dropped: u32,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            memory_limit: usize::try_from(limits.memory).unwrap_or(usize::MAX),
            memory_used: 0,
            refused: None,
            panic: None,
            log: Vec::new(),
            dropped: 0,
        }
    }

    pub(super) fn memory_used(&self) -> u64 {
        self.memory_used as u64
    }

    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    pub(super) fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    pub(super) fn panicked(&mut self, text: &str) {
        // The first one is the cause.
        self.panic.get_or_insert_with(|| clean(text, limits::MESSAGE));
    }

    pub(super) fn has_room(&self) -> bool {
        self.log.len() < limits::LOG_LINES
    }

    pub(super) fn line(&mut self, level: Level, text: &str) {
        self.log.push(Line { level, text: clean(text, limits::LOG_LINE) });
    }

    pub(super) fn drop_line(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    pub(super) fn into_log(self) -> (Vec<Line>, u32) {
        (self.log, self.dropped)
    }
}

/// Refusals are traps, not answers to the guest: what a guest does when it is refused memory says less than that it was.
impl ResourceLimiter for State {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.memory_limit {
            let mib = |bytes: usize| bytes.div_ceil(1 << 20);
            let words = format!("it wanted {} MiB of memory and may have {}", mib(desired), mib(self.memory_limit));
            self.refused = Some(words.clone());
            return Err(wasmtime::Error::msg(words));
        }
        self.memory_used = self.memory_used.max(desired);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = Some(format!("it wanted more memory than there is: {error:#}"));
        Err(error)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > limits::TABLE_ELEMENTS {
            let words = format!("it wanted a table of {desired} elements and may have {}", limits::TABLE_ELEMENTS);
            self.refused = Some(words.clone());
            return Err(wasmtime::Error::msg(words));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        limits::INSTANCES
    }

    fn tables(&self) -> usize {
        limits::TABLES
    }

    fn memories(&self) -> usize {
        1
    }
}
