//! What the rest relies on: defaults, presence of blocks, one port, references, and the definition as a whole.

use serde_json::{Value, json};

use super::{Mcp, McpSpec};
use crate::{
    children::metadata::check_name,
    kinds::{Desired, InvalidSpec, Parent, Related, gateway::Gateway},
    object::{ChildKind, Identity},
};

fn decode(spec: Value) -> McpSpec {
    serde_json::from_value(spec).expect("decodes")
}

fn parent() -> Identity {
    Identity { name: "tools".into(), namespace: "team-a".into(), ..Identity::default() }
}

fn attempt(spec: Value) -> Result<Desired, InvalidSpec> {
    Mcp::desired(&parent(), &decode(spec), &Related::default())
}

fn desired(spec: Value) -> Desired {
    attempt(spec).expect("renders")
}

fn body(desired: &Desired, kind: ChildKind) -> Value {
    let of_kind = |child: &&crate::object::DesiredChild| child.id.kind == kind;
    desired.children.iter().find(of_kind).map(|child| child.body.clone()).unwrap_or_default()
}

fn container(spec: Value) -> Value {
    body(&desired(spec), ChildKind::Deployment)["spec"]["template"]["spec"]["containers"][0].clone()
}

fn variable(container: &Value, name: &str) -> Value {
    let all = container["env"].as_array().into_iter().flatten();
    all.filter(|var| var["name"] == name).map(|var| var["value"].clone()).next().unwrap_or_default()
}

