//! The environment of a container: any literal value, and what the pod knows of itself. PURE.
//!
//! Variables that the operator generated may be changed and taken away too: protecting them from one of both would protect
//! nothing, because a variable set to nonsense is as good as gone, and one whose name only the program knows can
//! override another. A reference to a Secret or a ConfigMap is another matter: it may stay where it was generated, and
//! needs a grant under any other name and in any other container.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};
use serde_json::Value;

use super::{
    Case, Outcome,
    keyed::{NAME, pair},
    list, references,
    typed::readable,
    unchanged,
};
use crate::object::path::Trail;

pub(super) fn env(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    for (old, new) in pair(case, trail, NAME, old, new)?.new {
        let old = old.map(|(_, old)| old);
        if old == Some(new) {
            continue;
        }
        let trail = Trail::Element(trail, new, NAME);
        readable::<EnvVar>(case, &trail, new)?;
        let source = |variable: Option<&Value>, kind: &str| {
            variable.and_then(|v| v.get("valueFrom")?.get(kind)).filter(|v| !v.is_null()).cloned()
        };
        let trail = Trail::Field(&trail, "valueFrom");
        for (field, reference) in references::OF_A_VARIABLE {
            let (old, new) = (source(old, field), source(Some(new), field));
            references::reference(case, *reference, &Trail::Field(&trail, field), old.as_ref(), new.as_ref())?;
        }
        let file = "fileKeyRef";
        if let Some(new) = source(Some(new), file) {
            unchanged(case, &Trail::Field(&trail, file), source(old, file).as_ref(), Some(&new))?;
        }
    }
    Ok(())
}

/// `envFrom`: what was there stays, in its order, and more may stand between.
pub(super) fn env_from(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let (before, after) = (list(case, trail, old)?, list(case, trail, new)?);
    let mut rest = before.iter().peekable();
    for (place, item) in after.iter().enumerate() {
        if rest.next_if_eq(&item).is_some() {
            continue;
        }
        let trail = Trail::Position(trail, place);
        readable::<EnvFromSource>(case, &trail, item)?;
        for (field, reference) in references::OF_A_SOURCE {
            let new = item.get(field).filter(|v| !v.is_null());
            references::reference(case, *reference, &Trail::Field(&trail, field), None, new)?;
        }
    }
    match rest.next() {
        None => Ok(()),
        Some(_) => Err(case.refused(trail, old, new)),
    }
}
