//! A custom resource as it is watched: metadata, and spec and status as JSON text.
//!
//! Decoding happens for each object on its own, so one that cannot be decoded never stops the watch of the others.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, core::ObjectMeta};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use crate::{
    kinds::{InvalidSpec, Parent, ParentInfo},
    object::{Identity, ParentId},
};

/// Annotation in which kubectl keeps a copy of the manifest: as long as the spec and of no use here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A custom resource of any kind.
#[derive(Debug, Clone, Deserialize)]
pub struct ParentObject {
    /// Metadata.
    pub metadata: ObjectMeta,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

/// A condition as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Reason.
    #[serde(default)]
    pub reason: String,
    /// Message.
    #[serde(default)]
    pub message: String,
    /// When the status last changed.
    #[serde(default)]
    pub last_transition_time: String,
    /// Generation it was made from.
    #[serde(default)]
    pub observed_generation: i64,
}

impl Resource for ParentObject {
    type DynamicType = ParentInfo;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(info: &ParentInfo) -> Cow<'_, str> {
        info.kind.into()
    }
    fn group(info: &ParentInfo) -> Cow<'_, str> {
        info.group.into()
    }
    fn version(info: &ParentInfo) -> Cow<'_, str> {
        info.version.into()
    }
    fn plural(info: &ParentInfo) -> Cow<'_, str> {
        info.plural.into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl ParentObject {
    /// Reads a custom resource from a manifest. Nulls count as absent, as they do for the API server.
    ///
    /// # Errors
    /// When it is not an object with metadata.
    pub fn from_manifest(manifest: &Value) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&without_nulls(manifest).to_string())
    }

    /// Drops what nothing is decided from.
    pub fn trim(&mut self) {
        self.metadata.managed_fields = None;
        if let Some(annotations) = &mut self.metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
    }

    /// Kind, namespace and name.
    #[must_use]
    pub fn id(&self, info: &ParentInfo) -> ParentId {
        ParentId {
            kind: info.kind,
            namespace: self.metadata.namespace.as_deref().unwrap_or_default().into(),
            name: self.metadata.name.as_deref().unwrap_or_default().into(),
        }
    }

    /// What pure functions may know besides the spec.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let meta = &self.metadata;
        Identity {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            labels: meta.labels.clone().unwrap_or_default(),
            annotations: meta.annotations.clone().unwrap_or_default(),
        }
    }

    /// Resource version as a number.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or_default()
    }

    /// Decodes the spec of this kind; an absent one decodes from `{}`.
    ///
    /// # Errors
    /// The path of the first field that does not fit.
    pub fn spec<P: Parent>(&self) -> Result<P::Spec, InvalidSpec> {
        self.decode()
    }

    /// Decodes the spec of whatever kind it is.
    ///
    /// # Errors
    /// See [`ParentObject::spec`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, InvalidSpec> {
        let text = self.spec.as_deref().map_or("{}", RawValue::get);
        let mut reader = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| InvalidSpec {
            field: match error.path().to_string() {
                path if path == "." => "spec".into(),
                path => format!("spec.{path}"),
            },
            message: without_position(&error.inner().to_string()),
        })
    }

    /// The spec as it was written.
    #[must_use]
    pub fn raw_spec(&self) -> Value {
        self.spec.as_deref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The stored status.
    #[must_use]
    pub fn status(&self) -> Value {
        self.status.as_deref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// How Events name it.
    #[must_use]
    pub fn reference(&self, info: &ParentInfo) -> ObjectReference {
        self.object_ref(info)
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Line and column of JSON that nobody wrote by hand help nobody.
fn without_position(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}