fn spec_schema(crd: impl serde::Serialize) -> Value {
    let crd = serde_json::to_value(crd).expect("serialises");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

#[test]
fn an_empty_block_means_the_same_as_none() {
    let nothing = desired(json!({}));
    for block in ["server", "hpa"] {
        assert_eq!(desired(json!({ block: {} })), nothing, "{block}");
    }
    let lists = json!({ "server": { "command": [], "args": [] } });
    assert_eq!(desired(lists), nothing);
}

#[test]
fn there_is_one_port_whatever_is_left_out() {
    for (spec, port) in [
        (json!({}), 8080),
        (json!({ "server": {} }), 8080),
        (json!({ "server": { "path": "/" } }), 8080),
        (json!({ "server": { "port": 3000 } }), 3000),
    ] {
        let all = desired(spec.clone());
        let container = container(spec.clone());
        assert_eq!(container["ports"][0]["containerPort"], port, "{spec}");
        assert_eq!(variable(&container, "SERVER_PORT"), port.to_string(), "{spec}");
        assert_eq!(body(&all, ChildKind::Service)["spec"]["ports"][0]["port"], port, "{spec}");
        let url = all.status["url"].as_str().unwrap_or_default();
        assert!(url.contains(&format!("//tools-service.team-a.svc.cluster.local:{port}/")), "{url}");
    }
}

#[test]
fn the_entrypoint_of_the_image_is_left_alone_unless_something_is_said() {
    let plain = container(json!({ "image": "server:1" }));
    assert_eq!((&plain["command"], &plain["args"]), (&Value::Null, &Value::Null));
    let args = container(json!({ "server": { "args": ["--port", "8080"] } }));
    assert_eq!((&args["command"], &args["args"]), (&Value::Null, &json!(["--port", "8080"])));
    let command = container(json!({ "server": { "command": ["npx", "-y", "tools"] } }));
    assert_eq!((&command["command"], &command["args"]), (&json!(["npx", "-y", "tools"]), &Value::Null));
}

#[test]
fn the_default_image_alone_is_explained() {
    let says = |spec: Value| desired(spec).notes.join("; ");
    assert!(says(json!({})).contains("image node:lts runs nothing by itself"));
    for spec in [
        json!({ "image": "server:1" }),
        json!({ "server": { "command": ["node"] } }),
        json!({ "server": { "args": ["server.js"] } }),
    ] {
        assert_eq!(says(spec.clone()), "", "{spec}");
    }
}

#[test]
fn the_timeout_reaches_the_server() {
    assert_eq!(variable(&container(json!({})), "SERVER_TIMEOUT"), "30s");
    assert_eq!(variable(&container(json!({ "server": { "timeout": "2m" } })), "SERVER_TIMEOUT"), "2m");
    let bad = attempt(json!({ "server": { "timeout": "abc" } })).expect_err("no duration");
    assert_eq!(bad.field, "spec.server.timeout");
}

#[test]
fn a_secret_is_needed_only_while_tls_is_enabled() {
    for tls in [json!({}), json!({ "enabled": true }), json!({ "enabled": true, "secretName": "" })] {
        let bad = attempt(json!({ "server": { "tls": tls } })).expect_err("no Secret");
        assert_eq!(bad.to_string(), "spec.server.tls.secretName: is needed while TLS is enabled", "{tls}");
    }
    let nothing = desired(json!({}));
    for tls in [json!({ "enabled": false }), json!({ "enabled": false, "secretName": "cert" })] {
        let spec = json!({ "server": { "tls": tls } });
        assert_eq!(desired(spec.clone()), nothing, "{tls}");
        let references = Mcp::references(&parent(), &decode(spec)).expect("they make sense");
        assert!(references.names_nothing(), "{tls}");
    }
    // The block alone switches it on.
    let spec = json!({ "server": { "tls": { "secretName": "cert" } } });
    let references = Mcp::references(&parent(), &decode(spec.clone())).expect("they make sense");
    assert_eq!(references.secrets.into_iter().collect::<Vec<_>>(), ["cert"]);
    assert_eq!(desired(spec).status["url"], "https://tools-service.team-a.svc.cluster.local:8080/mcp");
}

#[test]
fn an_autoscaler_and_replicas_never_meet() {
    let fixed = desired(json!({ "replicas": 3 }));
    assert_eq!(body(&fixed, ChildKind::Deployment)["spec"]["replicas"], 3);
    assert_eq!(body(&fixed, ChildKind::HorizontalPodAutoscaler), Value::Null);
    let scaled = desired(json!({ "replicas": 3, "hpa": { "enabled": true } }));
    assert_eq!(body(&scaled, ChildKind::Deployment)["spec"].get("replicas"), None);
    let autoscaler = body(&scaled, ChildKind::HorizontalPodAutoscaler);
    assert_eq!(autoscaler["metadata"]["name"], "tools");
    assert_eq!(autoscaler["spec"]["scaleTargetRef"]["name"], "tools");
    // A percentage of the requested CPU, so there is a request.
    assert_eq!(autoscaler["spec"]["metrics"][0]["resource"]["target"]["type"], "Utilization");
    let resources = &container(json!({}))["resources"];
    assert_eq!(resources["requests"], json!({ "cpu": "100m", "memory": "128Mi" }));
    assert_eq!(resources.get("limits"), None);
}

#[test]
fn a_deployment_says_nothing_of_what_people_set_on_it() {
    let deployment = body(&desired(json!({})), ChildKind::Deployment);
    for field in ["paused", "revisionHistoryLimit", "strategy", "minReadySeconds", "progressDeadlineSeconds"] {
        assert_eq!(deployment["spec"].get(field), None, "{field}");
    }
    // Where `kubectl rollout restart` leaves its mark.
    assert_eq!(deployment["spec"]["template"]["metadata"].get("annotations"), None);
}

#[test]
fn pods_ask_for_no_rights_and_for_no_user() {
    let deployment = body(&desired(json!({})), ChildKind::Deployment);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"], json!({ "seccompProfile": { "type": "RuntimeDefault" } }));
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(*container, json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } }));
}

