//! Every example, and the quick start of the README, applied as they are and Ready; those with policies changed as they promise.

use std::{
    fs,
    path::{Path, PathBuf},
};

use controlplane::User;
use futures::future::join_all;
use igw::{
    kinds::{self, Parent as _},
    object::ChildKind::{Deployment, HorizontalPodAutoscaler, Ingress, PeerAuthentication, Service, ServiceAccount},
    policies::Options,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use crate::{
    added_kinds,
    policed::says,
    world::{World, assert_condition, within},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every folder below one of the checkout, but for that of the policies: they need an operator that may add more kinds.
fn folders(below: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(below)).expect("examples");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("entry").path()).filter(|path| path.is_dir()).collect();
    folders.retain(|path| !path.ends_with("policies"));
    folders.sort();
    folders
}

fn names(folders: &[PathBuf]) -> Vec<String> {
    folders.iter().map(|folder| folder.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect()
}

/// A custom resource of an example.
struct Resource {
    namespace: String,
    /// As kubectl wants it: `kind.group/name`.
    path: String,
}

/// Every custom resource of the operator in the YAML files of a folder.
fn resources(folder: &Path) -> Vec<Resource> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ours = documents.iter().filter(|document| text(&document["apiVersion"]).starts_with(kinds::GROUP));
        found.extend(ours.map(|document| Resource {
            namespace: text(&document["metadata"]["namespace"]),
            path: format!("{}.{}/{}", text(&document["kind"]), kinds::GROUP, text(&document["metadata"]["name"])),
        }));
    }
    found
}

/// All in one test: the minimal example and the quick start have one name and one namespace.
#[tokio::test]
async fn every_example_applies_and_becomes_ready() {
    let mut world = World::without_operator("examples").await;
    let folders = folders("examples");
    let wanted = [
        "agent-server",
        "gateway-complete",
        "gateway-minimal",
        "gateway-with-ingress-advanced",
        "gateway-with-ingress-simple",
        "mcp-server",
        "orchestrator",
    ];
    assert_eq!(names(&folders), wanted);
    let mut namespaces: Vec<_> = folders.iter().flat_map(|f| resources(f)).map(|resource| resource.namespace).collect();
    namespaces.dedup();
    world.start_with(&format!("kubernetes.io/metadata.name in ({})", namespaces.join(","))).await;
    for folder in &folders {
        let path = folder.to_string_lossy().into_owned();
        let readme = fs::read_to_string(folder.join("README.md")).expect("every example has a README");
        assert!(readme.contains("kubectl apply -f"), "{path}");
        world.kubectl(&["apply", "--validate=strict", "-f", &path]).await;
    }
    for folder in &folders {
        let resources = resources(folder);
        assert!(!resources.is_empty(), "{} has no custom resource", folder.display());
        for Resource { namespace, path } in resources {
            let wait = ["wait", &path, "--for=condition=Ready", "--timeout=60s", "-n", &namespace];
            let (said, ready) = world.try_kubectl(&wait).await;
            if !ready {
                let described = world.kubectl(&["describe", &path, "-n", &namespace]).await;
                panic!("{path} in {namespace}: {said}\n{described}");
            }
        }
    }
    complete(&mut world).await;
    orchestrator(&mut world).await;
    for folder in &folders {
        world.kubectl(&["delete", "--wait=false", "-f", &folder.to_string_lossy()]).await;
    }
}

/// What the README of the orchestrator example promises.
async fn orchestrator(world: &mut World) {
    world.namespace = "orchestrator".into();
    let table = world.kubectl(&["get", "orch", "-n", "orchestrator"]).await;
    let row: Vec<_> = table.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row[1..3], ["true", "2"], "both agents are found: {table}");
    let redis =
        world.kubectl(&["get", "deployment", "redis", "-n", "orchestrator", "-o", "jsonpath={.metadata}"]).await;
    assert!(!redis.contains("inference-gateway-operator"), "Redis is the user's: {redis}");
}

