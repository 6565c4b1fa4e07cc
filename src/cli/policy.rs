//! `igw policy`: what authors of policies need.

mod build;
mod compiler;
mod component;
mod describe;
mod pack;

use super::Error;
use crate::args::policy::Policy;

/// What is to be printed.
pub(super) struct Printed {
    /// For standard output.
    pub(super) text: String,
    /// For standard error: what people want to see and programs do not.
    pub(super) notes: String,
}

pub(super) async fn policy(command: &Policy) -> Result<Printed, Error> {
    match command {
        Policy::Build(args) => build::build(args),
        Policy::Pack(args) => pack::pack(args),
    }
}