#[test]
fn a_name_is_as_long_as_its_service_allows() {
    let longest = "a".repeat(55);
    assert_eq!(check_name(&longest, Some(super::desired::SERVICE_SUFFIX)), Ok(()));
    let of = |name: String| {
        Mcp::desired(&Identity { name, ..parent() }, &McpSpec::default(), &Related::default())
            .map_err(|bad| bad.to_string())
    };
    let good = of(longest).expect("renders");
    assert!(good.children.iter().all(|child| child.id.name.len() <= 63));
    let why = of("a".repeat(56)).expect_err("too long");
    assert_eq!(
        why,
        "metadata.name: must be at most 55 characters long, because the name of the Service begins with it"
    );
    let rule = &serde_json::to_value(Mcp::crd()).expect("serialises")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        ["x-kubernetes-validations"][0];
    assert_eq!(rule["rule"], "oldSelf.hasValue() || size(self.metadata.name) <= 55");
    assert_eq!(rule["message"], why.replacen(": ", " ", 1));
    assert!(of("a.b".into()).expect_err("a dot").contains("must not contain a dot"));
}

#[test]
fn others_find_it_where_it_is() {
    let found = |spec: Value, status: Value| Mcp::listing(&parent(), &decode(spec), &status).url;
    let url = "http://tools-service.team-a.svc.cluster.local:8080/mcp";
    assert_eq!(found(json!({}), json!({})).as_deref(), Some(url));
    assert_eq!(found(json!({ "replicas": 0 }), json!({ "url": "http://old" })).as_deref(), Some(url));
    // With a spec that makes no sense its last good objects stay, and who has none is not found.
    let bad = json!({ "server": { "tls": {} } });
    assert_eq!(found(bad.clone(), json!({ "url": "http://old" })).as_deref(), Some("http://old"));
    assert_eq!(found(bad, Value::Null), None);
}

#[test]
fn a_disabled_switch_is_stored_as_such() {
    let spec = decode(json!({ "replicas": 0, "server": { "tls": { "enabled": false } } }));
    let stored = serde_json::to_value(&spec).expect("serialises");
    assert_eq!((&stored["replicas"], &stored["server"]["tls"]["enabled"]), (&json!(0), &json!(false)));
    assert_eq!(decode(stored), spec);
}

#[test]
fn the_definition_is_small_and_says_what_an_api_server_takes() {
    let crd = serde_json::to_value(Mcp::crd()).expect("serialises");
    let text = crd.to_string();
    assert!(text.len() < 60_000, "{} bytes", text.len());
    for word in ["\"nullable\"", "$ref", "\"uint"] {
        assert!(!text.contains(word), "{word}");
    }
    assert_eq!(crd["metadata"]["name"], "mcps.core.inference-gateway.com");
    let names = json!({ "categories": ["inference-gateway"], "kind": "MCP", "plural": "mcps", "singular": "mcp" });
    for (key, value) in names.as_object().into_iter().flatten() {
        assert_eq!(crd["spec"]["names"][key], *value, "{key}");
    }
    let columns: Vec<_> = crd["spec"]["versions"][0]["additionalPrinterColumns"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|column| column["priority"].as_i64().unwrap_or(0) == 0)
        .map(|column| column["name"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(columns, ["Ready", "URL", "Age"]);
    assert_eq!(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].get("required"), None);
    let spec = spec_schema(Mcp::crd());
    assert_eq!((&spec["default"], spec.get("required")), (&json!({}), None));
    let server = &spec["properties"]["server"];
    assert_eq!(server["default"], json!({}));
    let tls = &server["properties"]["tls"];
    assert_eq!((tls.get("default"), tls.get("required")), (None, None));
    assert_eq!(tls["properties"]["enabled"]["default"], true);
    assert_eq!(server["properties"]["path"]["pattern"], "^/.*");
    assert_eq!(server["properties"]["timeout"]["pattern"], crate::children::duration::PATTERN);
    assert_eq!(
        (&spec["properties"]["replicas"]["minimum"], &spec["properties"]["replicas"]["default"]),
        (&json!(0.0), &json!(1))
    );
}

#[test]
fn the_autoscaler_block_is_that_of_a_gateway() {
    let (own, gateway) = (spec_schema(Mcp::crd()), spec_schema(Gateway::crd()));
    assert_eq!(own["properties"]["hpa"], gateway["properties"]["hpa"]);
}
