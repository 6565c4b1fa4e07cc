//! Counting the operator's calls by what they are for.

use controlplane::{AuditEntry, User};

use crate::kinds::Kind;

/// Whether a request came from the operator.
pub(super) fn by_operator(entry: &AuditEntry) -> bool {
    entry.user.username == User::Operator.name()
}

/// Whether it counts as a call: a watch that ends and a lease that is renewed are no work for a custom resource.
pub(super) fn is_call(entry: &AuditEntry) -> bool {
    entry.verb != "watch" && entry.resource() != "leases"
}

/// How many there were of each sort. Every call is in exactly one of the numbers but the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) apply_child: usize,
    pub(super) apply_status: usize,
    pub(super) apply_policy_status: usize,
    pub(super) get: usize,
    pub(super) list: usize,
    pub(super) create: usize,
    pub(super) update: usize,
    pub(super) patch: usize,
    pub(super) delete: usize,
    pub(super) events: usize,
    pub(super) watches: usize,
    pub(super) leases: usize,
    /// Of all these: answered with 409.
    pub(super) conflicts: usize,
}

impl Calls {
    /// Counts the operator's among `entries`.
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = &'a AuditEntry>) -> Self {
        let mut calls = Self::default();
        for entry in entries.into_iter().filter(|entry| by_operator(entry)) {
            calls.add(entry);
        }
        calls
    }

    fn add(&mut self, entry: &AuditEntry) {
        let (resource, custom) = (entry.resource(), Kind::of_request(entry).is_some());
        let number = match (resource.as_str(), entry.verb.as_str()) {
            ("leases", _) => &mut self.leases,
            (_, "watch") => &mut self.watches,
            ("events", "create" | "patch" | "update") => &mut self.events,
            (resource, "patch") if custom && resource.ends_with("/status") => &mut self.apply_status,
            ("wasmpolicies/status" | "clusterwasmpolicies/status", "patch") => &mut self.apply_policy_status,
            (_, "list") => &mut self.list,
            (_, "create") => &mut self.create,
            (_, "update") => &mut self.update,
            (_, "delete" | "deletecollection") => &mut self.delete,
            // An apply is a patch with another content type, which the log does not show; the operator sends no other.
            (resource, "patch") if !custom && !resource.contains('/') => &mut self.apply_child,
            (_, "patch") => &mut self.patch,
            // Paths like /version are read with get too.
            _ => &mut self.get,
        };
        *number += 1;
        if entry.code() == 409 {
            self.conflicts += 1;
        }
    }

    /// All of them but Events, watches and leases.
    pub(super) fn total(&self) -> usize {
        self.writes() + self.get + self.list
    }

    /// Writes to children.
    pub(super) fn child_writes(&self) -> usize {
        self.apply_child + self.create + self.delete
    }

    /// Everything that changes something, but Events and leases.
    pub(super) fn writes(&self) -> usize {
        self.child_writes() + self.apply_status + self.apply_policy_status + self.update + self.patch
    }

    /// The numbers that make up the total, with their names.
    pub(super) fn named(&self) -> [(&'static str, usize); 9] {
        [
            ("apply of a child", self.apply_child),
            ("apply of a status", self.apply_status),
            ("apply of a policy's status", self.apply_policy_status),
            ("get", self.get),
            ("list", self.list),
            ("create", self.create),
            ("update", self.update),
            ("other patch", self.patch),
            ("delete", self.delete),
        ]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use controlplane::AuditEntry;
    use serde_json::json;

    use super::Calls;
    use crate::kinds::{GROUP, Kind};

    /// An entry of the log; `resource` may have a subresource after a slash, and is one of the operator's group where that has one of this name.
    pub(in crate::bench) fn entry(user: &str, verb: &str, resource: &str, name: &str, code: u16) -> AuditEntry {
        let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let group = if Kind::ALL.into_iter().any(|kind| kind.plural() == plural) { GROUP } else { "" };
        serde_json::from_value(json!({
            "auditID": "a", "stage": "ResponseComplete", "requestURI": "/", "verb": verb, "user": {"username": user},
            "objectRef": {"resource": plural, "subresource": subresource, "name": name, "apiGroup": group},
            "responseStatus": {"code": code},
            "requestReceivedTimestamp": "2026-01-02T03:04:05.678901Z", "stageTimestamp": "2026-01-02T03:04:05.680000Z",
        }))
        .expect("an entry")
    }

    /// Of a kind of the Gateway API, which has a name of ours.
    fn foreign(mut entry: AuditEntry) -> AuditEntry {
        if let Some(object) = &mut entry.object_ref {
            object.api_group = "gateway.networking.k8s.io".into();
        }
        entry
    }

    #[test]
    fn every_call_is_counted_once_and_only_the_operators() {
        let entries = [
            entry("operator", "patch", "deployments", "a", 201),
            entry("operator", "patch", "services", "a", 409),
            entry("operator", "patch", "gateways/status", "a", 200),
            entry("operator", "patch", "orchestrators/status", "a", 200),
            entry("operator", "patch", "clusterwasmpolicies/status", "a", 200),
            entry("operator", "patch", "agents", "a", 200),
            foreign(entry("operator", "patch", "gateways", "a", 201)),
            entry("operator", "patch", "deployments/scale", "a", 200),
            entry("operator", "get", "services", "a", 200),
            entry("operator", "watch", "services", "", 200),
            entry("operator", "create", "events", "a", 201),
            entry("operator", "patch", "leases", "a", 200),
            entry("admin", "delete", "services", "a", 200),
        ];
        let calls = Calls::of(&entries);
        let expected = Calls {
            apply_child: 3,
            apply_status: 2,
            apply_policy_status: 1,
            patch: 2,
            get: 1,
            watches: 1,
            events: 1,
            leases: 1,
            conflicts: 1,
            ..Calls::default()
        };
        assert_eq!(calls, expected);
        assert_eq!((calls.total(), calls.writes(), calls.child_writes()), (9, 8, 3));
        assert_eq!(calls.named().iter().map(|(_, number)| number).sum::<usize>(), calls.total());
    }
}
