//! An Agent's spec in, everything that should exist out. PURE.

use k8s_openapi::api::core::v1::{Container, ResourceRequirements, SecretKeySelector, Volume, VolumeMount};
use serde_json::{Map, Value, json};

use super::{AgentSpec, env, notes};
use crate::{
    children::{
        metadata::{Family, Pairs, check_name},
        security,
        service::{Port, service},
        workload::{self, Number, Pods, deployment},
    },
    kinds::{Desired, InvalidSpec, Related},
    object::{DesiredChild, Identity},
};

/// Name of the main port, on the container and on the Service.
const HTTP: &str = "http";
/// Name of the port for Prometheus.
const METRICS: &str = "metrics";

pub(super) fn desired(parent: &Identity, spec: &AgentSpec, related: &Related) -> Result<Desired, InvalidSpec> {
    check_name(&parent.name, Some(""))?;
    check(spec)?;
    let family = Family { parent, program: "agent", component: "agent" };
    let children = vec![agent_service(&family, spec), agent_deployment(&family, spec, related)?];
    let mut status = Map::from_iter([("url".to_owned(), json!(address(parent, spec)))]);
    let seen = related.card.as_ref();
    if let Some(card) = seen.and_then(|seen| seen.card.as_deref()) {
        status.insert("card".to_owned(), Value::clone(card));
    }
    let conditions = seen.map(|seen| seen.condition.clone()).into_iter().collect();
    Ok(Desired { children, status, conditions, notes: notes::notes(spec) })
}

/// Where the agent answers inside the cluster.
pub(super) fn address(parent: &Identity, spec: &AgentSpec) -> String {
    let scheme = if spec.tls.enabled { "https" } else { "http" };
    format!("{scheme}://{}.{}.svc.cluster.local:{}", parent.name, parent.namespace, spec.port)
}

/// Where the agent offers its metrics to Prometheus, when it does: a collector comes before.
pub(super) fn prometheus_port(spec: &AgentSpec) -> Option<i32> {
    let telemetry = &spec.telemetry;
    if !telemetry.enabled || telemetry.metrics_otlp().is_some() {
        return None;
    }
    match telemetry.metrics.exporter.as_ref().and_then(|exporter| exporter.prometheus.as_ref()) {
        Some(prometheus) => Some(prometheus.port.unwrap_or(telemetry.metrics.port)),
        None => telemetry.metrics_port(),
    }
}

/// The same for the Service: only when Prometheus is to reach it.
fn exposed_metrics(spec: &AgentSpec) -> Option<i32> {
    prometheus_port(spec).filter(|_| spec.telemetry.metrics.enabled)
}

/// What the schema refuses, and resources that were stored before it can still say; and two servers on one port.
fn check(spec: &AgentSpec) -> Result<(), InvalidSpec> {
    let invalid = |field: &str, message: String| Err(InvalidSpec { field: field.into(), message });
    if spec.image.trim().is_empty() {
        return invalid("spec.image", "must name the container image of the agent".into());
    }
    if !(1..=65535).contains(&spec.port) {
        return invalid("spec.port", format!("{} is not a port from 1 to 65535", spec.port));
    }
    if spec.tls.enabled && spec.tls.secret().is_none() {
        let message = "is missing: tls.enabled needs the name of a Secret with tls.crt and tls.key";
        return invalid("spec.tls.secretRef", message.into());
    }
    if prometheus_port(spec) == Some(spec.port) {
        return invalid("spec.telemetry.metrics", format!("its port {0} is also spec.port", spec.port));
    }
    Ok(())
}

fn agent_service(family: &Family<'_>, spec: &AgentSpec) -> DesiredChild {
    let protocol = spec.tls.enabled.then_some("https");
    let mut ports = vec![Port { name: HTTP, number: spec.port, protocol }];
    ports.extend(exposed_metrics(spec).map(|number| Port { name: METRICS, number, protocol: None }));
    service(family, &family.parent.name, "ClusterIP", &ports, Pairs::new())
}

fn agent_deployment(family: &Family<'_>, spec: &AgentSpec, related: &Related) -> Result<DesiredChild, InvalidSpec> {
    let tls = spec.tls.enabled;
    let mut ports = vec![workload::port(HTTP, spec.port)];
    ports.extend(exposed_metrics(spec).map(|number| workload::port(METRICS, number)));
    let (volumes, mounts): (Vec<_>, Vec<_>) = certificates(spec).into_iter().unzip();
    let container = Container {
        name: "agent".into(),
        image: Some(spec.image.clone()),
        env: Some(env::environment(family.parent, spec)?),
        ports: Some(ports),
        liveness_probe: Some(workload::http_probe("/health", HTTP, tls)),
        readiness_probe: Some(workload::http_probe("/health", HTTP, tls)),
        resources: spec.resources.clone().filter(|given| *given != ResourceRequirements::default()),
        security_context: Some(security::container()),
        volume_mounts: Some(mounts).filter(|mounts| !mounts.is_empty()),
        ..Container::default()
    };
    let pods = Pods {
        annotations: workload::config_hash(&spec.config_maps(), &related.config_maps),
        service_account: None,
        // Images of agents run as root, or as a user that they know by name only.
        security: Some(security::pod(None)),
        container,
        volumes,
    };
    Ok(deployment(family, Number::Fixed(1), pods))
}

/// The Secrets with certificates, as folders of the container.
fn certificates(spec: &AgentSpec) -> Vec<(Volume, VolumeMount)> {
    let [certificate, key, authority] = env::TLS_FILES;
    let folder = |volume: &str, folder: &str, secret: &str, files: &[(&str, Option<bool>)]| {
        let keys: Vec<_> = files
            .iter()
            .map(|(file, optional)| {
                (SecretKeySelector { name: secret.into(), key: (*file).into(), optional: *optional }, *file)
            })
            .collect();
        let keys: Vec<_> = keys.iter().map(|(key, file)| (key, *file)).collect();
        workload::secret_files(volume, folder, &keys)
    };
    let served = spec
        .tls
        .secret()
        .map(|secret| folder("tls", env::SERVER_TLS_FOLDER, secret, &[(certificate, None), (key, None)]));
    let shown = spec.agent.tls.secret().map(|secret| {
        let files = [(certificate, None), (key, None), (authority, Some(true))];
        folder("llm-tls", env::CLIENT_TLS_FOLDER, secret, &files)
    });
    served.into_iter().chain(shown).collect()
}
