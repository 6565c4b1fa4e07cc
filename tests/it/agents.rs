//! What a real API server says of Agents: which it takes, what it makes of their objects, and what kubectl shows.

use std::{fs, path::Path, sync::Arc};

use igw::{
    kinds::{
        CardSeen, KindCondition, Parent as _, Related,
        agent::{Agent, card},
    },
    object::{Identity, STATUS_MANAGER},
    parent::ParentObject,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::world::World;

fn agents(world: &World) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("core.inference-gateway.com", "v1alpha1", "Agent");
    Api::namespaced_with(world.client.clone(), &world.namespace, &ApiResource::from_gvk_with_plural(&gvk, "agents"))
}

fn agent(world: &World, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "core.inference-gateway.com/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name, "namespace": world.namespace},
        "spec": spec,
    })
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_the_field_is_named() {
    let world = World::without_operator("agent-refused").await;
    let with = |more: Value| {
        let mut spec = json!({"image": "example.com/agent:1"});
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        spec
    };
    let llm = |field: &str, value: Value| with(json!({"agent": {"llm": {field: value}}}));
    for (spec, field) in [
        (Value::Null, "spec is needed, with image"),
        (json!({}), "spec.image"),
        (json!({"image": ""}), "spec.image"),
        (json!({"image": 7}), "spec.image"),
        (with(json!({"port": 0})), "spec.port"),
        (with(json!({"port": 70000})), "spec.port"),
        (with(json!({"readTimeout": "soon"})), "spec.readTimeout"),
        (with(json!({"queue": {"cleanupInterval": "5"}})), "spec.queue.cleanupInterval"),
        (with(json!({"mcp": {"retryMaxInterval": "-1s"}})), "spec.mcp.retryMaxInterval"),
        (with(json!({"tls": {"enabled": true}})), "spec.tls.secretRef"),
        (with(json!({"tls": {"enabled": true, "secretRef": ""}})), "spec.tls.secretRef"),
        (llm("temperature", json!(0.7)), "spec.agent.llm.temperature"),
        (llm("temperature", json!("hot")), "spec.agent.llm.temperature"),
        (llm("temperature", json!("2.1")), "spec.agent.llm.temperature"),
        (llm("apiKeySecretRef", json!({"name": "a"})), "spec.agent.llm.apiKeySecretRef.key"),
        (llm("customHeaders", json!([{"name": "a"}])), "spec.agent.llm.customHeaders[0].value"),
        (with(json!({"resources": {"limits": {"memory": "much"}}})), "spec.resources.limits.memory"),
        (with(json!({"env": [{"value": "a"}]})), "spec.env[0].name"),
    ] {
        let said = refusal(&world, "a", &spec).await;
        assert!(said.contains(field), "{spec} gets {said:?}, not {field}");
    }
    let said = refusal(&world, &"x".repeat(64), &with(json!({}))).await;
    assert!(said.contains("metadata.name") && said.contains("63"), "{said}");
}

async fn refusal(world: &World, name: &str, spec: &Value) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), agent(world, name, spec).to_string()).expect("written");
    let (said, done) = world.try_kubectl(&["apply", "-f", &file.path().to_string_lossy()]).await;
    assert!(!done, "{spec} was taken: {said}");
    said
}

#[tokio::test]
async fn every_golden_page_is_taken_with_its_objects() {
    let world = World::without_operator("agent-pages").await;
    let dry = PatchParams { dry_run: true, ..PatchParams::apply("test") };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/agent");
    let mut taken = 0;
    for entry in fs::read_dir(folder).expect("pages") {
        let path = entry.expect("entry").path();
        let page = fs::read_to_string(&path).expect("text");
        let (input, output) = page.split_once("# Output\n").expect("an output");
        if output.starts_with("---\nerror:") {
            continue;
        }
        let documents: Vec<Value> = serde_saphyr::from_multiple(input).expect("YAML");
        let given = documents.iter().find(|document| document["kind"] == "Agent").expect("an Agent");
        let document = agent(&world, "page", &given["spec"]);
        let stored = agents(&world).patch("page", &dry, &Patch::Apply(&document)).await;
        let stored = stored.unwrap_or_else(|error| panic!("{}: {error}", path.display()));

        let identity = Identity { name: "page".into(), namespace: world.namespace.clone(), ..Identity::default() };
        let object = ParentObject::from_manifest(&json!(stored)).expect("an object");
        let spec = object.spec::<Agent>().expect("a spec");
        let desired = Agent::desired(&identity, &spec, &Related::default()).expect("objects");
        for child in &desired.children {
            let answer = world.api(child.id.kind).patch(&child.id.name, &dry, &Patch::Apply(&child.body)).await;
            answer.unwrap_or_else(|error| panic!("{}: {}: {error}", path.display(), child.id));
        }
        taken += 1;
    }
    assert!(taken > 10, "{taken} pages");
}

/// A status that came back with anything more or less than was sent would be written again for ever.
#[tokio::test]
async fn a_card_is_stored_as_it_was_read_and_fills_the_columns() {
    let world = World::without_operator("agent-card").await;
    let spec = json!({"image": "example.com/agent:1"});
    let document = agent(&world, "calendar", &spec);
    let params = PatchParams::apply("user");
    agents(&world).patch("calendar", &params, &Patch::Apply(&document)).await.expect("a valid Agent");

    let identity = Identity { name: "calendar".into(), namespace: world.namespace.clone(), ..Identity::default() };
    let spec = serde_json::from_value(spec).expect("a spec");
    for served in [
        json!({"name": "calendar", "skills": [{"id": "list", "tags": []}], "provider": {"organization": "Example"}}),
        json!({
            "name": "calendar",
            "version": "0.2.1",
            "description": "Manages a calendar",
            "url": "http://calendar.example.com",
            "capabilities": {"streaming": true},
            "defaultInputModes": ["text/plain"],
            "skills": {"id": "list", "name": "List", "description": "Lists events", "examples": ["Today?"]},
        }),
    ] {
        let card = card::read(served.to_string().as_bytes()).expect("a card");
        let condition = KindCondition::new("CardFetched", "True", "Fetched", "the card was read", true);
        let seen = CardSeen { card: Some(Arc::new(card)), condition };
        let related = Related { card: Some(seen), ..Related::default() };
        let desired = Agent::desired(&identity, &spec, &related).expect("objects");
        let mut status = Value::Object(desired.status);
        status["ready"] = true.into();
        let patch = json!({"apiVersion": document["apiVersion"], "kind": "Agent", "status": status});
        let params = PatchParams::apply(STATUS_MANAGER).force();
        agents(&world).patch_status("calendar", &params, &Patch::Apply(&patch)).await.expect("a valid status");
        let stored = agents(&world).get("calendar").await.expect("it exists");
        assert_eq!(stored.data["status"], status);
    }
    let table = world.kubectl(&["get", "agents", "-n", &world.namespace]).await;
    let row: Vec<_> = table.lines().last().unwrap_or_default().split_whitespace().collect();
    assert_eq!(
        row[..7],
        ["calendar", "true", "0.2.1", "http://calendar.example.com", "true", "false", "false"],
        "{table}"
    );
}
