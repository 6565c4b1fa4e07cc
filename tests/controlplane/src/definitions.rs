//! Definitions that do not come with Kubernetes: those of the Gateway API, from their Go module. Go keeps what it has fetched.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::go_build::NO_GO;

/// The Go module that requires the one with the definitions.
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway-api");
const GATEWAY_API: &str = "sigs.k8s.io/gateway-api";

/// What `go mod download -json` says.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Downloaded {
    dir: String,
    error: String,
}

/// The folder with the CustomResourceDefinitions of the Gateway API, standard channel, one file each
/// (`gateway.networking.k8s.io_httproutes.yaml`). The first call fetches them.
pub fn gateway_api() -> Result<PathBuf> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", GATEWAY_API])
        .current_dir(MODULE)
        .stdin(Stdio::null())
        .output()
        .context(NO_GO)?;
    let said: Downloaded = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if !output.status.success() || said.dir.is_empty() {
        bail!(
            "cannot fetch {GATEWAY_API}: {}{}\nthe first time it needs the network (see `go help environment`, GOPROXY)",
            said.error,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let folder = Path::new(&said.dir).join("config/crd/standard");
    if !folder.is_dir() {
        bail!("{GATEWAY_API} has no definitions in {}", folder.display());
    }
    Ok(folder)
}
