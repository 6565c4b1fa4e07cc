//! `igw reference`: every field of every kind, as Markdown, walked out of the definitions. PURE.

mod field;

use std::fmt::Write as _;

use serde_json::{Value, json};

use self::field::Field;
use crate::{
    kinds::{self, GROUP, Parent, VERSION, Visitor},
    policy::resource::{self, definition},
};

/// The reference of all kinds.
#[must_use]
pub fn reference() -> String {
    #[derive(Default)]
    struct Sections(String);
    impl Visitor for Sections {
        fn visit<P: Parent>(&mut self) {
            self.0.push_str(&section(&json!(P::crd())));
        }
    }
    let mut sections = Sections::default();
    kinds::for_each(&mut sections);
    for crd in definition::definitions() {
        sections.0.push_str(&section(&json!(crd)));
    }
    let mut text = format!(
        "# Field reference\n\n\
         Every field of the custom resources of `{GROUP}/{VERSION}`, and of the policies of \
         `{}/{}`, generated from their definitions; `kubectl explain` says the same. A block that is left out counts as an empty one, so the defaults inside it \
         hold, unless the description says what the block's absence means.\n\n\
         `{{key, name, optional?}}` is an object with these fields. Types that Kubernetes has elsewhere too end at their \
         name here; their fields:\n\n",
        resource::GROUP,
        resource::VERSION,
    );
    for field::Named { name, explained, .. } in field::NAMED {
        if sections.0.contains(&format!("{name}`")) {
            let _ = writeln!(text, "- `{name}`: {explained}");
        }
    }
    text.push_str(&sections.0);
    text
}

/// One kind.
fn section(crd: &Value) -> String {
    let names = &crd["spec"]["names"];
    let version = &crd["spec"]["versions"][0];
    let root = &version["schema"]["openAPIV3Schema"];
    let spec = &root["properties"]["spec"];
    let about = spec["description"].as_str().or(root["description"].as_str()).unwrap_or_default();
    let mut text = format!("\n## {}\n\n{}\n\n", word(&names["kind"]), field::prose(about));
    let _ = writeln!(text, "- {}", all_names(&crd["spec"]));
    for (priority, command) in [(0, "`kubectl get`"), (1, "`kubectl get -o wide` also")] {
        let columns = columns(version, priority);
        if !columns.is_empty() {
            let _ = writeln!(text, "- {command} shows {}", columns.join(", "));
        }
    }
    if let Some(path) = version.pointer("/subresources/scale/specReplicasPath").and_then(Value::as_str) {
        let _ = writeln!(text, "- `kubectl scale` sets `{}`", path.trim_start_matches('.'));
    }
    for rule in list(&root["x-kubernetes-validations"]) {
        let _ = writeln!(text, "- {}", field::prose(word(&rule["message"])));
    }
    for part in ["spec", "status"] {
        let rows = rows(&root["properties"][part], part);
        if !rows.is_empty() {
            let _ = write!(text, "\n### {} {part}\n\n{}", word(&names["kind"]), table(&rows));
        }
    }
    text
}

/// How it is called: plural and group, short names, category.
fn all_names(spec: &Value) -> String {
    let names = &spec["names"];
    let mut text = format!("Name: `{}.{}`", word(&names["plural"]), word(&spec["group"]));
    for (label, key) in [("short", "shortNames"), ("category", "categories")] {
        let given: Vec<_> = list(&names[key]).iter().map(|name| format!("`{}`", word(name))).collect();
        if !given.is_empty() {
            let _ = write!(text, ", {label} {}", given.join(", "));
        }
    }
    text
}

/// Names of the printer columns of a priority, and what they show.
fn columns(version: &Value, priority: i64) -> Vec<String> {
    list(&version["additionalPrinterColumns"])
        .iter()
        .filter(|column| column["priority"].as_i64().unwrap_or_default() == priority)
        .map(|column| format!("{} (`{}`)", word(&column["name"]), word(&column["jsonPath"]).trim_start_matches('.')))
        .collect()
}

/// Every field below a schema, blocks before what is in them.
fn rows(schema: &Value, path: &str) -> Vec<Field> {
    let mut rows = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let required = list(&schema["required"]).iter().any(|field| field == name);
        walk(property, format!("{path}.{name}"), required, &mut rows);
    }
    rows
}

fn walk(schema: &Value, path: String, required: bool, out: &mut Vec<Field>) {
    out.push(Field::new(&path, schema, required));
    let (mut inner, mut below) = (schema, path);
    loop {
        if inner["items"].is_object() {
            inner = &inner["items"];
            below.push_str("[]");
        } else if inner["additionalProperties"].is_object() {
            inner = &inner["additionalProperties"];
            below.push_str(".*");
        } else {
            break;
        }
    }
    if !field::is_embedded(inner) {
        out.extend(rows(inner, &below));
    }
}

fn table(rows: &[Field]) -> String {
    let mut text = String::from("| Field | Type | Default | Allowed | Description |\n|---|---|---|---|---|\n");
    for Field { path, type_, default, allowed, about } in rows {
        let _ = writeln!(text, "| `{path}` | {type_} | {default} | {allowed} | {about} |");
    }
    text
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
