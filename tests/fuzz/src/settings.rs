//! Any schema of a policy on any settings: two JSON texts with a zero byte between them. PURE.

use igw::policy::{failure::clean, limits, settings::Schema};
use serde_json::Value;

/// A value that nobody may see who reads a status.
const SECRET: &str = "hunter2!";

/// A schema can be used or not, and settings fit it or not; what is said of it can be shown and holds no values.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (schema, settings) = text.split_once('\0').unwrap_or((text, "{}"));
    let parsed: Option<Value> = serde_json::from_str(schema).ok();
    // References that fan out take for ever: the child that follows them is ended. Here they would hide everything else.
    if parsed.as_ref().is_some_and(|schema| references(schema) > 2) {
        return;
    }
    let failure = match Schema::new(schema) {
        Ok(checked) => checked.check(settings).err(),
        Err(failure) => Some(failure),
    };
    let Some(failure) = failure else { return };
    let message = &failure.message;
    assert!(!message.is_empty() && message.len() <= limits::MESSAGE, "{failure}");
    assert_eq!(clean(message, limits::MESSAGE), *message);
    let told = parsed.is_some_and(|schema| schema.to_string().contains(SECRET));
    if !told && !serde_json::from_str(settings).is_ok_and(|settings| named(&settings)) {
        assert!(!message.contains(SECRET), "{failure}");
    }
}

/// How many references a schema has.
fn references(schema: &Value) -> usize {
    match schema {
        Value::Object(map) => map.iter().map(|(key, value)| usize::from(key.ends_with("ef")) + references(value)).sum(),
        Value::Array(list) => list.iter().map(references).sum(),
        _ => 0,
    }
}

/// Whether the secret value is the name of a field: names are shown.
fn named(settings: &Value) -> bool {
    match settings {
        Value::Object(map) => map.iter().any(|(key, value)| key.contains(SECRET) || named(value)),
        Value::Array(list) => list.iter().any(named),
        _ => false,
    }
}
