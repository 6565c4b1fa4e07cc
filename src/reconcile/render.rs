//! The pure half of the pipeline: what should exist for a custom resource. PURE.

use super::{
    guard::{self, Rewritten, Subject, Violation},
    rewrite::{Rewrite, Touched},
    seal::{self, Sealed},
};
use crate::{
    kinds::{Desired, InvalidSpec, Parent, Related},
    object::{DesiredChild, Identity},
    policy::grants::Grants,
};

/// What the pure stages made of a custom resource.
#[derive(Debug)]
pub struct Rendered {
    /// What its kind wants.
    pub desired: Desired,
    /// Its objects, ready to be compared and applied.
    pub sealed: Vec<Sealed>,
}

/// Why the pure stages made nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Its spec.
    #[error("failed to decode or render {0}")]
    InvalidSpec(#[from] InvalidSpec),
    /// What it names cannot be read.
    #[error("failed to list the ConfigMaps that are named: {0}")]
    Related(String),
    /// A rewritten object.
    #[error("failed to admit the rewritten objects: {0}")]
    Violation(#[from] Violation),
}

/// What should exist for a custom resource when no policy has a say.
///
/// # Errors
/// When the spec makes no sense or the guard refuses what was made of it.
pub fn render<P: Parent>(identity: &Identity, spec: &P::Spec, related: &Related) -> Result<Rendered, RenderError> {
    let desired = P::desired(identity, spec, related)?;
    let rewritten = Rewritten(desired.children.clone());
    let admitted = guard::guard(&Subject::of::<P>(identity), &desired.children, rewritten, &Grants::default())?;
    let sealed = seal::seal(&P::INFO, identity, admitted, &Touched::new());
    Ok(Rendered { desired, sealed })
}

/// The objects that policies have rewritten, once the guard has compared all of it with what was generated.
///
/// # Errors
/// When the guard refuses it.
pub fn admit<P: Parent>(
    identity: &Identity,
    generated: &[DesiredChild],
    rewrite: Rewrite,
) -> Result<Vec<Sealed>, RenderError> {
    let Rewrite { children, grants, touched, .. } = rewrite;
    let admitted = guard::guard(&Subject::of::<P>(identity), generated, Rewritten(children), &grants)?;
    Ok(seal::seal(&P::INFO, identity, admitted, &touched))
}
