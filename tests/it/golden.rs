//! Golden pages: a custom resource in, everything that should exist out, one YAML page a case.
//!
//! `tests/golden/<kind>/<case>.yaml` holds the custom resource, a line `# Output`, and what the pure code makes of it. Beside
//! the custom resource may stand ConfigMaps that it names, and one document `kind: Found` with the custom resources that it
//! finds (`agents`, `mcps`: lists of `name` and `url`) and an older one with its claim (`rival`). `UPDATE_GOLDEN=1 cargo test golden` writes the second part anew; read the difference
//! before it is committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use igw::{
    kinds::{self, Found, Parent, Related, Visitor},
    object::{Identity, digest},
    reconcile::reason::CONDITIONS,
};
use serde_json::{Map, Value, json};

const OUTPUT: &str = "# Output\n";

#[test]
fn golden_pages_are_current() {
    struct Pages {
        stale: Vec<String>,
        read: BTreeSet<PathBuf>,
    }
    impl Visitor for Pages {
        fn visit<P: Parent>(&mut self) {
            let schema = spec_schema::<P>();
            for path in pages(&P::INFO.kind.to_lowercase()) {
                if let Err(difference) = check::<P>(&path, &schema) {
                    self.stale.push(format!("{}: {difference}", path.display()));
                }
                self.read.insert(path);
            }
        }
    }
    let mut result = Pages { stale: Vec::new(), read: BTreeSet::new() };
    kinds::for_each(&mut result);
    let unread: Vec<_> = all_pages().into_iter().filter(|path| !result.read.contains(path)).collect();
    assert!(unread.is_empty(), "pages in a folder that is no kind: {unread:?}");
    assert!(!result.read.is_empty(), "no pages found");
    assert!(
        result.stale.is_empty(),
        "{}\n\nif this is meant: UPDATE_GOLDEN=1 cargo test golden, then read the difference",
        result.stale.join("\n")
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn pages(kind: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root().join(kind)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("read folder").path()).collect();
    paths.sort();
    paths
}

fn all_pages() -> Vec<PathBuf> {
    let folders = fs::read_dir(root()).expect("tests/golden exists").map(|entry| entry.expect("read folder"));
    folders.flat_map(|folder| pages(&folder.file_name().to_string_lossy())).collect()
}

fn check<P: Parent>(path: &Path, schema: &Value) -> Result<(), String> {
    let page = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let (input, expected) = page.split_once(OUTPUT).unwrap_or((&page, ""));
    let actual = output::<P>(input, schema)?;
    if actual == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return fs::write(path, format!("{}\n{OUTPUT}{actual}", input.trim_end())).map_err(|e| e.to_string());
    }
    let mut lines = expected.lines().chain(std::iter::repeat(""));
    let (number, line) = actual
        .lines()
        .chain(std::iter::once(""))
        .enumerate()
        .find(|(_, line)| lines.next() != Some(line))
        .unwrap_or_default();
    Err(format!("line {} after `# Output` should be {line:?}", number + 1))
}

