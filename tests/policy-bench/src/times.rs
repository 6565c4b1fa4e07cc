//! Measured times, and the rows that say them. The machine may be busy with something else, so what counts is the quietest of
//! many short runs.

use std::time::Duration;

use serde_json::{Value, json};

/// How many short runs there are.
pub(crate) const RUNS: usize = 20;
/// Calls of a run.
pub(crate) const CALLS: usize = 100;

/// Times of one thing, in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The median of the run with the smallest one.
    pub(crate) fn quietest(&self) -> Duration {
        self.0.chunks(CALLS).map(median).min().unwrap_or_default()
    }

    /// The median of all of them.
    pub(crate) fn median(&self) -> Duration {
        median(&self.0)
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// A row of the table. `most`: what it should be at most, in the same unit.
pub(crate) fn row(section: &str, name: &str, value: f64, unit: &str, most: Option<f64>) -> Value {
    json!({"section": section, "name": name, "value": value, "unit": unit, "most": most})
}

/// A row in microseconds.
pub(crate) fn micros(section: &str, name: &str, time: Duration, most: Option<f64>) -> Value {
    row(section, name, time.as_secs_f64() * 1e6, "us", most)
}
