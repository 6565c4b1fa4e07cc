//! Settings against the JSON schema of a policy. PURE.
//!
//! The schema is a stranger's: references that fan out, and patterns, can make checking expensive. So this runs in a child of the
//! operator, like the policy itself. No reference leaves the schema, and patterns take time in proportion to the text.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::failure::{Failure, Reason};

/// Bytes that one compiled pattern may take.
const PATTERN: usize = 256 << 10;
/// Problems that are told at once.
const PROBLEMS: usize = 3;

/// A schema that can be asked.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// When it is none, or points outside itself.
    pub fn new(text: &str) -> Result<Self, Failure> {
        let wrong = |words: String| {
            let message = format!("the JSON schema of the settings cannot be used: {words}");
            Failure::new(Reason::InvalidManifest, message)
        };
        let schema: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if let Some(outside) = outside(&schema) {
            return Err(wrong(format!("it refers to {outside}, and only references that begin with # are followed")));
        }
        let built = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN).dfa_size_limit(PATTERN))
            .build(&schema);
        built.map(Self).map_err(|error| wrong(error.to_string()))
    }

    /// Uses the library once, so that what it asks the kernel for only once (the keys of its hash maps, the number of
    /// processors for its patterns) is asked for before that is forbidden.
    pub fn warm_up() {
        let schema = serde_json::json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "allOf": [{"$ref": "#/$defs/a"}],
            "patternProperties": {"^[a-z]+(-[a-z0-9]+)*$": {"pattern": "^([a-z]|[0-9]{2,3})+\\.(x|y)$", "format": "uri"}},
            "$defs": {"a": {"properties": {"b": {"pattern": "[^a-c]d*$"}}}},
        });
        // What comes out does not matter.
        let _ = Self::new(&schema.to_string()).and_then(|schema| schema.check(r#"{"b":"12ab.x","c-d":"a.y"}"#));
    }

    /// Checks settings, a JSON document.
    ///
    /// # Errors
    /// When they do not fit, with the paths of the first few problems.
    pub fn check(&self, settings: &str) -> Result<(), Failure> {
        let wrong = |words: String| Failure::new(Reason::SettingsInvalid, words);
        let settings: Value =
            serde_json::from_str(settings).map_err(|error| wrong(format!("failed to read spec.settings: {error}")))?;
        let problems: Vec<String> = self
            .0
            .iter_errors(&settings)
            .take(PROBLEMS)
            .map(|error| {
                let place = error.instance_path().to_string().replace('/', ".");
                // Not the value: it may be one that nobody else should see.
                format!("spec.settings{place}: {}", error.masked())
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(wrong(problems.join("; "))) }
    }
}

/// A reference that leaves the schema.
fn outside(schema: &Value) -> Option<String> {
    match schema {
        Value::Object(map) => map.iter().find_map(|(key, value)| match value {
            Value::String(target) if key.ends_with("ef") && key.starts_with('$') && !target.starts_with('#') => {
                Some(target.clone())
            }
            // Another base would give # another meaning.
            Value::String(base) if key == "$id" && base.contains("://") => Some(base.clone()),
            value => outside(value),
        }),
        Value::Array(list) => list.iter().find_map(outside),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Schema;
    use crate::policy::failure::Reason;

    #[test]
    fn settings_that_do_not_fit_are_told_by_path_and_not_by_value() {
        let schema = json!({
            "type": "object",
            "required": ["image"],
            "additionalProperties": false,
            "properties": {"image": {"type": "string", "pattern": "^[a-z/.:]+$"}, "port": {"$ref": "#/$defs/port"}},
            "$defs": {"port": {"type": "integer", "maximum": 65535}},
        });
        let schema = Schema::new(&schema.to_string()).expect("a schema");
        assert_eq!(schema.check(r#"{"image":"a/b:c","port":80}"#), Ok(()));
        let wrong = schema.check(r#"{"image":"SECRET","port":70000}"#).expect_err("it does not fit");
        assert_eq!(wrong.reason, Reason::SettingsInvalid);
        assert!(
            wrong.message.contains("spec.settings.image") && wrong.message.contains("spec.settings.port"),
            "{wrong}"
        );
        assert!(!wrong.message.contains("SECRET"), "{wrong}");
        assert!(schema.check("{").expect_err("no JSON").message.contains("failed to read spec.settings"));
    }

    #[test]
    fn a_schema_cannot_reach_out() {
        for schema in [
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}),
            json!({"allOf": [{"$dynamicRef": "other#a"}]}),
            json!({"$id": "https://example.com/", "$ref": "#/$defs/a"}),
            json!({"$schema": "https://example.com/meta"}),
            json!({"properties": {"a": {"type": "no such type"}}}),
        ] {
            let wrong = Schema::new(&schema.to_string()).err().unwrap_or_else(|| panic!("{schema} was taken"));
            assert_eq!(wrong.reason, Reason::InvalidManifest, "{schema}");
        }
    }

    #[test]
    fn patterns_take_linear_time() {
        // What a backtracking engine never finishes, and what only such an engine can do.
        let slow = Schema::new(&json!({"pattern": "^(a+)+$"}).to_string()).expect("a schema");
        let text = json!("a".repeat(50_000) + "b").to_string();
        assert!(slow.check(&text).is_err());
        assert!(Schema::new(&json!({"pattern": "^(?=a)"}).to_string()).is_err());
        assert!(Schema::new(&json!({"pattern": "(((a{100}){100}){100})"}).to_string()).is_err(), "too large");
    }
}
