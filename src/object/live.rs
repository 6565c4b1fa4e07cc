//! What the server has: one live object, decoded from list, watch, get or the answer to an apply, kept small. PURE.
//!
//! A cluster holds thousands of these, so the content stays JSON text until somebody compares it, and of
//! `managedFields` only what names another manager's hold on content is kept.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::{
    ChildKind, FIELD_MANAGER, HANDOVER_MANAGER, INTENT_ANNOTATION, KindInfo, OWNER_ANNOTATION, POLICIES_ANNOTATION,
    STATUS_MANAGER,
};

/// The Deployment controller's own count of rollouts: nobody else's business, and it would make every rollout look
/// like a change of content.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// A live object of a generated kind.
#[derive(Debug, Clone)]
pub struct Live {
    /// Uid.
    pub uid: Box<str>,
    /// Resource version; versions of one server compare as numbers (KEP-5504).
    pub resource_version: u64,
    /// Generation, 0 for kinds without one.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The controller owner reference.
    pub controller: Option<Controller>,
    /// The annotation that says which custom resource wanted it.
    pub claimed_by: Option<Box<str>>,
    /// The annotation with the digest of what was applied.
    pub intent: Option<Box<str>>,
    /// The annotation that says which policies have changed it.
    pub policies: Option<Box<str>>,
    /// Whether our field manager has an Apply entry.
    pub applied_by_us: bool,
    /// Whether our Apply entry holds `spec.replicas`.
    pub owns_replicas: bool,
    /// What other managers hold of its content.
    pub foreign: Box<[ForeignFields]>,
    /// Deployments only: how far the rollout is.
    pub rollout: Option<Box<Rollout>>,
    /// JSON text: labels, annotations and owner references under `metadata`, and the content; no status.
    body: Box<str>,
}

/// The controller among the owner references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// API group and version.
    pub api_version: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// Uid.
    pub uid: Box<str>,
}

/// The fields another manager holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignFields {
    /// Its name, with the subresource it wrote through.
    pub manager: Box<str>,
    /// `fieldsV1` as JSON text.
    pub fields: Box<str>,
}

