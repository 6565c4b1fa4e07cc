//! The custom resources the operator serves: the trait they implement and the only list of them. PURE.
//!
//! A new kind is its file (types), its `desired.rs` (one pure function) and its line in [`for_each`]. CRDs, RBAC,
//! watches, metrics and the generic tests follow from the list.

pub mod agent;
pub mod discovery;
pub mod gateway;
pub mod mcp;
pub mod orchestrator;
pub mod scaling;
pub mod schema;
pub mod telemetry;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::Selector;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::object::{ChildKind, DesiredChild, Identity};

/// API group of the operator's custom resources.
pub const GROUP: &str = "core.inference-gateway.com";
/// Version of the operator's custom resources.
pub const VERSION: &str = "v1alpha1";

/// How the API server names a kind of custom resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParentInfo {
    /// API group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural.
    pub plural: &'static str,
}

/// A kind of custom resource: its types and one pure function.
pub trait Parent: Send + Sync + 'static {
    /// Its names.
    const INFO: ParentInfo;
    /// How its status sums up.
    const SUMMARY: Summary;
    /// Whether other custom resources look for resources of this kind: then [`Parent::listing`] says what they find.
    const LISTED: bool = false;
    /// Paths (`/spec/replicas`) of its objects that no policy may change, whatever it is granted.
    const FIXED: &'static [(ChildKind, &'static str)] = &[];
    /// The decoded `spec`, defaults filled in by decoding (an absent spec decodes from `{}`).
    type Spec: DeserializeOwned + Send + Sync;

    /// The definition to install.
    fn crd() -> CustomResourceDefinition;

    /// What the spec points at.
    ///
    /// # Errors
    /// When what it points at cannot be said, for example by a label selector that makes no sense.
    fn references(parent: &Identity, spec: &Self::Spec) -> Result<References, InvalidSpec>;

    /// Everything that should exist for this custom resource, and what its status says of it.
    ///
    /// # Errors
    /// When a value passes the schema but no valid object can be made of it.
    fn desired(parent: &Identity, spec: &Self::Spec, related: &Related) -> Result<Desired, InvalidSpec>;

    /// What others find who look for this custom resource; `status` is the one that is stored.
    fn listing(parent: &Identity, spec: &Self::Spec, status: &Value) -> Listing {
        let _ = (parent, spec, status);
        Listing::default()
    }
}

/// How a status sums up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// `phase`, replica counts and `message`.
    Phase,
    /// `ready`, true when the condition Ready is, and `message`.
    Ready,
}

/// What a custom resource points at and does not own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// ConfigMaps of its namespace, by name: watched, and their content rolls the pods.
    pub config_maps: BTreeSet<String>,
    /// Secrets of its namespace, by name: never read.
    pub secrets: BTreeSet<String>,
    /// Custom resources that it looks for, by kind.
    pub discoveries: BTreeMap<&'static str, Discovery>,
    /// The card that its pods serve.
    pub card: Option<CardSource>,
    /// Something that only one custom resource of its kind and namespace may use: see [`Listing::claim`].
    pub claim: Option<String>,
}

/// Custom resources that are looked for by label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Where.
    pub namespace: String,
    /// Labels.
    pub selector: Selector,
}

/// Where an agent serves its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSource {
    /// Scheme, host and port.
    pub base: String,
}

impl References {
    /// Whether no Secret or ConfigMap is named.
    #[must_use]
    pub fn names_nothing(&self) -> bool {
        self.config_maps.is_empty() && self.secrets.is_empty()
    }
}

/// What the world outside the custom resource adds to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Related {
    /// Digest of each named ConfigMap that exists.
    pub config_maps: BTreeMap<String, String>,
    /// The custom resources that were found, by kind, in the order of their names.
    pub found: BTreeMap<&'static str, Arc<[Found]>>,
    /// What is known of the card.
    pub card: Option<CardSeen>,
    /// Name of the older custom resource of the same kind and namespace with the same claim.
    pub rival: Option<Arc<str>>,
}

/// What others find who look for a custom resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Where it can be reached; it is not found without.
    pub url: Option<String>,
    /// What it uses that only one of its kind and namespace may use, for example a key of a Secret.
    pub claim: Option<String>,
}

/// A custom resource that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its name.
    pub name: Arc<str>,
    /// Where it can be reached.
    pub url: Arc<str>,
}

/// What is known of a card, as the status says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSeen {
    /// The last good one, in the form of `status.card`.
    pub card: Option<Arc<Value>>,
    /// Condition CardFetched.
    pub condition: KindCondition,
}

/// A condition that only some kinds have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindCondition {
    /// Type.
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: Arc<str>,
    /// Reason: a word of the reference of conditions.
    pub reason: Arc<str>,
    /// Message.
    pub message: Arc<str>,
    /// Whether the custom resource is not Ready unless it is true.
    pub needed: bool,
}

impl KindCondition {
    /// A condition.
    #[must_use]
    pub fn new(kind: &'static str, status: &str, reason: &str, message: &str, needed: bool) -> Self {
        Self { kind, status: status.into(), reason: reason.into(), message: message.into(), needed }
    }
}

/// The whole desired set of one custom resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// The objects that should exist, each identity once.
    pub children: Vec<DesiredChild>,
    /// The fields of the status that follow from the spec and what is related to it (`url`, `providerSummary`, ...).
    pub status: Map<String, Value>,
    /// Conditions that only this kind has.
    pub conditions: Vec<KindCondition>,
    /// Sentences for the status message: settings that are accepted and have no effect.
    pub notes: Vec<String>,
}

/// A spec that passes the schema and still makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidSpec {
    /// Path of the field, for example `spec.resources.limits.cpu`.
    pub field: String,
    /// What is wrong with it, lower case.
    pub message: String,
}

/// Does something once for every kind.
pub trait Visitor {
    /// Called with each kind.
    fn visit<P: Parent>(&mut self);
}

/// The list of kinds.
pub fn for_each(visitor: &mut impl Visitor) {
    visitor.visit::<gateway::Gateway>();
    visitor.visit::<agent::Agent>();
    visitor.visit::<mcp::Mcp>();
    visitor.visit::<orchestrator::Orchestrator>();
}
