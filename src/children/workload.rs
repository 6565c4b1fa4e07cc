//! The Deployment of one container, its probes and the files it mounts. PURE.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::{
            ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction, KeyToPath, PodSecurityContext, PodSpec,
            PodTemplateSpec, Probe, ProjectedVolumeSource, SecretKeySelector, SecretProjection, SecretVolumeSource,
            TCPSocketAction, Volume, VolumeMount, VolumeProjection,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::metadata::{Family, Pairs};
use crate::object::{ChildKind, DesiredChild, digest};

/// Annotation on pods: digest of the ConfigMaps that they read, so that a change of one rolls them.
pub const CONFIG_HASH_ANNOTATION: &str = "inference-gateway.com/config-hash";

/// What runs in the pods.
#[derive(Debug, Clone, Default)]
pub struct Pods {
    /// Annotations of the pods.
    pub annotations: Pairs,
    /// Name of the ServiceAccount.
    pub service_account: Option<String>,
    /// Security settings of the pod.
    pub security: Option<PodSecurityContext>,
    /// The container.
    pub container: Container,
    /// Volumes that the container mounts.
    pub volumes: Vec<Volume>,
}

/// How many pods there are at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// So many, replaced one after the other.
    Fixed(i32),
    /// Somebody else's decision: an autoscaler's.
    Scaled,
    /// One at any time: the old one ends before the new one begins.
    Single,
}

/// The Deployment, named as the custom resource.
#[must_use]
pub fn deployment(family: &Family<'_>, number: Number, pods: Pods) -> DesiredChild {
    let name = &family.parent.name;
    let (replicas, strategy) = match number {
        Number::Fixed(replicas) => (Some(replicas), None),
        Number::Scaled => (None, None),
        Number::Single => (Some(1), Some("Recreate")),
    };
    let object = Deployment {
        metadata: family.metadata(name, Pairs::new()),
        spec: DeploymentSpec {
            replicas,
            strategy: strategy.map(|type_| DeploymentStrategy { type_: Some(type_.into()), rolling_update: None }),
            selector: LabelSelector { match_labels: Some(family.selector()), match_expressions: None },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(family.pod_labels()),
                    annotations: Some(pods.annotations).filter(|a| !a.is_empty()),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    service_account_name: pods.service_account,
                    security_context: pods.security,
                    containers: vec![pods.container],
                    volumes: Some(pods.volumes).filter(|v| !v.is_empty()),
                    ..PodSpec::default()
                }),
            },
            ..DeploymentSpec::default()
        },
        status: None,
    };
    let mut child = family.child(ChildKind::Deployment, name, &object);
    child.shared_fields = &["/spec/replicas"];
    child
}

/// The annotation that makes the pods roll when a ConfigMap changes that their environment reads. `digests`: of those
/// that exist.
#[must_use]
pub fn config_hash(names: &BTreeSet<String>, digests: &BTreeMap<String, String>) -> Pairs {
    let mut text = String::new();
    for name in names {
        let content = digests.get(name).map_or("absent", String::as_str);
        text.extend([name.as_str(), "=", content, "\n"]);
    }
    if text.is_empty() {
        return Pairs::new();
    }
    Pairs::from([(CONFIG_HASH_ANNOTATION.into(), digest(text.as_bytes()))])
}

/// A named port of a container.
#[must_use]
pub fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number,
        // Part of the merge key, as in a Service.
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

/// A probe that asks for `path` on the port of this name.
#[must_use]
pub fn http_probe(path: &str, port: &str, tls: bool) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(port.into()),
            scheme: tls.then(|| "HTTPS".into()),
            ..HTTPGetAction::default()
        }),
        initial_delay_seconds: Some(5),
        period_seconds: Some(10),
        ..Probe::default()
    }
}

/// A probe that connects to the port of this name.
#[must_use]
pub fn tcp_probe(port: &str) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction { port: IntOrString::String(port.into()), host: None }),
        initial_delay_seconds: Some(5),
        period_seconds: Some(10),
        ..Probe::default()
    }
}

/// One key of a ConfigMap as a read-only file at `path`. What is beside it in the image's folder stays visible; a changed
/// ConfigMap does not reach running pods.
#[must_use]
pub fn config_file(volume: &str, config_map: &str, key: &str, path: &str) -> (Volume, VolumeMount) {
    (
        Volume {
            name: volume.into(),
            config_map: Some(ConfigMapVolumeSource { name: config_map.into(), ..ConfigMapVolumeSource::default() }),
            ..Volume::default()
        },
        VolumeMount {
            name: volume.into(),
            mount_path: path.into(),
            sub_path: Some(key.into()),
            read_only: Some(true),
            ..VolumeMount::default()
        },
    )
}

/// A read-only folder that holds the keys of a ConfigMap, each as a file of its name.
#[must_use]
pub fn config_folder(volume: &str, config_map: &str, folder: &str) -> (Volume, VolumeMount) {
    let (source, mut mount) = config_file(volume, config_map, "", folder);
    mount.sub_path = None;
    (source, mount)
}

/// A read-only folder that holds the keys of a Secret, each as a file of its name.
#[must_use]
pub fn secret_folder(volume: &str, secret: &str, folder: &str) -> (Volume, VolumeMount) {
    (
        Volume {
            name: volume.into(),
            secret: Some(SecretVolumeSource { secret_name: Some(secret.into()), ..SecretVolumeSource::default() }),
            ..Volume::default()
        },
        VolumeMount { name: volume.into(), mount_path: folder.into(), read_only: Some(true), ..VolumeMount::default() },
    )
}

/// A read-only folder that holds keys of Secrets, each under its own file name.
#[must_use]
pub fn secret_files(volume: &str, folder: &str, files: &[(&SecretKeySelector, &str)]) -> (Volume, VolumeMount) {
    let sources = files
        .iter()
        .map(|(secret, file)| VolumeProjection {
            secret: Some(SecretProjection {
                name: secret.name.clone(),
                optional: secret.optional,
                items: Some(vec![KeyToPath { key: secret.key.clone(), path: (*file).into(), ..KeyToPath::default() }]),
            }),
            ..VolumeProjection::default()
        })
        .collect();
    (
        Volume {
            name: volume.into(),
            projected: Some(ProjectedVolumeSource { sources: Some(sources), ..ProjectedVolumeSource::default() }),
            ..Volume::default()
        },
        VolumeMount { name: volume.into(), mount_path: folder.into(), read_only: Some(true), ..VolumeMount::default() },
    )
}
