//! The environment of the agent container: every setting under the names that agents read, and under those that they
//! were given before. PURE.

use k8s_openapi::api::core::v1::EnvVar;

use super::{
    AgentSpec, desired,
    llm::{CustomHeader, Llm, Reasoning},
    mcp::Mcp,
    server::Queue,
};
use crate::{
    children::{duration, env::Variables},
    kinds::{InvalidSpec, telemetry::Otlp},
    object::Identity,
};

/// Folder that the certificate of the agent's server is mounted in.
pub(super) const SERVER_TLS_FOLDER: &str = "/etc/inference-gateway/tls";
/// Folder that the certificates for the connection to the model are mounted in.
pub(super) const CLIENT_TLS_FOLDER: &str = "/etc/inference-gateway/llm-tls";
/// Names of the files in both: certificate, key, and the authority of the other side.
pub(super) const TLS_FILES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// The whole environment.
pub(super) fn environment(parent: &Identity, spec: &AgentSpec) -> Result<Vec<EnvVar>, InvalidSpec> {
    let mut env = Variables::default();
    // Twice: first, because what the operator sets may refer to the user's variables, and last, because a name that both
    // give is the user's.
    env.extend(&spec.env);
    server(&mut env, parent, spec)?;
    queue(&mut env, &spec.queue)?;
    reasoning(&mut env, &spec.agent);
    if let Some(llm) = &spec.agent.llm {
        model(&mut env, llm)?;
    }
    mcp(&mut env, &spec.mcp)?;
    telemetry(&mut env, spec);
    env.extend(&spec.env);
    Ok(env.into_vars())
}

fn server(env: &mut Variables, parent: &Identity, spec: &AgentSpec) -> Result<(), InvalidSpec> {
    env.set_all(&["A2A_TIMEZONE", "TIMEZONE"], &spec.timezone);
    env.set_all(&["A2A_SERVER_PORT", "PORT"], spec.port);
    env.set("HOST", &spec.host);
    let advertised = spec.card.url.clone().filter(|url| !url.is_empty());
    env.set("A2A_AGENT_URL", advertised.unwrap_or_else(|| desired::address(parent, spec)));
    for (stem, field, value) in [
        ("READ_TIMEOUT", "readTimeout", &spec.read_timeout),
        ("WRITE_TIMEOUT", "writeTimeout", &spec.write_timeout),
        ("IDLE_TIMEOUT", "idleTimeout", &spec.idle_timeout),
    ] {
        time(env, &[&format!("A2A_SERVER_{stem}"), stem], value, || format!("spec.{field}"))?;
    }
    env.set("A2A_DEBUG", spec.logging.debug());
    env.set("LOG_LEVEL", &spec.logging.level);
    env.set("LOG_FORMAT", &spec.logging.format);
    env.set_switch("A2A_SERVER_TLS", spec.tls.enabled);
    env.set("TLS_ENABLED", spec.tls.enabled);
    if let Some(secret) = spec.tls.secret() {
        env.set("A2A_SERVER_TLS_CERT_PATH", file(SERVER_TLS_FOLDER, 0));
        env.set("A2A_SERVER_TLS_KEY_PATH", file(SERVER_TLS_FOLDER, 1));
        env.set("TLS_SECRET_REF", secret);
    }
    Ok(())
}

fn queue(env: &mut Variables, queue: &Queue) -> Result<(), InvalidSpec> {
    if let Some(enabled) = queue.enabled {
        env.set("QUEUE_ENABLED", enabled);
    }
    if let Some(size) = queue.max_size.filter(|size| *size != 0) {
        env.set_all(&["A2A_QUEUE_MAX_SIZE", "QUEUE_MAX_SIZE"], size);
    }
    let interval = queue.cleanup_interval.as_deref().unwrap_or_default();
    let names = ["A2A_QUEUE_CLEANUP_INTERVAL", "QUEUE_CLEANUP_INTERVAL"];
    time(env, &names, interval, || "spec.queue.cleanupInterval".into())
}

fn reasoning(env: &mut Variables, agent: &Reasoning) {
    if let Some(enabled) = agent.enabled {
        env.set("AGENT_ENABLED", enabled);
    }
    let names = ["A2A_AGENT_CLIENT_MAX_CONVERSATION_HISTORY", "AGENT_MAX_CONVERSATION_HISTORY"];
    env.set_all(&names, agent.max_conversation_history);
    env.set("A2A_AGENT_CLIENT_MAX_CHAT_COMPLETION_ITERATIONS", agent.max_chat_completion_iterations);
    env.set("A2A_AGENT_CLIENT_MAX_RETRIES", agent.max_retries);
    if agent.tls.secret().is_some() {
        env.set("A2A_AGENT_CLIENT_TLS_CERT_FILE", file(CLIENT_TLS_FOLDER, 0));
        env.set("A2A_AGENT_CLIENT_TLS_KEY_FILE", file(CLIENT_TLS_FOLDER, 1));
        env.set("A2A_AGENT_CLIENT_TLS_CA_FILE", file(CLIENT_TLS_FOLDER, 2));
    }
}

