//! Sentences for the status message of an Orchestrator: settings that are accepted and have no effect. PURE.

use k8s_openapi::api::core::v1::EnvVar;

use super::{OrchestratorSpec, command, env};
use crate::kinds::telemetry::{OtlpProtocol, Telemetry};

/// `decided`: whether the subcommand is known to be the right one.
pub(super) fn notes(spec: &OrchestratorSpec, env: &[EnvVar], decided: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !decided {
        notes.push(format!(
            "the tag of image is not a version, so the program is started with channels-manager: from CLI 0.167.0 on it \
             is called daemon, which the annotation {} can say",
            command::ANNOTATION
        ));
    }
    if spec.channels.telegram.enabled && !env::has(env, "INFER_CHANNELS_TELEGRAM_ALLOWED_USERS") {
        notes.push("channels.telegram.allowedUsersSecretRef is missing: the bot answers nobody".into());
    }
    if !spec.a2a.enabled && (spec.a2a.service_discovery.enabled || !spec.a2a.agents.is_empty()) {
        notes.push("a2a.agents and a2a.serviceDiscovery have no effect: a2a.enabled is false".into());
    }
    if !spec.mcp.enabled && (spec.mcp.service_discovery.enabled || !spec.mcp.servers.is_empty()) {
        notes.push("mcp.servers and mcp.serviceDiscovery have no effect: mcp.enabled is false".into());
    }
    notes.extend(of_telemetry(&spec.telemetry));
    notes
}

fn of_telemetry(telemetry: &Telemetry) -> Vec<String> {
    let mut notes = Vec::new();
    if telemetry.receiver.enabled && !telemetry.enabled {
        notes.push("telemetry.receiver has no effect: telemetry.enabled is false".into());
    }
    let exporter = telemetry.metrics.exporter.as_ref();
    let offered = telemetry.metrics.enabled || exporter.is_some_and(|exporter| exporter.prometheus.is_some());
    if telemetry.enabled && offered {
        notes.push("telemetry.metrics offers nothing to Prometheus: the program sends to a collector only".into());
    }
    let mut endpoints = env::endpoints(telemetry);
    let first = endpoints.next();
    if endpoints.any(|endpoint| Some(endpoint) != first) {
        notes.push(
            "telemetry.metrics.exporter.otlp.endpoint has no effect: the program knows one collector, that of traces"
                .into(),
        );
    }
    let collectors = [telemetry.traces_otlp(), telemetry.metrics_otlp()];
    if collectors.into_iter().flatten().any(|otlp| otlp.protocol == Some(OtlpProtocol::Grpc)) {
        notes.push("telemetry: protocol grpc has no effect, the program speaks OTLP over HTTP".into());
    }
    notes
}
