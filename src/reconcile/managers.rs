//! Whose the fields of an object are, when somebody wrote them without server-side apply: entries of `managedFields`
//! before and after. PURE.
//!
//! An apply only lets go of fields that an Apply entry of the same manager holds. What a predecessor wrote by update would
//! stay for ever: environment variables and ports that nobody wants, and a port that cannot be renumbered because the
//! old one stays beside it. So its entries are folded into ours first, as `kubectl` does when it changes from client-side
//! to server-side apply (KEP-2155).

use serde_json::{Map, Value, json};

use crate::object::FIELD_MANAGER;

/// Whose entries become ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold<'a> {
    /// Updates by whoever made the custom resource of this uid the owner.
    OwnedBy(&'a str),
    /// Everybody's but those of Kubernetes itself: the user has handed the object over.
    All,
}

/// The controllers of Kubernetes, which go on writing what they wrote.
const KUBERNETES: &str = "kube-controller-manager";

impl Fold<'_> {
    /// Whether an entry of another manager shows that this manager's entries are to be folded.
    fn marks(self, entry: &Value) -> bool {
        match self {
            Self::OwnedBy(uid) => {
                let owner = format!("k:{{\"uid\":\"{uid}\"}}");
                entry["fieldsV1"]["f:metadata"]["f:ownerReferences"].get(&owner).is_some()
            }
            Self::All => entry["manager"] != KUBERNETES,
        }
    }

    fn takes(self, operation: &Value) -> bool {
        operation == "Update" || (self == Self::All && operation == "Apply")
    }
}

/// The entries after others' have become our Apply entry; `None` when there is nothing to fold.
#[must_use]
pub fn folded(entries: &[Value], fold: Fold<'_>) -> Option<Vec<Value>> {
    let ours = |entry: &Value| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply";
    // What is written through a subresource is somebody else's work: the status of an object, replicas by scale.
    let may = |entry: &Value| entry.get("subresource").is_none() && fold.takes(&entry["operation"]) && !ours(entry);
    let marked: Vec<&Value> =
        entries.iter().filter(|entry| may(entry) && fold.marks(entry)).map(|entry| &entry["manager"]).collect();
    let folds = |entry: &Value| may(entry) && marked.contains(&&entry["manager"]);
    let newest = entries.iter().filter(|entry| folds(entry)).max_by_key(|entry| entry["time"].as_str())?;
    let mut fields = Map::new();
    for entry in entries.iter().filter(|entry| folds(entry) || ours(entry)) {
        if let Value::Object(more) = &entry["fieldsV1"] {
            unite(&mut fields, more);
        }
    }
    fields.remove("f:status");
    let mut after: Vec<Value> = entries.iter().filter(|entry| !folds(entry) && !ours(entry)).cloned().collect();
    after.push(json!({
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": newest["apiVersion"],
        "time": newest["time"],
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }));
    Some(after)
}

/// The status of a custom resource without what somebody wrote there by update and is not in `sent`, the status that was
/// applied over it; `None` when there is nothing of it. What others apply stays. The managed fields themselves cannot be
/// rewritten through the status: the server (1.36) takes such a patch and leaves them.
#[must_use]
pub fn without_leftovers(object: &Value, sent: &Value) -> Option<Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let written = |operation: &str| {
        let here = move |entry: &&Value| entry["operation"] == operation && entry["subresource"] == "status";
        let mut fields = Map::new();
        for entry in entries.iter().filter(here) {
            if let Value::Object(more) = &entry["fieldsV1"]["f:status"] {
                unite(&mut fields, more);
            }
        }
        fields
    };
    let (updated, applied) = (written("Update"), written("Apply"));
    let leftover = |fields: &Map<String, Value>, others: &Map<String, Value>, key: &str| {
        fields.contains_key(key) && !others.contains_key(key)
    };
    let mut status = object["status"].as_object()?.clone();
    let before = status.clone();
    status.retain(|field, _| {
        field == "conditions" || sent.get(field).is_some() || !leftover(&updated, &applied, &format!("f:{field}"))
    });
    if let (Some(Value::Array(conditions)), Some(updated)) =
        (status.get_mut("conditions"), updated.get("f:conditions").and_then(Value::as_object))
    {
        let none = Map::new();
        let applied = applied.get("f:conditions").and_then(Value::as_object).unwrap_or(&none);
        let sent: Vec<_> = sent["conditions"].as_array().into_iter().flatten().map(|known| &known["type"]).collect();
        conditions.retain(|known| {
            let key = format!("k:{}", json!({"type": known["type"]}));
            sent.contains(&&known["type"]) || !leftover(updated, applied, &key)
        });
    }
    (status != before).then_some(Value::Object(status))
}