/// The facts of a Deployment's status that a decision is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// `spec.replicas`.
    pub wanted: i64,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.replicas`.
    pub replicas: i64,
    /// `status.updatedReplicas`.
    pub updated: i64,
    /// `status.readyReplicas`.
    pub ready: i64,
    /// `status.availableReplicas`.
    pub available: i64,
    /// Condition Available.
    pub available_condition: Option<Condition>,
    /// Condition Progressing.
    pub progressing: Option<Condition>,
    /// Condition ReplicaFailure.
    pub replica_failure: Option<Condition>,
}

/// A Deployment condition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Condition {
    #[serde(rename = "type")]
    kind: Box<str>,
    /// `True`, `False` or `Unknown`.
    pub status: Box<str>,
    /// Reason.
    #[serde(default)]
    pub reason: Box<str>,
    /// Message.
    #[serde(default)]
    pub message: Box<str>,
}

/// A live object as it comes over the wire; [`Live::new`] makes it small.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wire {
    metadata: WireMeta,
    // The top-level fields of the generated kinds. What is not listed here is never compared.
    spec: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
    binary_data: Option<Box<RawValue>>,
    immutable: Option<Box<RawValue>>,
    automount_service_account_token: Option<Box<RawValue>>,
    image_pull_secrets: Option<Box<RawValue>>,
    secrets: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
    #[serde(skip)]
    identity: ObjectMeta,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    generation: i64,
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
    #[serde(default)]
    managed_fields: Vec<WireManager>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireManager {
    #[serde(default)]
    manager: String,
    #[serde(default)]
    operation: String,
    subresource: Option<String>,
    fields_v1: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    metadata: BodyMeta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    immutable: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    automount_service_account_token: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_pull_secrets: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BodyMeta<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    owner_references: &'a [OwnerReference],
}

#[derive(Deserialize)]
struct DeploymentSpec {
    replicas: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentStatus {
    observed_generation: i64,
    replicas: i64,
    updated_replicas: i64,
    ready_replicas: i64,
    available_replicas: i64,
    conditions: Vec<Condition>,
}

impl Wire {
    /// Name and namespace.
    #[must_use]
    pub fn key(&self) -> (&str, &str) {
        (&self.metadata.namespace, &self.metadata.name)
    }

    /// Resource version as a number.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.metadata.resource_version.parse().unwrap_or_default()
    }

    /// Fills what the watch library asks an object for: its name, namespace and resource version.
    fn identify(&mut self) {
        self.identity = ObjectMeta {
            name: Some(self.metadata.name.clone()),
            namespace: Some(self.metadata.namespace.clone()),
            resource_version: Some(self.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        };
    }
}

/// [`Wire`] with the metadata that the watch library wants to see.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Wire")]
pub struct Watched(pub Wire);

impl From<Wire> for Watched {
    fn from(mut wire: Wire) -> Self {
        wire.identify();
        Self(wire)
    }
}

impl kube::Resource for Watched {
    type DynamicType = KindInfo;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(kind: &KindInfo) -> Cow<'_, str> {
        kind.kind.into()
    }
    fn group(kind: &KindInfo) -> Cow<'_, str> {
        kind.group.into()
    }
    fn version(kind: &KindInfo) -> Cow<'_, str> {
        kind.version.into()
    }
    fn plural(kind: &KindInfo) -> Cow<'_, str> {
        kind.plural.into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.0.identity
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.identity
    }
}

impl Live {
    /// Makes the small form of what came over the wire.
    #[must_use]
    pub fn new(kind: ChildKind, wire: &Wire) -> Self {
        let meta = &wire.metadata;
        let body = Body {
            metadata: BodyMeta {
                labels: &meta.labels,
                annotations: meta
                    .annotations
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str()))
                    .filter(|(key, _)| *key != REVISION)
                    .collect(),
                owner_references: &meta.owner_references,
            },
            spec: wire.spec.as_deref(),
            data: wire.data.as_deref(),
            binary_data: wire.binary_data.as_deref(),
            immutable: wire.immutable.as_deref(),
            automount_service_account_token: wire.automount_service_account_token.as_deref(),
            image_pull_secrets: wire.image_pull_secrets.as_deref(),
            secrets: wire.secrets.as_deref(),
        };
        let ours = meta.managed_fields.iter().find(|m| m.manager == FIELD_MANAGER && m.operation == "Apply");
        let annotation = |key: &str| meta.annotations.get(key).map(|v| v.as_str().into());
        Self {
            uid: meta.uid.as_str().into(),
            resource_version: wire.version(),
            generation: meta.generation,
            deleting: meta.deletion_timestamp.is_some(),
            controller: meta.owner_references.iter().find(|o| o.controller == Some(true)).map(Controller::from),
            claimed_by: annotation(OWNER_ANNOTATION),
            intent: annotation(INTENT_ANNOTATION),
            policies: annotation(POLICIES_ANNOTATION),
            applied_by_us: ours.is_some(),
            owns_replicas: ours
                .and_then(|m| m.fields_v1.as_deref())
                .is_some_and(|fields| fields.get().contains("\"f:replicas\"")),
            foreign: meta.managed_fields.iter().filter_map(foreign_fields).collect(),
            rollout: (kind == ChildKind::Deployment).then(|| Box::new(rollout(wire))),
            // Serializing what was just parsed cannot fail; an empty body would only mean one needless apply.
            body: serde_json::to_string(&body).unwrap_or_default().into(),
        }
    }

    /// Labels, annotations and owner references under `metadata`, and the content; no status.
    #[must_use]
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Whether a policy has changed or added it, by its short name.
    #[must_use]
    pub fn touched_by(&self, policy: &str) -> bool {
        self.policies.as_deref().is_some_and(|names| names.split(',').any(|name| name == policy))
    }

    /// Whether the content is the same, whatever labels and annotations are.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        let content = |live: &Self| {
            let mut document = live.document();
            document.as_object_mut().map(|document| document.remove("metadata"));
            document
        };
        self.uid == other.uid && content(self) == content(other)
    }

    /// Whether labels, annotations, owner references and content are the same to the byte.
    #[must_use]
    pub fn same_body(&self, other: &Self) -> bool {
        self.body == other.body && self.deleting == other.deleting && self.uid == other.uid
    }
}

impl From<&OwnerReference> for Controller {
    fn from(owner: &OwnerReference) -> Self {
        Self {
            api_version: owner.api_version.as_str().into(),
            kind: owner.kind.as_str().into(),
            name: owner.name.as_str().into(),
            uid: owner.uid.as_str().into(),
        }
    }
}

impl Rollout {
    /// Whether every wanted replica is of the newest template and available, and no other is left.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.updated == self.wanted && self.available == self.wanted && self.replicas == self.wanted
    }
}

/// Whether a manager name is one of the operator's own, which is never an opponent.
#[must_use]
pub fn is_own_manager(manager: &str) -> bool {
    [FIELD_MANAGER, STATUS_MANAGER, HANDOVER_MANAGER].contains(&manager)
}

fn foreign_fields(entry: &WireManager) -> Option<ForeignFields> {
    let fields = entry.fields_v1.as_deref()?.get();
    // Status is not ours to compare; the Deployment controller's own annotation is on every Deployment and not worth
    // the memory.
    let content = [
        "\"f:spec\"",
        "\"f:data\"",
        "\"f:binaryData\"",
        "\"f:labels\"",
        "\"f:ownerReferences\"",
        "inference-gateway.com/",
    ];
    if entry.subresource.as_deref() == Some("status")
        || is_own_manager(&entry.manager)
        || !content.iter().any(|c| fields.contains(c))
    {
        return None;
    }
    let manager = match &entry.subresource {
        Some(subresource) => format!("{} (subresource {subresource})", entry.manager).into(),
        None => entry.manager.as_str().into(),
    };
    Some(ForeignFields { manager, fields: fields.into() })
}

fn rollout(wire: &Wire) -> Rollout {
    let spec: Option<DeploymentSpec> = wire.spec.as_deref().and_then(|raw| serde_json::from_str(raw.get()).ok());
    let status: Option<DeploymentStatus> = wire.status.as_deref().and_then(|raw| serde_json::from_str(raw.get()).ok());
    let status = status.unwrap_or_default();
    let condition = |kind: &str| status.conditions.iter().find(|c| &*c.kind == kind).cloned();
    Rollout {
        wanted: spec.and_then(|s| s.replicas).unwrap_or(1),
        observed_generation: status.observed_generation,
        replicas: status.replicas,
        updated: status.updated_replicas,
        ready: status.ready_replicas,
        available: status.available_replicas,
        available_condition: condition("Available"),
        progressing: condition("Progressing"),
        replica_failure: condition("ReplicaFailure"),
    }
}
