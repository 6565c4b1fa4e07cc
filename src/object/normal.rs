//! The one form in which documents are compared and sent. PURE.
//!
//! The API server drops zero values of fields that are not pointers in its Go types, and fills in a port's protocol.
//! A document that still had them would differ from its own answer for ever. Tried on kube-apiserver 1.36; what this
//! table does not know is learnt from the answer to the first apply (see `reconcile/diff.rs`). Kinds that come with a
//! definition have no Go types there: everything but null is kept as it is, outside `metadata`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::ChildKind;

/// Maps from string to string: their values are data, also when empty.
const STRING_MAPS: &[&str] =
    &["labels", "annotations", "data", "binaryData", "matchLabels", "nodeSelector", "selector"];

/// Fields that mean something when they are an empty object.
pub const KEPT_EMPTY: &[&str] = &["emptyDir", "podSelector", "namespaceSelector", "labelSelector"];

/// Pointer fields of the Go types: `false`, `0` and `""` are values there, and kept.
const POINTERS: &[&str] = &[
    "allocateLoadBalancerNodePorts",
    "allowPrivilegeEscalation",
    "automountServiceAccountToken",
    "averageUtilization",
    "blockOwnerDeletion",
    "controller",
    "defaultMode",
    "enableServiceLinks",
    "endPort",
    "expirationSeconds",
    "fsGroup",
    "immutable",
    "ingressClassName",
    "minReplicas",
    "mode",
    "optional",
    "partition",
    "port",
    "privileged",
    "progressDeadlineSeconds",
    "readOnlyRootFilesystem",
    "replicas",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "stabilizationWindowSeconds",
    "storageClassName",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
];

/// Brings a document of this kind into that form.
pub fn normalise(kind: ChildKind, document: &mut Value) {
    let Value::Object(map) = document else { return };
    if !kind.optional() {
        return normalise_map(map, false);
    }
    if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
        normalise_map(metadata, false);
    }
    map.values_mut().for_each(without_nulls);
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn normalise_map(map: &mut Map<String, Value>, of_strings: bool) {
    for (key, value) in map.iter_mut() {
        match value {
            Value::Object(inner) => normalise_map(inner, STRING_MAPS.contains(&key.as_str())),
            Value::Array(items) => normalise_list(key, items),
            _ => {}
        }
    }
    map.retain(|key, value| match value {
        Value::Null => false,
        Value::Object(inner) => !inner.is_empty() || KEPT_EMPTY.contains(&key.as_str()),
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty() || of_strings || POINTERS.contains(&key.as_str()),
        Value::Bool(flag) => *flag || of_strings || POINTERS.contains(&key.as_str()),
        Value::Number(number) => number.as_f64() != Some(0.0) || POINTERS.contains(&key.as_str()),
    });
}

fn normalise_list(key: &str, items: &mut Vec<Value>) {
    for item in items.iter_mut() {
        match item {
            Value::Object(map) => {
                // A NetworkPolicy has ports without a number too: every one of that protocol.
                if key == "ports" {
                    let protocol = map.entry("protocol").or_insert(Value::Null);
                    if protocol.as_str().is_none_or(str::is_empty) {
                        *protocol = "TCP".into();
                    }
                }
                normalise_map(map, false);
            }
            Value::Array(inner) => normalise_list("", inner),
            _ => {}
        }
    }
    if key == "env" {
        last_value_first_position(items);
    }
}

/// The API server refuses a name twice in `env`; a container runtime lets the last one win.
fn last_value_first_position(env: &mut Vec<Value>) {
    let mut position: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Value> = Vec::with_capacity(env.len());
    for item in env.drain(..) {
        match item.get("name").and_then(Value::as_str).map(str::to_owned) {
            Some(name) if position.contains_key(&name) => kept[position[&name]] = item,
            Some(name) => {
                position.insert(name, kept.len());
                kept.push(item);
            }
            None => kept.push(item),
        }
    }
    *env = kept;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ChildKind, normalise};

    fn check(mut given: Value, wanted: &Value) {
        normalise(ChildKind::Deployment, &mut given);
        assert_eq!(&given, wanted);
    }

    #[test]
    fn what_a_definition_brought_keeps_its_zero_values() {
        let mut given = json!({
            "metadata": {"name": "x", "annotations": {}},
            "spec": {"group": "", "weight": 0, "flag": false, "rules": [], "path": {}, "port": null},
        });
        normalise(ChildKind::HttpRoute, &mut given);
        let kept = json!({"group": "", "weight": 0, "flag": false, "rules": [], "path": {}});
        assert_eq!(given, json!({"metadata": {"name": "x"}, "spec": kept}));
    }

    #[test]
    fn zero_values_go_and_pointers_stay() {
        check(
            json!({"spec": {"paused": false, "minReadySeconds": 0, "replicas": 0, "hostname": "", "strategy": {}}}),
            &json!({"spec": {"replicas": 0}}),
        );
        check(
            json!({"securityContext": {"allowPrivilegeEscalation": false, "runAsUser": 0, "capabilities": {"add": []}}}),
            &json!({"securityContext": {"allowPrivilegeEscalation": false, "runAsUser": 0}}),
        );
    }

    #[test]
    fn data_stays_as_it_is() {
        let given = json!({"data": {"a": ""}, "volumes": [{"name": "tmp", "emptyDir": {}}], "args": ["", "x"]});
        check(given.clone(), &given);
    }

    #[test]
    fn an_env_name_counts_once() {
        check(
            json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}, {"name": "A", "value": "2"}]}),
            &json!({"env": [{"name": "A", "value": "2"}, {"name": "B"}]}),
        );
    }

    #[test]
    fn a_rule_of_a_network_policy_says_the_same_in_few_words() {
        let mut given = json!({"spec": {"podSelector": {}, "egress": [], "ingress": [{}, {
            "from": [{"namespaceSelector": {}, "podSelector": {"matchExpressions": []}}],
            "ports": [{}, {"port": 0, "protocol": "UDP"}],
        }]}});
        normalise(ChildKind::NetworkPolicy, &mut given);
        let rule = json!({
            "from": [{"namespaceSelector": {}, "podSelector": {}}],
            "ports": [{"protocol": "TCP"}, {"port": 0, "protocol": "UDP"}],
        });
        assert_eq!(given, json!({"spec": {"podSelector": {}, "ingress": [{}, rule]}}));
    }

    #[test]
    fn a_port_has_its_protocol() {
        check(
            json!({"ports": [{"containerPort": 80}, {"port": 53, "protocol": "UDP"}, {"port": 54, "protocol": ""}]}),
            &json!({"ports": [
                {"containerPort": 80, "protocol": "TCP"},
                {"port": 53, "protocol": "UDP"},
                {"port": 54, "protocol": "TCP"},
            ]}),
        );
    }
}
