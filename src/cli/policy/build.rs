//! `igw policy build`: from a crate to a module that the operator takes.

use std::{fs, path::absolute};

use super::{super::Error, Printed, compiler::Compiler, component::component, describe::Description};
use crate::{args::policy::Build, object::digest};

pub(super) fn build(args: &Build) -> Result<Printed, Error> {
    let folder = fs::canonicalize(&args.folder).map_err(|error| {
        format!("failed to open {}: {error}; give the folder of a policy crate", args.folder.display())
    })?;
    let description = Description::beside(&folder)?;
    let section = description.encode()?;
    let target = match &args.target_dir {
        Some(target) => absolute(target)?,
        None => folder.join("target"),
    };
    let core = Compiler::find(args.build_std)?.compile(&folder, &target)?;
    let core = fs::read(&core).map_err(|error| format!("failed to read {}: {error}", core.display()))?;
    let module = component(&core, &section)?;
    let output =
        args.output.clone().unwrap_or_else(|| target.join("policy").join(format!("{}.wasm", description.name)));
    let written = output.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&output, &module));
    written.map_err(|error| format!("failed to write {}: {error}", output.display()))?;
    let text = format!("{}\t{} bytes\t{}\n", output.display(), module.len(), digest(&module));
    Ok(Printed { text, notes: String::new() })
}
