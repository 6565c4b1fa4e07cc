//! Volumes that a policy may add, and where containers may mount what. PURE.

use k8s_openapi::api::core::v1::{Volume, VolumeMount};
use serde_json::Value;

use super::{
    Case, Outcome,
    difference::given,
    keyed::{NAME, pair},
    references::{self, reference},
    typed::readable,
    unchanged,
};
use crate::{object::path::Trail, policy::grants::Grant};

pub(super) fn volumes(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let paired = pair(case, trail, NAME, old, new)?;
    if let Some(dropped) = paired.dropped.first() {
        return Err(case.refused(&Trail::Element(trail, dropped, NAME), Some(dropped), None));
    }
    for (old, volume) in paired.new {
        let trail = Trail::Element(trail, volume, NAME);
        match old {
            Some((_, old)) => unchanged(case, &trail, Some(old), Some(volume))?,
            None => {
                readable::<Volume>(case, &trail, volume)?;
                source(case, &trail, volume)?;
            }
        }
    }
    Ok(())
}

/// Whether a policy may add such a volume: exactly one source, of a kind that reaches nothing outside the pod or what is
/// granted.
fn source(case: &Case<'_>, trail: &Trail<'_>, volume: &Value) -> Outcome {
    let given = volume.as_object().into_iter().flatten().filter(|(key, value)| *key != "name" && !value.is_null());
    let mut sources = 0;
    for (field, value) in given {
        sources += 1;
        let trail = Trail::Field(trail, field);
        let named = references::OF_A_VOLUME.iter().find(|(name, _)| name == field);
        match (field.as_str(), named) {
            ("emptyDir" | "downwardAPI", _) => {}
            ("projected", _) => projected(case, &trail, value)?,
            (_, Some((_, kind))) => reference(case, *kind, &trail, None, Some(value))?,
            _ => return Err(case.refused(&trail, None, Some(value))),
        }
    }
    if sources == 1 { Ok(()) } else { Err(case.refused(trail, None, Some(volume))) }
}

fn projected(case: &Case<'_>, trail: &Trail<'_>, value: &Value) -> Outcome {
    for (field, value) in value.as_object().into_iter().flatten() {
        if !matches!(field.as_str(), "sources" | "defaultMode") {
            unchanged(case, &Trail::Field(trail, field), None, given(field, Some(value)))?;
        }
    }
    let trail = Trail::Field(trail, "sources");
    let sources = value.get("sources").and_then(Value::as_array).into_iter().flatten();
    for (place, source) in sources.enumerate() {
        let trail = Trail::Position(&trail, place);
        for (field, value) in source.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let trail = Trail::Field(&trail, field);
            match references::OF_A_PROJECTION.iter().find(|(name, _)| name == field) {
                Some((_, kind)) => reference(case, *kind, &trail, None, Some(value))?,
                None if field == "downwardAPI" => {}
                // Tokens of the pod's account above all.
                None => return Err(case.refused(&trail, None, Some(value))),
            }
        }
    }
    Ok(())
}

/// Mounts of a container. Those that were there stay as they are, and none is laid over or around them. A volume that the
/// policy could not add itself is not mounted anew: a certificate of the pod is not for an added container.
pub(super) fn mounts(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    const KEYS: &[&str] = &["mountPath"];
    let paired = pair(case, trail, KEYS, old, new)?;
    if let Some(dropped) = paired.dropped.first() {
        return Err(case.refused(&Trail::Element(trail, dropped, KEYS), Some(dropped), None));
    }
    let kept: Vec<_> = paired.new.iter().filter_map(|(old, _)| path(old.as_ref()?.1)).collect();
    for (old, mount) in &paired.new {
        let trail = Trail::Element(trail, mount, KEYS);
        if let Some((_, old)) = old {
            unchanged(case, &trail, Some(old), Some(mount))?;
            continue;
        }
        readable::<VolumeMount>(case, &trail, mount)?;
        let refused = || Err(case.refused(&trail, None, Some(mount)));
        let Some(parts) = path(mount) else { return refused() };
        if kept.iter().any(|kept| kept.iter().zip(&parts).all(|(kept, part)| kept == part)) {
            return refused();
        }
        let name = mount.get("name").and_then(Value::as_str).unwrap_or_default();
        match case.pod.and_then(|pod| pod.volumes.get(name)) {
            Some(volume) => source(case, &trail, volume)?,
            None => return refused(),
        }
        let propagation = mount.get("mountPropagation").filter(|value| !value.is_null() && *value != "None");
        if propagation.is_some() && !case.grants.container_security {
            let trail = Trail::Field(&trail, "mountPropagation");
            return Err(case.needs(Grant::ContainerSecurity, &trail, None, propagation));
        }
    }
    Ok(())
}

/// The parts of a mount path; `None` when it is not absolute, is the root, or goes ways that only the kubelet sees the end
/// of.
fn path(mount: &Value) -> Option<Vec<&str>> {
    let text = mount.get("mountPath")?.as_str()?.strip_prefix('/')?;
    let parts: Vec<_> = text.split('/').filter(|part| !part.is_empty()).collect();
    let plain = parts.iter().all(|part| !matches!(*part, "." | ".."));
    (plain && !parts.is_empty()).then_some(parts)
}
