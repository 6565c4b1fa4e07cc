//! The environment of the orchestrator container, and what it makes the program do. PURE.

use k8s_openapi::api::core::v1::EnvVar;

use super::{OrchestratorSpec, channels::Telegram, tools::A2a};
use crate::{
    children::{duration, env::Variables},
    kinds::{InvalidSpec, telemetry::Telemetry},
};

/// Switches of what the program does by itself. With none of them it has nothing to do and ends.
const WORK: [&str; 3] = ["INFER_CHANNELS_TELEGRAM_ENABLED", "INFER_TOOLS_SCHEDULE_ENABLED", "INFER_HEARTBEAT_ENABLED"];

/// The whole environment, the user's own variables last.
pub(super) fn environment(spec: &OrchestratorSpec) -> Result<Vec<EnvVar>, InvalidSpec> {
    let mut env = Variables::default();
    let channels = &spec.channels;
    // Channels that are switched on without one of them end the program, also when there is something else to do.
    env.set("INFER_CHANNELS_ENABLED", channels.telegram.enabled);
    env.set("INFER_LOGGING_STDOUT", true);
    env.set("INFER_GATEWAY_RUN", false);
    telemetry(&mut env, &spec.telemetry);
    set_given(&mut env, "INFER_CHANNELS_MAX_WORKERS", channels.max_workers);
    set_given(&mut env, "INFER_CHANNELS_IMAGE_RETENTION", channels.image_retention);
    set_given(&mut env, "INFER_CHANNELS_REQUIRE_APPROVAL", channels.require_approval);
    env.set("INFER_CHANNELS_TELEGRAM_ENABLED", channels.telegram.enabled);
    if let Some(active) = channels.telegram.active() {
        telegram(&mut env, active)?;
    }
    env.set("INFER_GATEWAY_URL", &spec.gateway.url);
    if let Some(secret) = &spec.gateway.api_key_secret_ref {
        env.set_from_secret("INFER_GATEWAY_API_KEY", secret);
    }
    env.set("INFER_AGENT_MODEL", &spec.agent.model);
    let prompt = spec.agent.system_prompt.as_deref().unwrap_or_default();
    // Messages of a channel have a prompt of their own; the last name is that of programs up to 0.104.
    for name in
        ["INFER_PROMPTS_AGENT_SYSTEM_PROMPT", "INFER_PROMPTS_AGENT_SYSTEM_PROMPT_REMOTE", "INFER_AGENT_SYSTEM_PROMPT"]
    {
        env.set_prose(name, prompt);
    }
    env.set("INFER_TOOLS_ENABLED", spec.tools.enabled);
    env.set("INFER_TOOLS_SCHEDULE_ENABLED", spec.tools.schedule);
    a2a(&mut env, &spec.a2a);
    env.set("INFER_MCP_ENABLED", spec.mcp.enabled);
    env.extend(&spec.env);
    Ok(env.into_vars())
}

fn set_given<T: ToString>(env: &mut Variables, name: &str, value: Option<T>) {
    if let Some(value) = value {
        env.set(name, value);
    }
}

fn telemetry(env: &mut Variables, telemetry: &Telemetry) {
    env.set("INFER_TELEMETRY_ENABLED", telemetry.enabled);
    if let Some(port) = telemetry.receiver_port() {
        env.set("INFER_TELEMETRY_RECEIVER_ADDRESS", format!("0.0.0.0:{port}"));
    }
    set_given(env, "INFER_TELEMETRY_OTLP_ENDPOINT", endpoints(telemetry).next());
}

/// The collectors that are named: the program knows one for everything, and the first counts.
pub(super) fn endpoints(telemetry: &Telemetry) -> impl Iterator<Item = &str> {
    let named = [telemetry.traces_otlp(), telemetry.metrics_otlp()].into_iter().flatten();
    named.filter_map(|otlp| otlp.endpoint.as_deref()).filter(|endpoint| !endpoint.is_empty())
}

fn telegram(env: &mut Variables, telegram: &Telegram) -> Result<(), InvalidSpec> {
    if let Some(secret) = &telegram.token_secret_ref {
        env.set_from_secret("INFER_CHANNELS_TELEGRAM_BOT_TOKEN", secret);
    }
    if let Some(secret) = &telegram.allowed_users_secret_ref {
        env.set_from_secret("INFER_CHANNELS_TELEGRAM_ALLOWED_USERS", secret);
    }
    if let Some(text) = telegram.poll_timeout.as_deref().filter(|text| !text.is_empty()) {
        let length = duration::checked(text, || "spec.channels.telegram.pollTimeout".into())?;
        env.set("INFER_CHANNELS_TELEGRAM_POLL_TIMEOUT", length.div_ceil(1_000_000_000));
    }
    Ok(())
}

fn a2a(env: &mut Variables, a2a: &A2a) {
    // Said also when it is off: the program switches it on by itself.
    env.set("INFER_A2A_ENABLED", a2a.enabled);
    // With this variable the program does not look into agents.yaml, which has these agents too.
    if a2a.enabled && a2a.active_discovery().is_none() {
        let mut urls: Vec<&str> = Vec::new();
        for url in a2a.agents.iter().map(|url| url.trim()).filter(|url| !url.is_empty()) {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        env.set("INFER_A2A_AGENTS", urls.join(","));
    }
}

/// Whether the program has something to do. A value from elsewhere is not known here and gets the benefit of the doubt.
pub(super) fn has_work(env: &[EnvVar]) -> bool {
    let on = |var: &EnvVar| match &var.value {
        Some(value) => ["1", "t", "true"].contains(&value.trim().to_ascii_lowercase().as_str()),
        None => var.value_from.is_some(),
    };
    env.iter().any(|var| WORK.contains(&var.name.as_str()) && on(var))
}

/// Whether a variable of this name reaches the program.
pub(super) fn has(env: &[EnvVar], name: &str) -> bool {
    env.iter()
        .any(|var| var.name == name && (var.value_from.is_some() || var.value.as_ref().is_some_and(|v| !v.is_empty())))
}