fn model(env: &mut Variables, llm: &Llm) -> Result<(), InvalidSpec> {
    let (provider, model) = llm.model();
    env.set("A2A_AGENT_CLIENT_PROVIDER", provider.unwrap_or_default());
    env.set("A2A_AGENT_CLIENT_MODEL", model);
    env.set("A2A_AGENT_CLIENT_BASE_URL", llm.base_url.as_deref().unwrap_or_default());
    if let Some(secret) = &llm.api_key_secret_ref {
        env.set_from_secret("A2A_AGENT_CLIENT_API_KEY", secret);
    }
    env.set("A2A_AGENT_CLIENT_MAX_TOKENS", llm.max_tokens);
    if !llm.has_temperature() {
        return Err(InvalidSpec {
            field: "spec.agent.llm.temperature".into(),
            message: format!("{:?} is not a number from 0 to 2", llm.temperature),
        });
    }
    env.set("A2A_AGENT_CLIENT_TEMPERATURE", &llm.temperature);
    env.set_prose("A2A_AGENT_CLIENT_SYSTEM_PROMPT", llm.system_prompt.as_deref().unwrap_or_default());
    let members: Vec<_> = llm.custom_headers.iter().filter_map(CustomHeader::member).collect();
    env.set("A2A_AGENT_CLIENT_CUSTOM_HEADERS", members.join(","));
    for (index, header) in llm.custom_headers.iter().enumerate() {
        env.set(&format!("A2A_AGENT_CLIENT_CUSTOM_HEADER_{index}_NAME"), &header.name);
        env.set(&format!("A2A_AGENT_CLIENT_CUSTOM_HEADER_{index}_VALUE"), &header.value);
    }
    Ok(())
}

fn mcp(env: &mut Variables, mcp: &Mcp) -> Result<(), InvalidSpec> {
    env.set_switch("A2A_MCP", mcp.on());
    if !mcp.on() {
        return Ok(());
    }
    env.set("A2A_MCP_SERVERS", mcp.servers().join(","));
    env.set("A2A_MCP_ENDPOINT", &mcp.endpoint);
    for (name, field, value) in [
        ("A2A_MCP_REFRESH_INTERVAL", "refreshInterval", &mcp.refresh_interval),
        ("A2A_MCP_DIAL_TIMEOUT", "dialTimeout", &mcp.dial_timeout),
        ("A2A_MCP_CALL_TIMEOUT", "callTimeout", &mcp.call_timeout),
        ("A2A_MCP_RETRY_INTERVAL", "retryInterval", &mcp.retry_interval),
        ("A2A_MCP_RETRY_MAX_INTERVAL", "retryMaxInterval", &mcp.retry_max_interval),
    ] {
        time(env, &[name], value, || format!("spec.mcp.{field}"))?;
    }
    env.set("A2A_MCP_MAX_RETRIES", mcp.max_retries);
    Ok(())
}

fn telemetry(env: &mut Variables, spec: &AgentSpec) {
    let wish = &spec.telemetry;
    env.set_switch("A2A_TELEMETRY", wish.enabled);
    env.set("TELEMETRY_ENABLED", wish.enabled);
    if !wish.enabled {
        return;
    }
    let (traces, metrics) = (wish.traces_otlp(), wish.metrics_otlp());
    env.set("A2A_OTEL_TRACES_EXPORTER", if traces.is_some() { "otlp" } else { "none" });
    let prometheus = desired::prometheus_port(spec);
    env.set(
        "A2A_OTEL_METRICS_EXPORTER",
        match (metrics, prometheus) {
            (Some(_), _) => "otlp",
            (None, Some(_)) => "prometheus",
            (None, None) => "none",
        },
    );
    let given = |of: fn(&Otlp) -> Option<String>| traces.and_then(of).or_else(|| metrics.and_then(of));
    env.set("A2A_OTEL_EXPORTER_OTLP_ENDPOINT", given(endpoint).unwrap_or_default());
    env.set("A2A_OTEL_EXPORTER_OTLP_PROTOCOL", given(protocol).unwrap_or_default());
    if let Some(port) = prometheus {
        let exporter = wish.metrics.exporter.as_ref().and_then(|exporter| exporter.prometheus.as_ref());
        let host = exporter.and_then(|prometheus| prometheus.host.as_deref()).unwrap_or_default();
        env.set_all(&["A2A_OTEL_EXPORTER_PROMETHEUS_HOST", "A2A_TELEMETRY_METRICS_HOST"], host);
        env.set_all(&["A2A_OTEL_EXPORTER_PROMETHEUS_PORT", "A2A_TELEMETRY_METRICS_PORT"], port);
    }
}

fn endpoint(collector: &Otlp) -> Option<String> {
    collector.endpoint.clone().filter(|endpoint| !endpoint.is_empty())
}

fn protocol(collector: &Otlp) -> Option<String> {
    collector.protocol.map(|protocol| protocol.as_str().into())
}

/// A duration. An empty one, which only a resource can have that was stored before the schema, leaves it to the agent.
fn time(env: &mut Variables, names: &[&str], text: &str, field: impl Fn() -> String) -> Result<(), InvalidSpec> {
    if !text.is_empty() {
        duration::checked(text, field)?;
    }
    env.set_all(names, text);
    Ok(())
}

fn file(folder: &str, index: usize) -> String {
    format!("{folder}/{}", TLS_FILES[index])
}
