//! An MCP server's spec in, everything that should exist out. PURE.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, EnvVar, Probe, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use serde_json::{Map, json};

use super::{DEFAULT_IMAGE, McpSpec, Server};
use crate::{
    children::{
        duration,
        env::Variables,
        metadata::{Family, Pairs, check_name},
        security,
        service::{Port, service},
        workload::{self, Number, Pods, deployment},
    },
    kinds::{Desired, InvalidSpec},
    object::{DesiredChild, Identity},
};

/// What the name of the Service has behind that of the custom resource.
pub(super) const SERVICE_SUFFIX: &str = "-service";

/// Name of the port, on the container and on the Service.
const HTTP: &str = "http";

/// Folder that the Secret is mounted in: where the Go operator had it.
const TLS_FOLDER: &str = "/etc/tls";

pub(super) fn desired(parent: &Identity, spec: &McpSpec) -> Result<Desired, InvalidSpec> {
    check(parent, spec)?;
    let family = Family { parent, program: "mcp-server", component: "mcp" };
    let mut children = vec![mcp_service(&family, &spec.server), mcp_deployment(&family, spec)];
    children.extend(spec.hpa.autoscaler(&family, &parent.name));
    let status = Map::from_iter([("url".to_owned(), json!(url(parent, spec)))]);
    Ok(Desired { children, status, notes: notes(parent, spec), ..Desired::default() })
}

/// The schema refuses all of it but the dot; resources that were stored before it can still say so.
pub(super) fn check(parent: &Identity, spec: &McpSpec) -> Result<(), InvalidSpec> {
    check_name(&parent.name, Some(SERVICE_SUFFIX))?;
    let server = &spec.server;
    if server.active_tls().is_some() && server.tls_secret().is_none() {
        return Err(InvalidSpec {
            field: "spec.server.tls.secretName".into(),
            message: "is needed while TLS is enabled".into(),
        });
    }
    if duration::nanoseconds(&server.timeout).is_none() {
        return Err(InvalidSpec {
            field: "spec.server.timeout".into(),
            message: format!("{:?} is not a duration such as 30s or 1m30s", server.timeout),
        });
    }
    Ok(())
}

/// Where the server answers.
pub(super) fn url(parent: &Identity, spec: &McpSpec) -> String {
    let server = &spec.server;
    format!(
        "{}://{}{SERVICE_SUFFIX}.{}.svc.cluster.local:{}{}",
        if server.active_tls().is_some() { "https" } else { "http" },
        parent.name,
        parent.namespace,
        server.port,
        server.path
    )
}

fn mcp_service(family: &Family<'_>, server: &Server) -> DesiredChild {
    let name = format!("{}{SERVICE_SUFFIX}", family.parent.name);
    let protocol = server.active_tls().map(|_| "https");
    service(family, &name, "ClusterIP", &[Port { name: HTTP, number: server.port, protocol }], Pairs::new())
}

fn mcp_deployment(family: &Family<'_>, spec: &McpSpec) -> DesiredChild {
    let server = &spec.server;
    let given = |words: &[String]| Some(words.to_vec()).filter(|words| !words.is_empty());
    let mut container = Container {
        name: "mcp".into(),
        image: Some(spec.image.clone()),
        command: given(&server.command),
        args: given(&server.args),
        env: Some(environment(server)),
        ports: Some(vec![workload::port(HTTP, server.port)]),
        startup_probe: Some(patient_probe()),
        liveness_probe: Some(workload::tcp_probe(HTTP)),
        readiness_probe: Some(workload::tcp_probe(HTTP)),
        resources: Some(requests()),
        security_context: Some(security::container()),
        ..Container::default()
    };
    let mut volumes = Vec::new();
    if let Some(secret) = server.tls_secret() {
        let (volume, mount) = workload::secret_folder("tls", secret, TLS_FOLDER);
        volumes.push(volume);
        container.volume_mounts = Some(vec![mount]);
    }
    let pods = Pods { security: Some(security::pod(None)), container, volumes, ..Pods::default() };
    let number = if spec.hpa.enabled { Number::Scaled } else { Number::Fixed(spec.replicas) };
    deployment(family, number, pods)
}

/// Five minutes to open the port: servers in images such as the default one often fetch their program when they start,
/// and the liveness probe alone would end them before they are through.
fn patient_probe() -> Probe {
    Probe { failure_threshold: Some(30), ..workload::tcp_probe(HTTP) }
}

/// An autoscaler counts in per cent of the requested CPU, so there has to be a request. No limits: what a server needs is
/// known to nobody here.
fn requests() -> ResourceRequirements {
    let requests = [("cpu", "100m"), ("memory", "128Mi")].map(|(name, amount)| (name.into(), Quantity(amount.into())));
    ResourceRequirements { requests: Some(BTreeMap::from(requests)), ..ResourceRequirements::default() }
}

fn environment(server: &Server) -> Vec<EnvVar> {
    let mut env = Variables::default();
    env.set("SERVER_HOST", "0.0.0.0");
    env.set("SERVER_PORT", server.port);
    env.set("SERVER_TIMEOUT", &server.timeout);
    if server.active_tls().is_some() {
        env.set("SERVER_TLS_CERT_PATH", format!("{TLS_FOLDER}/tls.crt"));
        env.set("SERVER_TLS_KEY_PATH", format!("{TLS_FOLDER}/tls.key"));
    }
    env.into_vars()
}

fn notes(parent: &Identity, spec: &McpSpec) -> Vec<String> {
    let mut notes = Vec::new();
    let server = &spec.server;
    if spec.image == DEFAULT_IMAGE && server.command.is_empty() && server.args.is_empty() {
        notes.push(format!(
            "image {DEFAULT_IMAGE} runs nothing by itself: it needs server.command or server.args, or give the image of a server"
        ));
    }
    if spec.replicas == 0 && !spec.hpa.enabled {
        notes.push("replicas is 0: nothing answers at the url".into());
    }
    notes.extend(spec.hpa.note("MCP", &parent.name));
    notes
}
