//! The policies of this repository, from their source to what is applied: each builds to a module that asks for nothing but
//! the contract, and the packed one in its example is current.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use flate2::read::GzDecoder;
use igw::{
    object::digest,
    policy::{
        engine::{Call, Engine},
        limits::Limits,
    },
};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use wasm_sdk::testing::Case;
use wasmparser::{Parser, Payload, Validator};

use crate::guests::engine;

/// Every policy, and what its example is packed with.
const POLICIES: &[(&str, &[&str])] = &[
    ("add-sidecar", &["--grant-image", "docker.io/otel/"]),
    ("extra-env", &[]),
    ("istio-mtls", &["--grant-kind", "PeerAuthentication.security.istio.io"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn igw(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_igw")).args(args).current_dir(root()).output().expect("igw")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Builds every policy, once for all tests, in one target folder.
fn built(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("policies");
        for (name, _) in POLICIES {
            let output =
                igw(&["policy", "build", &format!("policies/{name}"), "--target-dir", &folder.to_string_lossy()]);
            assert!(output.status.success(), "{name}: {}", text(&output.stderr));
            let module = folder.join(format!("policy/{name}.wasm"));
            let bytes = fs::read(&module).expect("a module");
            let said = format!("{}\t{} bytes\t{}\n", module.display(), bytes.len(), digest(&bytes));
            assert_eq!(text(&output.stdout), said);
        }
        folder
    });
    folder.join(format!("policy/{name}.wasm"))
}

/// What the outermost component imports, exports, and says of itself.
fn outermost(module: &[u8]) -> (Vec<String>, Vec<String>, Value) {
    let (mut depth, mut imports, mut exports, mut section) = (0, Vec::new(), Vec::new(), Value::Null);
    for payload in Parser::new(0).parse_all(module) {
        match payload.expect("a component") {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(list) if depth == 1 => {
                imports.extend(list.into_iter().map(|import| import.expect("an import").name.name.to_owned()));
            }
            Payload::ComponentExportSection(list) if depth == 1 => {
                exports.extend(list.into_iter().map(|export| export.expect("an export").name.name.to_owned()));
            }
            Payload::CustomSection(found) if depth == 1 && found.name() == "igw:policy" => {
                assert!(section.is_null(), "one section");
                section = serde_json::from_slice(found.data()).expect("JSON");
            }
            _ => {}
        }
    }
    (imports, exports, section)
}

fn read_yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).expect("text")).expect("YAML")
}

#[test]
fn every_policy_is_in_the_table() {
    let names = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).expect("a folder").map(|entry| entry.expect("an entry"));
        let folders = entries.filter(|entry| entry.path().is_dir());
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<BTreeSet<_>>()
    };
    let wanted: BTreeSet<_> = POLICIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("policies"), wanted);
    assert_eq!(names("examples/policies"), wanted);
}

#[test]
fn a_policy_asks_for_nothing_but_the_contract() {
    for (name, _) in POLICIES {
        let module = fs::read(built(name)).expect("a module");
        Validator::new().validate_all(&module).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (imports, exports, section) = outermost(&module);
        assert_eq!(imports, ["inference-gateway:policy/host@1.0.0"], "{name}");
        assert_eq!(exports, ["inference-gateway:policy/policy@1.0.0"], "{name}");
        let folder = root().join("policies").join(name);
        let mut said = read_yaml(&folder.join("policy.yaml"));
        let schema = fs::read_to_string(folder.join("settings.schema.json")).expect("a schema");
        said["settings"] = serde_json::from_str(&schema).expect("JSON");
        assert_eq!(section, said, "{name}");
        assert_eq!(section["name"], *name);
        let library = fs::read_to_string(folder.join("Cargo.toml")).expect("text");
        assert!(library.contains(&format!("version = \"{}\"", section["version"].as_str().unwrap_or_default())));
        // Panics name files; whose machine it was built on is nobody's business.
        for path in [env!("CARGO_MANIFEST_DIR"), "registry/src"] {
            assert!(!module.windows(path.len()).any(|window| window == path.as_bytes()), "{name} has {path}");
        }
    }
}

/// `policy pack` with the flags that the README of the example has.
fn packed(name: &str, flags: &[&str]) -> String {
    let (module, label) = (built(name), format!("example.com/policy={name}"));
    let settings = format!("policies/{name}/settings.example.yaml");
    let module = module.to_string_lossy();
    let mut args = vec!["policy", "pack", &module, "--name", name, "--cluster", "--parent", "Gateway"];
    args.extend(["--label", &label, "--settings", &settings]);
    args.extend(flags);
    let output = igw(&args);
    assert!(output.status.success() && output.stderr.is_empty(), "{name}: {}", text(&output.stderr));
    let readme = fs::read_to_string(root().join(format!("examples/policies/{name}/README.md"))).expect("a README");
    let line = readme.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(line.contains(&args[3..].join(" ")), "{name}: the README says how it was packed: {args:?}");
    text(&output.stdout)
}

/// Two builds of one source differ in their bytes when their folders differ, because the compiler mixes the path of a
/// dependency into its symbols. So the module of an example is not compared byte for byte: what it says of itself and
/// what it does must be that of the source.
#[test]
fn the_examples_are_current() {
    for (name, flags) in POLICIES {
        let path = root().join(format!("examples/policies/{name}/10-policy.yaml"));
        let fresh = packed(name, flags);
        let stale = "UPDATE_GENERATED=1 cargo test --test it policy_sdk writes it anew";
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&path, &fresh).expect("written");
        }
        let (mut fresh, mut kept) = (documents(&fresh), documents(&fs::read_to_string(&path).expect(stale)));
        let modules = [&fresh, &kept].map(|documents| module(name, documents));
        assert_eq!(outermost(&modules[0]), outermost(&modules[1]), "{name}: {stale}");
        for documents in [&mut fresh, &mut kept] {
            // What depends on the bytes was looked at by `module`.
            documents[0] = json!({});
            documents[1]["spec"]["module"] = json!({});
        }
        assert_eq!(fresh, kept, "{name}: {stale}");
    }
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

