//! Policy: sets a label and variables, adds a ConfigMap, logs at every level, fails and panics, all by its settings. PURE.
//!
//! It uses every record and function of version 1.0.0 of the contract, and nothing else. See the README above.

use serde::Deserialize;
use serde_json::json;
use wasm_sdk::{Context, Error, Level, Objects, Policy, export_policy, log};

struct First;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    label: String,
    #[serde(default)]
    env: Vec<Variable>,
    config_map: Option<String>,
    warn: Option<String>,
    fail: Option<String>,
    panic: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

impl Policy for First {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Result<(), Error> {
        if settings.label.is_empty() { Err("settings.label is empty".into()) } else { Ok(()) }
    }

    fn rewrite(context: &Context, settings: &Settings, objects: &mut Objects) -> Result<(), Error> {
        let (parent, metadata) = (&context.parent, &context.parent.metadata);
        log(Level::Debug, &format!("{} {}/{}", parent.kind, metadata.namespace, metadata.name));
        log(Level::Info, &format!("{} objects as {}", objects.iter().count(), context.policy.name));
        if let Some(text) = &settings.warn {
            log(Level::Warn, text);
        }
        if let Some(text) = &settings.fail {
            log(Level::Error, "failing");
            return Err(Error::new(text));
        }
        assert!(settings.panic.is_none(), "{}", settings.panic.as_deref().unwrap_or_default());
        for object in objects.iter_mut() {
            object.set_label("example.com/first", &settings.label);
            object.set_annotation("example.com/spec", &parent.spec.to_string());
        }
        for mut template in objects.pod_templates() {
            template.set_label("example.com/first", &settings.label);
            for mut container in template.containers() {
                for variable in &settings.env {
                    container.set_env(&variable.name, &variable.value);
                }
            }
        }
        if let Some(name) = &settings.config_map {
            let metadata = json!({"name": name, "namespace": metadata.namespace});
            objects.add(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}))?;
        }
        Ok(())
    }
}

export_policy!(First);
