//! The first difference between two states of a field, in both directions: what was added, changed or taken away. PURE.

use serde_json::Value;

use super::both;
use crate::object::{
    compare::{FieldChange, merge_keys},
    normal::KEPT_EMPTY,
    path::Trail,
};

/// A value, unless the server takes it for absent: null, and an empty list or object where that means nothing.
pub(super) fn given<'a>(key: &str, value: Option<&'a Value>) -> Option<&'a Value> {
    value.filter(|value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty() || KEPT_EMPTY.contains(&key),
        _ => true,
    })
}

/// The first difference, as deep as it can be named.
pub(super) fn first(trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Option<FieldChange> {
    let change = |old: Option<&Value>, new: Option<&Value>| FieldChange {
        path: trail.path(),
        old: old.cloned(),
        new: new.cloned(),
    };
    match (old, new) {
        (old, new) if old == new => None,
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            both(Some(before), Some(after)).find_map(|(key, old, new)| first(&Trail::Field(trail, key), old, new))
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            element(trail, before, after).or_else(|| Some(change(old, new)))
        }
        (old, new) => Some(change(old, new)),
    }
}

/// The first element of a list with merge keys that is another, is new, or is gone. The order is left to the caller.
fn element(trail: &Trail<'_>, before: &[Value], after: &[Value]) -> Option<FieldChange> {
    let keys = merge_keys(trail, before.first().or(after.first())?)?;
    let find = |list: &'_ [Value], item: &Value| {
        list.iter().position(|candidate| keys.iter().all(|key| candidate.get(key) == item.get(key)))
    };
    let alone = |item: &Value, old, new| FieldChange { path: Trail::Element(trail, item, keys).path(), old, new };
    // The lists of an object that was generated are short, and the first difference ends the search.
    let changed = before.iter().find_map(|item| match find(after, item) {
        Some(place) => first(&Trail::Element(trail, item, keys), Some(item), Some(&after[place])),
        None => Some(alone(item, Some(item.clone()), None)),
    });
    changed.or_else(|| {
        after.iter().find(|item| find(before, item).is_none()).map(|item| alone(item, None, Some(item.clone())))
    })
}
