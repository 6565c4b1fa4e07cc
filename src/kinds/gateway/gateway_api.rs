//! `spec.gatewayAPI` of a Gateway: access from outside the cluster by the Gateway API. PURE.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    children::{
        gateway_api::{Listener, api_gateway, http_route},
        metadata::{Family, Pairs},
    },
    object::DesiredChild,
};

const CLASS: &str = "envoy";

/// Access from outside the cluster by the Gateway API (`gateway.networking.k8s.io`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayApi {
    /// Make an HTTPRoute, and a Gateway for it unless `gateway.parentRefs` names one. Needs the definitions of the Gateway
    /// API in the cluster, and a controller of the class.
    pub enabled: bool,
    /// The Gateway of the Gateway API that requests come in by.
    pub gateway: ApiGateway,
    /// The HTTPRoute from there to the Service.
    pub http_route: ApiRoute,
}

/// The Gateway of the Gateway API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiGateway {
    /// Name of the GatewayClass of the Gateway that is made.
    pub gateway_class_name: String,
    /// Gateways that are there already: the HTTPRoute is attached to these, and none is made. Same shape as
    /// `kubectl explain httproute.spec.parentRefs`.
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentReference>,
    /// HTTPS at the Gateway that is made.
    pub tls: ApiTls,
}

impl Default for ApiGateway {
    fn default() -> Self {
        Self { gateway_class_name: CLASS.into(), parent_refs: Vec::new(), tls: ApiTls::default() }
    }
}

/// What an HTTPRoute is attached to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// API group; empty for the core group.
    #[serde(default = "group")]
    #[schemars(
        length(max = 253),
        regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub group: String,
    /// Kind.
    #[serde(default = "kind")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
    pub kind: String,
    /// Namespace; the one of this resource when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Name of the listener; all that fit when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub section_name: Option<String>,
    /// Port of the listener; any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

fn group() -> String {
    "gateway.networking.k8s.io".into()
}

fn kind() -> String {
    "Gateway".into()
}

/// HTTPS at the Gateway of the Gateway API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiTls {
    /// Listen for HTTPS on port 443 instead of HTTP on port 80. With `parentRefs` it only says that the URL in the status
    /// begins with https.
    pub enabled: bool,
    /// Name of a cert-manager ClusterIssuer that makes the certificate. Without it the Secret must exist or be made by
    /// somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Secret with the certificate; the name of this resource with `-tls` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
}

/// The HTTPRoute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiRoute {
    /// Host names that lead to the gateway; any when left out. The Gateway that is made listens for each of them.
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        )
    )]
    pub hostnames: Vec<String>,
}

impl GatewayApi {
    /// The HTTPRoute to this port of the Service of the same name, and the Gateway that it is attached to unless others
    /// are named. None when it is off.
    pub(super) fn children(&self, family: &Family<'_>, port: i32) -> Vec<DesiredChild> {
        if !self.enabled {
            return Vec::new();
        }
        let (name, gateway) = (&family.parent.name, &self.gateway);
        let hostnames = &self.http_route.hostnames;
        if !gateway.parent_refs.is_empty() {
            return vec![http_route(family, name, &json!(gateway.parent_refs), hostnames, (name, port))];
        }
        let class = Some(gateway.gateway_class_name.as_str()).filter(|class| !class.is_empty()).unwrap_or(CLASS);
        vec![
            api_gateway(family, name, class, self.annotations(), &self.listeners(name)),
            http_route(family, name, &json!([{ "name": name }]), hostnames, (name, port)),
        ]
    }

    /// One for each host name: a listener has only one, and a route's other host names would not get through.
    fn listeners(&self, name: &str) -> Vec<Listener> {
        let tls = self.active_tls();
        let secret = tls.map(|tls| {
            let named = tls.secret_name.clone().filter(|secret| !secret.is_empty());
            named.unwrap_or_else(|| format!("{name}-tls"))
        });
        let mut hostnames: Vec<Option<String>> = Vec::new();
        for hostname in &self.http_route.hostnames {
            if !hostnames.iter().flatten().any(|known| known == hostname) {
                hostnames.push(Some(hostname.clone()));
            }
        }
        if hostnames.is_empty() {
            hostnames.push(None);
        }
        hostnames.into_iter().map(|hostname| Listener { hostname, secret: secret.clone() }).collect()
    }

    fn annotations(&self) -> Pairs {
        let issuer = self.active_tls().and_then(|tls| tls.issuer.clone()).filter(|issuer| !issuer.is_empty());
        issuer.map(|issuer| ("cert-manager.io/cluster-issuer".into(), issuer)).into_iter().collect()
    }

    fn active_tls(&self) -> Option<&ApiTls> {
        Some(&self.gateway.tls).filter(|tls| tls.enabled)
    }

    /// Scheme and host that it can be reached by, when it is on and names a host.
    pub(super) fn url(&self) -> Option<String> {
        let host = self.http_route.hostnames.iter().find(|host| !host.starts_with('*')).filter(|_| self.enabled)?;
        Some(format!("{}://{host}", if self.active_tls().is_some() { "https" } else { "http" }))
    }

    /// Settings without effect. `field` is where it stands in the spec; `backend_tls`: whether the pods speak HTTPS.
    pub(super) fn notes(&self, field: &str, backend_tls: bool) -> Vec<String> {
        let mut notes = Vec::new();
        let gateway = &self.gateway;
        if !self.enabled {
            return notes;
        }
        if !gateway.parent_refs.is_empty() && gateway.gateway_class_name != CLASS {
            notes.push(format!("{field}.gateway.gatewayClassName has no effect: parentRefs names the Gateway"));
        }
        if !gateway.parent_refs.is_empty() && (gateway.tls.issuer.is_some() || gateway.tls.secret_name.is_some()) {
            notes.push(format!("{field}.gateway.tls makes no certificate: parentRefs names the Gateway that has it"));
        }
        if backend_tls {
            notes.push(format!(
                "{field} with server.tls needs a BackendTLSPolicy for the Service: the pods speak HTTPS"
            ));
        }
        notes
    }
}
