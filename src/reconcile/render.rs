//! The pure half of the pipeline in one call: what should exist for a custom resource. PURE.

use super::{
    guard::{self, Subject, Violation},
    rewrite::{self, Policies},
    seal::{self, Sealed},
};
use crate::{
    kinds::{Desired, InvalidSpec, Parent, Related},
    object::Identity,
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

/// The pure half of the pipeline: what should exist for a custom resource.
///
/// # Errors
/// When the spec makes no sense or the guard refuses what was made of it.
pub fn render<P: Parent>(identity: &Identity, spec: &P::Spec, related: &Related) -> Result<Rendered, RenderError> {
    let desired = P::desired(identity, spec, related)?;
    let policies = Policies::default();
    let rewritten = rewrite::rewrite(&desired.children, &policies);
    let admitted = guard::guard(&Subject::of::<P>(identity), &desired.children, rewritten, &policies.grants())?;
    let sealed = seal::seal(&P::INFO, identity, admitted);
    Ok(Rendered { desired, sealed })
}
