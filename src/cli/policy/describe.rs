//! What a module says of itself: from `policy.yaml` and `settings.schema.json` into a section of the module, and back.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmparser::{Parser, Payload};

use super::super::Error;
use crate::policy::{
    module::{GroupKind, SECTION},
    settings::Schema,
};

/// The section may have this many bytes.
const LIMIT: usize = 64 * 1024;

/// What a module says of itself. Fields that are not known are for later versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Description {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) description: String,
    /// Kinds of objects that it wants to see.
    #[serde(default)]
    pub(super) kinds: Vec<GroupKind>,
    /// Kinds of objects that it adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) adds: Vec<GroupKind>,
    /// JSON schema of its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) settings: Option<Value>,
}

impl Description {
    /// Reads the two files beside a crate.
    pub(super) fn beside(folder: &Path) -> Result<Self, Error> {
        /// What `policy.yaml` may say: a word that is not known is a mistake here.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            name: String,
            version: String,
            #[serde(default)]
            description: String,
            kinds: Vec<GroupKind>,
            #[serde(default)]
            adds: Vec<GroupKind>,
        }
        let path = folder.join("policy.yaml");
        let text = fs::read_to_string(&path).map_err(|error| {
            format!("failed to read {}: {error}; it says name, version and kinds of the policy", path.display())
        })?;
        let File { name, version, description, kinds, adds } =
            serde_saphyr::from_str(&text).map_err(|error| format!("failed to parse {}: {error}", path.display()))?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            return Err(format!("{}: name has lower case letters, digits and dashes", path.display()).into());
        }
        if kinds.is_empty() {
            return Err(format!("{}: kinds is empty, so the policy would see no object", path.display()).into());
        }
        let path = folder.join("settings.schema.json");
        let text = fs::read_to_string(&path).map_err(|error| {
            format!("failed to read {}: {error}; it is the JSON schema of the settings", path.display())
        })?;
        let settings: Value =
            serde_json::from_str(&text).map_err(|error| format!("failed to parse {}: {error}", path.display()))?;
        if !settings.is_object() {
            return Err(format!("{}: the schema is a JSON object", path.display()).into());
        }
        Schema::new(&text).map_err(|failure| format!("{}: {failure}", path.display()))?;
        Ok(Self { name, version, description, kinds, adds, settings: Some(settings) })
    }

    /// As it stands in the section.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        let bytes = serde_json::to_vec(self)?;
        if bytes.len() > LIMIT {
            let size = bytes.len();
            return Err(
                format!("policy.yaml and settings.schema.json have {size} bytes, and {LIMIT} are allowed").into()
            );
        }
        Ok(bytes)
    }

    /// Reads it out of a module. Only the outermost component counts.
    pub(super) fn of(module: &[u8]) -> Result<Self, Error> {
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if depth == 1 && section.name() == SECTION => {
                    return Ok(serde_json::from_slice(section.data())?);
                }
                _ => {}
            }
        }
        Err(format!("there is no section {SECTION}: build it with `igw policy build`").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Description, LIMIT};

    #[test]
    fn the_files_are_checked() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        let said = || Description::beside(folder.path()).map_err(|error| error.to_string());
        let words = |words: &str| match said() {
            Ok(read) => panic!("{words}: {read:?}"),
            Err(error) => assert!(error.contains(words), "{words}: {error}"),
        };
        words("it says name, version and kinds");
        write("policy.yaml", "{name: a, version: 1.0.0, kinds: [{kind: Service}], knds: []}")?;
        words("knds");
        write("policy.yaml", "{name: A b, version: 1.0.0, kinds: [{kind: Service}]}")?;
        words("name has lower case letters");
        write("policy.yaml", "{name: a, version: 1.0.0, kinds: []}")?;
        words("kinds is empty");
        write("policy.yaml", "{name: a, version: 1.0.0, kinds: [{kind: Service}]}")?;
        words("JSON schema of the settings");
        write("settings.schema.json", "[]")?;
        words("the schema is a JSON object");
        write("settings.schema.json", "{}")?;
        let mut read = said()?;
        assert_eq!(
            serde_json::to_value(&read)?,
            json!({"name": "a", "version": "1.0.0", "settings": {},
            "kinds": [{"group": "", "kind": "Service"}]})
        );
        read.description = "x".repeat(LIMIT);
        assert!(read.encode().is_err());
        Ok(())
    }
}
