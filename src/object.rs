//! The words of the pipeline: which object (identity), what it says (JSON), and a digest of that. PURE.
//!
//! Nothing here knows a kind of custom resource, a stage or a client.

pub mod compare;
pub mod live;
pub mod normal;
pub mod path;
pub mod quantity;

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Field manager of every object the operator applies. This name is API: a change needs a migration.
pub const FIELD_MANAGER: &str = "inference-gateway-operator";
/// Field manager of the status of the operator's custom resources.
pub const STATUS_MANAGER: &str = "inference-gateway-operator-status";
/// Field manager that holds a value for the moment in which an autoscaler takes it over.
pub const HANDOVER_MANAGER: &str = "inference-gateway-operator-handover";
/// Label of every generated object; one watch per child kind selects on it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "inference-gateway-operator";
/// Annotation on children: digest of the whole applied document, so that a field that is no longer sent is noticed.
pub const INTENT_ANNOTATION: &str = "inference-gateway.com/intent";
/// Annotation on children: `Kind/name` of the custom resource, which survives a stripped owner reference.
pub const OWNER_ANNOTATION: &str = "inference-gateway.com/owner";
/// Annotation on children: the policies that have changed or added it, by their short names, separated by commas.
pub const POLICIES_ANNOTATION: &str = "inference-gateway.com/policies";
/// Annotation on custom resources: with the value `true`, objects of the wanted names that have no controller are taken over.
pub const ADOPT_ANNOTATION: &str = "inference-gateway.com/adopt";
/// Annotation on custom resources: with the value `true`, nothing is created, changed or deleted for it.
pub const PAUSED_ANNOTATION: &str = "inference-gateway.com/paused";

/// API group of the Gateway API.
const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// API group of the Prometheus operator.
const PROMETHEUS: &str = "monitoring.coreos.com";

/// A kind of object that the operator makes: generates, or lets policies add. The order is the order of applying: what others
/// need comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    /// `v1` ServiceAccount.
    ServiceAccount,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `v1` Service.
    Service,
    /// `gateway.networking.k8s.io/v1` Gateway: not the custom resource of that name.
    ApiGateway,
    /// `gateway.networking.k8s.io/v1` HTTPRoute.
    HttpRoute,
    /// `security.istio.io/v1` PeerAuthentication.
    PeerAuthentication,
    /// `networking.istio.io/v1` DestinationRule.
    DestinationRule,
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy,
    /// `monitoring.coreos.com/v1` ServiceMonitor.
    ServiceMonitor,
    /// `monitoring.coreos.com/v1` PodMonitor.
    PodMonitor,
    /// `apps/v1` Deployment.
    Deployment,
    /// `networking.k8s.io/v1` Ingress.
    Ingress,
    /// `autoscaling/v2` HorizontalPodAutoscaler.
    HorizontalPodAutoscaler,
}

/// How the API server names a [`ChildKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Version inside the group.
    pub version: &'static str,
    /// Kind, as in a manifest.
    pub kind: &'static str,
    /// Plural, as in a path.
    pub plural: &'static str,
}

impl ChildKind {
    /// Every kind, in the order of applying.
    pub const ALL: [Self; 13] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::ApiGateway,
        Self::HttpRoute,
        Self::PeerAuthentication,
        Self::DestinationRule,
        Self::NetworkPolicy,
        Self::ServiceMonitor,
        Self::PodMonitor,
        Self::Deployment,
        Self::Ingress,
        Self::HorizontalPodAutoscaler,
    ];

    /// Group, version, kind and plural.
    #[must_use]
    pub const fn info(self) -> KindInfo {
        let (group, version, kind, plural) = match self {
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::ApiGateway => (GATEWAY_API, "v1", "Gateway", "gateways"),
            Self::HttpRoute => (GATEWAY_API, "v1", "HTTPRoute", "httproutes"),
            Self::PeerAuthentication => ("security.istio.io", "v1", "PeerAuthentication", "peerauthentications"),
            Self::DestinationRule => ("networking.istio.io", "v1", "DestinationRule", "destinationrules"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::ServiceMonitor => (PROMETHEUS, "v1", "ServiceMonitor", "servicemonitors"),
            Self::PodMonitor => (PROMETHEUS, "v1", "PodMonitor", "podmonitors"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::HorizontalPodAutoscaler => {
                ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            }
        };
        KindInfo { group, version, kind, plural }
    }

    /// The kinds that must be on the server before an object of this kind makes sense.
    #[must_use]
    pub const fn needs(self) -> &'static [Self] {
        match self {
            // Pods that start before the control that goes with them run without it.
            Self::Deployment => &[
                Self::ServiceAccount,
                Self::ConfigMap,
                Self::PeerAuthentication,
                Self::DestinationRule,
                Self::NetworkPolicy,
            ],
            // It would say how to speak to somebody else's Service of that name.
            Self::DestinationRule | Self::Ingress => &[Self::Service],
            Self::HttpRoute => &[Self::Service, Self::ApiGateway],
            // It would scale somebody else's Deployment of that name.
            Self::HorizontalPodAutoscaler => &[Self::Deployment],
            _ => &[],
        }
    }

    /// Whether a server may be without the kind: it comes with a CustomResourceDefinition, and not with Kubernetes.
    #[must_use]
    pub const fn optional(self) -> bool {
        matches!(
            self,
            Self::ApiGateway
                | Self::HttpRoute
                | Self::PeerAuthentication
                | Self::DestinationRule
                | Self::ServiceMonitor
                | Self::PodMonitor
        )
    }

    /// Whether nothing but a policy asks for objects of the kind. Unless it is switched on nobody watches it.
    #[must_use]
    pub const fn added_only(self) -> bool {
        self.protects() || matches!(self, Self::ServiceMonitor | Self::PodMonitor)
    }

    /// Whether an object of this kind is a control that a workload must not run without.
    #[must_use]
    pub const fn protects(self) -> bool {
        matches!(self, Self::PeerAuthentication | Self::DestinationRule | Self::NetworkPolicy)
    }

    /// Whether requests from outside the cluster come in by an object of this kind.
    #[must_use]
    pub const fn exposes(self) -> bool {
        matches!(self, Self::Ingress | Self::ApiGateway | Self::HttpRoute)
    }

    /// Its name where it stands alone: the kind, with its group where the kind alone would name a custom resource too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiGateway => "Gateway.gateway.networking.k8s.io",
            _ => self.info().kind,
        }
    }
}

