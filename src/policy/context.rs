//! What a policy is told about the custom resource and about itself, as a JSON document. PURE.
//!
//! Nothing in it changes when the operator writes: no uid, resource version, generation, time, status or version of
//! the operator. A policy that copies all of it into an object must come to rest.

use serde_json::{Value, json};

use crate::{kinds::ParentInfo, object::Identity};

/// Annotation in which kubectl keeps a copy of the manifest: long, and said already.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The document. `namespace` is that of the policy, empty for a policy of the cluster.
#[must_use]
pub fn context(kind: &ParentInfo, parent: &Identity, spec: &Value, policy: &str, namespace: &str) -> String {
    let mut annotations = parent.annotations.clone();
    annotations.remove(LAST_APPLIED);
    json!({
        "parent": {
            "apiVersion": format!("{}/{}", kind.group, kind.version),
            "kind": kind.kind,
            "metadata": {
                "name": parent.name,
                "namespace": parent.namespace,
                "labels": parent.labels,
                "annotations": annotations,
            },
            "spec": spec,
        },
        "policy": {"name": policy, "namespace": namespace},
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{LAST_APPLIED, context};
    use crate::{
        kinds::{Parent as _, gateway::Gateway},
        object::Identity,
    };

    #[test]
    fn nothing_that_the_operator_writes_is_told() {
        let mut one = Identity { namespace: "ns".into(), name: "gw".into(), ..Identity::default() };
        one.annotations.insert("team".into(), "a".into());
        let mut other = Identity { uid: "u".into(), generation: 7, ..one.clone() };
        other.annotations.insert(LAST_APPLIED.into(), "{}".into());
        let of = |identity| context(&Gateway::INFO, identity, &json!({"a": 1}), "p", "");
        assert_eq!(of(&one), of(&other));
        let document: serde_json::Value = serde_json::from_str(&of(&one)).expect("JSON");
        assert_eq!(document["parent"]["metadata"]["annotations"], json!({"team": "a"}));
        assert_eq!(document["parent"]["kind"], "Gateway");
        assert_eq!(document["parent"]["spec"], json!({"a": 1}));
    }
}
