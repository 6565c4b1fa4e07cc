//! The fields we send against the fields that are there: what differs, by path. PURE.
//!
//! Only what is sent is compared, so what others add stays theirs. Lists with merge keys pair their elements by key,
//! numbers of the same meaning are equal, and the order of what we send counts where order means something.

use serde_json::{Map, Value};

use super::{
    path::{Path, Trail},
    quantity::Quantity,
};

/// One field that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Where.
    pub path: Path,
    /// What is there; `None` when the field is absent.
    pub old: Option<Value>,
    /// What should be there; `None` when the field is no longer wanted.
    pub new: Option<Value>,
}

impl FieldChange {
    /// `path: old -> new`. Literal values of environment variables are masked unless `show_values`.
    #[must_use]
    pub fn show(&self, show_values: bool) -> String {
        let Self { path, old, new } = self;
        let show = |value: &Option<Value>| match value {
            None => "(absent)".to_owned(),
            Some(value) if show_values => shorten(&value.to_string()),
            Some(value) => {
                let in_env = path.passes("env");
                shorten(&masked(value, in_env, in_env && path.last_fields().0 == Some("value")).to_string())
            }
        };
        format!("{path}: {} -> {}", show(old), show(new))
    }
}

/// A value without the literal values of environment variables.
fn masked(value: &Value, in_env: bool, is_value: bool) -> Value {
    match value {
        Value::Object(map) => {
            let inside = |key: &str, value| masked(value, in_env || key == "env", in_env && key == "value");
            map.iter().map(|(key, value)| (key.clone(), inside(key, value))).collect()
        }
        Value::Array(items) => items.iter().map(|item| masked(item, in_env, is_value)).collect(),
        Value::String(_) if is_value => "***".into(),
        other => other.clone(),
    }
}

/// Conditions and Events have little room.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Maps and objects with one owner: a foreign key in them is a difference.
const ATOMIC_MAPS: &[&str] = &["selector", "nodeSelector", "matchLabels"];

/// The rules of a NetworkPolicy. No other generated object has lists of these names.
const WHOLE: &[&str] = &["ingress", "egress"];

/// Every difference between what is sent and what is there, for two states of one object: what says which object it is
/// (kind, name, uid) does not count, and a live object in a list does not carry all of it.
#[must_use]
pub fn compare(wanted: &Value, live: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let (Value::Object(wanted), Value::Object(live)) = (wanted, live) else {
        return vec![change(&Trail::Root, Some(live), Some(wanted))];
    };
    for (key, wanted) in wanted {
        let trail = Trail::Field(&Trail::Root, key);
        match (key.as_str(), wanted, live.get(key)) {
            ("apiVersion" | "kind", ..) => {}
            ("metadata", Value::Object(wanted), Some(Value::Object(live))) => {
                for (key, wanted) in wanted {
                    if !matches!(key.as_str(), "name" | "namespace" | "uid" | "resourceVersion") {
                        compare_value(&Trail::Field(&trail, key), wanted, live.get(key), &mut changes);
                    }
                }
            }
            (_, wanted, live) => compare_value(&trail, wanted, live, &mut changes),
        }
    }
    changes
}

fn compare_value(trail: &Trail<'_>, wanted: &Value, live: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (wanted, live) {
        (Value::Object(wanted), Some(Value::Object(live))) => compare_map(trail, wanted, live, changes),
        (Value::Array(wanted), Some(Value::Array(live))) => compare_list(trail, wanted, live, changes),
        (wanted, Some(live)) if same(trail, wanted, live) => {}
        // An empty object says only that the field is there; the server leaves such objects out. Among those whom a
        // NetworkPolicy lets through it means all.
        (Value::Object(wanted), None) if wanted.is_empty() && !is_whole(trail) => {}
        (wanted, live) => changes.push(change(trail, live, Some(wanted))),
    }
}

fn change(trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> FieldChange {
    FieldChange { path: trail.path(), old: old.cloned(), new: new.cloned() }
}

fn compare_map(
    trail: &Trail<'_>,
    wanted: &Map<String, Value>,
    live: &Map<String, Value>,
    changes: &mut Vec<FieldChange>,
) {
    for (key, value) in wanted {
        compare_value(&Trail::Field(trail, key), value, live.get(key), changes);
    }
    let atomic = trail.last_fields().0.is_some_and(|field| ATOMIC_MAPS.contains(&field));
    if atomic || is_whole(trail) {
        for (key, value) in live.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            changes.push(change(&Trail::Field(trail, key), Some(value), None));
        }
    }
}

