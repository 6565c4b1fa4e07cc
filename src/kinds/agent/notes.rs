//! Settings of an Agent that are accepted and have no effect, in sentences for the status message. PURE.

use super::{AgentSpec, desired, llm::Llm};
use crate::kinds::telemetry::Otlp;

pub(super) fn notes(spec: &AgentSpec) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |is: bool, text: &str| {
        if is {
            notes.push(text.to_owned());
        }
    };
    let (agent, telemetry) = (&spec.agent, &spec.telemetry);
    note(agent.enabled == Some(false), "agent.enabled has no effect: agents always work on tasks");
    note(
        agent.tls.enabled && agent.tls.secret().is_none(),
        "agent.tls.enabled has no effect without agent.tls.secretRef",
    );
    let key = agent.api_key.as_ref().and_then(|key| key.secret_ref.as_deref()).unwrap_or_default();
    note(!key.is_empty(), "agent.apiKey has no effect: agent.llm.apiKeySecretRef names the key");
    note(spec.queue.enabled == Some(false), "queue.enabled has no effect: agents always have a queue");
    note(
        telemetry.metrics_port().is_some() && desired::prometheus_port(spec).is_none(),
        "telemetry.metrics.enabled has no effect: the metrics go to the collector of telemetry.metrics.exporter.otlp",
    );
    note(
        telemetry.traces_otlp().zip(telemetry.metrics_otlp()).is_some_and(|(traces, metrics)| apart(traces, metrics)),
        "telemetry.metrics.exporter.otlp names another collector than that of the traces: agents send everything to that one",
    );
    if let Some(llm) = &agent.llm {
        let provided = spec.env.iter().any(|var| var.name == "A2A_AGENT_CLIENT_PROVIDER");
        let (provider, model) = llm.model();
        note(
            provider.is_none() && !model.is_empty() && !provided,
            "agent.llm.model names no provider: agents want provider/model",
        );
        notes.extend(headers(llm));
    }
    notes
}

fn apart(one: &Otlp, other: &Otlp) -> bool {
    one.endpoint.as_ref().zip(other.endpoint.as_ref()).is_some_and(|(one, other)| one != other)
        || one.protocol.zip(other.protocol).is_some_and(|(one, other)| one != other)
}

/// Headers that do not fit into the list that agents read.
fn headers(llm: &Llm) -> Option<String> {
    let lost = llm.custom_headers.iter().filter(|header| header.member().is_none());
    let lost: Vec<_> = lost.map(|header| format!("{:?}", header.name)).collect();
    (!lost.is_empty()).then(|| {
        format!("agent.llm.customHeaders cannot pass on {}: agents read a list separated by commas", lost.join(", "))
    })
}
