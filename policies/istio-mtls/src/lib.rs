//! Policy: puts the pods into an Istio mesh and demands mutual TLS of everybody who talks to them. PURE.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use wasm_sdk::{Context, Error, Object, Objects, Policy, export_policy};

/// The policy.
#[derive(Debug)]
pub struct IstioMtls;

/// How the pods join, and what they demand.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Revision or tag of the control plane that injects the proxy.
    #[serde(default)]
    revision: Option<String>,
    /// What is demanded of clients.
    #[serde(default)]
    mode: Mode,
    /// Ports of the pods on which plain text is taken too.
    #[serde(default)]
    permissive_ports: Vec<u16>,
    /// Whether the containers wait until the proxy is ready.
    #[serde(default)]
    hold_application: bool,
}

/// What is demanded of clients.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Mode {
    /// Mutual TLS.
    #[default]
    Strict,
    /// Mutual TLS or plain text, while clients move into the mesh.
    Permissive,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Strict => "STRICT",
            Self::Permissive => "PERMISSIVE",
        }
    }
}

impl Policy for IstioMtls {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Result<(), Error> {
        if let Some(index) = settings.permissive_ports.iter().position(|port| *port == 0) {
            return Err(format!("settings.permissivePorts[{index}] is no port").into());
        }
        Ok(())
    }

    fn rewrite(_: &Context, settings: &Settings, objects: &mut Objects) -> Result<(), Error> {
        let mut demands = Vec::new();
        for deployment in objects.deployments() {
            demands.push(demand(deployment, settings)?);
            let Some(mut template) = deployment.pod_template() else { continue };
            // A revision says both who injects and that it is wanted; both labels together would contradict each other.
            match settings.revision.as_deref() {
                Some(revision) => template.set_label("istio.io/rev", revision),
                None => template.set_label("sidecar.istio.io/inject", "true"),
            }
            if settings.hold_application {
                template.set_annotation(
                    "proxy.istio.io/config",
                    &json!({"holdApplicationUntilProxyStarts": true}).to_string(),
                );
            }
        }
        demands.into_iter().try_for_each(|demand| objects.add(demand))
    }
}

/// What the pods of a Deployment demand: named as it is, and for its pods only.
fn demand(deployment: &Object, settings: &Settings) -> Result<Value, Error> {
    let Some(labels) = deployment.document().pointer("/spec/selector/matchLabels").filter(|labels| labels.is_object())
    else {
        // Without a selector it would hold for the whole namespace.
        return Err(format!("Deployment {} has no spec.selector.matchLabels", deployment.name()).into());
    };
    let mut spec = json!({
        "selector": {"matchLabels": labels},
        "mtls": {"mode": settings.mode.name()},
    });
    if !settings.permissive_ports.is_empty() {
        let ports = settings.permissive_ports.iter().map(|port| (port.to_string(), json!({"mode": "PERMISSIVE"})));
        spec["portLevelMtls"] = Value::Object(ports.collect::<Map<_, _>>());
    }
    Ok(json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": deployment.name(), "namespace": deployment.namespace()},
        "spec": spec,
    }))
}

export_policy!(IstioMtls);

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};
    use wasm_sdk::{Policy as _, testing};

    use super::{IstioMtls, Settings};

    fn validate(settings: Value) -> Result<(), String> {
        let settings: Settings = from_value(settings).map_err(|error| error.to_string())?;
        IstioMtls::validate(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_may_be_empty() {
        assert_eq!(validate(json!({})), Ok(()));
        assert_eq!(validate(json!({"permissivePorts": [1, 0]})), Err("settings.permissivePorts[1] is no port".into()));
        assert!(validate(json!({"permissivePorts": [70000]})).is_err());
        assert!(validate(json!({"mode": "DISABLE"})).is_err(), "that would take a security control away");
    }

    #[test]
    fn cases() {
        testing::check_cases::<IstioMtls>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