/// Whether a place is inside the rules of a NetworkPolicy: one owner, down to the last field. A field that somebody puts
/// beside ours there may let in anybody.
fn is_whole(trail: &Trail<'_>) -> bool {
    trail.passes(WHOLE)
}

fn compare_list(trail: &Trail<'_>, wanted: &[Value], live: &[Value], changes: &mut Vec<FieldChange>) {
    let Some(keys) = wanted.first().and_then(|first| merge_keys(trail, first)) else {
        if wanted.len() == live.len() {
            for (position, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                compare_value(&Trail::Position(trail, position), wanted, Some(live), changes);
            }
        } else {
            changes.push(change(trail, Some(&live.into()), Some(&wanted.into())));
        }
        return;
    };
    let mut positions: Vec<usize> = Vec::with_capacity(wanted.len());
    for item in wanted {
        let same = |candidate: &Value| keys.iter().all(|key| candidate.get(key) == item.get(key));
        // Nearly always after the one before: looking through all of a long list for each would take the square of its length.
        let next = positions.last().map_or(0, |last| last + 1);
        let next = live.get(next).filter(|candidate| same(candidate)).map(|_| next);
        let found = next.or_else(|| live.iter().position(same));
        compare_value(&Trail::Element(trail, item, keys), item, found.map(|position| &live[position]), changes);
        positions.extend(found);
    }
    // `$(NAME)` reads only what stands before it, and init containers run one after the other.
    let ordered = matches!(trail.last_fields().0, Some("env" | "initContainers"));
    if ordered && !positions.is_sorted() {
        changes.push(change(trail, Some(&names(live)), Some(&names(wanted))));
    }
}