impl KindInfo {
    /// `group/version`, or `version` alone for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `Kind.group`, or the kind alone for the core group.
    #[must_use]
    pub fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.into() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Path of the collection in a namespace, or over all namespaces.
    #[must_use]
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api".into() } else { format!("/apis/{}", self.group) };
        match namespace {
            Some(ns) => format!("{root}/{}/namespaces/{ns}/{}", self.version, self.plural),
            None => format!("{root}/{}/{}", self.version, self.plural),
        }
    }
}

impl fmt::Display for ChildKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which generated object: kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Its kind.
    pub kind: ChildKind,
    /// Its namespace: always that of the custom resource.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectId {
    /// Puts an identity together.
    #[must_use]
    pub fn new(kind: ChildKind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Which custom resource: kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParentId {
    /// Its kind, for example `Gateway`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for ParentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What a pure function may know of the custom resource besides its spec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid: tells a custom resource from one of the same name that was made later.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// One object that should exist: the document to apply, without owner reference, intent and managed-by label (the
/// seal adds them).
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredChild {
    /// Which object.
    pub id: ObjectId,
    /// `apiVersion`, `kind`, `metadata` and the rest.
    pub body: Value,
    /// Paths (`/spec/replicas`) whose owner changes when the user turns an autoscaler on or off: given away
    /// without a change of the value, and taken back without calling it a conflict.
    pub shared_fields: &'static [&'static str],
}

/// Lower-case hex SHA-256 of bytes, with its prefix: `sha256:...`.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in Sha256::digest(bytes) {
        use fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The object at `path` below `value`, made when it is absent. A value of another type on the way is replaced.
pub fn object_at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut here = value;
    for key in path {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        here = match here {
            Value::Object(map) => map.entry(*key).or_insert_with(|| Value::Object(Map::new())),
            other => other,
        };
    }
    if !here.is_object() {
        *here = Value::Object(Map::new());
    }
    match here {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

#[cfg(test)]
mod tests {
    use super::ChildKind::{self, Deployment, DestinationRule, NetworkPolicy, PeerAuthentication, Service};

    #[test]
    fn what_is_needed_is_applied_before() {
        assert!(ChildKind::ALL.is_sorted(), "the order of the list is that of the kinds");
        for kind in ChildKind::ALL {
            assert!(kind.needs().iter().all(|needed| *needed < kind), "{kind}");
        }
    }

    #[test]
    fn a_workload_waits_for_its_controls_and_not_for_its_monitors() {
        for kind in ChildKind::ALL.into_iter().filter(|kind| kind.added_only()) {
            assert!(kind < Deployment, "{kind}");
            assert_eq!(Deployment.needs().contains(&kind), kind.protects(), "{kind}");
        }
        let controls: Vec<_> = ChildKind::ALL.into_iter().filter(|kind| kind.protects()).collect();
        assert_eq!(controls, [PeerAuthentication, DestinationRule, NetworkPolicy]);
        assert_eq!(DestinationRule.needs(), [Service]);
    }

    #[test]
    fn kubernetes_has_network_policies_and_brings_none_of_the_others() {
        let built_in: Vec<_> =
            ChildKind::ALL.into_iter().filter(|kind| kind.added_only() && !kind.optional()).collect();
        assert_eq!(built_in, [NetworkPolicy]);
        assert!(ChildKind::ALL.into_iter().filter(|kind| kind.optional()).all(|kind| kind.info().group.contains('.')));
    }
}