/// What the README of the complete example promises.
async fn complete(world: &mut World) {
    world.namespace = "gateway-complete".into();
    let children = [
        "ServiceAccount/complete-gateway",
        "Service/complete",
        "Deployment/complete",
        "Ingress/complete",
        "HorizontalPodAutoscaler/complete-hpa",
    ];
    assert_eq!(world.children().await, children);
    let gateway = world.gateways().get("complete").await.expect("it exists");
    assert_eq!(gateway.data["status"]["url"], "https://gateway.example.com");
    assert_eq!(gateway.data["status"]["providerSummary"], "OpenAI,Groq,Ollama");
    for (kind, name) in
        [(ServiceAccount, "complete-gateway"), (Ingress, "complete"), (HorizontalPodAutoscaler, "complete-hpa")]
    {
        assert_eq!(world.get(kind, name).await.owner_references()[0].name, "complete");
    }
}

/// What is in a README under a heading, for a shell.
fn block(readme: &str, heading: &str) -> String {
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).expect("a heading");
    let (_, rest) = section.split_once("```sh\n").expect("something to type");
    rest.split_once("```").expect("an end").0.to_owned()
}

/// Types it in, as a user who has done what the demo says; returns what was printed.
async fn type_in(world: &World, block: &str) -> String {
    let programs = [world.plane.kubectl(), Path::new(env!("CARGO_BIN_EXE_igw"))];
    let [kubectl, igw] = programs.map(|program| program.parent().expect("a folder").display());
    let mut command = tokio::process::Command::new("sh");
    command.args(["-ec", block]).current_dir(root()).env("KUBECONFIG", world.plane.kubeconfig(User::Admin));
    command.env("PATH", format!("{kubectl}:{igw}:{}", std::env::var("PATH").expect("a path")));
    let output = within("the commands of a README", command.output()).await.expect("a shell");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{block}{said}");
    said
}

/// What the operator said and made, as users read it: the custom resource and its Deployment are both `my-gateway`.
async fn read(world: &World, kind: &str, namespace: &str) -> Value {
    let said = world.kubectl(&["get", kind, "my-gateway", "-n", namespace, "-o", "json"]).await;
    serde_json::from_str(&said).expect("JSON")
}

#[tokio::test]
async fn every_example_with_a_policy_changes_what_its_readme_promises() {
    let mut world = added_kinds::world("policy-examples").await;
    world.added_kinds = [PeerAuthentication].into();
    // Whoever applies them has an operator without a name of its own.
    world.policies.operator_name = Options::default().operator_name;
    let folders = folders("examples/policies");
    let names = names(&folders);
    assert_eq!(names, ["add-sidecar", "extra-env", "istio-mtls"]);
    let namespaces: Vec<_> = names.iter().map(|name| format!("policy-{name}")).collect();
    world.start_with(&format!("kubernetes.io/metadata.name in ({})", namespaces.join(","))).await;

    let mut readmes = Vec::new();
    for (folder, name) in folders.iter().zip(&names) {
        let readme = fs::read_to_string(folder.join("README.md")).expect("every example has a README");
        let apply = block(&readme, "Apply");
        assert!(apply.starts_with(&format!("kubectl apply -f examples/policies/{name}/\n")), "{apply}");
        let said = type_in(&world, &apply).await;
        assert!(!said.contains("Warning"), "{said}");
        let said = type_in(&world, &block(&readme, "Look at it")).await;
        for words in ["every matching custom resource goes through it", &format!("{name} (sha256:")] {
            assert!(said.contains(words), "{words} in {said}");
        }
        readmes.push(readme);
    }
    for name in &names {
        world.policy_at(world.cluster_policies(), name, "one up to date", |status| status["upToDate"] == 1).await;
    }
    let table = world.kubectl(&["get", "clusterwasmpolicies"]).await;
    for name in &names {
        let row = table.lines().find(|line| line.starts_with(&format!("{name} "))).expect("a row");
        let columns: Vec<_> = row.split_whitespace().collect();
        assert_eq!(columns[1..5], ["True", "Active", "1", "0"], "{table}");
        let resource = read(&world, "igw", &format!("policy-{name}")).await;
        let applied = format!("{name} (sha256:");
        assert_condition(&resource["status"], "PoliciesApplied", ("True", "PoliciesApplied"), &[&applied]);
        let deployment = read(&world, "deployment", &format!("policy-{name}")).await;
        assert_eq!(deployment["metadata"]["annotations"]["inference-gateway.com/policies"], **name);
    }
    // Nobody is to take what a policy has changed for something that applying the file would take away.
    let said = type_in(&world, "igw diff -f examples/policies/extra-env/ || true").await;
    assert!(
        said.contains("\n! no policy runs here, so what these have changed is shown as if it went: extra-env\n"),
        "{said}"
    );
    a_sidecar(&world).await;
    three_variables(&world).await;
    mutual_tls(&world).await;
    other_bytes_do_not_run(&world).await;
    // At the same time, because each waits until its namespace is gone.
    let blocks: Vec<_> = readmes.iter().map(|readme| block(readme, "Clean up")).collect();
    join_all(blocks.iter().map(|block| type_in(&world, block))).await;
}

