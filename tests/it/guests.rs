//! Small policies for tests, made of WebAssembly text, and an engine to run them on: the program's own, in its own
//! children.

use std::{collections::HashMap, fs, path::PathBuf};

use igw::policy::{
    engine::{Call, Engine},
    failure::Failure,
    limits::Limits,
    module::SECTION,
    protocol::{Output, Report},
};
use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// The contract as text.
pub(crate) const WIT: &str = include_str!("../../wasm-sdk/wit/policy.wit");

/// An engine whose children run the program that these tests were built with.
pub(crate) fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_igw").into())
}

/// A policy from `tests/hostile`, and what the head of its file says about it.
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) says: HashMap<String, String>,
}

fn folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile").into()
}

fn text(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every policy of the folder.
pub(crate) fn all() -> Vec<Guest> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".wat")?.to_owned()))
        .collect();
    names.sort();
    names.iter().map(|name| guest(name)).collect()
}

/// One policy of the folder.
pub(crate) fn guest(name: &str) -> Guest {
    let own = text(&format!("{name}.wat"));
    let head = own.lines().map_while(|line| line.strip_prefix(";; "));
    let says: HashMap<String, String> =
        head.filter_map(|line| line.split_once(": ")).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let first = own.lines().find(|line| !line.starts_with(";;") && !line.is_empty()).unwrap_or_default();
    let bytes = if first.starts_with("(component") || first.starts_with("(module") {
        with_manifest(&wat::parse_str(&own).unwrap_or_else(|error| panic!("{name}: {error}")), &manifest(name))
    } else {
        let mut prelude = text("prelude.txt");
        if let Some(pages) = says.get("memory") {
            prelude = prelude.replace("(export \"memory\") 1)", &format!("(export \"memory\") {pages})"));
        }
        if says.contains_key("realloc") {
            prelude = prelude.replace(" (export \"cabi_realloc\")", "");
        }
        let missing = |function: &str| !own.contains(&format!("#{function}\""));
        let validate = if missing("validate-settings") { text("validate.txt") } else { String::new() };
        let rewrite = if missing("rewrite") { text("honest.wat") } else { String::new() };
        let forges = ["forge", "with", "find"].iter().any(|called| own.contains(&format!("(call ${called}")));
        let forging = if forges { text("forging.txt") } else { String::new() };
        let module = format!("(module\n{prelude}\n{forging}\n{own}\n{validate}\n{rewrite})");
        let core = wat::parse_str(&module).unwrap_or_else(|error| panic!("{name}: {error}"));
        policy(core, &manifest(name))
    };
    Guest { name: name.to_owned(), bytes, says }
}

/// What a policy says of itself, in the simplest case.
pub(crate) fn manifest(name: &str) -> Value {
    json!({"name": name, "version": "1.0.0", "kinds": [{"group": "apps", "kind": "Deployment"}, {"kind": "Service"}]})
}

fn world(wit: &str) -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", wit).expect("WIT");
    let world = resolve.select_world(&[package], Some("policy-module")).expect("a world");
    (resolve, world)
}

/// A component of a core module, as `igw policy build` makes it.
pub(crate) fn policy(core: Vec<u8>, manifest: &Value) -> Vec<u8> {
    let (resolve, world) = world(WIT);
    with_manifest(&encode(core, &resolve, world), manifest)
}

/// A policy of another contract, whose functions only trap.
pub(crate) fn policy_of(wit: &str) -> Vec<u8> {
    let (resolve, world) = world(wit);
    let abi = wit_parser::ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync);
    let core = wit_component::dummy_module(&resolve, world, abi);
    with_manifest(&encode(core, &resolve, world), &manifest("other-contract"))
}

fn encode(mut core: Vec<u8>, resolve: &Resolve, world: WorldId) -> Vec<u8> {
    embed_component_metadata(&mut core, resolve, world, StringEncoding::UTF8).expect("embedded");
    // Not validated: some break rules on purpose.
    ComponentEncoder::default().validate(false).module(&core).expect("a module").encode().expect("a component")
}

/// A section with the manifest behind everything else.
pub(crate) fn with_manifest(component: &[u8], manifest: &Value) -> Vec<u8> {
    with_section(component, SECTION, manifest.to_string().as_bytes())
}

/// A custom section behind everything else.
pub(crate) fn with_section(component: &[u8], name: &str, data: &[u8]) -> Vec<u8> {
    use wasm_encoder::Encode as _;
    let mut bytes = component.to_vec();
    let section = wasm_encoder::CustomSection { name: name.into(), data: data.into() };
    bytes.push(wasm_encoder::SectionId::Custom.into());
    section.encode(&mut bytes);
    bytes
}

/// Loads a policy and has it rewrite two documents.
pub(crate) async fn run(engine: &Engine, bytes: &[u8]) -> Result<Report, Failure> {
    let loaded = engine.load(bytes).await?;
    Ok(engine.rewrite(&loaded, call("p", &documents())).await.report)
}

/// Two documents.
pub(crate) fn documents() -> Vec<String> {
    vec![json!({"kind": "Deployment", "text": "ä"}).to_string(), json!({"kind": "Service"}).to_string()]
}

/// A call with default limits.
pub(crate) fn call<'a>(policy: &'a str, objects: &'a [String]) -> Call<'a> {
    Call { policy, limits: Limits::default(), context: "{}", settings: "{}", objects }
}

/// What an honest policy gives back.
pub(crate) fn unchanged() -> Output {
    Output { objects: documents(), details: "{}".into() }
}
