//! What the rest relies on: defaults, presence of blocks, references, the card, and the definition as a whole.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Agent, AgentSpec, card, status::AgentCard};
use crate::{
    kinds::{CardSeen, CardSource, Desired, KindCondition, Parent, Related},
    object::Identity,
    parent::ParentObject,
};

fn identity() -> Identity {
    Identity { name: "a".into(), namespace: "b".into(), ..Identity::default() }
}

/// A spec with an image and this.
fn decode(mut spec: Value) -> AgentSpec {
    spec["image"] = "example.com/agent:1".into();
    serde_json::from_value(spec).expect("decodes")
}

fn desired(spec: Value, related: &Related) -> Desired {
    Agent::desired(&identity(), &decode(spec), related).expect("renders")
}

/// A document with `leaf` at a path of fields.
fn nested(path: &str, leaf: Value) -> Value {
    path.rsplit('.').fold(leaf, |inside, field| json!({ field: inside }))
}

#[test]
fn an_empty_block_means_the_same_as_none() {
    let of = |spec: Value| desired(spec, &Related::default());
    let nothing = of(json!({}));
    for block in [
        "logging",
        "telemetry",
        "telemetry.metrics",
        "telemetry.metrics.exporter",
        "telemetry.traces",
        "telemetry.receiver",
        "queue",
        "tls",
        "agent",
        "agent.tls",
        "agent.apiKey",
        "resources",
        "card",
        "mcp",
    ] {
        assert_eq!(of(nested(block, json!({}))), nothing, "{block}");
    }
    assert!(decode(json!({})).agent.llm.is_none());
    assert_ne!(of(nested("agent.llm", json!({}))), nothing, "the one block whose presence means something");
}

#[test]
fn the_definition_is_small_and_says_what_an_api_server_takes() {
    let crd = serde_json::to_value(Agent::crd()).expect("serialises");
    let text = crd.to_string();
    assert!(text.len() < 100_000, "{} bytes", text.len());
    for word in ["\"nullable\"", "$ref", "\"uint"] {
        assert!(!text.contains(word), "{word}");
    }
    let version = &crd["spec"]["versions"][0];
    let root = &version["schema"]["openAPIV3Schema"];
    assert_eq!(root.get("required"), None);
    let spec = &root["properties"]["spec"];
    assert_eq!((spec.get("default"), &spec["required"]), (None, &json!(["image"])));
    for block in ["logging", "telemetry", "tls", "agent", "mcp"] {
        assert_eq!(spec["properties"][block]["default"], json!({}), "{block}");
    }
    for block in ["queue", "card", "resources"] {
        assert_eq!(spec["properties"][block].get("default"), None, "{block}");
    }
    assert_eq!(spec["properties"]["agent"]["properties"]["llm"].get("default"), None);
    let columns = version["additionalPrinterColumns"].as_array().expect("columns");
    let names: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap_or_default()).collect();
    let wanted = ["Ready", "Version", "URL", "Streaming", "Push Notifications", "State Transition History", "Age"];
    assert_eq!(names, wanted);
    assert_eq!(version.get("subresources"), Some(&json!({ "status": {} })));
    assert_eq!(crd["spec"]["names"]["categories"], json!(["inference-gateway"]));
    assert_eq!(crd["spec"]["names"]["shortNames"], Value::Null);
}

/// What the API server fills into a status would come back with every event and be written again for ever.
#[test]
fn a_card_has_every_default_of_its_schema() {
    fn defaults(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            if property.get("default").is_some() {
                found.push(path.clone());
            }
            defaults(property, &path, found);
        }
    }
    let crd = serde_json::to_value(Agent::crd()).expect("serialises");
    let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let card = &status["properties"]["card"];
    assert_eq!(card["required"], json!(["description", "name", "version"]));
    let mut found = Vec::new();
    defaults(card, "", &mut found);
    let least = card::read(br#"{"name": "a"}"#).expect("a card");
    for path in found {
        assert!(least.pointer(&path).is_some(), "{path} has a default and is not written");
    }
    assert_eq!(least["capabilities"]["streaming"], false, "a column would be blank otherwise");
}

