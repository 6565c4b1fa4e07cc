//! Whether the server can read a value: it must decode as the type of the Kubernetes API, without a field left over. PURE.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Case, Outcome, violation::Violation};
use crate::object::{compare::is_quantity, path::Trail, quantity::Quantity};

/// Any value of a type, or none.
pub(super) fn optional<T: DeserializeOwned + Serialize>(
    case: &Case<'_>,
    trail: &Trail<'_>,
    _: Option<&Value>,
    new: Option<&Value>,
) -> Outcome {
    new.map_or(Ok(()), |new| readable::<T>(case, trail, new))
}

/// Any value of a type, but one there must be.
pub(super) fn required<T: DeserializeOwned + Serialize>(
    case: &Case<'_>,
    trail: &Trail<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Outcome {
    match new {
        Some(new) => readable::<T>(case, trail, new),
        None => Err(case.refused(trail, old, None)),
    }
}

/// A number that there must be: nought is not sent, because the server takes it for absent.
pub(super) fn positive(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    required::<i32>(case, trail, old, new)?;
    if new.and_then(Value::as_i64) > Some(0) { Ok(()) } else { Err(case.refused(trail, old, new)) }
}

/// Refuses what the server could not read.
pub(super) fn readable<T: DeserializeOwned + Serialize>(case: &Case<'_>, trail: &Trail<'_>, value: &Value) -> Outcome {
    let wrong = |inside: String| {
        // The decoder's own words would hold the value.
        let inside = if inside == "." { String::new() } else { inside };
        Err(Violation::WrongType { object: case.object.clone(), path: trail.path(), inside })
    };
    let mut prepared = value.clone();
    let field = trail.last_fields().0.unwrap_or_default();
    if let Err(path) = quantities(&Trail::Field(&Trail::Root, field), &mut prepared) {
        return wrong(path);
    }
    let decoded: T = match serde_path_to_error::deserialize(&prepared) {
        Ok(decoded) => decoded,
        Err(error) => return wrong(error.path().to_string()),
    };
    match serde_json::to_value(decoded).ok().and_then(|known| unknown(&prepared, &known)) {
        Some(path) => wrong(path),
        None => Ok(()),
    }
}

/// The server takes a number for a quantity, the types do not. Text that is none is found here.
fn quantities(trail: &Trail<'_>, value: &mut Value) -> Result<(), String> {
    match value {
        Value::Object(map) => map.iter_mut().try_for_each(|(key, value)| quantities(&Trail::Field(trail, key), value)),
        Value::Array(items) => items.iter_mut().try_for_each(|item| quantities(trail, item)),
        Value::Number(number) if is_quantity(trail) => {
            *value = number.to_string().into();
            Ok(())
        }
        Value::String(text) if is_quantity(trail) && Quantity::parse(text).is_none() => Err(trail.path().to_string()),
        _ => Ok(()),
    }
}

/// The first field that did not survive decoding. What is null, empty or zero may get lost.
fn unknown(value: &Value, known: &Value) -> Option<String> {
    match (value, known) {
        (Value::Object(value), Value::Object(known)) => value.iter().find_map(|(key, value)| match known.get(key) {
            Some(known) => unknown(value, known).map(|path| join(key, &path)),
            None if value.is_null() => None,
            None => Some(key.clone()),
        }),
        (Value::Array(value), Value::Array(known)) => {
            value.iter().zip(known).enumerate().find_map(|(place, (value, known))| {
                unknown(value, known).map(|path| join(&format!("[{place}]"), &path))
            })
        }
        _ => None,
    }
}

fn join(outer: &str, inner: &str) -> String {
    if inner.starts_with('[') { format!("{outer}{inner}") } else { format!("{outer}.{inner}") }
}
