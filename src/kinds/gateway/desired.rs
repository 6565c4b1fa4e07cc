//! A Gateway's spec in, everything that should exist out. PURE.

use k8s_openapi::api::core::v1::{Container, ResourceRequirements, SecretKeySelector};
use serde_json::{Map, Value, json};

use super::{
    GatewaySpec, env, exposure,
    server::{AuthProvider, Server},
    tools::{HealthCheck, Mcp},
};
use crate::{
    children::{
        metadata::{Family, check_name},
        resources::{Wish, requirements},
        security,
        service_account::service_account,
        workload::{self, Number, Pods, deployment},
    },
    kinds::{Desired, InvalidSpec, Related},
    object::{DesiredChild, Identity},
};

/// The image runs as root unless told otherwise and works under any number; this one is nobody's.
const USER: i64 = 65532;

pub(super) fn desired(parent: &Identity, spec: &GatewaySpec, related: &Related) -> Result<Desired, InvalidSpec> {
    check_name(&parent.name, Some(""))?;
    let family = Family { parent, program: "inference-gateway", component: "gateway" };
    let account = spec.service_account.name.as_ref().filter(|name| !name.is_empty()).unwrap_or(&parent.name);

    let mut children = Vec::new();
    if spec.service_account.create {
        children.push(service_account(&family, account));
    }
    children.push(exposure::gateway_service(&family, spec)?);
    children.push(gateway_deployment(&family, spec, related, account)?);
    children.extend(exposure::gateway_ingress(&family, spec)?);
    children.extend(spec.hpa.autoscaler(&family, &format!("{}-hpa", parent.name)));
    let status = status(&family, spec, account);
    Ok(Desired { children, status, notes: notes(parent, spec), ..Desired::default() })
}

fn gateway_deployment(
    family: &Family<'_>,
    spec: &GatewaySpec,
    related: &Related,
    account: &str,
) -> Result<DesiredChild, InvalidSpec> {
    let tls = spec.server.tls_enabled();
    let mut container = Container {
        name: "inference-gateway".into(),
        image: Some(spec.image.clone()),
        env: Some(env::environment(spec)?),
        ports: Some(vec![workload::port(exposure::HTTP, spec.server.port)]),
        liveness_probe: Some(workload::http_probe("/health", exposure::HTTP, tls)),
        readiness_probe: Some(workload::http_probe("/health", exposure::HTTP, tls)),
        resources: Some(resources(spec)?),
        security_context: Some(security::container()),
        ..Container::default()
    };
    if spec.telemetry.enabled && spec.telemetry.metrics.port == spec.server.port {
        return Err(InvalidSpec {
            field: "spec.telemetry.metrics.port".into(),
            message: format!("{} is also server.port", spec.server.port),
        });
    }
    if let (Some(ports), Some(metrics)) = (container.ports.as_mut(), spec.telemetry.metrics_port()) {
        ports.push(workload::port(exposure::METRICS, metrics));
    }
    let mut volumes = Vec::new();
    if let Some((certificate, key)) = spec.server.certificate() {
        check_tls(&spec.server, [&certificate, &key])?;
        let files = [(&certificate, env::TLS_FILES.0), (&key, env::TLS_FILES.1)];
        let (volume, mount) = workload::secret_files("inference-gateway-tls", env::TLS_FOLDER, &files);
        volumes.push(volume);
        container.volume_mounts = Some(vec![mount]);
    }
    let pods = Pods {
        annotations: workload::config_hash(&spec.config_maps(), &related.config_maps),
        service_account: Some(account.into()),
        security: Some(security::pod(Some(USER))),
        container,
        volumes,
    };
    let number = if spec.hpa.enabled { Number::Scaled } else { Number::Fixed(spec.replicas) };
    Ok(deployment(family, number, pods))
}

/// The schema refuses both; resources that were stored before it can still say so.
fn check_tls(server: &Server, secrets: [&SecretKeySelector; 2]) -> Result<(), InvalidSpec> {
    let given = server.tls.as_ref().map(|tls| [tls.certificate_ref.is_some(), tls.key_ref.is_some()]);
    for (index, field) in ["certificateRef", "keyRef"].into_iter().enumerate() {
        let message = if given.is_some_and(|given| given[0] != given[1] && !given[index]) {
            "is missing: certificateRef and keyRef belong together"
        } else if secrets[index].name.is_empty() || secrets[index].key.is_empty() {
            "needs the name of a Secret and a key in it"
        } else {
            continue;
        };
        return Err(InvalidSpec { field: format!("spec.server.tls.{field}"), message: message.into() });
    }
    Ok(())
}

fn resources(spec: &GatewaySpec) -> Result<ResourceRequirements, InvalidSpec> {
    let (requests, limits) = (&spec.resources.requests, &spec.resources.limits);
    requirements(&[
        Wish {
            name: "cpu",
            request: requests.cpu.as_ref(),
            limit: limits.cpu.as_ref(),
            default_request: "100m",
            default_limit: "2",
        },
        Wish {
            name: "memory",
            request: requests.memory.as_ref(),
            limit: limits.memory.as_ref(),
            default_request: "256Mi",
            default_limit: "1Gi",
        },
    ])
    .map_err(|bad| InvalidSpec { field: format!("spec.resources.{}", bad.field), message: bad.message })
}

fn status(family: &Family<'_>, spec: &GatewaySpec, account: &str) -> Map<String, Value> {
    let providers: Vec<_> = spec.active_providers().map(|provider| provider.name.as_str()).collect();
    Map::from_iter([
        ("url".to_owned(), json!(exposure::url(family, spec))),
        ("providerSummary".to_owned(), json!(providers.join(","))),
        ("serviceAccountName".to_owned(), json!(account)),
        ("selector".to_owned(), json!(format!("app={}", family.parent.name))),
    ])
}

fn notes(parent: &Identity, spec: &GatewaySpec) -> Vec<String> {
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
