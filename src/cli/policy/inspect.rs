//! `igw policy inspect`: what a module is.

use serde_json::json;

use super::{Error, Printed, load};
use crate::{
    args::policy::Inspect,
    cli::manifest,
    policy::{engine::Engine, failure::clean},
};

pub(super) async fn inspect(args: &Inspect) -> Result<Printed, Error> {
    let engine = Engine::default();
    let module = load(&engine, &args.module).await?;
    let inspected = &module.inspected;
    let text = manifest::yaml(&[json!({
        "name": inspected.manifest.name,
        "version": inspected.manifest.version,
        "description": clean(&inspected.manifest.description, 1024),
        "sha256": module.digest.trim_start_matches("sha256:"),
        "bytes": module.packed,
        "unpackedBytes": module.unpacked,
        "imports": inspected.imports,
        "exports": inspected.exports,
        "kinds": inspected.manifest.kinds,
        "adds": inspected.manifest.adds,
        "settings": inspected.manifest.settings,
        "functions": inspected.functions,
        "largestFunctionBytes": inspected.largest,
        "compileMilliseconds": u64::try_from(module.compile_time.as_millis()).unwrap_or(u64::MAX),
        "codeBytes": module.code(),
    })])?;
    Ok(Printed { text, notes: String::new() })
}
