//! What an apply cannot take back: edits that leave something of their own beside what we send. PURE.
//!
//! Somebody changes the number of a port, and the apply that brings ours back would keep both: two ports of one name,
//! which the server refuses. The same holds for `valueFrom` beside our `value`, or a second handler of a probe. A JSON
//! patch puts exactly those places right, and leaves everything else alone.

use serde_json::{Map, Value, json};

/// Fields of which an object may have one.
const UNIONS: &[&[&str]] = &[
    &["value", "valueFrom"],
    &["httpGet", "tcpSocket", "exec", "grpc"],
    &["secret", "configMap", "emptyDir", "projected", "downwardAPI", "persistentVolumeClaim", "hostPath", "csi", "nfs"],
];

/// The operations that put those places right; empty when there are none, and the refusal has another reason.
#[must_use]
pub fn repair(wanted: &Value, live: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    walk("", wanted, live, &mut operations);
    operations
}

fn walk(path: &str, wanted: &Value, live: &Value, operations: &mut Vec<Value>) {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            one_of(path, wanted, live, operations);
            for (key, wanted) in wanted {
                if let Some(live) = live.get(key) {
                    walk(&format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), wanted, live, operations);
                }
            }
        }
        (Value::Array(wanted), Value::Array(live)) => {
            for wanted in wanted {
                let named = |item: &&Value| item.get("name").is_some() && item.get("name") == wanted.get("name");
                let Some(position) = live.iter().position(|item| named(&item)) else {
                    if let Some(position) = live.iter().position(|item| same_listener(wanted, item)) {
                        let path = format!("{path}/{position}");
                        let name = &live[position]["name"];
                        operations.push(json!({"op": "test", "path": format!("{path}/name"), "value": name}));
                        operations.push(json!({"op": "replace", "path": path, "value": wanted}));
                    }
                    continue;
                };
                let (path, live) = (format!("{path}/{position}"), &live[position]);
                let before = operations.len();
                if is_port(wanted) && !same_port(wanted, live) {
                    operations.push(json!({"op": "replace", "path": path, "value": wanted}));
                } else {
                    walk(&path, wanted, live, operations);
                }
                if operations.len() > before {
                    // Positions may have moved since; controllers write to a Deployment all the time.
                    let test = json!({"op": "test", "path": format!("{path}/name"), "value": live["name"]});
                    operations.insert(before, test);
                }
            }
        }
        _ => {}
    }
}

fn one_of(path: &str, wanted: &Map<String, Value>, live: &Map<String, Value>, operations: &mut Vec<Value>) {
    for union in UNIONS {
        let Some(ours) = union.iter().find(|field| wanted.contains_key(**field)) else { continue };
        let others: Vec<_> = union.iter().filter(|field| live.contains_key(**field) && *field != ours).collect();
        if others.is_empty() {
            continue;
        }
        operations.extend(others.into_iter().map(|field| json!({"op": "remove", "path": format!("{path}/{field}")})));
        operations.push(json!({"op": "add", "path": format!("{path}/{ours}"), "value": wanted[*ours]}));
    }
}

fn is_port(item: &Value) -> bool {
    item.get("containerPort").is_some() || item.get("port").is_some()
}

fn same_port(wanted: &Value, live: &Value) -> bool {
    ["containerPort", "port", "protocol"].iter().all(|field| wanted.get(field) == live.get(field))
}

/// Whether two listeners of a Gateway of the Gateway API are for the same requests: there may be only one of them.
fn same_listener(wanted: &Value, live: &Value) -> bool {
    wanted.get("protocol").is_some()
        && wanted.get("targetPort").is_none()
        && wanted.get("containerPort").is_none()
        && ["port", "protocol", "hostname"].iter().all(|field| wanted.get(field) == live.get(field))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::repair;

    fn check(wanted: &Value, live: &Value, operations: &Value) {
        assert_eq!(&Value::from(repair(wanted, live)), operations);
    }

    #[test]
    fn a_renumbered_port_is_replaced() {
        let ours = json!({"name": "http", "port": 8080, "protocol": "TCP"});
        check(
            &json!({"spec": {"ports": [ours]}}),
            &json!({"spec": {"ports": [{"name": "x", "port": 1}, {"name": "http", "port": 9999, "protocol": "TCP"}]}}),
            &json!([
                {"op": "test", "path": "/spec/ports/1/name", "value": "http"},
                {"op": "replace", "path": "/spec/ports/1", "value": ours},
            ]),
        );
    }

    #[test]
    fn a_renamed_listener_is_replaced() {
        let ours = json!({"name": "http", "port": 80, "protocol": "HTTP", "hostname": "a"});
        check(
            &json!({"listeners": [ours]}),
            &json!({"listeners": [
                {"name": "x", "port": 80, "protocol": "HTTP", "hostname": "b"},
                {"name": "web", "port": 80, "protocol": "HTTP", "hostname": "a"},
            ]}),
            &json!([
                {"op": "test", "path": "/listeners/1/name", "value": "web"},
                {"op": "replace", "path": "/listeners/1", "value": ours},
            ]),
        );
    }

    #[test]
    fn one_of_several_makes_room() {
        check(
            &json!({"env": [{"name": "A", "value": "1"}]}),
            &json!({"env": [{"name": "A", "valueFrom": {}}]}),
            &json!([
                {"op": "test", "path": "/env/0/name", "value": "A"},
                {"op": "remove", "path": "/env/0/valueFrom"},
                {"op": "add", "path": "/env/0/value", "value": "1"},
            ]),
        );
    }

    #[test]
    fn what_others_add_stays() {
        check(
            &json!({"env": [{"name": "A", "value": "1"}], "ports": [{"name": "http", "port": 1}]}),
            &json!({"env": [{"name": "A", "value": "2"}, {"name": "B"}], "ports": [{"name": "http", "port": 1}, {"name": "y", "port": 2}]}),
            &json!([]),
        );
    }
}
