//! Stage: the admitted objects get what ties them to their custom resource, and a digest of it all. PURE.

use serde_json::{Value, json};

use super::guard::AdmittedSet;
use crate::{
    kinds::ParentInfo,
    object::{
        INTENT_ANNOTATION, Identity, MANAGED_BY, MANAGED_BY_LABEL, OWNER_ANNOTATION, ObjectId, digest, normal,
        object_at,
    },
};

/// An object ready to be compared and applied.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Which object.
    pub id: ObjectId,
    /// The document, normalised, with label, annotations and owner reference.
    pub body: Value,
    /// Digest of everything in `body` but itself.
    pub intent: String,
    /// See [`crate::object::DesiredChild::shared_fields`].
    pub shared_fields: &'static [&'static str],
}

/// Seals every object of an admitted set, in the order of applying.
#[must_use]
pub fn seal(kind: &ParentInfo, parent: &Identity, admitted: AdmittedSet) -> Vec<Sealed> {
    let mut sealed: Vec<Sealed> = admitted
        .into_children()
        .into_iter()
        .map(|child| {
            let mut body = child.body;
            object_at(&mut body, &["metadata", "labels"]).insert(MANAGED_BY_LABEL.into(), MANAGED_BY.into());
            object_at(&mut body, &["metadata", "annotations"])
                .insert(OWNER_ANNOTATION.into(), format!("{}/{}", kind.kind, parent.name).into());
            object_at(&mut body, &["metadata"]).insert(
                "ownerReferences".into(),
                json!([{
                    "apiVersion": format!("{}/{}", kind.group, kind.version),
                    "kind": kind.kind,
                    "name": parent.name,
                    "uid": parent.uid,
                    "controller": true,
                    "blockOwnerDeletion": true,
                }]),
            );
            normal::normalise(child.id.kind, &mut body);
            let intent = digest(body.to_string().as_bytes());
            object_at(&mut body, &["metadata", "annotations"]).insert(INTENT_ANNOTATION.into(), intent.clone().into());
            Sealed { id: child.id, body, intent, shared_fields: child.shared_fields }
        })
        .collect();
    sealed.sort_by(|a, b| a.id.cmp(&b.id));
    sealed
}
