//! `spec.server` and `spec.auth` of a Gateway. PURE.

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, SecretKeySelector, Volume, VolumeMount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{children::workload::config_file, kinds::schema};

/// Where the authority of the OIDC provider's certificate is in the pods.
pub(super) const CA_FILE: &str = "/usr/local/share/ca-certificates/oidc-ca.crt";

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// Address that the gateway listens on inside the pod. Anything that is not reachable from outside the pod makes the
    /// probes fail.
    pub host: String,
    /// Port that the gateway listens on inside the pod. The Service leads here whatever its own port is.
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
    /// How long the gateway waits.
    pub timeouts: Timeouts,
    /// TLS on the gateway's own port. The block's presence alone also switches on the annotations for TLS that an
    /// Ingress of class nginx gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl Default for Server {
    fn default() -> Self {
        Self { host: "0.0.0.0".into(), port: 8080, timeouts: Timeouts::default(), tls: None }
    }
}

/// Time limits of the HTTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// Longest time to read a request, for example `60s` or `1m30s`.
    #[schemars(schema_with = "schema::duration")]
    pub read: String,
    /// Longest time to write an answer. It also cuts off streamed answers, so make it as long as the longest one.
    #[schemars(schema_with = "schema::duration")]
    pub write: String,
    /// Longest time that an unused connection is kept open.
    #[schemars(schema_with = "schema::duration")]
    pub idle: String,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { read: "60s".into(), write: "60s".into(), idle: "300s".into() }
    }
}

/// TLS of the HTTP server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.enabled) || !self.enabled || has(self.certificateRef) == has(self.keyRef)",
    "message": "certificateRef and keyRef belong together: give both, or neither to use the Secret inference-gateway-tls",
}]))]
pub struct Tls {
    /// Serve HTTPS instead of HTTP, on the same port. The probes and the Service follow.
    pub enabled: bool,
    /// Key of a Secret that holds the certificate in PEM form. Without it and `keyRef`: key `tls.crt` of the Secret
    /// `inference-gateway-tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<SecretKeySelector>")]
    pub certificate_ref: Option<SecretKeySelector>,
    /// Key of a Secret that holds the private key in PEM form. Without it and `certificateRef`: key `tls.key` of the
    /// Secret `inference-gateway-tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<SecretKeySelector>")]
    pub key_ref: Option<SecretKeySelector>,
}

impl Server {
    /// Whether the gateway itself speaks HTTPS.
    #[must_use]
    pub fn tls_enabled(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.enabled)
    }

    /// Where certificate and key are, when TLS is on.
    #[must_use]
    pub fn certificate(&self) -> Option<(SecretKeySelector, SecretKeySelector)> {
        let well_known =
            |key: &str| SecretKeySelector { name: "inference-gateway-tls".into(), key: key.into(), optional: None };
        let tls = self.tls.as_ref().filter(|tls| tls.enabled)?;
        Some((
            tls.certificate_ref.clone().unwrap_or_else(|| well_known("tls.crt")),
            tls.key_ref.clone().unwrap_or_else(|| well_known("tls.key")),
        ))
    }
}

/// Authentication of callers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// Refuse requests without a valid token. `/health` stays open.
    pub enabled: bool,
    /// How callers prove who they are. The gateway image does OIDC only: the other values are accepted, change nothing,
    /// and the status message says so.
    pub provider: AuthProvider,
    /// The OIDC provider that issues the tokens. Needed when `enabled` is true: the gateway asks it at start and does not
    /// come up without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
}

/// A way to authenticate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "a comment here would end up in the schema and say what the name says")]
pub enum AuthProvider {
    #[default]
    Oidc,
    Jwt,
    Basic,
}

impl AuthProvider {
    /// As users write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Jwt => "jwt",
            Self::Basic => "basic",
        }
    }
}

/// An OIDC provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Oidc {
    /// URL of the issuer, as it stands in the tokens.
    pub issuer_url: String,
    /// Client id of the gateway.
    pub client_id: String,
    /// Key of a Secret that holds the client secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<SecretKeySelector>")]
    pub client_secret_ref: Option<SecretKeySelector>,
    /// Key of a ConfigMap that holds the certificate of the authority behind the issuer's certificate, in PEM form. A change
    /// of it rolls the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<ConfigMapKeySelector>")]
    pub ca_cert_ref: Option<ConfigMapKeySelector>,
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer_url: "http://keycloak:8080/realms/inference-gateway-realm".into(),
            client_id: "inference-gateway-client".into(),
            client_secret_ref: None,
            ca_cert_ref: None,
        }
    }
}

impl Auth {
    /// The OIDC settings that are in use.
    #[must_use]
    pub fn active_oidc(&self) -> Option<&Oidc> {
        self.oidc.as_ref().filter(|_| self.enabled)
    }

    /// The authority that the OIDC provider's certificate is checked against.
    #[must_use]
    pub fn ca_certificate(&self) -> Option<&ConfigMapKeySelector> {
        self.active_oidc()?.ca_cert_ref.as_ref().filter(|map| !map.name.is_empty() && !map.key.is_empty())
    }

    /// It as a file of the pods.
    pub(super) fn files(&self) -> Option<(Volume, VolumeMount)> {
        self.ca_certificate().map(|map| config_file("oidc-ca", &map.name, &map.key, CA_FILE))
    }
}
