//! Policy: adds a container to the pods, beside the others or as a native sidecar before them. PURE.

use serde::Deserialize;
use serde_json::{Map, Value};
use wasm_sdk::{Context, Error, Objects, Policy, export_policy};

/// The policy.
#[derive(Debug)]
pub struct AddSidecar;

/// Which container, and what it needs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The container, as a manifest has it.
    container: Map<String, Value>,
    /// Whether it starts before all other containers and ends after them.
    #[serde(default)]
    native: bool,
    /// Volumes of the pod, as a manifest has them.
    #[serde(default)]
    volumes: Vec<Value>,
    /// Annotations of the pods, for example for a scraper.
    #[serde(default)]
    pod_annotations: Map<String, Value>,
}

impl Policy for AddSidecar {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Result<(), Error> {
        for field in ["name", "image"] {
            if settings.container.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(format!("settings.container.{field} is missing").into());
            }
        }
        if settings.container.contains_key("restartPolicy") {
            return Err("settings.container.restartPolicy: write settings.native in its place".into());
        }
        Ok(())
    }

    fn rewrite(_: &Context, settings: &Settings, objects: &mut Objects) -> Result<(), Error> {
        for mut template in objects.pod_templates() {
            let mut container = settings.container.clone();
            if settings.native {
                // An init container that goes on is what Kubernetes calls a sidecar.
                container.insert("restartPolicy".into(), "Always".into());
                template.add_init_container(container.into())?;
            } else {
                template.add_container(container.into())?;
            }
            for volume in &settings.volumes {
                template.add_volume(volume.clone())?;
            }
            for (key, value) in &settings.pod_annotations {
                template.set_annotation(key, value.as_str().unwrap_or_default());
            }
        }
        Ok(())
    }
}

export_policy!(AddSidecar);

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};
    use wasm_sdk::{Policy as _, testing};

    use super::{AddSidecar, Settings};

    fn validate(container: Value) -> Result<(), String> {
        let settings: Settings = from_value(json!({"container": container})).map_err(|error| error.to_string())?;
        AddSidecar::validate(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn a_container_has_a_name_and_an_image() {
        assert_eq!(validate(json!({"name": "a", "image": "b"})), Ok(()));
        assert_eq!(validate(json!({"name": "a"})), Err("settings.container.image is missing".into()));
        assert_eq!(validate(json!({"name": "", "image": "b"})), Err("settings.container.name is missing".into()));
        assert!(validate(json!({"name": "a", "image": "b", "restartPolicy": "Always"})).is_err());
        assert!(validate(json!("a")).is_err());
    }

    #[test]
    fn cases() {
        testing::check_cases::<AddSidecar>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
