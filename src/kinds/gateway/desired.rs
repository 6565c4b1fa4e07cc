//! A Gateway's spec in, everything that should exist out. PURE.

use k8s_openapi::api::core::v1::{Container, ResourceRequirements, SecretKeySelector, Volume, VolumeMount};
use serde_json::{Map, Value, json};

use super::{GatewaySpec, env, exposure, notes, server::Server, tools::DISCOVERED};
use crate::{
    children::{
        metadata::{Family, Pairs, check_name},
        resources::{Wish, requirements},
        security,
        service_account::service_account,
        workload::{self, Number, Pods, deployment},
    },
    kinds::{Desired, Found, InvalidSpec, Related},
    object::{DesiredChild, Identity, digest},
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
    children.extend(spec.routing.child(&family));
    children.push(exposure::gateway_service(&family, spec)?);
    children.push(gateway_deployment(&family, spec, related, account)?);
    children.extend(exposure::gateway_ingress(&family, spec)?);
    children.extend(spec.gateway_api().1.children(&family, exposure::service_port(spec)));
    children.extend(spec.hpa.autoscaler(&family, &format!("{}-hpa", parent.name)));
    let status = status(&family, spec, related, account);
    Ok(Desired { children, status, notes: notes::notes(parent, spec), ..Desired::default() })
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
        env: Some(env::environment(spec, found(related))?),
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
    let (volumes, mounts): (Vec<_>, Vec<_>) = files(spec, &family.parent.name)?.into_iter().unzip();
    container.volume_mounts = Some(mounts).filter(|mounts| !mounts.is_empty());
    let pods = Pods {
        annotations: config_hash(spec, related, &family.parent.name),
        service_account: Some(account.into()),
        security: Some(security::pod(Some(USER))),
        container,
        volumes,
    };
    let number = if spec.hpa.enabled { Number::Scaled } else { Number::Fixed(spec.replicas) };
    Ok(deployment(family, number, pods))
}

/// The files that the pods mount.
fn files(spec: &GatewaySpec, name: &str) -> Result<Vec<(Volume, VolumeMount)>, InvalidSpec> {
    let mut files = Vec::new();
    if let Some((certificate, key)) = spec.server.certificate() {
        check_tls(&spec.server, [&certificate, &key])?;
        let keys = [(&certificate, env::TLS_FILES.0), (&key, env::TLS_FILES.1)];
        files.push(workload::secret_files("inference-gateway-tls", env::TLS_FOLDER, &keys));
    }
    files.extend(spec.auth.files());
    files.extend(spec.routing.files(name));
    files.extend(spec.guardrails.files());
    Ok(files)
}

/// Our own ConfigMap counts like those of others: the gateway reads it at its start only.
fn config_hash(spec: &GatewaySpec, related: &Related, name: &str) -> Pairs {
    let mut names = spec.config_maps();
    let Some((own, text)) = spec.routing.own_config_map(name) else {
        return workload::config_hash(&names, &related.config_maps);
    };
    let mut contents = related.config_maps.clone();
    contents.insert(own.clone(), digest(text.as_bytes()));
    names.insert(own);
    workload::config_hash(&names, &contents)
}

/// The MCP servers that were found.
fn found(related: &Related) -> &[Found] {
    related.found.get(DISCOVERED).map_or(&[], |found| found)
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

fn status(family: &Family<'_>, spec: &GatewaySpec, related: &Related, account: &str) -> Map<String, Value> {
    let providers: Vec<_> = spec.active_providers().map(|provider| provider.name.as_str()).collect();
    let servers = spec.mcp.urls(found(related));
    let mut status = Map::from_iter([
        ("url".to_owned(), json!(exposure::url(family, spec))),
        ("providerSummary".to_owned(), json!(providers.join(","))),
        ("serviceAccountName".to_owned(), json!(account)),
        ("selector".to_owned(), json!(format!("app={}", family.parent.name))),
        ("mcpServerCount".to_owned(), json!(servers.len())),
    ]);
    if !servers.is_empty() {
        status.insert("mcpServers".to_owned(), json!(servers));
    }
    status
}
