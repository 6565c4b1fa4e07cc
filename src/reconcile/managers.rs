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
    /// Those of whoever made the custom resource of this uid the owner.
    OwnedBy(&'a str),
    /// Everybody's: the user has handed the object over.
    All,
}

/// The entries after a predecessor's have become our Apply entry; `None` when there is nothing to fold.
#[must_use]
pub fn folded(entries: &[Value], fold: Fold<'_>) -> Option<Vec<Value>> {
    let is_predecessor = |entry: &Value| match fold {
        Fold::All => true,
        Fold::OwnedBy(uid) => {
            let owner = format!("k:{{\"uid\":\"{uid}\"}}");
            entry["fieldsV1"]["f:metadata"]["f:ownerReferences"].get(&owner).is_some()
        }
    };
    // What is written through a subresource, the status above all, is somebody else's work.
    let plain_update = |entry: &Value| entry["operation"] == "Update" && entry.get("subresource").is_none();
    let predecessors: Vec<&Value> = entries
        .iter()
        .filter(|entry| plain_update(entry) && is_predecessor(entry))
        .map(|entry| &entry["manager"])
        .collect();
    let folds = |entry: &Value| plain_update(entry) && predecessors.contains(&&entry["manager"]);
    let ours = |entry: &Value| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply";
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

/// The names of those whose entries [`folded`] takes.
#[must_use]
pub fn predecessors(before: &[Value], after: &[Value]) -> Vec<String> {
    let gone = before.iter().filter(|entry| entry["operation"] == "Update" && !after.contains(entry));
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

    use super::{Fold, folded, without_updates};

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
    fn own_updates_are_forgotten() {
        let own = update("inference-gateway-operator", json!({}));
        assert_eq!(without_updates(&[own, update("x", json!({}))]), Some(vec![update("x", json!({}))]));
        assert_eq!(without_updates(&entries()), None);
    }
}