/// The names of those whose entries [`folded`] takes.
#[must_use]
pub fn predecessors(before: &[Value], after: &[Value]) -> Vec<String> {
    let gone = before.iter().filter(|entry| entry["manager"] != FIELD_MANAGER && !after.contains(entry));
    let mut names: Vec<_> = gone.filter_map(|entry| entry["manager"].as_str()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The entries without what our manager wrote other than by apply; `None` when there is nothing of it.
#[must_use]
pub fn without_updates(entries: &[Value]) -> Option<Vec<Value>> {
    let stays = |entry: &&Value| entry["manager"] != FIELD_MANAGER || entry["operation"] != "Update";
    let left: Vec<_> = entries.iter().filter(stays).cloned().collect();
    (left.len() < entries.len()).then_some(left)
}

fn unite(all: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (field, inside) in more {
        match (all.get_mut(field), inside) {
            (Some(Value::Object(known)), Value::Object(inside)) => unite(known, inside),
            (Some(_), _) => {}
            (None, inside) => {
                all.insert(field.clone(), inside.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Fold, folded, without_leftovers, without_updates};

    fn update(manager: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn entries() -> [Value; 4] {
        let owned =
            json!({"f:metadata": {"f:ownerReferences": {".": {}, "k:{\"uid\":\"u\"}": {}}}, "f:spec": {"f:type": {}}});
        let mut status = update("operator", json!({"f:status": {}}));
        status["subresource"] = json!("status");
        [
            update("operator", owned),
            update("operator", json!({"f:spec": {"f:ports": {}}})),
            update("kubectl-edit", json!({"f:spec": {"f:selector": {}}})),
            status,
        ]
    }

    #[test]
    fn whoever_set_the_owner_is_the_predecessor() {
        let [_, _, edit, status] = entries();
        let after = folded(&entries(), Fold::OwnedBy("u")).expect("something to fold");
        assert_eq!(after[..2], [edit, status]);
        assert_eq!(
            (&after[2]["manager"], &after[2]["operation"]),
            (&json!("inference-gateway-operator"), &json!("Apply"))
        );
        assert_eq!(after[2]["fieldsV1"]["f:spec"], json!({"f:type": {}, "f:ports": {}}));
        assert_eq!(folded(&entries(), Fold::OwnedBy("another")), None);
        assert_eq!(folded(&after, Fold::OwnedBy("u")), None, "once");
    }

    #[test]
    fn all_plain_updates_are_folded_when_the_object_was_handed_over() {
        let after = folded(&entries(), Fold::All).expect("something to fold");
        assert_eq!(after.len(), 2, "the status stays whose it is");
        assert_eq!(after[1]["fieldsV1"]["f:spec"], json!({"f:type": {}, "f:ports": {}, "f:selector": {}}));
    }

    #[test]
    fn what_another_manager_applied_goes_only_with_an_object_that_was_handed_over() {
        let mut applied = update("helm", json!({"f:spec": {"f:replicas": {}}}));
        applied["operation"] = json!("Apply");
        let kubernetes = update("kube-controller-manager", json!({"f:metadata": {"f:annotations": {}}}));
        let entries = [applied, kubernetes.clone()];
        assert_eq!(folded(&entries, Fold::OwnedBy("u")), None);
        let after = folded(&entries, Fold::All).expect("something to fold");
        assert_eq!(after[0], kubernetes);
        assert_eq!(after[1]["fieldsV1"]["f:spec"], json!({"f:replicas": {}}));
    }

    #[test]
    fn what_somebody_left_in_a_status_goes_and_what_others_apply_stays() {
        let condition = |kind: &str| json!({"type": kind});
        let held = |kind: &str| (format!("k:{{\"type\":\"{kind}\"}}"), json!({}));
        let entry = |operation: &str, fields: Value| json!({"operation": operation, "subresource": "status", "fieldsV1": {"f:status": fields}});
        let updated = Value::Object([held("Old"), held("Both"), held("Ready")].into_iter().collect());
        let applied = Value::Object([held("Theirs"), held("Both")].into_iter().collect());
        let object = json!({
            "metadata": {"managedFields": [
                entry("Update", json!({"f:conditions": updated, "f:card": {}, "f:ready": {}})),
                entry("Apply", json!({"f:conditions": applied})),
            ]},
            "status": {
                "conditions": [condition("Old"), condition("Theirs"), condition("Both"), condition("Ready")],
                "card": {}, "ready": true, "new": 1,
            },
        });
        let sent = json!({"conditions": [condition("Ready")], "ready": true});
        let wanted = json!({"conditions": [condition("Theirs"), condition("Both"), condition("Ready")], "ready": true, "new": 1});
        assert_eq!(without_leftovers(&object, &sent), Some(wanted.clone()));
        let clean = json!({"metadata": object["metadata"], "status": wanted});
        assert_eq!(without_leftovers(&clean, &sent), None);
    }

    #[test]
    fn own_updates_are_forgotten() {
        let own = update("inference-gateway-operator", json!({}));
        assert_eq!(without_updates(&[own, update("x", json!({}))]), Some(vec![update("x", json!({}))]));
        assert_eq!(without_updates(&entries()), None);
    }
}
