//! The program as people run it: what it prints, how it ends, and that it ends with what to do.

use std::{fs, path::Path};

use igw::object::ChildKind::{Deployment, Ingress, Service};
use serde_json::{Value, json};

use crate::world::{World, within};

/// Runs the program; returns its exit status, what it printed, and what it said of errors.
async fn igw(args: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_igw"));
    command.args(args).envs(environment.iter().copied()).kill_on_drop(true);
    let output = within("igw to end", command.output()).await.expect("igw");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn manifest(folder: &Path, name: &str, namespace: &str, spec: Value) -> String {
    let document = json!({
        "apiVersion": "core.inference-gateway.com/v1alpha1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    let path = folder.join(format!("{name}.yaml"));
    fs::write(&path, document.to_string()).expect("written");
    path.to_string_lossy().into_owned()
}

#[tokio::test]
async fn errors_end_with_what_to_do() {
    let selector = ["run", "--watch-namespace-selector", "team in x", "--metrics-bind-address=0"];
    for (args, environment, words) in [
        (&selector[..], &[][..], r#"failed to read label selector "team in x""#),
        (&["run"][..], &[("WATCH_NAMESPACE_SELECTOR", "=x")][..], "write for example team=a"),
        (&["run", "--kubeconfig", "/does/not/exist"][..], &[][..], "failed to read kubeconfig /does/not/exist"),
        (
            &["run", "--metrics-secure", "--kubeconfig", "/does/not/exist"][..],
            &[][..],
            "--metrics-secure has no effect",
        ),
        (&["render", "-f", "/does/not/exist"][..], &[][..], "/does/not/exist"),
        (&["install", "--namespace", "Not_one"][..], &[][..], "a namespace has 1 to 63 lower case letters"),
    ] {
        let (code, out, said) = igw(args, environment).await;
        assert_ne!(code, 0, "{args:?}");
        assert!(said.contains(words) && out.is_empty(), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn render_finds_what_is_looked_for_among_the_files() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/orchestrator");
    let (code, yaml, said) = igw(&["render", "-f", folder], &[]).await;
    assert_eq!((code, said.as_str()), (0, ""));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&yaml).expect("YAML");
    let list = objects.iter().find_map(|object| object["data"]["agents.yaml"].as_str()).expect("a list of agents");
    let list: Value = serde_saphyr::from_str(list).expect("YAML");
    assert_eq!(list["agents"].as_array().map(Vec::len), Some(2), "{list}");
}

#[tokio::test]
async fn render_prints_the_objects_without_a_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = manifest(folder.path(), "gw", "ns", crate::world::everything());
    let (code, yaml, said) = igw(&["render", "-f", &file], &[]).await;
    assert_eq!((code, said.as_str()), (0, ""));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&yaml).expect("YAML");
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["ServiceAccount", "Service", "Deployment", "Ingress", "HorizontalPodAutoscaler"]);
    let (_, json, _) = igw(&["render", "-o", "json", "-f", &file], &[]).await;
    let list: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(list["items"].as_array(), Some(&objects));

    let bad = manifest(folder.path(), "bad", "ns", json!({"ingress": {"enabled": true}}));
    let (code, _, said) = igw(&["render", "-f", &bad], &[]).await;
    assert!(code != 0 && said.contains("spec.ingress"), "{said}");
}

#[tokio::test]
async fn diff_asks_the_server_and_changes_nothing() {
    let world = World::new("diff").await;
    let namespace = world.namespace.as_str();
    let spec = json!({"providers": [{"name": "A", "env": [{"name": "KEY", "value": "hidden-1"}]}]});
    world.run_gateway("gw", spec).await;
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = world.plane.kubeconfig(controlplane::User::Admin).to_string_lossy().into_owned();
    let before = world.get(Deployment, "gw").await;

    let same = json!({"providers": [{"name": "A", "env": [{"name": "KEY", "value": "hidden-1"}]}]});
    let file = manifest(folder.path(), "gw", namespace, same);
    let (code, out, said) = igw(&["diff", "--kubeconfig", &kubeconfig, "-f", &file], &[]).await;
    assert_eq!(code, 0, "{out}{said}");

    let other = json!({
        "image": "other:1",
        "providers": [{"name": "A", "env": [{"name": "KEY", "value": "hidden-2"}]}],
        "ingress": {"enabled": true, "host": "gateway.example.com"},
    });
    let file = manifest(folder.path(), "gw", namespace, other);
    let args = ["diff", "--kubeconfig", &kubeconfig, "-f", &file];
    let (code, out, said) = igw(&args, &[]).await;
    assert_eq!(code, 1, "something differs: {out}{said}");
    let image = r#".spec.template.spec.containers[name="inference-gateway"].image: "#;
    for words in [image, r#"-> "other:1""#, "+ Ingress", "Service", "unchanged", "***"] {
        assert!(out.contains(words), "{words} in {out}");
    }
    assert!(!out.contains("hidden"), "{out}");
    let (_, out, _) = igw(&[&args[..], &["--show-values"]].concat(), &[]).await;
    assert!(out.contains(r#""hidden-1" -> "hidden-2""#), "{out}");

    let new = manifest(folder.path(), "new", namespace, json!({}));
    let (code, out, said) = igw(&["diff", "--kubeconfig", &kubeconfig, "-f", &new], &[]).await;
    assert_eq!(code, 1, "{out}{said}");
    assert!(out.contains("+ Deployment") && !out.contains("would be refused"), "{out}");

    world.settled().await;
    assert_eq!(world.get(Deployment, "gw").await.metadata.resource_version, before.metadata.resource_version);
    assert!(world.find(Ingress, "gw").await.is_none() && world.find(Service, "new").await.is_none());
}

#[tokio::test]
async fn install_takes_another_image_and_another_namespace() {
    let (code, out, said) = igw(&["install", "--image", "example.test/igw:1", "-n", "elsewhere"], &[]).await;
    assert_eq!((code, said.as_str()), (0, ""));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&out).expect("YAML");
    let (first, last) = (&objects[0], &objects[objects.len() - 1]);
    assert_eq!((&first["kind"], &first["metadata"]["name"]), (&json!("Namespace"), &json!("elsewhere")));
    assert_eq!(last["spec"]["template"]["spec"]["containers"][0]["image"], "example.test/igw:1");
    assert!(!out.contains(igw::args::NAMESPACE) && !out.contains(igw::args::IMAGE), "{out}");
}

#[tokio::test]
async fn help_and_completions_are_there() {
    let help = [&["--help"][..], &["run", "--help"], &["completions", "bash"], &["--version"], &["reference"]];
    for args in help {
        let (code, out, said) = igw(args, &[]).await;
        assert!(code == 0 && !out.is_empty(), "{args:?}: {said}");
    }
}
