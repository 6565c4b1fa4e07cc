//! What the rest relies on: defaults, presence of blocks, references, and the definition as a whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Gateway, GatewaySpec};
use crate::{
    kinds::{Found, Parent, References, Related},
    object::{ChildKind, Identity},
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
        "gatewayAPI",
        "gatewayAPI.gateway",
        "gatewayAPI.gateway.tls",
        "gatewayAPI.httpRoute",
        "routing",
        "routing.gateway",
        "routing.httpRoute",
        "guardrails",
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
    for block in [
        "server",
        "auth",
        "telemetry",
        "mcp",
        "service",
        "ingress",
        "gatewayAPI",
        "guardrails",
        "hpa",
        "serviceAccount",
    ] {
        assert_eq!(spec["properties"][block]["default"], json!({}), "{block}");
    }
    for [block, field] in [
        ["server", "tls"],
        ["auth", "oidc"],
        ["ingress", "tls"],
        ["hpa", "config"],
        ["service", "port"],
        ["routing", "gateway"],
        ["routing", "httpRoute"],
        ["mcp", "serviceDiscovery"],
    ] {
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

#[test]
fn config_maps_follow_what_is_switched_on() {
    let key = |name: &str| json!({ "name": name, "key": "k" });
    let spec = json!({
        "auth": { "oidc": { "caCertRef": key("authority") } },
        "routing": { "configMapRef": key("rules") },
        "guardrails": { "configMapRef": { "name": "policies" } },
    });
    assert!(references(spec.clone()).names_nothing());
    let mut on = spec;
    for block in ["auth", "routing", "guardrails"] {
        on[block]["enabled"] = true.into();
    }
    let config_maps: Vec<_> = references(on.clone()).config_maps.into_iter().collect();
    assert_eq!(config_maps, ["authority", "policies", "rules"]);
    // In its older meaning routing has no rules.
    on["routing"]["gateway"] = json!({});
    assert!(!references(on).config_maps.contains("rules"));
}

/// The environment and the annotations of the pods, and the status.
fn pods(spec: Value, related: &Related) -> (BTreeMap<String, String>, Value, Map<String, Value>) {
    let identity = Identity { name: "a".into(), namespace: "b".into(), ..Identity::default() };
    let desired = Gateway::desired(&identity, &decode(spec), related).expect("renders");
    let deployment =
        desired.children.iter().find(|child| child.id.kind == ChildKind::Deployment).expect("a Deployment");
    let template = &deployment.body["spec"]["template"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let env = template["spec"]["containers"][0]["env"].as_array().expect("variables");
    let env = env.iter().map(|var| (text(&var["name"]), text(&var["value"]))).collect();
    (env, template["metadata"]["annotations"].clone(), desired.status)
}

#[test]
fn found_mcp_servers_join_those_of_the_spec() {
    let mcp = |discovery: bool| {
        let url = |url: &str| json!({ "name": "x", "url": url });
        json!({ "mcp": {
            "enabled": true,
            "servers": [url("http://z"), url("http://c")],
            "serviceDiscovery": { "enabled": discovery, "namespace": "tools", "selector": { "matchLabels": { "a": "b" } } },
        } })
    };
    assert!(references(mcp(false)).discoveries.is_empty());
    let discoveries = references(mcp(true)).discoveries;
    assert_eq!(discoveries.keys().collect::<Vec<_>>(), [&"MCP"]);
    assert_eq!(discoveries["MCP"].namespace, "tools");
    let found = |name: &str, url: &str| Found { name: name.into(), url: url.into() };
    let found = [found("a", "http://a"), found("b", "http://c"), found("d", "http://b")];
    let related = Related { found: BTreeMap::from([("MCP", found.into())]), ..Related::default() };
    let (env, _, status) = pods(mcp(true), &related);
    assert_eq!(env["MCP_SERVERS"], "http://z,http://c,http://a,http://b");
    assert_eq!(status["mcpServers"], json!(["http://z", "http://c", "http://a", "http://b"]));
    assert_eq!(status["mcpServerCount"], 4);
    let (_, _, status) = pods(json!({}), &related);
    assert_eq!((status.get("mcpServers"), &status["mcpServerCount"]), (None, &json!(0)));
}

#[test]
fn a_selector_that_makes_no_sense_is_named() {
    let selector = json!({ "matchExpressions": [{ "key": "a", "operator": "Near", "values": ["b"] }] });
    let discovery = json!({ "enabled": true, "selector": selector });
    let spec = decode(json!({ "mcp": { "enabled": true, "serviceDiscovery": discovery } }));
    let error = Gateway::references(&Identity::default(), &spec).expect_err("makes no sense");
    assert_eq!(error.field, "spec.mcp.serviceDiscovery.selector");
}

#[test]
fn rules_in_the_spec_roll_the_pods() {
    let spec = |config: &str| json!({ "routing": { "enabled": true, "config": config } });
    let hash = |config: &str| pods(spec(config), &Related::default()).1;
    assert_ne!(hash("models: {}"), hash("models: {a: []}"));
    assert_eq!(hash("models: {}"), hash("models: {}"));
}

#[test]
fn the_gateway_gets_the_words_for_a_failure_that_it_knows() {
    for (given, wanted) in [("deny", "closed"), ("closed", "closed"), ("allow", "open"), ("open", "open")] {
        let spec = json!({ "guardrails": { "enabled": true, "failMode": given } });
        assert_eq!(pods(spec, &Related::default()).0["GUARDRAILS_FAIL_MODE"], wanted);
    }
}