/// The merge keys of a list, as the API types declare them (`x-kubernetes-list-map-keys` and patch merge keys of
/// Kubernetes 1.36 and of the Gateway API 1.6); `None` for lists that have one owner. The definitions of Istio and of the
/// Prometheus operator declare none in what a policy may add.
#[must_use]
pub fn merge_keys(trail: &Trail<'_>, first: &Value) -> Option<&'static [&'static str]> {
    Some(match trail.last_fields().0? {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" | "secrets" | "listeners" => &["name"],
        "ports" if is_whole(trail) => return None,
        "ports" if first.get("containerPort").is_some() => &["containerPort", "protocol"],
        "ports" if first.get("port").is_some() => &["port", "protocol"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "hostAliases" => &["ip"],
        "ownerReferences" => &["uid"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        _ => return None,
    })
}

fn names(items: &[Value]) -> Value {
    items.iter().filter_map(|item| item.get("name").cloned()).collect()
}

fn same(trail: &Trail<'_>, wanted: &Value, live: &Value) -> bool {
    if wanted == live {
        return true;
    }
    match (text(wanted), text(live)) {
        (Some(wanted_text), Some(live_text)) if is_quantity(trail) => {
            match (Quantity::parse(&wanted_text), Quantity::parse(&live_text)) {
                (Some(wanted), Some(live)) => wanted == live,
                _ => false,
            }
        }
        // Int-or-string fields: 80 and "80" are one port. Typed fields never differ in type from their live value.
        (Some(wanted_text), Some(live_text)) => wanted.is_string() != live.is_string() && wanted_text == live_text,
        _ => false,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a field is a quantity: text or a number, compared by meaning.
#[must_use]
pub fn is_quantity(trail: &Trail<'_>) -> bool {
    matches!(
        trail.last_fields(),
        (_, Some("limits" | "requests"))
            | (Some("averageValue" | "sizeLimit" | "divisor"), _)
            | (Some("value"), Some("target"))
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::compare;

    fn check(wanted: &Value, live: &Value, paths: &[&str]) {
        let found: Vec<_> = compare(wanted, live).iter().map(|change| change.path.to_string()).collect();
        assert_eq!(found, paths, "{wanted} against {live}");
    }

    #[test]
    fn what_others_add_is_no_difference() {
        check(&json!({"a": {"b": 1}}), &json!({"a": {"b": 1, "c": 2}, "d": 3}), &[]);
        check(
            &json!({"env": [{"name": "A", "value": "1"}]}),
            &json!({"env": [{"name": "X"}, {"name": "A", "value": "1"}]}),
            &[],
        );
    }

    #[test]
    fn what_is_missing_or_changed_is_named() {
        let wanted = json!({"containers": [{"name": "x", "image": "a", "env": [{"name": "A", "value": "1"}]}]});
        let live = json!({"containers": [{"name": "x", "image": "b", "env": [{"name": "A", "value": "2"}]}]});
        check(&wanted, &live, &[r#".containers[name="x"].env[name="A"].value"#, r#".containers[name="x"].image"#]);
        check(&wanted, &json!({"containers": []}), &[r#".containers[name="x"]"#]);
    }

    #[test]
    fn a_selector_has_one_owner() {
        check(
            &json!({"selector": {"app": "x"}}),
            &json!({"selector": {"app": "x", "extra": "y"}}),
            &[".selector.extra"],
        );
    }

    #[test]
    fn order_counts_in_env_only_among_our_own() {
        let wanted = json!({"env": [{"name": "A"}, {"name": "B"}]});
        check(&wanted, &json!({"env": [{"name": "B"}, {"name": "A"}]}), &[".env"]);
        check(&wanted, &json!({"env": [{"name": "A"}, {"name": "X"}, {"name": "B"}]}), &[]);
    }

    #[test]
    fn numbers_compare_by_meaning() {
        check(&json!({"limits": {"cpu": "1000m"}}), &json!({"limits": {"cpu": "1"}}), &[]);
        check(&json!({"limits": {"cpu": 1}}), &json!({"limits": {"cpu": "1"}}), &[]);
        check(&json!({"targetPort": "80"}), &json!({"targetPort": 80}), &[]);
        check(&json!({"value": "1"}), &json!({"value": "1000m"}), &[".value"]);
    }

    #[test]
    fn listeners_go_by_name_and_routes_have_one_owner() {
        let live =
            json!({"listeners": [{"name": "theirs", "port": 81}, {"name": "http", "port": 80, "protocol": "HTTP"}]});
        check(&json!({"listeners": [{"name": "http", "port": 80}]}), &live, &[]);
        check(&json!({"listeners": [{"name": "http", "port": 81}]}), &live, &[r#".listeners[name="http"].port"#]);
        let live = json!({"parentRefs": [{"name": "a", "group": "g"}, {"name": "b"}], "hostnames": ["x"]});
        check(&json!({"parentRefs": [{"name": "a"}], "hostnames": ["y"]}), &live, &[".hostnames[0]", ".parentRefs"]);
    }

    #[test]
    fn whom_a_network_policy_lets_through_has_one_owner() {
        let wanted = json!({"spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}]}});
        check(&wanted, &wanted, &[]);
        let mut wider = wanted.clone();
        wider["spec"]["ingress"][0]["from"][0]["namespaceSelector"] = json!({});
        check(&wanted, &wider, &[".spec.ingress[0].from[0].namespaceSelector"]);
        check(&wider, &wanted, &[".spec.ingress[0].from[0].namespaceSelector"]);
        let port = |ports: Value| json!({"spec": {"ingress": [{"ports": ports}]}});
        let (one, more) = (json!({"port": 80, "protocol": "TCP"}), json!({"port": 81, "protocol": "TCP"}));
        check(&port(json!([one])), &port(json!([one, more])), &[".spec.ingress[0].ports"]);
        let mut range = one.clone();
        range["endPort"] = 90.into();
        check(&port(json!([one])), &port(json!([range])), &[".spec.ingress[0].ports[0].endPort"]);
        check(&port(json!([{"port": "80"}])), &port(json!([{"port": 80}])), &[]);
    }

    #[test]
    fn lists_with_one_owner_compare_whole() {
        check(&json!({"args": ["a", "b"]}), &json!({"args": ["a"]}), &[".args"]);
        check(&json!({"rules": [{"host": "a"}]}), &json!({"rules": [{"host": "a", "http": {}}]}), &[]);
    }
}
