//! Logs and metrics: how the operator says what it does.

use std::{io::IsTerminal as _, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder as _, Registry, TextEncoder};

use crate::reconcile::{
    diff::{Cause, Plan},
    outcome::{Applied, Done},
    prune::Pruned,
    rewrite::Called,
};

/// Sets up logging to standard error.
///
/// # Errors
/// When the filter cannot be read, or logging is set up already.
pub fn logs(filter: &str, json: bool) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)?;
    let colours = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    if json { logs.json().flatten_event(true).try_init() } else { logs.try_init() }
}

/// Every counter of the operator. Names follow OpenTelemetry; the Prometheus text has `igw_` and `_total` around them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    // The provider ends its instruments when it is dropped.
    _provider: SdkMeterProvider,
    meter: Meter,
    reconciles: Counter<u64>,
    seconds: Histogram<f64>,
    changes: Counter<u64>,
    failures: Counter<u64>,
    not_taken: Counter<u64>,
    status_writes: Counter<u64>,
    events_dropped: Counter<u64>,
    relists: Counter<u64>,
    policy_calls: Counter<u64>,
    policy_seconds: Histogram<f64>,
    policy_fuel: Histogram<u64>,
    policy_memory: Histogram<u64>,
}

impl Metrics {
    /// Makes the instruments.
    ///
    /// # Errors
    /// When the exporter cannot be registered.
    pub fn new() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .with_namespace("igw")
            .without_target_info()
            .build()?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let meter = provider.meter("igw");
        let counter = |name: &'static str, about: &'static str| meter.u64_counter(name).with_description(about).build();
        Ok(Self {
            registry,
            reconciles: counter("reconciles", "Reconciles that ended, by kind."),
            seconds: meter
                .f64_histogram("reconcile")
                .with_unit("s")
                .with_description("Time of a reconcile, its calls included, by kind.")
                .with_boundaries(vec![0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
                .build(),
            changes: counter("changes", "Objects created, updated and deleted, by kind and action."),
            failures: counter("failures", "Objects that could not be brought to what is wanted, by kind and reason."),
            not_taken: counter(
                "applies_not_taken",
                "Objects whose applied fields the server or a webhook changed in its answer, by kind.",
            ),
            status_writes: counter("status_writes", "Status writes, by kind."),
            events_dropped: counter("events_dropped", "Events that were not sent because too many were waiting."),
            relists: counter("watch_lists", "Complete lists of a watch, by kind."),
            policy_calls: counter(
                "policy_evaluations",
                "Evaluations of policies, by policy, result (ok or a reason) and whether the result was remembered.",
            ),
            policy_seconds: meter
                .f64_histogram("policy_evaluation")
                .with_unit("s")
                .with_description(
                    "Time of an evaluation that was not remembered, the way to the child and back included, by policy.",
                )
                .with_boundaries(vec![0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1, 1.0, 3.0])
                .build(),
            policy_fuel: meter
                .u64_histogram("policy_fuel")
                .with_description("Fuel that an evaluation used, about one an instruction, by policy.")
                .with_boundaries(vec![1e4, 1e5, 1e6, 3e6, 1e7, 3e7, 5e7])
                .build(),
            policy_memory: meter
                .u64_histogram("policy_memory")
                .with_unit("By")
                .with_description("Memory that an evaluation used, by policy.")
                .with_boundaries(vec![131_072.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0])
                .build(),
            meter,
            _provider: provider,
        })
    }

    /// Adds a gauge that is read when somebody scrapes.
    pub fn gauge(&self, name: &'static str, about: &'static str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        let observe = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<u64>| observer.observe(read(), &[]);
        self.meter.u64_observable_gauge(name).with_description(about).with_callback(observe).build();
    }

    /// Adds a gauge with one value a policy, read when somebody scrapes.
    pub fn gauge_of_policies(
        &self,
        name: &'static str,
        about: &'static str,
        read: impl Fn() -> Vec<(String, u64)> + Send + Sync + 'static,
    ) {
        let observe = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<u64>| {
            for (policy, value) in read() {
                observer.observe(value, &[KeyValue::new("policy", policy)]);
            }
        };
        self.meter.u64_observable_gauge(name).with_description(about).with_callback(observe).build();
    }

    /// A policy was called.
    pub fn policy_called(&self, call: &Called) {
        let policy = KeyValue::new("policy", call.policy.short());
        let labels =
            [policy.clone(), KeyValue::new("result", call.result), KeyValue::new("remembered", call.usage.is_none())];
        self.policy_calls.add(1, &labels);
        if let Some(usage) = call.usage {
            let labels = [policy];
            self.policy_seconds.record(call.took.as_secs_f64(), &labels);
            self.policy_fuel.record(usage.fuel, &labels);
            self.policy_memory.record(usage.memory, &labels);
        }
    }

    /// The Prometheus text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory cannot fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// A reconcile has ended.
    pub fn reconciled(&self, kind: &'static str, took: Duration) {
        let labels = [KeyValue::new("kind", kind)];
        self.reconciles.add(1, &labels);
        self.seconds.record(took.as_secs_f64(), &labels);
    }

    /// What a reconcile did to its objects.
    pub fn record(&self, parent: &'static str, plan: &Plan, applied: &Applied, pruned: &Pruned) {
        debug_assert!(plan.changes.len() >= applied.outcomes.len(), "every outcome was planned");
        for outcome in &applied.outcomes {
            let kind = outcome.id.kind.name();
            let labels = |name, value| {
                [KeyValue::new("parent", parent), KeyValue::new("kind", kind), KeyValue::new(name, value)]
            };
            match &outcome.result {
                Ok(Done::Unchanged) => {}
                Ok(Done::Created) => self.changes.add(1, &labels("action", "create")),
                Ok(Done::Updated(Cause::Intent)) => self.changes.add(1, &labels("action", "update")),
                Ok(Done::Updated(Cause::Drift)) => self.changes.add(1, &labels("action", "revert")),
                Ok(Done::Updated(Cause::Reclaim)) => self.changes.add(1, &labels("action", "reclaim")),
                Err(failed) => self.failures.add(1, &labels("reason", failed.reason.name())),
            }
        }
        for id in &applied.not_taken {
            self.not_taken.add(1, &[KeyValue::new("kind", id.kind.name())]);
        }
        for id in &pruned.deleted {
            let labels = [
                KeyValue::new("parent", parent),
                KeyValue::new("kind", id.kind.name()),
                KeyValue::new("action", "delete"),
            ];
            self.changes.add(1, &labels);
        }
    }

    /// A status was written.
    pub fn status_write(&self, kind: &'static str) {
        self.status_writes.add(1, &[KeyValue::new("kind", kind)]);
    }

    /// An Event was not sent.
    pub fn event_dropped(&self) {
        self.events_dropped.add(1, &[]);
    }

    /// A watch has listed everything.
    pub fn listed(&self, kind: &'static str) {
        self.relists.add(1, &[KeyValue::new("kind", kind)]);
    }
}
