//! What the rest relies on: defaults, presence of blocks, references, and the definition as a whole.

use serde_json::{Value, json};

use super::{Gateway, GatewaySpec};
use crate::{
    kinds::{Parent, References, Related},
    object::Identity,
};

fn decode(spec: Value) -> GatewaySpec {
    serde_json::from_value(spec).expect("decodes")
}

fn references(spec: Value) -> References {
    Gateway::references(&Identity::default(), &decode(spec)).expect("nothing that makes no sense")
}

/// A document with `leaf` at a path of fields, and the same path down to its last block only.
fn nested(path: &str, leaf: Value) -> Value {
    path.rsplit('.').fold(leaf, |inside, field| json!({ field: inside }))
}

#[test]
fn an_empty_block_means_the_same_as_none() {
    let identity = Identity { name: "a".into(), namespace: "b".into(), ..Identity::default() };
    let of = |spec: Value| Gateway::desired(&identity, &decode(spec), &Related::default()).expect("renders");
    let nothing = of(json!({}));
    for block in [
        "server",
        "server.timeouts",
        "auth",
        "telemetry",
        "telemetry.metrics",
        "mcp",
        "mcp.timeouts",
        "resources",
        "resources.requests",
        "resources.limits",
        "service",
        "service.annotations",
        "ingress",
        "ingress.annotations",
        "hpa",
        "serviceAccount",
        // Present, but under a switch that is off.
        "server.tls",
        "auth.oidc",
        "ingress.tls",
    ] {
        assert_eq!(of(nested(block, json!({}))), nothing, "{block}");
    }
}

#[test]
fn a_block_whose_presence_means_something_is_seen() {
    assert!(decode(json!({})).server.tls.is_none());
    assert!(!decode(nested("server.tls", json!({}))).server.tls_enabled());
    assert!(decode(json!({})).ingress.active_tls().is_none());
    assert!(decode(nested("ingress.tls", json!({}))).ingress.active_tls().is_some());
    assert!(decode(json!({})).auth.oidc.is_none());
    assert!(decode(json!({})).hpa.config.is_none());
    assert!(decode(nested("service", json!({ "type": "NodePort" }))).service.port.is_none());
}

#[test]
fn a_disabled_switch_is_stored_as_such() {
    let spec =
        decode(json!({ "serviceAccount": { "create": false }, "providers": [{ "name": "a", "enabled": false }] }));
    let stored = serde_json::to_value(&spec).expect("serialises");
    assert_eq!(stored["serviceAccount"]["create"], false);
    assert_eq!(stored["providers"][0]["enabled"], false);
    assert_eq!(decode(stored), spec);
}

#[test]
fn the_definition_is_small_and_says_what_an_api_server_takes() {
    let crd = serde_json::to_value(Gateway::crd()).expect("serialises");
    let text = crd.to_string();
    assert!(text.len() < 100_000, "{} bytes", text.len());
    for word in ["\"nullable\"", "$ref", "\"uint"] {
        assert!(!text.contains(word), "{word}");
    }
    let root = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    assert_eq!(root.get("required"), None);
    let spec = &root["properties"]["spec"];
    assert_eq!(spec["default"], json!({}));
    for block in ["server", "auth", "telemetry", "mcp", "service", "ingress", "hpa", "serviceAccount"] {
        assert_eq!(spec["properties"][block]["default"], json!({}), "{block}");
    }
    for [block, field] in
        [["server", "tls"], ["auth", "oidc"], ["ingress", "tls"], ["hpa", "config"], ["service", "port"]]
    {
        assert_eq!(spec["properties"][block]["properties"][field].get("default"), None, "{block}.{field}");
    }
}

#[test]
fn references_follow_what_is_switched_on() {
    let spec = json!({
        "auth": { "oidc": { "clientSecretRef": { "name": "oidc", "key": "k" } } },
        "server": { "tls": { "certificateRef": { "name": "cert", "key": "k" }, "keyRef": { "name": "key", "key": "k" } } },
    });
    assert!(references(spec.clone()).names_nothing());
    let mut on = spec;
    on["auth"]["enabled"] = true.into();
    on["server"]["tls"]["enabled"] = true.into();
    let secrets: Vec<_> = references(on).secrets.into_iter().collect();
    assert_eq!(secrets, ["cert", "key", "oidc"]);
}
