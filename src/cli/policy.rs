//! `igw policy`: what authors of policies need, on the operator's own engine.

mod build;
mod compiler;
mod component;
mod describe;
mod inspect;
mod pack;
mod run;

use std::{fs, path::Path};

use super::Error;
use crate::{
    args::policy::Policy,
    policy::{
        engine::{Engine, Loaded},
        roles,
    },
};

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
        Policy::Inspect(args) => inspect::inspect(args).await,
        Policy::Run(args) => run::run(args).await,
        Policy::Pack(args) => pack::pack(args),
    }
}

/// The hidden role that compiles one module.
pub(super) fn compile() -> Result<(), Error> {
    Ok(roles::compile()?)
}

/// The hidden role that evaluates.
pub(super) fn evaluate() -> Result<(), Error> {
    Ok(roles::evaluate()?)
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    Ok(fs::read(file).map_err(|error| format!("failed to read {}: {error}", file.display()))?)
}

async fn load(engine: &Engine, file: &Path) -> Result<Loaded, Error> {
    let loaded = engine.load(&read(file)?).await;
    Ok(loaded.map_err(|failure| format!("failed to load {}: {failure}", file.display()))?)
}
