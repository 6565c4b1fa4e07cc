//! Stage: the admitted objects get what ties them to their custom resource, and a digest of it all. PURE.

use serde_json::{Value, json};

use super::{guard::AdmittedSet, rewrite::Touched};
use crate::{
    kinds::ParentInfo,
    object::{
        INTENT_ANNOTATION, Identity, MANAGED_BY, MANAGED_BY_LABEL, OWNER_ANNOTATION, ObjectId, POLICIES_ANNOTATION,
        digest, normal, object_at, path::Path,
    },
    policies::PolicyId,
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
    /// The policies that have changed it, with the paths; none for an object that one has added.
    pub touched: Vec<(PolicyId, Vec<Path>)>,
}

impl Sealed {
    /// Whether one of these policies has changed or added it.
    pub fn was_touched_by<'a>(&self, policies: impl IntoIterator<Item = &'a PolicyId>) -> bool {
        policies.into_iter().any(|policy| self.touched.iter().any(|(touched, _)| touched == policy))
    }

    /// The policies that a refusal of the API server may be about: those that have changed the field it names, or all that
    /// have changed the object when it names none.
    #[must_use]
    pub fn culprits(&self, field: Option<&str>) -> Vec<&PolicyId> {
        let about = |paths: &[Path]| match field {
            None => true,
            // An added object is the policy's from end to end.
            Some(_) if paths.is_empty() => true,
            Some(field) => paths.iter().any(|path| path.overlaps(field) || path.overlaps_indexed(field, &self.body)),
        };
        self.touched.iter().filter(|(_, paths)| about(paths)).map(|(policy, _)| policy).collect()
    }
}

/// Seals every object of an admitted set, in the order of applying.
#[must_use]
pub fn seal(kind: &ParentInfo, parent: &Identity, admitted: AdmittedSet, touched: &Touched) -> Vec<Sealed> {
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
            let touched = touched.get(&child.id).cloned().unwrap_or_default();
            if !touched.is_empty() {
                let names: Vec<_> = touched.iter().map(|(policy, _)| policy.short()).collect();
                object_at(&mut body, &["metadata", "annotations"])
                    .insert(POLICIES_ANNOTATION.into(), names.join(",").into());
            }
            normal::normalise(child.id.kind, &mut body);
            // Values of JSON can always be written.
            let intent = digest(&serde_json::to_vec(&body).unwrap_or_default());
            object_at(&mut body, &["metadata", "annotations"]).insert(INTENT_ANNOTATION.into(), intent.clone().into());
            Sealed { id: child.id, body, intent, shared_fields: child.shared_fields, touched }
        })
        .collect();
    sealed.sort_by(|a, b| a.id.cmp(&b.id));
    sealed
}
