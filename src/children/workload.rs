//! The Deployment of one container, its probes and the files it mounts. PURE.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec},
        core::v1::{
            Container, ContainerPort, HTTPGetAction, KeyToPath, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
            ProjectedVolumeSource, SecretKeySelector, SecretProjection, Volume, VolumeMount, VolumeProjection,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::metadata::{Family, Pairs};
use crate::object::{ChildKind, DesiredChild};

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

/// The Deployment `name`. Without `replicas` the number of pods is somebody else's: an autoscaler's.
#[must_use]
pub fn deployment(family: &Family<'_>, name: &str, replicas: Option<i32>, pods: Pods) -> DesiredChild {
    let object = Deployment {
        metadata: family.metadata(name, Pairs::new()),
        spec: DeploymentSpec {
            replicas,
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
