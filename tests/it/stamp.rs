//! A policy that copies everything that it is told into what it makes: it comes to rest only if nothing of that changes by
//! itself, and gives the same bytes only if nothing in the sandbox is random.

use std::{fs, path::Path, process::Command, sync::OnceLock};

use igw::policy::engine::Call;
use serde_json::{Value, json};

use crate::guests::{call, engine};

/// The module of `tests/hostile/stamp`, built once for all tests.
pub(crate) fn stamp() -> &'static [u8] {
    static MODULE: OnceLock<Vec<u8>> = OnceLock::new();
    MODULE.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        // That of the policies, where most of it is built already.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("policies");
        let mut command = Command::new(env!("CARGO_BIN_EXE_igw"));
        command.args(["policy", "build", "tests/hostile/stamp", "--target-dir"]).arg(&folder).current_dir(root);
        let output = command.output().expect("igw");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(folder.join("policy/stamp.wasm")).expect("a module")
    })
}

/// What `igw policy run` prints for the custom resource of an example after a change of it.
fn rewritten(change: impl FnOnce(&mut Value)) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateway-complete");
    let read = |file: &str| fs::read_to_string(example.join(file)).expect("text");
    let mut gateway: Value = serde_saphyr::from_str(&read("20-gateway.yaml")).expect("YAML");
    change(&mut gateway);
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let (module, settings) = (file("stamp.wasm", stamp()), file("settings.yaml", b"{a: [1, b]}"));
    let gateway = format!("{gateway}\n---\n{}", read("10-settings.yaml"));
    let given = file("given.yaml", gateway.as_bytes());
    let mut command = Command::new(env!("CARGO_BIN_EXE_igw"));
    command.args(["policy", "run"]).arg(module).arg("-f").arg(given).arg("--settings").arg(settings);
    let output = command.output().expect("igw");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_saphyr::from_multiple(&String::from_utf8(output.stdout).expect("text")).expect("YAML")
}

#[test]
fn what_the_operator_writes_does_not_come_back_to_a_policy() {
    let first = rewritten(|_| {});
    assert_eq!(first.len(), 5, "every object of the example");
    for object in &first {
        let stamped = object["metadata"]["annotations"]["example.com/stamp"].as_str().expect("it was shown");
        let told: Vec<Value> = stamped.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let [context, settings, own] = &told[..] else { panic!("context, settings and object: {stamped}") };
        assert_eq!(context["parent"]["metadata"]["name"], "complete");
        assert_eq!(context["parent"]["spec"]["environment"], "production", "all of the spec");
        assert_eq!(*settings, json!({"a": [1, "b"]}));
        assert_eq!(own["kind"], object["kind"]);
    }
    // As it is after the first apply, and after many.
    let later = rewritten(|gateway| {
        let metadata = &mut gateway["metadata"];
        metadata["generation"] = 7.into();
        metadata["resourceVersion"] = "123456".into();
        metadata["uid"] = "0d6fb3a1-0000-4000-8000-000000000001".into();
        metadata["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        metadata["managedFields"] = json!([{"manager": "inference-gateway-operator", "operation": "Apply"}]);
        metadata["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}".into();
        gateway["status"] = json!({"phase": "Running", "observedGeneration": 7, "readyReplicas": 3});
    });
    assert_eq!(later, first);
    // And what people write does.
    let edited = rewritten(|gateway| gateway["metadata"]["labels"] = json!({"team": "a"}));
    assert_ne!(edited, first);
}

#[tokio::test]
async fn the_order_of_a_hash_map_is_the_same_a_thousand_times() {
    let engine = engine();
    let loaded = engine.load(stamp()).await.expect("loaded");
    let object = json!({"kind": "Service", "metadata": {"name": "a", "annotations": {"b": "c"}}, "spec": {"d": 1}});
    let objects = vec![object.to_string()];
    let context = json!({"parent": {"metadata": {"name": "x", "labels": {"y": "z"}}}}).to_string();
    let mut first = None;
    for number in 0..1_000 {
        // As another policy each time, so that nothing is remembered; every call has an instance of its own.
        let policy = number.to_string();
        let evaluated = engine.rewrite(&loaded, Call { context: &context, ..call(&policy, &objects) }).await;
        assert!(!evaluated.remembered);
        let (output, fuel) = (evaluated.report.result.expect("a result"), evaluated.report.usage.fuel);
        let first = first.get_or_insert_with(|| (output.clone(), fuel));
        assert_eq!(*first, (output, fuel));
    }
    // Another process has other keys for its own maps; the guest's are not made of them.
    let engine = self::engine();
    let loaded = engine.load(stamp()).await.expect("loaded");
    let evaluated = engine.rewrite(&loaded, Call { context: &context, ..call("p", &objects) }).await;
    assert_eq!(first.map(|(output, _)| output), evaluated.report.result.ok());
}
