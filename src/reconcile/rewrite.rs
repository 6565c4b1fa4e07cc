//! Stage: policies rewrite the generated objects. No policy can be loaded yet, so nothing is rewritten. PURE.
//!
//! What comes out is not trusted: only the guard turns it into an admitted set.

use crate::{object::DesiredChild, policy::grants::Grants};

/// The policies that match one custom resource, in their order.
#[derive(Debug, Clone, Default)]
pub struct Policies(());

impl Policies {
    /// What they are granted, together.
    #[must_use]
    pub fn grants(&self) -> Grants {
        Grants::default()
    }
}

/// What the policies made of the generated objects.
#[derive(Debug)]
pub struct Rewritten(pub(super) Vec<DesiredChild>);

/// Runs the policies one after the other over the generated objects.
#[must_use]
pub fn rewrite(generated: &[DesiredChild], _policies: &Policies) -> Rewritten {
    Rewritten(generated.to_vec())
}
