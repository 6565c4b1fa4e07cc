//! Counting the operator's calls by what they are for.

use controlplane::{AuditEntry, User};

/// Whether a request came from the operator.
pub(super) fn by_operator(entry: &AuditEntry) -> bool {
    entry.user.username == User::Operator.name()
}

/// Whether it counts as a call: a watch that ends and a lease that is renewed are no work for a custom resource.
pub(super) fn is_call(entry: &AuditEntry) -> bool {
    entry.verb != "watch" && entry.resource() != "leases"
}

/// How many there were of each sort. Every call is in exactly one of the first ten numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) apply_child: usize,
    pub(super) apply_status: usize,
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
        let resource = entry.resource();
        let number = match (resource.as_str(), entry.verb.as_str()) {
            ("leases", _) => &mut self.leases,
            (_, "watch") => &mut self.watches,
            ("events", "create" | "patch" | "update") => &mut self.events,
            ("gateways/status", "patch") => &mut self.apply_status,
            (_, "list") => &mut self.list,
            (_, "create") => &mut self.create,
            (_, "update") => &mut self.update,
            (_, "delete" | "deletecollection") => &mut self.delete,
            // An apply is a patch with another content type, which the log does not show; the operator sends no other.
            (resource, "patch") if resource != "gateways" && !resource.contains('/') => &mut self.apply_child,
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
        self.child_writes() + self.apply_status + self.get + self.list + self.update + self.patch
    }

    /// Writes to children.
    pub(super) fn child_writes(&self) -> usize {
        self.apply_child + self.create + self.delete
    }

    /// Everything that changes something, but Events and leases.
    pub(super) fn writes(&self) -> usize {
        self.child_writes() + self.apply_status + self.update + self.patch
    }

    /// The numbers that make up the total, with their names.
    pub(super) fn named(&self) -> [(&'static str, usize); 8] {
        [
            ("apply of a child", self.apply_child),
            ("apply of a status", self.apply_status),
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
mod tests {
    use controlplane::AuditEntry;
    use serde_json::json;

    use super::Calls;

    fn entry(user: &str, verb: &str, resource: &str, subresource: &str, code: u16) -> AuditEntry {
        serde_json::from_value(json!({
            "auditID": "a", "stage": "ResponseComplete", "requestURI": "/", "verb": verb, "user": {"username": user},
            "objectRef": {"resource": resource, "subresource": subresource}, "responseStatus": {"code": code},
            "requestReceivedTimestamp": "2026-01-02T03:04:05.678901Z", "stageTimestamp": "2026-01-02T03:04:05.680000Z",
        }))
        .expect("an entry")
    }

    #[test]
    fn every_call_is_counted_once_and_only_the_operators() {
        let entries = [
            entry("operator", "patch", "deployments", "", 201),
            entry("operator", "patch", "services", "", 409),
            entry("operator", "patch", "gateways", "status", 200),
            entry("operator", "patch", "deployments", "scale", 200),
            entry("operator", "get", "services", "", 200),
            entry("operator", "watch", "services", "", 200),
            entry("operator", "create", "events", "", 201),
            entry("operator", "patch", "leases", "", 200),
            entry("admin", "delete", "services", "", 200),
        ];
        let calls = Calls::of(&entries);
        let expected = Calls {
            apply_child: 2,
            apply_status: 1,
            patch: 1,
            get: 1,
            watches: 1,
            events: 1,
            leases: 1,
            conflicts: 1,
            ..Calls::default()
        };
        assert_eq!(calls, expected);
        assert_eq!((calls.total(), calls.writes(), calls.child_writes()), (5, 4, 2));
        assert_eq!(calls.named().iter().map(|(_, number)| number).sum::<usize>(), calls.total());
    }
}
