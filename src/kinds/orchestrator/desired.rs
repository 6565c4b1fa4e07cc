//! An Orchestrator's spec in, everything that should exist out. PURE.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, EnvVar};
use serde_json::{Map, Value, json};

use super::{
    OrchestratorSpec,
    command::{self, Command},
    env,
    files::{self, ConfigFile},
    notes,
};
use crate::{
    children::{
        config_map::config_map,
        metadata::{Family, Pairs, check_name},
        security,
        service::{Port, service},
        workload::{self, Number, Pods, deployment},
    },
    kinds::{Desired, Found, InvalidSpec, KindCondition, Related},
    object::{DesiredChild, Identity, digest},
};

/// The image names its user by a word that no kubelet can check; this is the number of it, and it owns the files.
const USER: i64 = 1000;
/// Folder that the program reads its settings from.
const FOLDER: &str = "/home/infer/.infer";
/// Name of the receiver's port.
const RECEIVER: &str = "otlp-http";

pub(super) fn desired(parent: &Identity, spec: &OrchestratorSpec, related: &Related) -> Result<Desired, InvalidSpec> {
    let receiver = spec.telemetry.receiver_port();
    check_name(&parent.name, receiver.map(|_| "-receiver"))?;
    if spec.image.is_empty() {
        return Err(InvalidSpec { field: "spec.image".into(), message: "must name an image".into() });
    }
    spec.channels.telegram.check()?;
    let family = Family { parent, program: "inference-gateway-cli", component: "orchestrator" };
    let decided = command::decided(&parent.annotations, &spec.image)?;
    let env = env::environment(spec)?;
    let mut files: Vec<_> = files::agents(&spec.a2a, related).into_iter().collect();
    files.extend(files::mcps(&spec.mcp, related)?);

    let mut children: Vec<_> = files
        .iter()
        .map(|file| {
            config_map(&family, &map_name(parent, file), Pairs::from([(file.name.into(), file.content.clone())]))
        })
        .collect();
    children.extend(receiver.map(|number| {
        let port = Port { name: RECEIVER, number, protocol: None };
        service(&family, &format!("{}-receiver", parent.name), "ClusterIP", &[port], Pairs::new())
    }));
    let conditions = conditions(spec, related, &env);
    let notes = notes::notes(spec, &env, decided.is_some());
    children.push(pods(&family, spec, related, &files, decided.unwrap_or(Command::ChannelsManager), env));
    Ok(Desired { children, status: status(spec, related), conditions, notes })
}

fn map_name(parent: &Identity, file: &ConfigFile) -> String {
    format!("{}-{}", parent.name, file.suffix)
}

/// One pod: Telegram answers one listener a token. Without probes, because the program listens to nothing.
fn pods(
    family: &Family<'_>,
    spec: &OrchestratorSpec,
    related: &Related,
    files: &[ConfigFile],
    command: Command,
    env: Vec<EnvVar>,
) -> DesiredChild {
    let mut annotations = workload::config_hash(&spec.config_maps(), &related.config_maps);
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    for file in files {
        let hash = digest(file.content.as_bytes());
        let hash = hash.strip_prefix("sha256:").unwrap_or(&hash).to_owned();
        annotations.insert(format!("inference-gateway.com/{}-config-hash", file.suffix), hash);
        // The folder itself stays the image's, because the program writes to it.
        let (volume, mount) = workload::config_file(
            &format!("{}-config", file.suffix),
            &map_name(family.parent, file),
            file.name,
            &format!("{FOLDER}/{}", file.name),
        );
        volumes.push(volume);
        mounts.push(mount);
    }
    let container = Container {
        name: "orchestrator".into(),
        image: Some(spec.image.clone()),
        command: Some(vec!["infer".into()]),
        args: Some(vec![command.as_str().into()]),
        env: Some(env),
        ports: spec.telemetry.receiver_port().map(|number| vec![workload::port(RECEIVER, number)]),
        resources: spec.resources.clone(),
        volume_mounts: Some(mounts).filter(|mounts| !mounts.is_empty()),
        security_context: Some(security::container()),
        ..Container::default()
    };
    let security = Some(security::pod(Some(USER)));
    deployment(family, Number::Single, Pods { annotations, service_account: None, security, container, volumes })
}

fn urls(found: &[Found]) -> BTreeSet<&str> {
    found.iter().map(|found| &*found.url).collect()
}

/// Counts are there also while nobody looks, so that the columns of a table are never blank.
fn status(spec: &OrchestratorSpec, related: &Related) -> Map<String, Value> {
    let mut status = Map::new();
    for (found, list, count) in [
        (spec.a2a.found(related), "discoveredAgents", "discoveredAgentCount"),
        (spec.mcp.found(related), "discoveredMCPs", "discoveredMCPCount"),
    ] {
        let urls = found.map(urls);
        status.insert(count.into(), json!(urls.as_ref().map_or(0, BTreeSet::len)));
        if let Some(urls) = urls {
            status.insert(list.into(), json!(urls));
        }
    }
    status
}

fn conditions(spec: &OrchestratorSpec, related: &Related, env: &[EnvVar]) -> Vec<KindCondition> {
    let mut conditions = Vec::new();
    for (found, kind, reason, what) in [
        (spec.a2a.found(related), "Discovered", "AgentsDiscovered", "agent"),
        (spec.mcp.found(related), "MCPsDiscovered", "MCPsDiscovered", "MCP server"),
    ] {
        if let Some(number) = found.map(|found| urls(found).len()) {
            let message = format!("{number} {what}{} found", if number == 1 { "" } else { "s" });
            conditions.push(KindCondition::new(kind, "True", reason, &message, false));
        }
    }
    if !env::has_work(env) {
        let message =
            "neither channels.telegram nor tools.schedule is switched on: the program has nothing to do and ends";
        conditions.push(KindCondition::new("ChannelsReady", "False", "NoChannelEnabled", message, true));
    }
    if let Some(rival) = &related.rival {
        let message = format!(
            "Orchestrator {rival} has the same channels.telegram.tokenSecretRef: Telegram answers one listener a token"
        );
        conditions.push(KindCondition::new("TokenExclusive", "False", "TokenShared", &message, true));
    }
    conditions
}
