//! The Gateway and the HTTPRoute of the Gateway API that expose a Service. PURE.
//!
//! Their definitions are not part of Kubernetes, so the documents are made without types.

use serde_json::{Value, json};

use super::metadata::{Family, Pairs};
use crate::object::{ChildKind, DesiredChild};

/// One listener of a Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The host name that it listens for; any when there is none.
    pub hostname: Option<String>,
    /// Secret with its certificate: HTTPS on port 443. Without one HTTP on port 80.
    pub secret: Option<String>,
}

/// A Gateway of this class.
#[must_use]
pub fn api_gateway(
    family: &Family<'_>,
    name: &str,
    class: &str,
    annotations: Pairs,
    listeners: &[Listener],
) -> DesiredChild {
    let listeners: Vec<_> = listeners.iter().enumerate().map(|(index, listener)| entry(listener, index)).collect();
    let spec = json!({ "gatewayClassName": class, "listeners": listeners });
    child(family, ChildKind::ApiGateway, name, annotations, spec)
}

/// Listeners go by their names: the first keeps the plain one when others come or go.
fn entry(Listener { hostname, secret }: &Listener, index: usize) -> Value {
    let (protocol, port, name) = if secret.is_some() { ("HTTPS", 443, "https") } else { ("HTTP", 80, "http") };
    let name = if index == 0 { name.to_owned() } else { format!("{name}-{}", index + 1) };
    let mut listener = json!({ "name": name, "port": port, "protocol": protocol });
    if let Some(hostname) = hostname {
        listener["hostname"] = hostname.as_str().into();
    }
    if let Some(secret) = secret {
        listener["tls"] = json!({ "certificateRefs": [{ "name": secret }] });
    }
    listener
}

/// An HTTPRoute that leads everything of these host names from its parents to a port of a Service. By number, because the
/// Gateway API knows no names of ports.
#[must_use]
pub fn http_route(
    family: &Family<'_>,
    name: &str,
    parents: &Value,
    hostnames: &[String],
    (service, port): (&str, i32),
) -> DesiredChild {
    let mut spec = json!({
        "parentRefs": parents,
        "rules": [{ "backendRefs": [{ "name": service, "port": port }] }],
    });
    if !hostnames.is_empty() {
        spec["hostnames"] = hostnames.into();
    }
    child(family, ChildKind::HttpRoute, name, Pairs::new(), spec)
}

fn child(family: &Family<'_>, kind: ChildKind, name: &str, annotations: Pairs, spec: Value) -> DesiredChild {
    let info = kind.info();
    let object = json!({
        "apiVersion": info.api_version(),
        "kind": info.kind,
        "metadata": family.metadata(name, annotations),
        "spec": spec,
    });
    family.child(kind, name, &object)
}
