//! Policy: sets environment variables of the containers whose names are chosen. PURE.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use wasm_sdk::{Container, Context, Error, Objects, Policy, export_policy};

/// The policy.
#[derive(Debug)]
pub struct ExtraEnv;

/// Which variables, and where.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The variables, in the order in which they are added.
    env: Vec<Variable>,
    /// Which containers get them; all of them when absent.
    #[serde(default)]
    containers: Selector,
    /// Whether init containers get them too.
    #[serde(default)]
    init_containers: bool,
    /// What happens to a variable that the operator sets itself.
    #[serde(default)]
    existing: Existing,
}

/// A variable as a manifest has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Variable {
    name: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    value_from: Option<Value>,
}

/// Chooses containers by name. A name may end with `*`, for any ending.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Selector {
    /// Names; any when empty.
    #[serde(default)]
    include: Vec<String>,
    /// Names that are not meant, also when they are included.
    #[serde(default)]
    exclude: Vec<String>,
}

impl Selector {
    fn matches(&self, name: &str) -> bool {
        let one = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        (self.include.is_empty() || self.include.iter().any(one)) && !self.exclude.iter().any(one)
    }
}

/// What happens to a variable that is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Existing {
    /// It stays: what the custom resource says is nearer.
    #[default]
    Keep,
    /// It is replaced.
    Replace,
}

impl Policy for ExtraEnv {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Result<(), Error> {
        let mut names = BTreeSet::new();
        for (index, variable) in settings.env.iter().enumerate() {
            let name = &variable.name;
            if !names.insert(name) {
                return Err(format!("settings.env[{index}].name: {name} is there twice").into());
            }
            if variable.value.is_some() && variable.value_from.is_some() {
                return Err(format!("settings.env[{index}]: {name} has value and valueFrom").into());
            }
        }
        Ok(())
    }

    fn rewrite(_: &Context, settings: &Settings, objects: &mut Objects) -> Result<(), Error> {
        for mut template in objects.pod_templates() {
            template.containers().for_each(|container| set(container, settings));
            if settings.init_containers {
                template.init_containers().for_each(|container| set(container, settings));
            }
        }
        Ok(())
    }
}

fn set(mut container: Container<'_>, settings: &Settings) {
    if !settings.containers.matches(container.name()) {
        return;
    }
    for Variable { name, value, value_from } in &settings.env {
        if settings.existing == Existing::Keep && container.has_env(name) {
            continue;
        }
        match (value_from, value) {
            (Some(from), _) => container.put_env(json!({"name": name, "valueFrom": from})),
            (None, value) => container.set_env(name, value.as_deref().unwrap_or_default()),
        }
    }
}

export_policy!(ExtraEnv);

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};
    use wasm_sdk::{Policy as _, testing};

    use super::{ExtraEnv, Settings};

    fn validate(settings: Value) -> Result<(), String> {
        let settings: Settings = from_value(settings).map_err(|error| error.to_string())?;
        ExtraEnv::validate(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_that_contradict_themselves_are_refused() {
        assert_eq!(validate(json!({"env": [{"name": "A", "value": "1"}, {"name": "B"}]})), Ok(()));
        let twice = validate(json!({"env": [{"name": "A"}, {"name": "A"}]}));
        assert_eq!(twice, Err("settings.env[1].name: A is there twice".into()));
        let both = validate(json!({"env": [{"name": "A", "value": "", "valueFrom": {}}]}));
        assert_eq!(both, Err("settings.env[0]: A has value and valueFrom".into()));
        assert!(validate(json!({})).is_err() && validate(json!({"env": [], "more": 1})).is_err());
    }

    #[test]
    fn containers_are_chosen_by_name() {
        let matches = |selector: Value, name: &str| {
            let settings: Settings = from_value(json!({"env": [], "containers": selector})).expect("settings");
            settings.containers.matches(name)
        };
        assert!(matches(json!({}), "any"));
        assert!(matches(json!({"include": ["a", "proxy-*"]}), "proxy-1"));
        assert!(!matches(json!({"include": ["a", "proxy-*"]}), "ab"));
        assert!(!matches(json!({"include": ["*"], "exclude": ["a"]}), "a"));
    }

    #[test]
    fn cases() {
        testing::check_cases::<ExtraEnv>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
