//! `spec.service` and `spec.ingress` of a Gateway. PURE.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Service in front of the pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Where the Service can be reached from: inside the cluster (ClusterIP), on every node (NodePort), or by a load
    /// balancer of the cloud (LoadBalancer). ExternalName is not possible: such a Service has no pods.
    #[serde(rename = "type")]
    pub type_: ServiceType,
    /// Port of the Service. When left out it is `server.port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Annotations of the Service, for example for the cloud's load balancer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A type of Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[expect(missing_docs, reason = "a comment here would end up in the schema and say what the name says")]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

impl ServiceType {
    /// As Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Access from outside the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    // The API server tries a rule on the bare default `{}` too, hence has() on a field that has a default of its own.
    "rule": "!has(self.enabled) || !self.enabled || (has(self.host) && self.host != '') || (has(self.hosts) && size(self.hosts) > 0)",
    "message": "an enabled ingress needs host or hosts",
}]))]
pub struct Ingress {
    /// Make an Ingress. Needs an ingress controller in the cluster.
    pub enabled: bool,
    /// The one host name, for everything below `/`. Comes before `hosts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Name of the IngressClass; `nginx` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Annotations of the Ingress.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Several host names with their paths, when `host` is not set.
    pub hosts: Vec<Host>,
    /// HTTPS at the Ingress. The block's presence switches it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<IngressTls>,
}

/// A host of the Ingress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Host name. An empty one stands for every host that no other Ingress names.
    pub host: String,
    /// Paths that lead to the gateway; everything below `/` when left out.
    #[serde(default)]
    pub paths: Vec<HostPath>,
}

/// A path of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostPath {
    /// Path of the request.
    pub path: String,
    /// How `path` is compared with the path of a request.
    #[serde(default)]
    pub path_type: PathType,
}

/// A way to compare paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[expect(missing_docs, reason = "a comment here would end up in the schema and say what the name says")]
pub enum PathType {
    Exact,
    #[default]
    Prefix,
    ImplementationSpecific,
}

impl PathType {
    /// As Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "Exact",
            Self::Prefix => "Prefix",
            Self::ImplementationSpecific => "ImplementationSpecific",
        }
    }
}

/// TLS of the Ingress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// Serve HTTPS.
    pub enabled: bool,
    /// Name of a cert-manager ClusterIssuer that makes the certificate. Without it the Secret must exist or be made by
    /// somebody else. For a namespaced Issuer set the annotation `cert-manager.io/issuer` yourself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Secret with the certificate for all hosts that `config` does not name; the name of the Gateway with `-tls` when
    /// left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Other certificates for single hosts. A host named here leaves the certificate above.
    pub config: Vec<IngressTlsConfig>,
}

impl Default for IngressTls {
    fn default() -> Self {
        Self { enabled: true, issuer: None, secret_name: None, config: Vec::new() }
    }
}

/// A certificate for some hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressTlsConfig {
    /// Secret with the certificate.
    pub secret_name: String,
    /// Hosts that it is for.
    #[serde(default)]
    pub hosts: Vec<String>,
}

impl Ingress {
    /// The TLS settings that are in use.
    #[must_use]
    pub fn active_tls(&self) -> Option<&IngressTls> {
        self.tls.as_ref().filter(|tls| tls.enabled)
    }
}