/// What the demo tells people to try: other bytes are pinned than the ConfigMap has.
async fn other_bytes_do_not_run(world: &World) {
    let patch = json!({"spec": {"module": {"sha256": "0".repeat(64)}}}).to_string();
    world.kubectl(&["patch", "clusterwasmpolicy", "add-sidecar", "--type=merge", "-p", &patch]).await;
    let goes_on = |status: &Value| {
        says(status, "Verified", "False", "DigestMismatch") && says(status, "Active", "True", "LastGood")
    };
    world.policy_at(world.cluster_policies(), "add-sidecar", "the version before goes on", goes_on).await;
    // Of what belongs to no namespace Events are in this one.
    let about = "--field-selector=involvedObject.name=add-sidecar,reason=LastGood";
    let told = async {
        loop {
            let types = ["get", "events", "-n", "default", about, "-o", "jsonpath={.items[*].type}"];
            let types = world.kubectl(&types).await;
            if !types.is_empty() {
                return types;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    assert_eq!(within("an Event", told).await, "Warning");
    a_sidecar(world).await;
}

async fn a_sidecar(world: &World) {
    let pod = &read(world, "deployment", "policy-add-sidecar").await["spec"]["template"]["spec"];
    let sidecar = &pod["initContainers"][0];
    let wanted = json!(["collector", "docker.io/otel/opentelemetry-collector:0.139.0", "Always"]);
    assert_eq!(json!([sidecar["name"], sidecar["image"], sidecar["restartPolicy"]]), wanted);
    let confined = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(sidecar["securityContext"], confined, "what it leaves open is filled in");
    assert_eq!(pod["volumes"], json!([{"name": "collector-buffer", "emptyDir": {"sizeLimit": "64Mi"}}]));
    assert_eq!(pod["containers"].as_array().map(Vec::len), Some(1));
}

async fn three_variables(world: &World) {
    let deployment = read(world, "deployment", "policy-extra-env").await;
    let env = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
    let added = json!([
        {"name": "HTTPS_PROXY", "value": "http://egress.example.com:3128"},
        {"name": "NO_PROXY", "value": ".svc,.cluster.local"},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
    ]);
    assert_eq!(json!(env[env.len() - 3..]), added);
    assert!(env.iter().any(|variable| variable["name"] == "SERVER_PORT"), "those of the operator stay: {env:?}");
}

async fn mutual_tls(world: &World) {
    let deployment = read(world, "deployment", "policy-istio-mtls").await;
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["sidecar.istio.io/inject"], "true");
    let rule = read(world, "peerauthentication", "policy-istio-mtls").await;
    let wanted = json!({
        "selector": {"matchLabels": {"app": "my-gateway"}},
        "mtls": {"mode": "STRICT"},
        "portLevelMtls": {"9464": {"mode": "PERMISSIVE"}},
    });
    assert_eq!(rule["spec"], wanted);
    assert_eq!(rule["metadata"]["ownerReferences"][0]["kind"], "Gateway");
}

/// The manifest and the commands as the README prints them, without the port-forward, which needs a
/// kubelet: the Service's port and endpoints are looked at instead. The step that creates the namespace is ours.
#[tokio::test]
async fn the_quick_start_works_word_for_word() {
    const MANIFEST: &str = "\
apiVersion: v1
kind: Secret
metadata:
  name: openai-secret
  namespace: inference-gateway
type: Opaque
stringData:
  OPENAI_API_KEY: sk-...
---
apiVersion: core.inference-gateway.com/v1alpha1
kind: Gateway
metadata:
  name: my-gateway
  namespace: inference-gateway
spec:
  replicas: 1
  environment: development
  telemetry:
    enabled: true
    metrics:
      enabled: true
      port: 9464
  providers:
    - name: OpenAI
      enabled: true
      env:
        - name: OPENAI_API_KEY
          valueFrom:
            secretKeyRef:
              name: openai-secret
              key: OPENAI_API_KEY
";
    // In a plane of its own: the minimal example has the same names.
    let (plane, _turn) = crate::world::breakable_plane().await;
    let mut world = World::on(plane, "quick-start").await;
    world.start_with("kubernetes.io/metadata.name=inference-gateway").await;
    world.namespace = "inference-gateway".into();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, MANIFEST).expect("written");
    world.kubectl(&["create", "namespace", "inference-gateway"]).await;
    world.kubectl(&["apply", "-f", &file.to_string_lossy()]).await;
    let gateway = world.running("my-gateway").await;
    let status = &gateway.data["status"];
    assert_eq!((&status["readyReplicas"], &status["availableReplicas"]), (&json!(1), &json!(1)));
    assert_eq!(status["providerSummary"], "OpenAI");
    assert_eq!(status["url"], "http://my-gateway.inference-gateway.svc.cluster.local:8080");
    let table = world.kubectl(&["get", "gateway", "-A"]).await;
    assert!(table.contains("my-gateway") && table.contains("Running"), "{table}");
    let said = world.kubectl(&["describe", "gateway", "my-gateway", "-n", "inference-gateway"]).await;
    for words in ["Available", "Progressing", "Phase:", "Provider Summary:", "OpenAI"] {
        assert!(said.contains(words), "{words} in {said}");
    }

    let ports = world.get(Service, "my-gateway").await.data["spec"]["ports"].clone();
    let numbers: Vec<_> = ports.as_array().into_iter().flatten().map(|port| port["port"].as_i64()).collect();
    assert_eq!(numbers, [Some(8080), Some(9464)]);
    let slices: Api<EndpointSlice> = Api::namespaced(world.client.clone(), "inference-gateway");
    let of_service = ListParams::default().labels("kubernetes.io/service-name=my-gateway");
    let has_endpoint = async {
        loop {
            let list = slices.list(&of_service).await.expect("a list");
            let ready = list.iter().flat_map(|slice| slice.endpoints.iter().flatten());
            if ready.into_iter().any(|endpoint| endpoint.conditions.as_ref().is_some_and(|c| c.ready == Some(true))) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    crate::world::within("an endpoint", has_endpoint).await;
    let env = &world.get(Deployment, "my-gateway").await.data["spec"]["template"]["spec"]["containers"][0]["env"];
    let key = json!({"name": "openai-secret", "key": "OPENAI_API_KEY"});
    let passed = env.as_array().into_iter().flatten().any(|var| var["valueFrom"]["secretKeyRef"] == key);
    assert!(passed, "{env}");
    // The other kinds beside it, and the document's way to clean up.
    let (agent, server) = (json!({"image": "example.test/agent:1"}), json!({"image": "example.test/mcp:1"}));
    world.apply(&kinds::agent::Agent::INFO, "an-agent", agent).await;
    world.apply(&kinds::mcp::Mcp::INFO, "tools", server).await;
    world.ready(&kinds::agent::Agent::INFO, "an-agent").await;
    world.ready(&kinds::mcp::Mcp::INFO, "tools").await;
    world.kubectl(&["delete", "gateway,agent,mcp,orchestrator", "--all", "-A"]).await;
    let gone = async {
        while !world.children().await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    crate::world::within("everything to be gone", gone).await;
    let left = world.kubectl(&["get", "secret", "openai-secret", "-n", "inference-gateway"]).await;
    assert!(left.contains("Opaque"), "what is the user's stays: {left}");
}