fn output<P: Parent>(input: &str, schema: &Value) -> Result<String, String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(input).map_err(|e| e.to_string())?;
    let of_kind = |kind: &'static str| documents.iter().filter(move |document| document["kind"] == kind);
    let parent = of_kind(P::INFO.kind).next().ok_or("no custom resource on the page")?;
    let related = Related {
        config_maps: of_kind("ConfigMap")
            .map(|map| (text(&map["metadata"]["name"]), digest(map["data"].to_string().as_bytes())))
            .collect(),
        found: of_kind("Found").flat_map(found).collect(),
        rival: of_kind("Found").find_map(|document| Some(document["rival"].as_str()?.into())),
        ..Related::default()
    };
    let given = parent.get("spec").cloned().unwrap_or_else(|| json!({}));
    let result = render::<P>(parent, &given, &related);

    // What the API server stores is the same spec with the defaults of the schema: both must mean the same.
    refuse_unknown(schema, &given, "spec")?;
    let mut stored = given;
    fill_defaults(schema, &mut stored);
    let from_stored = render::<P>(parent, &stored, &related);
    if from_stored != result {
        return Err("the defaults of the schema and of the code differ".into());
    }
    Ok(result)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pairs(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// What a document of kind Found lists, by kind and in the order of the names.
fn found(document: &Value) -> impl Iterator<Item = (&'static str, Arc<[Found]>)> {
    [("agents", "Agent"), ("mcps", "MCP")].into_iter().filter_map(|(key, kind)| {
        let entries = document[key].as_array()?.iter();
        let mut found: Vec<_> =
            entries.map(|entry| Found { name: text(&entry["name"]).into(), url: text(&entry["url"]).into() }).collect();
        found.sort();
        Some((kind, found.into()))
    })
}

fn render<P: Parent>(parent: &Value, spec: &Value, related: &Related) -> String {
    let spec: P::Spec = match serde_path_to_error::deserialize(spec) {
        Ok(spec) => spec,
        Err(error) => return document(&json!({ "error": format!("spec.{}: {}", error.path(), error.inner()) })),
    };
    let identity = Identity {
        namespace: text(&parent["metadata"]["namespace"]),
        name: text(&parent["metadata"]["name"]),
        labels: pairs(&parent["metadata"]["labels"]),
        annotations: pairs(&parent["metadata"]["annotations"]),
        ..Identity::default()
    };
    let desired = match P::desired(&identity, &spec, related) {
        Ok(desired) => desired,
        Err(error) => return document(&json!({ "error": error.to_string() })),
    };
    let mut page = String::new();
    let mut seen = BTreeSet::new();
    for child in &desired.children {
        let info = child.id.kind.info();
        assert_eq!(child.body["apiVersion"], info.api_version(), "{}", child.id);
        assert_eq!(child.body["kind"], info.kind, "{}", child.id);
        assert_eq!(child.body["metadata"]["name"], *child.id.name, "{}", child.id);
        assert_eq!(child.body["metadata"]["namespace"], identity.namespace, "{}", child.id);
        assert!(seen.insert(&child.id), "{} twice", child.id);
        page.push_str(&document(&child.body));
    }
    let references = match P::references(&identity, &spec) {
        Ok(references) => references,
        Err(error) => return document(&json!({ "error": error.to_string() })),
    };
    let mut rest = Map::from_iter([("status".to_owned(), Value::Object(desired.status))]);
    for (key, names) in [
        ("configMaps", references.config_maps.into_iter().collect()),
        ("secrets", references.secrets.into_iter().collect()),
        ("notes", desired.notes),
    ] {
        if !names.is_empty() {
            rest.insert(key.into(), names.into());
        }
    }
    if let Some(claim) = references.claim {
        rest.insert("claim".into(), claim.into());
    }
    let looked_for: Map<_, _> = references
        .discoveries
        .into_iter()
        .map(|(kind, sought)| (kind.to_owned(), format!("{} {}", sought.namespace, sought.selector).trim().into()))
        .collect();
    if !looked_for.is_empty() {
        rest.insert("looksFor".into(), looked_for.into());
    }
    let conditions: Vec<_> = desired
        .conditions
        .iter()
        .map(|condition| {
            let known =
                CONDITIONS.iter().any(|(kind, reason, _)| (*kind, *reason) == (condition.kind, &*condition.reason));
            assert!(known, "{} {} is not in the reference", condition.kind, condition.reason);
            let needed = if condition.needed { "" } else { " (not needed)" };
            format!("{} {} {}{needed}: {}", condition.kind, condition.status, condition.reason, condition.message)
        })
        .collect();
    if !conditions.is_empty() {
        rest.insert("conditions".into(), conditions.into());
    }
    page.push_str(&document(&Value::Object(rest)));
    page
}

fn document(value: &Value) -> String {
    format!("---\n{}", serde_saphyr::to_string(value).expect("JSON is YAML"))
}

fn spec_schema<P: Parent>() -> Value {
    let crd = serde_json::to_value(P::crd()).expect("a definition serialises");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// What the API server does with a structural schema: a missing field gets its default, then the same inside it.
fn fill_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            for (name, property) in &properties {
                if let (false, Some(default)) = (fields.contains_key(name), property.get("default")) {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(field) = fields.get_mut(name) {
                    fill_defaults(property, field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_defaults(&schema["items"], item)),
        _ => {}
    }
}

/// A page with a mistyped field would test nothing.
fn refuse_unknown(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    match value {
        Value::Object(fields) => {
            let known: BTreeMap<_, _> = schema["properties"].as_object().into_iter().flatten().collect();
            let free = schema.get("additionalProperties").is_some();
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                match known.get(name) {
                    Some(property) => refuse_unknown(property, field, &path)?,
                    None if free => {}
                    None => return Err(format!("unknown field {path}")),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_unknown(&schema["items"], item, &format!("{path}[{index}]"))?;
            }
        }
        _ => {}
    }
    Ok(())
}
