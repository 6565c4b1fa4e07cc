//! The operator's kinds as the API server knows them. The operator's own types stay unknown here: the demo and the benchmark look at
//! them from outside, as any user does.

use controlplane::AuditEntry;
use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;

/// API group of the operator's kinds.
pub(crate) const GROUP: &str = "core.inference-gateway.com";
/// Their version.
const VERSION: &str = "v1alpha1";
/// Selects everything that the operator makes.
pub(crate) const CHILDREN: &str = "app.kubernetes.io/managed-by=inference-gateway-operator";

/// A kind of custom resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Gateway,
    Agent,
    Mcp,
    Orchestrator,
}

impl Kind {
    /// All of them, in the order in which people are told of them.
    pub(crate) const ALL: [Self; 4] = [Self::Gateway, Self::Agent, Self::Mcp, Self::Orchestrator];

    /// Kind, plural, and what kubectl is asked for: the Gateway API has gateways too, and older CRDs have no short name.
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Gateway => ["Gateway", "gateways", "gateways.core.inference-gateway.com"],
            Self::Agent => ["Agent", "agents", "agents"],
            Self::Mcp => ["MCP", "mcps", "mcps"],
            Self::Orchestrator => ["Orchestrator", "orchestrators", "orchestrators"],
        }
    }

    /// As documents call it.
    pub(crate) const fn name(self) -> &'static str {
        self.names()[0]
    }

    /// As paths of the API call it.
    pub(crate) const fn plural(self) -> &'static str {
        self.names()[1]
    }

    /// As one asks kubectl for it.
    pub(crate) const fn spoken(self) -> &'static str {
        self.names()[2]
    }

    /// The kind of a document, if it is one of these.
    pub(crate) fn of_document(document: &Value) -> Option<Self> {
        let (group, _) = document["apiVersion"].as_str()?.split_once('/')?;
        Self::ALL.into_iter().find(|kind| group == GROUP && document["kind"] == kind.name())
    }

    /// The kind of what a request was about, or of whose status it was about.
    pub(crate) fn of_request(entry: &AuditEntry) -> Option<Self> {
        let object = entry.object_ref.as_ref()?;
        Self::ALL.into_iter().find(|kind| object.api_group == GROUP && object.resource == kind.plural())
    }

    /// How to address its objects.
    pub(crate) fn resource(self) -> ApiResource {
        ApiResource {
            group: GROUP.into(),
            version: VERSION.into(),
            api_version: api_version(),
            kind: self.name().into(),
            plural: self.plural().into(),
        }
    }
}

/// Group and version, as documents name them.
pub(crate) fn api_version() -> String {
    format!("{GROUP}/{VERSION}")
}

/// Whether the status of a Gateway is about the spec as it is now, and says that all is well.
pub(crate) fn is_running(gateway: &DynamicObject) -> bool {
    let status = &gateway.data["status"];
    status["phase"] == "Running" && status["observedGeneration"].as_i64() == gateway.metadata.generation
}

/// Whether the condition Ready, which every kind has, is about the spec as it is now and true.
pub(crate) fn is_ready(object: &DynamicObject) -> bool {
    conditions(object).iter().any(|condition| {
        condition["type"] == "Ready"
            && condition["status"] == "True"
            && condition["observedGeneration"].as_i64() == object.metadata.generation
    })
}

/// A text in the status, or nothing.
pub(crate) fn status_text<'a>(object: &'a DynamicObject, field: &str) -> &'a str {
    object.data["status"][field].as_str().unwrap_or_default()
}

/// The conditions in the status.
pub(crate) fn conditions(object: &DynamicObject) -> &[Value] {
    object.data["status"]["conditions"].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::{Kind, is_ready};

    #[test]
    fn a_kind_is_known_by_group_and_name() {
        for kind in Kind::ALL {
            let document = json!({"apiVersion": kind.resource().api_version, "kind": kind.name()});
            assert_eq!(Kind::of_document(&document), Some(kind));
        }
        for (version, kind) in [("gateway.networking.k8s.io/v1", "Gateway"), ("v1", "Secret")] {
            assert_eq!(Kind::of_document(&json!({"apiVersion": version, "kind": kind})), None);
        }
    }

    #[test]
    fn ready_counts_for_its_generation_only() {
        let object = |observed: i64, status: &str| -> DynamicObject {
            let condition = json!({"type": "Ready", "status": status, "observedGeneration": observed});
            let object = json!({
                "apiVersion": "core.inference-gateway.com/v1alpha1", "kind": "Agent",
                "metadata": {"name": "a", "generation": 2}, "status": {"conditions": [condition]},
            });
            serde_json::from_value(object).expect("an object")
        };
        assert!(is_ready(&object(2, "True")));
        assert!(!is_ready(&object(1, "True")));
        assert!(!is_ready(&object(2, "False")));
    }
}