/// The module in a ConfigMap, after everything that pins it was checked.
fn module(name: &str, documents: &[Value]) -> Vec<u8> {
    let [map, policy] = documents else { panic!("{name}: a ConfigMap and a policy") };
    let map: ConfigMap = serde_json::from_value(map.clone()).expect("a ConfigMap");
    assert_eq!(map.immutable, Some(true), "{name}");
    let data = map.binary_data.expect("data");
    let packed = &data["policy.wasm.gz"].0;
    let sum = digest(packed);
    let sum = sum.trim_start_matches("sha256:");
    let map_name = format!("{name}-{}", &sum[..12]);
    assert_eq!(map.metadata.name.as_deref(), Some(map_name.as_str()));
    let pinned = json!({"configMap": {"name": map_name, "namespace": "inference-gateway-system", "key": "policy.wasm.gz"},
                        "sha256": sum});
    assert_eq!(policy["spec"]["module"], pinned, "{name}");
    assert!(packed.len() < 100_000, "{name} is small: {}", packed.len());
    let mut module = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut module).expect("gzip");
    module
}

/// Runs the cases of a policy on the operator's own engine.
async fn check_cases(name: &str, engine: &Engine, module: &[u8]) {
    let loaded = engine.load(module).await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    for case in Case::all(root().join("policies").join(name).join("cases")) {
        let (context, settings) = (case.context.to_string(), case.settings.to_string());
        let objects: Vec<String> = case.objects.iter().map(Value::to_string).collect();
        let limits = Limits::default();
        let mut result = engine.validate_settings(&loaded, &settings, limits).await.map(|()| Vec::new());
        if result.is_ok() {
            let call = Call { policy: name, limits, context: &context, settings: &settings, objects: &objects };
            let report = engine.rewrite(&loaded, call).await.report;
            let used = (report.usage.fuel, report.usage.memory);
            assert!(used.0 < 2_000_000 && used.1 < 4 << 20, "{}: {used:?}", case.path.display());
            result = report.result.map(|output| output.objects);
        }
        let path = case.path.display();
        match (result, case.output["error"].as_str()) {
            (Ok(objects), None) => {
                let objects =
                    objects.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect::<Vec<Value>>();
                assert_eq!(json!(objects), case.output["objects"], "{path}");
            }
            (Err(failure), Some(words)) => assert!(failure.message.contains(words), "{path}: {failure}"),
            (result, wanted) => panic!("{path}: {result:?} and not {wanted:?}"),
        }
    }
}

/// Natively and in the sandbox a policy does the same; the module of the example too.
#[tokio::test]
async fn the_cases_hold_in_the_sandbox() {
    let engine = engine();
    for (name, _) in POLICIES {
        check_cases(name, &engine, &fs::read(built(name)).expect("a module")).await;
        let example = root().join(format!("examples/policies/{name}/10-policy.yaml"));
        let kept = module(name, &documents(&fs::read_to_string(example).expect("an example")));
        check_cases(name, &engine, &kept).await;
    }
}

#[test]
fn a_namespaced_policy_names_its_own_namespace() {
    let module = built("istio-mtls");
    let output = igw(&["policy", "pack", &module.to_string_lossy(), "--name", "mesh", "--namespace", "team-a"]);
    let documents = documents(&text(&output.stdout));
    assert_eq!(documents[0]["metadata"]["namespace"], "team-a");
    assert_eq!(
        (&documents[1]["kind"], &documents[1]["metadata"]["namespace"]),
        (&json!("WasmPolicy"), &json!("team-a"))
    );
    let spec = &documents[1]["spec"];
    assert!(spec["module"]["configMap"].get("namespace").is_none() && spec.get("grants").is_none(), "{spec}");
    assert_eq!(spec["match"]["parents"].as_array().map(Vec::len), Some(4), "every kind of the operator");
    assert_eq!(spec["match"]["children"], json!([{"group": "apps", "kind": "Deployment"}]));
    let said = text(&output.stderr);
    assert!(said.contains("--cluster --grant-kind PeerAuthentication.security.istio.io"), "{said}");
}

#[test]
fn errors_end_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_string_lossy().into_owned();
    let file = folder.path().join("core.wasm").to_string_lossy().into_owned();
    fs::write(&file, b"\0asm\x01\0\0\0").expect("written");
    for (args, words) in [
        (&["policy", "build", "/does/not/exist"][..], "give the folder of a policy crate"),
        (&["policy", "build", &path], "it says name, version and kinds"),
        (&["policy", "pack", "/does/not/exist", "--name", "a"], "give the file that `igw policy build` wrote"),
        (&["policy", "pack", &file, "--name", "a"], "build it with `igw policy build`"),
        (&["policy", "pack", &built("extra-env").to_string_lossy(), "--name", "a"], "give others with --settings FILE"),
        (&["policy", "pack", &file, "--name", "A_b"], "lower case letters"),
        (&["policy", "pack", &file, "--name", "a", "--grant-kind", "A.b"], "--cluster"),
    ] {
        let output = igw(args);
        let said = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty() && said.contains(words), "{args:?}: {said}");
    }
}
