//! How containers are confined: added ones by the Pod Security level `restricted` unless granted otherwise. PURE.

use k8s_openapi::api::core::v1::SecurityContext;
use serde_json::{Map, Value, json};

use super::{Case, Outcome, difference::given, typed};
use crate::{object::path::Trail, policy::grants::Grant};

/// Fills in, for every container of `after` that is not in `before`, what the level `restricted` asks for and the
/// container leaves open. What the pod says for all its containers is not said again. What is empty is left open too,
/// whatever its type: it is taken for absent here, by the guard and by what is sent.
pub fn confine(before: &Value, after: &mut Value) {
    const POD: &str = "/spec/template/spec";
    let lists = ["containers", "initContainers"];
    let names = |pod: Option<&Value>, list: &str| {
        let containers = pod.and_then(|pod| pod.get(list)?.as_array()).into_iter().flatten();
        containers.filter_map(|container| container.get("name")).cloned().collect::<Vec<_>>()
    };
    let known: Vec<_> = lists.iter().flat_map(|list| names(before.pointer(POD), list)).collect();
    let Some(Value::Object(pod)) = after.pointer_mut(POD) else { return };
    let whole = pod.get("securityContext").cloned().unwrap_or_default();
    for list in lists {
        let Some(Value::Array(containers)) = pod.get_mut(list) else { continue };
        for container in containers {
            if let Value::Object(container) = container
                && container.get("name").is_none_or(|name| !known.contains(name))
            {
                fill(container, &whole);
            }
        }
    }
}

fn fill(container: &mut Map<String, Value>, pod: &Value) {
    let absent = |map: &Map<String, Value>, key: &str| given(key, map.get(key)).is_none();
    if absent(container, "securityContext") {
        container.insert("securityContext".into(), json!({}));
    }
    // What is no object is refused by the guard.
    let Some(Value::Object(context)) = container.get_mut("securityContext") else { return };
    if absent(context, "capabilities") {
        context.insert("capabilities".into(), json!({}));
    }
    if let Some(Value::Object(capabilities)) = context.get_mut("capabilities")
        && absent(capabilities, "drop")
    {
        capabilities.insert("drop".into(), json!(["ALL"]));
    }
    if absent(context, "allowPrivilegeEscalation") {
        context.insert("allowPrivilegeEscalation".into(), false.into());
    }
    if absent(context, "runAsNonRoot") && pod.get("runAsNonRoot") != Some(&Value::Bool(true)) {
        context.insert("runAsNonRoot".into(), true.into());
    }
    if absent(context, "seccompProfile") && pod.get("seccompProfile").is_none_or(Value::is_null) {
        context.insert("seccompProfile".into(), json!({"type": "RuntimeDefault"}));
    }
}

/// The context of a container that was there.
pub(super) fn generated(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    typed::optional::<SecurityContext>(case, trail, old, new)?;
    if case.grants.container_security {
        return Ok(());
    }
    Err(case.needs(Grant::ContainerSecurity, trail, old, new))
}

/// The context of an added container, filled in.
pub(super) fn added(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    typed::optional::<SecurityContext>(case, trail, old, new)?;
    let Some(context) = new.filter(|_| !case.grants.container_security) else { return Ok(()) };
    for (field, value) in context.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        if !restricted(field, value) {
            return Err(case.needs(Grant::ContainerSecurity, &Trail::Field(trail, field), None, Some(value)));
        }
    }
    Ok(())
}

/// Whether a field says nothing that the level `restricted` forbids. What is not known is forbidden.
fn restricted(field: &str, value: &Value) -> bool {
    let profile = |allowed: &[&str]| value.get("type").and_then(Value::as_str).is_some_and(|t| allowed.contains(&t));
    match field {
        "allowPrivilegeEscalation" | "privileged" => value == false,
        "runAsNonRoot" => value == true,
        "runAsUser" => value.as_i64().is_some_and(|user| user != 0),
        "runAsGroup" | "readOnlyRootFilesystem" => true,
        "procMount" => value == "Default",
        "seccompProfile" | "appArmorProfile" => profile(&["RuntimeDefault", "Localhost"]),
        "capabilities" => {
            let list = |key: &str| value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list("add").is_empty() && list("drop").iter().any(|dropped| dropped == "ALL")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::confine;

    fn filled(pod: &Value, container: Value) -> Value {
        let pod_with = |containers: Value| json!({"spec": {"template": {"spec": {"securityContext": pod, "containers": containers}}}});
        let mut after = pod_with(json!([container, {"name": "own"}]));
        confine(&pod_with(json!([{"name": "own"}])), &mut after);
        assert_eq!(after["spec"]["template"]["spec"]["containers"][1], json!({"name": "own"}));
        after["spec"]["template"]["spec"]["containers"][0]["securityContext"].take()
    }

    #[test]
    fn what_is_left_open_is_filled_in() {
        let drop = json!({"drop": ["ALL"]});
        assert_eq!(
            filled(&json!({}), json!({"name": "x"})),
            json!({"allowPrivilegeEscalation": false, "capabilities": drop, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
        );
        let pod = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        assert_eq!(
            filled(&pod, json!({"name": "x", "securityContext": {"capabilities": null, "runAsUser": 7}})),
            json!({"allowPrivilegeEscalation": false, "capabilities": drop, "runAsUser": 7})
        );
        let given = json!({"allowPrivilegeEscalation": true, "capabilities": {"drop": ["X"]}, "runAsNonRoot": false});
        assert_eq!(
            filled(&pod, json!({"name": "x", "securityContext": given.clone()})),
            given,
            "the guard judges that"
        );
        assert_eq!(filled(&pod, json!({"name": "x", "securityContext": "no"})), json!("no"));
    }
}
