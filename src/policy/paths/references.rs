//! References to Secrets and ConfigMaps: each at a new place needs a grant that names it. PURE.

use k8s_openapi::api::core::v1::LocalObjectReference;
use serde_json::Value;

use super::{
    Case, Outcome,
    keyed::{NAME, pair},
    typed::readable,
};
use crate::{object::path::Trail, policy::grants::Grant};

/// How a reference is written.
#[derive(Clone, Copy)]
pub(super) struct Reference {
    /// The grant that it needs.
    pub(super) grant: Grant,
    /// The field that holds the name.
    pub(super) name: &'static str,
}

pub(super) const SECRET: Reference = Reference { grant: Grant::Secrets, name: "name" };
pub(super) const CONFIG_MAP: Reference = Reference { grant: Grant::ConfigMaps, name: "name" };

/// In `valueFrom` of a variable.
pub(super) const OF_A_VARIABLE: &[(&str, Reference)] = &[("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)];
/// In `envFrom`.
pub(super) const OF_A_SOURCE: &[(&str, Reference)] = &[("secretRef", SECRET), ("configMapRef", CONFIG_MAP)];
/// In a volume.
pub(super) const OF_A_VOLUME: &[(&str, Reference)] =
    &[("secret", Reference { grant: Grant::Secrets, name: "secretName" }), ("configMap", CONFIG_MAP)];
/// In a source of a projected volume.
pub(super) const OF_A_PROJECTION: &[(&str, Reference)] = &[("secret", SECRET), ("configMap", CONFIG_MAP)];

/// Refuses a reference that is neither the one that was here nor granted.
pub(super) fn reference(
    case: &Case<'_>,
    reference: Reference,
    trail: &Trail<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Outcome {
    let Some(value) = new.filter(|_| old != new) else { return Ok(()) };
    let name = value.get(reference.name).and_then(Value::as_str).unwrap_or_default();
    let granted = match reference.grant {
        Grant::Secrets => case.grants.secret(name),
        _ => case.grants.config_map(name),
    };
    if granted { Ok(()) } else { Err(case.needs(reference.grant, trail, old, new)) }
}

/// `imagePullSecrets`: more of them by grant.
pub(super) fn pull_secrets(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let paired = pair(case, trail, NAME, old, new)?;
    if let Some(dropped) = paired.dropped.first() {
        return Err(case.refused(&Trail::Element(trail, dropped, NAME), Some(dropped), None));
    }
    for (old, new) in paired.new {
        let trail = Trail::Element(trail, new, NAME);
        readable::<LocalObjectReference>(case, &trail, new)?;
        reference(case, SECRET, &trail, old.map(|(_, old)| old), Some(new))?;
    }
    Ok(())
}

/// An annotation that names a Secret, alone or with the namespace, for an ingress controller. To take it away is to take a
/// check away that the user asked for.
pub(super) fn annotated_secret(
    case: &Case<'_>,
    trail: &Trail<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Outcome {
    let Some(text) = new.and_then(Value::as_str) else { return Err(case.refused(trail, old, new)) };
    let (namespace, name) = text.split_once('/').unwrap_or((&*case.object.namespace, text));
    if namespace == &*case.object.namespace && case.grants.secret(name) {
        Ok(())
    } else {
        Err(case.needs(Grant::Secrets, trail, old, new))
    }
}
