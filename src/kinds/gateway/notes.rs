//! Which settings of a Gateway have no effect, in words for its status. PURE.

use super::{
    GatewaySpec, exposure,
    server::AuthProvider,
    tools::{HealthCheck, Mcp},
};
use crate::{kinds::telemetry::Telemetry, object::Identity};

/// Sentences for the status message.
pub(super) fn notes(parent: &Identity, spec: &GatewaySpec) -> Vec<String> {
    let mut notes = Vec::new();
    let auth = &spec.auth;
    if auth.enabled && auth.provider != AuthProvider::Oidc {
        notes.push(format!("auth.provider {} has no effect: the gateway image does OIDC only", auth.provider.as_str()));
    }
    if auth.enabled && auth.oidc.is_none() {
        notes.push(
            "auth.enabled needs auth.oidc: the gateway image does OIDC only and asks its own default issuer".into(),
        );
    }
    if spec.mcp.enabled {
        notes.extend(health_check_notes(&spec.mcp));
    }
    if exposure::ignores_hosts(&spec.ingress) {
        notes.push("ingress.hosts has no effect: ingress.host is set".into());
    }
    let (block, gateway_api) = spec.gateway_api();
    notes.extend(gateway_api.notes(block, spec.server.tls_enabled()));
    if block == "gatewayAPI" && spec.routing.as_gateway_api().is_some_and(|older| older.enabled) {
        notes.push("routing.gateway and routing.httpRoute have no effect: gatewayAPI is enabled".into());
    }
    if spec.routing.ignores_rules() {
        notes.push(
            "routing.config has no effect: routing.gateway and routing.httpRoute say that routing means gatewayAPI"
                .into(),
        );
    }
    notes.extend(telemetry_notes(&spec.telemetry));
    notes.extend(spec.hpa.note("Gateway", &parent.name));
    notes
}

fn health_check_notes(mcp: &Mcp) -> Vec<String> {
    let checks: Vec<_> = mcp.servers.iter().map(|server| &server.health_check).collect();
    let mut notes = Vec::new();
    if checks.iter().any(|check| check.enabled && check.path != HealthCheck::default().path) {
        notes.push("mcp.servers[].healthCheck.path has no effect: the gateway checks by the MCP protocol".into());
    }
    if checks.windows(2).any(|two| two[0].enabled != two[1].enabled || two[0].interval != two[1].interval) {
        notes.push(
            "mcp.servers[].healthCheck differs between servers: the gateway checks all of them at the shortest interval".into(),
        );
    }
    notes
}

fn telemetry_notes(telemetry: &Telemetry) -> Vec<String> {
    let mut notes = Vec::new();
    let mut add = |note: &str| notes.push(note.to_owned());
    if telemetry.enabled && telemetry.metrics.exporter.is_some() {
        add("telemetry.metrics.exporter has no effect: the gateway serves its metrics on telemetry.metrics.port");
    }
    if telemetry.receiver_port().is_some() {
        add("telemetry.receiver has no effect: only an Orchestrator has one");
    }
    if !telemetry.enabled && telemetry.traces.is_some() {
        add("telemetry.traces has no effect: telemetry.enabled is false");
    }
    notes
}
