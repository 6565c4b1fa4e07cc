//! The custom resources the operator serves: the trait they implement and the only list of them. PURE.
//!
//! A new kind is its file (types), its `desired.rs` (one pure function) and its line in [`for_each`]. CRDs, RBAC,
//! watches, metrics and the generic tests follow from the list.

pub mod gateway;
pub mod schema;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::object::{DesiredChild, Identity};

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
    /// The decoded `spec`, defaults filled in by decoding (an absent spec decodes from `{}`).
    type Spec: DeserializeOwned + Send + Sync;

    /// The definition to install.
    fn crd() -> CustomResourceDefinition;

    /// What the spec points at in its own namespace.
    fn references(spec: &Self::Spec) -> References;

    /// Everything that should exist for this custom resource, and what its status says of it.
    ///
    /// # Errors
    /// When a value passes the schema but no valid object can be made of it.
    fn desired(parent: &Identity, spec: &Self::Spec, related: &Related) -> Result<Desired, InvalidSpec>;
}

/// Objects that a custom resource names but does not own, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// ConfigMaps: watched, and their content rolls the pods.
    pub config_maps: BTreeSet<String>,
    /// Secrets: never read.
    pub secrets: BTreeSet<String>,
}

impl References {
    /// Whether nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.config_maps.is_empty() && self.secrets.is_empty()
    }
}

/// What the world outside the custom resource adds to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Related {
    /// Digest of each named ConfigMap that exists.
    pub config_maps: BTreeMap<String, String>,
}

/// The whole desired set of one custom resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// The objects that should exist, each identity once.
    pub children: Vec<DesiredChild>,
    /// The fields of the status that follow from the spec alone (`url`, `providerSummary`, ...).
    pub status: Map<String, Value>,
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
}
