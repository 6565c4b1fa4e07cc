//! What an object has beyond another one, among the fields that the operator sent. No I/O.
//!
//! The fields are those of the API server's own record (`metadata.managedFields`), so that neither its defaults nor what others
//! have set is taken for a change.

use kube::api::DynamicObject;
use serde_json::{Value, json};

/// Who the operator is in that record.
const MANAGER: &str = "inference-gateway-operator";

/// The operator's own annotations, which say nothing that a user asked for.
const OWN: &str = "inference-gateway.com/";

/// The fields of an object that the operator has sent, as the API server records them.
pub(super) fn sent(object: &DynamicObject) -> Value {
    let entries = object.metadata.managed_fields.iter().flatten();
    let mut ours = entries.filter(|entry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.is_none()
    });
    ours.next().and_then(|entry| entry.fields_v1.as_ref()).map_or(Value::Null, |fields| fields.0.clone())
}

/// A line for each field that was sent and that `generated` has not, or has with another value. Of an object that is not generated
/// at all its spec is shown.
pub(super) fn additions(object: &DynamicObject, mut sent: Value, generated: Option<&Value>) -> Vec<String> {
    let metadata = json!({"labels": object.metadata.labels, "annotations": object.metadata.annotations});
    let live = json!({"metadata": metadata, "spec": object.data["spec"]});
    if let Some(fields) = sent.as_object_mut() {
        fields.retain(|field, _| field == "f:spec" || (field == "f:metadata" && generated.is_some()));
    }
    // Its owner is known once the custom resource is there, so it is never generated.
    if let Some(metadata) = sent.get_mut("f:metadata").and_then(Value::as_object_mut) {
        metadata.remove("f:ownerReferences");
    }
    let mut lines = Vec::new();
    walk(&sent, &live, generated.unwrap_or(&Value::Null), "", &mut lines);
    lines
}

fn walk(fields: &Value, live: &Value, generated: &Value, path: &str, lines: &mut Vec<String>) {
    let inside = fields.as_object().into_iter().flatten().filter(|(field, _)| *field != ".");
    let mut leaf = true;
    for (field, inside) in inside {
        leaf = false;
        if let Some(name) = field.strip_prefix("f:") {
            // An element's name is in its path.
            if !name.starts_with(OWN) && !path.ends_with(&format!("[{name}={}]", live[name])) {
                walk(inside, &live[name], &generated[name], &format!("{path}{}", step(name)), lines);
            }
        } else if let Some(key) = field.strip_prefix("k:") {
            let key: Value = serde_json::from_str(key).unwrap_or_default();
            walk(inside, element(live, &key), element(generated, &key), &format!("{path}[{}]", show(&key)), lines);
        }
    }
    if leaf && live != generated {
        lines.push(format!("{path}: {live}"));
    }
}

/// A step of a path; keys of labels and annotations have dots of their own.
fn step(name: &str) -> String {
    if name.contains(['.', '/']) { format!("[{name}]") } else { format!(".{name}") }
}

/// The element of a list that has these fields.
fn element<'a>(list: &'a Value, key: &Value) -> &'a Value {
    let wanted = |element: &&Value| key.as_object().into_iter().flatten().all(|(name, value)| element[name] == *value);
    list.as_array().into_iter().flatten().find(wanted).unwrap_or(&Value::Null)
}

fn show(key: &Value) -> String {
    let fields = key.as_object().into_iter().flatten();
    fields.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::{additions, sent};

    fn object(labels: Value, spec: Value, fields: Value) -> DynamicObject {
        let managed = [
            json!({"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}}),
            json!({"manager": "inference-gateway-operator", "operation": "Apply", "fieldsV1": fields}),
        ];
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "labels": labels, "managedFields": managed},
            "spec": spec,
        });
        serde_json::from_value(object).expect("an object")
    }

    #[test]
    fn what_was_sent_and_is_not_generated_is_told() {
        let fields = json!({
            "f:metadata": {
                "f:annotations": {"f:inference-gateway.com/intent": {}},
                "f:labels": {"f:app": {}, "f:istio.io/rev": {}},
                "f:ownerReferences": {"k:{\"uid\":\"1\"}": {}},
            },
            "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {
                ".": {}, "f:name": {}, "f:image": {},
                "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}, "k:{\"name\":\"B\"}": {".": {}, "f:name": {}, "f:value": {}}},
            }}},
        });
        let env = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
        let spec =
            json!({"paused": true, "containers": [{"name": "main", "image": "a:1", "env": env, "stdin": false}]});
        let object = object(json!({"app": "a", "istio.io/rev": "x"}), spec, fields);
        let generated = json!({
            "metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "main", "image": "a:1", "env": [{"name": "A", "value": "1"}]}]},
        });
        let wanted =
            [".metadata.labels[istio.io/rev]: \"x\"", ".spec.containers[name=\"main\"].env[name=\"B\"].value: \"2\""];
        assert_eq!(additions(&object, sent(&object), Some(&generated)), wanted);
    }

    #[test]
    fn an_object_that_is_not_generated_is_told_by_its_spec() {
        let fields = json!({"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:mtls": {"f:mode": {}}}});
        let object = object(json!({"app": "a"}), json!({"mtls": {"mode": "STRICT"}}), fields);
        assert_eq!(additions(&object, sent(&object), None), [".spec.mtls.mode: \"STRICT\""]);
    }
}