#[test]
fn an_image_is_needed_and_the_error_names_it() {
    let manifest = json!({ "metadata": { "name": "a", "namespace": "b" }, "spec": { "port": 1 } });
    let object = ParentObject::from_manifest(&manifest).expect("an object");
    let error = object.spec::<Agent>().expect_err("no image");
    assert_eq!(error.to_string(), "spec: missing field `image`");
}

#[test]
fn references_follow_what_is_switched_on() {
    let of = |spec: Value| Agent::references(&identity(), &decode(spec)).expect("nothing that makes no sense");
    let spec = json!({
        "tls": { "secretRef": "served" },
        "agent": { "tls": { "secretRef": "shown" }, "apiKey": { "secretRef": "nobody-reads-it" } },
    });
    assert!(of(spec.clone()).names_nothing());
    let mut on = spec;
    on["tls"]["enabled"] = true.into();
    on["agent"]["tls"]["enabled"] = true.into();
    on["agent"]["llm"] = json!({ "apiKeySecretRef": { "name": "key", "key": "k" } });
    on["env"] = json!([
        { "name": "A", "valueFrom": { "secretKeyRef": { "name": "own", "key": "k" } } },
        { "name": "B", "valueFrom": { "configMapKeyRef": { "name": "map", "key": "k" } } },
        { "name": "C", "valueFrom": { "configMapKeyRef": { "key": "k" } } },
    ]);
    let references = of(on);
    let secrets: Vec<_> = references.secrets.iter().map(String::as_str).collect();
    assert_eq!(secrets, ["key", "own", "served", "shown"]);
    let config_maps: Vec<_> = references.config_maps.iter().map(String::as_str).collect();
    assert_eq!(config_maps, ["map"]);
    assert_eq!(references.card, Some(CardSource { base: "https://a.b.svc.cluster.local:8080".into() }));
}

#[test]
fn the_card_and_its_condition_reach_the_status() {
    let nothing = desired(json!({}), &Related::default());
    assert_eq!(nothing.status.get("card"), None);
    assert_eq!(nothing.status["url"], "http://a.b.svc.cluster.local:8080");
    assert_eq!(nothing.conditions, []);

    let condition = KindCondition::new("CardFetched", "False", "CardFetchFailed", "no answer", true);
    let seen = |card: Option<Value>| Related {
        card: Some(CardSeen { card: card.map(Arc::new), condition: condition.clone() }),
        ..Related::default()
    };
    let never = desired(json!({}), &seen(None));
    assert_eq!(never.status.get("card"), None);
    assert_eq!(never.conditions, std::slice::from_ref(&condition));

    let card = card::read(br#"{"name": "calendar", "version": "1.2.3"}"#).expect("a card");
    let stale = desired(json!({}), &seen(Some(card.clone())));
    assert_eq!(stale.status["card"], card);
    assert_eq!(stale.conditions, std::slice::from_ref(&condition));
    assert_eq!(stale.children, nothing.children, "a card changes nothing but the status");
}

#[test]
fn others_find_the_address_of_the_card_or_the_service() {
    let listing = |spec: Value, status: Value| Agent::listing(&identity(), &decode(spec), &status);
    let url = |spec: Value, status: Value| listing(spec, status).url.expect("a url");
    let service = "http://a.b.svc.cluster.local:8080";
    assert_eq!(url(json!({}), Value::Null), service);
    assert_eq!(url(json!({}), json!({ "card": { "name": "x", "url": "http://localhost:8080" } })), service);
    let elsewhere = json!({ "card": { "name": "x", "url": "https://calendar.example.com" } });
    assert_eq!(url(json!({}), elsewhere.clone()), "https://calendar.example.com");
    let tls = json!({ "port": 9, "tls": { "enabled": true, "secretRef": "x" } });
    assert_eq!(url(tls, json!({})), "https://a.b.svc.cluster.local:9");
    assert_eq!(listing(json!({}), elsewhere).claim, None);
}

#[test]
fn a_stored_card_decodes_as_it_was_written() {
    let card = card::read(br#"{"name": "a", "skills": [{"id": "s", "name": "Sing"}], "url": "http://a:1"}"#);
    let card = card.expect("a card");
    let stored: AgentCard = serde_json::from_value(card.clone()).expect("decodes");
    assert_eq!(serde_json::to_value(stored).expect("serialises"), card);
}
