//! The environment of the gateway container: every setting that the program reads, under every name it was read under. PURE.

use k8s_openapi::api::core::v1::EnvVar;

use super::{
    GatewaySpec,
    server::{CA_FILE, Server},
    tools::Mcp,
};
use crate::{
    children::{duration, env::Variables},
    kinds::{Found, InvalidSpec},
};

/// Folder that certificate and key are mounted in.
pub(super) const TLS_FOLDER: &str = "/app/tls";
/// File names in it.
pub(super) const TLS_FILES: (&str, &str) = ("tls.crt", "tls.key");

/// The whole environment, the variables of the providers last. `found`: the MCP servers that were found.
pub(super) fn environment(spec: &GatewaySpec, found: &[Found]) -> Result<Vec<EnvVar>, InvalidSpec> {
    let mut env = Variables::default();
    env.set("ENVIRONMENT", spec.environment.as_str());
    env.set_switch("TELEMETRY", spec.telemetry.enabled);
    if spec.telemetry.enabled {
        // The program listens there whenever telemetry is on; `metrics.enabled` only decides who can reach it.
        env.set("TELEMETRY_METRICS_PORT", spec.telemetry.metrics.port);
    }
    if let Some(otlp) = spec.telemetry.traces_otlp() {
        env.set_switch("TELEMETRY_TRACING", true);
        env.set("TELEMETRY_TRACING_OTLP_ENDPOINT", otlp.endpoint.as_deref().unwrap_or_default());
    }
    env.set_switch("AUTH", spec.auth.enabled);
    if let Some(oidc) = spec.auth.active_oidc() {
        env.set("AUTH_OIDC_ISSUER", &oidc.issuer_url);
        env.set("AUTH_OIDC_CLIENT_ID", &oidc.client_id);
        if let Some(secret) = &oidc.client_secret_ref {
            env.set_from_secret("AUTH_OIDC_CLIENT_SECRET", secret);
        }
    }
    if spec.auth.ca_certificate().is_some() {
        env.set("SSL_CERT_FILE", CA_FILE);
    }
    server(&mut env, &spec.server)?;
    if spec.mcp.enabled {
        mcp(&mut env, &spec.mcp, found)?;
    }
    spec.routing.environment(&mut env)?;
    spec.guardrails.environment(&mut env)?;
    for provider in spec.active_providers() {
        env.extend(&provider.env);
    }
    Ok(env.into_vars())
}

fn server(env: &mut Variables, server: &Server) -> Result<(), InvalidSpec> {
    env.set("SERVER_HOST", &server.host);
    env.set("SERVER_PORT", server.port);
    let timeouts = &server.timeouts;
    for (name, field, value) in [
        ("SERVER_READ_TIMEOUT", "read", &timeouts.read),
        ("SERVER_WRITE_TIMEOUT", "write", &timeouts.write),
        ("SERVER_IDLE_TIMEOUT", "idle", &timeouts.idle),
    ] {
        duration::checked(value, || format!("spec.server.timeouts.{field}"))?;
        env.set(name, value);
    }
    if server.tls_enabled() {
        env.set("SERVER_TLS_CERT_PATH", format!("{TLS_FOLDER}/{}", TLS_FILES.0));
        env.set("SERVER_TLS_KEY_PATH", format!("{TLS_FOLDER}/{}", TLS_FILES.1));
    }
    Ok(())
}

fn mcp(env: &mut Variables, mcp: &Mcp, found: &[Found]) -> Result<(), InvalidSpec> {
    env.set_switch("MCP", true);
    env.set("MCP_EXPOSE", mcp.expose);
    env.set("MCP_TOOL_MODE", mcp.tool_mode.as_str());
    env.set("MCP_SERVERS", mcp.urls(found).join(","));
    let timeouts = &mcp.timeouts;
    for (name, field, value) in [
        ("MCP_CLIENT_TIMEOUT", "client", &timeouts.client),
        ("MCP_DIAL_TIMEOUT", "dial", &timeouts.dial),
        ("MCP_TLS_HANDSHAKE_TIMEOUT", "tlsHandshake", &timeouts.tls_handshake),
        ("MCP_RESPONSE_HEADER_TIMEOUT", "responseHeader", &timeouts.response_header),
        ("MCP_REQUEST_TIMEOUT", "request", &timeouts.request),
    ] {
        duration::checked(value, || format!("spec.mcp.timeouts.{field}"))?;
        env.set(name, value);
    }
    if !mcp.servers.is_empty() {
        let interval = shortest_interval(mcp)?;
        env.set_switch("MCP_POLLING", interval.is_some());
        env.set("MCP_POLLING_INTERVAL", interval.unwrap_or_default());
    }
    Ok(())
}

/// The shortest interval of the servers that want to be checked, as it was written.
fn shortest_interval(mcp: &Mcp) -> Result<Option<&str>, InvalidSpec> {
    let mut shortest: Option<(u64, &str)> = None;
    for (index, server) in mcp.servers.iter().enumerate() {
        let check = &server.health_check;
        let length = duration::checked(&check.interval, || format!("spec.mcp.servers[{index}].healthCheck.interval"))?;
        if check.enabled && shortest.is_none_or(|(known, _)| length < known) {
            shortest = Some((length, &check.interval));
        }
    }
    Ok(shortest.map(|(_, text)| text))
}
