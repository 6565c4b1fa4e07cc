//! Tests of a policy on a developer's machine: single calls, and cases in files.
//!
//! A case is one YAML file: what goes in, a line `# Output`, and what comes out. `UPDATE_GOLDEN=1 cargo test` writes the
//! second part anew; read what it wrote.
//!
//! ```yaml
//! context:
//!   parent: {apiVersion: core.inference-gateway.com/v1alpha1, kind: Gateway, metadata: {name: a, namespace: b}, spec: {}}
//!   policy: {name: c}
//! settings: {}
//! objects:
//! - {apiVersion: v1, kind: Service, metadata: {name: a, namespace: b}}
//! # Output
//! ---
//! objects:
//! - {apiVersion: v1, kind: Service, metadata: {name: a, namespace: b}}
//! ```
//!
//! A case that is to fail has `error: the words` in place of `objects`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{Error, Policy, call};

const OUTPUT: &str = "# Output\n";

/// Asks a policy as the operator does: the settings first, then the objects.
///
/// # Errors
///
/// What the policy says of its settings, or why it has no result.
pub fn run<P: Policy>(context: &Value, settings: &Value, objects: &[Value]) -> Result<Vec<Value>, Error> {
    let settings = settings.to_string();
    call::validate_settings::<P>(&settings)?;
    let objects: Vec<_> = objects.iter().map(Value::to_string).collect();
    let output = call::rewrite::<P>(&context.to_string(), &settings, &objects)?;
    let again = call::rewrite::<P>(&context.to_string(), &settings, &objects)?;
    if output != again {
        return Err("the same arguments gave two results".into());
    }
    let documents = output.iter().map(|text| serde_json::from_str(text).map_err(|error| error.to_string().into()));
    documents.collect()
}

/// One case of a policy.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its file.
    pub path: PathBuf,
    /// The context.
    pub context: Value,
    /// The settings.
    pub settings: Value,
    /// The generated objects.
    pub objects: Vec<Value>,
    /// What should come out: `objects` or `error`. Null for a case without an output yet.
    pub output: Value,
    /// The part of the file before the output.
    text: String,
}

impl Case {
    /// Every case in a folder, by name.
    ///
    /// # Panics
    ///
    /// When there is none, or when one is no case.
    #[must_use]
    pub fn all(folder: impl AsRef<Path>) -> Vec<Self> {
        let folder = folder.as_ref();
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        paths.sort();
        assert!(!paths.is_empty(), "no case in {}", folder.display());
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (input, output) = text.split_once(OUTPUT).unwrap_or((&text, "null"));
        let parse = |text: &str| -> Value {
            let output = text.strip_prefix("---\n").unwrap_or(text);
            serde_saphyr::from_str(output).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let (mut given, output) = (parse(input), parse(output));
        let Value::Array(objects) = given["objects"].take() else {
            panic!("{}: objects is no list", path.display());
        };
        let (context, settings) = (given["context"].take(), given["settings"].take());
        let text = input.to_owned();
        Self { context, settings, objects, output, text, path }
    }

    /// What came out, in the form of the second part of a case.
    #[must_use]
    pub fn shown(result: Result<Vec<Value>, Error>) -> Value {
        match result {
            Ok(objects) => json!({"objects": objects}),
            Err(error) => json!({"error": error.to_string()}),
        }
    }

    fn rewrite(&self, output: &Value) {
        let shown = serde_saphyr::to_string(output).expect("JSON is YAML");
        let end = if self.text.ends_with('\n') { "" } else { "\n" };
        let text = format!("{}{end}{OUTPUT}---\n{}\n", self.text, shown.trim_end());
        fs::write(&self.path, text).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }
}

/// Runs every case in a folder, and holds what comes out against the file.
///
/// # Panics
///
/// When a case gives something else, or a case could not be read.
pub fn check_cases<P: Policy>(folder: impl AsRef<Path>) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for case in Case::all(folder) {
        let output = Case::shown(run::<P>(&case.context, &case.settings, &case.objects));
        if update {
            case.rewrite(&output);
            continue;
        }
        let yaml = |value: &Value| serde_saphyr::to_string(value).unwrap_or_default();
        let (is, wanted) = (yaml(&output), yaml(&case.output));
        assert!(
            output == case.output,
            "{} gives\n{is}\nand not\n{wanted}\nUPDATE_GOLDEN=1 cargo test rewrites it",
            case.path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::{Case, check_cases, run};
    use crate::{Context, Error, Objects, Policy};

    struct Stamp;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        label: String,
    }

    impl Policy for Stamp {
        type Settings = Settings;

        fn validate(settings: &Settings) -> Result<(), Error> {
            if settings.label.is_empty() { Err("settings.label is empty".into()) } else { Ok(()) }
        }

        fn rewrite(context: &Context, settings: &Settings, objects: &mut Objects) -> Result<(), Error> {
            for object in objects.iter_mut() {
                object.set_label(&settings.label, &context.parent.metadata.namespace);
            }
            Ok(())
        }
    }

    fn context() -> Value {
        json!({"parent": {"apiVersion": "v1", "kind": "Gateway", "metadata": {"name": "a", "namespace": "team"}},
               "policy": {"name": "stamp"}})
    }

    #[test]
    fn a_policy_is_asked_as_the_operator_asks_it() {
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}});
        let said = run::<Stamp>(&context(), &json!({"label": "of"}), std::slice::from_ref(&object)).expect("objects");
        assert_eq!(said[0]["metadata"]["labels"], json!({"of": "team"}));
        for (settings, words) in [
            (json!({"label": ""}), "settings.label is empty"),
            (json!({"lable": "x"}), "failed to read settings: unknown field `lable`"),
        ] {
            let error = run::<Stamp>(&context(), &settings, std::slice::from_ref(&object)).expect_err("refused");
            assert!(error.to_string().starts_with(words), "{error}");
        }
        let error = run::<Stamp>(&json!({}), &json!({"label": "of"}), &[object]).expect_err("no parent");
        assert!(error.to_string().starts_with("failed to read the context: missing field `parent`"), "{error}");
    }

    #[test]
    fn a_case_is_one_page() {
        let folder = std::env::temp_dir().join(format!("wasm-sdk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}});
        let input = json!({"context": context(), "settings": {"label": "of"}, "objects": [object]});
        let path = folder.join("one.yaml");
        std::fs::write(&path, format!("# Why.\n{input}")).expect("written");
        let case = &Case::all(&folder)[0];
        assert_eq!(case.output, Value::Null);
        case.rewrite(&Case::shown(run::<Stamp>(&case.context, &case.settings, &case.objects)));
        check_cases::<Stamp>(&folder);
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("# Why.\n") && text.contains("\n# Output\n---\nobjects:\n"), "{text}");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
