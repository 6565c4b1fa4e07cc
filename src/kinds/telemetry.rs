//! `spec.telemetry`, one shape for the kinds that have it; each kind says in its own words which parts its program reads. PURE.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// OpenTelemetry of the program in the pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Telemetry {
    /// Collect telemetry.
    pub enabled: bool,
    /// Metrics.
    pub metrics: Metrics,
    /// Traces, sent to a collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
    /// A receiver of other programs' telemetry. Only an Orchestrator has one; elsewhere it changes nothing.
    pub receiver: Receiver,
}

/// Metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// Let Prometheus reach the metrics. Needs `telemetry.enabled`.
    pub enabled: bool,
    /// Port of `/metrics`.
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
    /// Where metrics go, for programs that send them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exporter: Option<MetricsExporter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: false, port: 9464, exporter: None }
    }
}

/// Where metrics go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricsExporter {
    /// To a collector. Comes before `prometheus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
    /// Offered to Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
}

/// Traces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Traces {
    /// Where traces go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exporter: Option<TracesExporter>,
}

/// Where traces go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TracesExporter {
    /// To a collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
}

/// A collector that speaks OTLP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Otlp {
    /// Its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Protocol it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<OtlpProtocol>,
}

/// A protocol of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[expect(missing_docs, reason = "a comment here would end up in the schema and say what the name says")]
pub enum OtlpProtocol {
    #[serde(rename = "grpc")]
    Grpc,
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

impl OtlpProtocol {
    /// As OpenTelemetry writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }
}

/// Metrics that Prometheus asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Prometheus {
    /// Address that the program listens on inside the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port that it listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: Option<i32>,
}

/// A receiver of OTLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Receiver {
    /// Switch it on. Needs `telemetry.enabled`.
    pub enabled: bool,
    /// Port of the receiver.
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
}

impl Default for Receiver {
    fn default() -> Self {
        Self { enabled: false, port: 4318 }
    }
}

impl Telemetry {
    /// Number of the metrics port, when it is exposed.
    #[must_use]
    pub fn metrics_port(&self) -> Option<i32> {
        (self.enabled && self.metrics.enabled).then_some(self.metrics.port)
    }

    /// The collector that traces go to, when telemetry is on.
    #[must_use]
    pub fn traces_otlp(&self) -> Option<&Otlp> {
        self.traces.as_ref().filter(|_| self.enabled)?.exporter.as_ref()?.otlp.as_ref()
    }

    /// The collector that metrics go to, when telemetry is on.
    #[must_use]
    pub fn metrics_otlp(&self) -> Option<&Otlp> {
        self.metrics.exporter.as_ref().filter(|_| self.enabled)?.otlp.as_ref()
    }

    /// Number of the receiver's port, when it is on.
    #[must_use]
    pub fn receiver_port(&self) -> Option<i32> {
        (self.enabled && self.receiver.enabled).then_some(self.receiver.port)
    }
}
