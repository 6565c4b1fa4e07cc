//! Elements of two lists, paired by merge key. PURE.

use std::{borrow::Cow, collections::HashMap};

use serde_json::Value;

use super::{Case, list, violation::Violation};
use crate::object::path::Trail;

pub(super) const NAME: &[&str] = &["name"];

/// Two lists, by merge key.
pub(super) struct Paired<'a> {
    /// The elements of the new list, each with the old one of its key and its place.
    pub(super) new: Vec<(Option<(usize, &'a Value)>, &'a Value)>,
    /// The elements of the old list that are gone.
    pub(super) dropped: Vec<&'a Value>,
}

/// Pairs two lists. An element without its keys, or one that is no object, is of the wrong type; two with one key are
/// refused as the server would.
pub(super) fn pair<'a>(
    case: &Case<'_>,
    trail: &Trail<'_>,
    keys: &'static [&'static str],
    old: Option<&'a Value>,
    new: Option<&'a Value>,
) -> Result<Paired<'a>, Violation> {
    let (old, new) = (list(case, trail, old)?, list(case, trail, new)?);
    let mut before: HashMap<_, _> =
        old.iter().enumerate().filter_map(|(place, item)| Some((key(item, keys)?, (place, item)))).collect();
    let mut seen = HashMap::with_capacity(new.len());
    let mut pairs = Vec::with_capacity(new.len());
    for (place, item) in new.iter().enumerate() {
        let Some(key) = key(item, keys) else { return Err(case.wrong_type(&Trail::Position(trail, place))) };
        pairs.push((before.remove(&key), item));
        if seen.insert(key, ()).is_some() {
            return Err(case.duplicate(Trail::Element(trail, item, keys).path()));
        }
    }
    let mut dropped: Vec<_> = before.into_values().collect();
    dropped.sort_by_key(|(place, _)| *place);
    Ok(Paired { new: pairs, dropped: dropped.into_iter().map(|(_, item)| item).collect() })
}

/// The merge keys of an element as text; at most two, and the protocol of a port may be left out.
fn key<'a>(item: &'a Value, keys: &[&str]) -> Option<[Cow<'a, str>; 2]> {
    let map = item.as_object()?;
    let mut found = [Cow::Borrowed(""), Cow::Borrowed("")];
    for (name, place) in keys.iter().zip(&mut found) {
        *place = match map.get(*name) {
            Some(Value::String(text)) if !text.is_empty() => Cow::Borrowed(text),
            Some(Value::Number(number)) => Cow::Owned(number.to_string()),
            None | Some(Value::Null) if *name == "protocol" => Cow::Borrowed("TCP"),
            _ => return None,
        };
    }
    Some(found)
}
