//! Definitions that do not come with Kubernetes: those of the Gateway API, of Istio and of the Prometheus operator, from their
//! Go modules. Go keeps what it has fetched.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::go_build::NO_GO;

/// The Go modules that require those with the definitions. They are two, because what needs the Gateway API does without
/// the others.
const FOR_GATEWAY_API: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway-api");
const FOR_ADDED_KINDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/added-kinds");

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
    inside(FOR_GATEWAY_API, "sigs.k8s.io/gateway-api", "config/crd/standard")
}

/// The file with the CustomResourceDefinitions of Istio, all in one. The first call fetches it.
pub fn istio() -> Result<PathBuf> {
    inside(FOR_ADDED_KINDS, "istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml")
}

/// The folder with the CustomResourceDefinitions of the Prometheus operator, one file each
/// (`monitoring.coreos.com_podmonitors.yaml`). The first call fetches them.
pub fn prometheus_operator() -> Result<PathBuf> {
    inside(FOR_ADDED_KINDS, "github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd")
}

/// Something inside a Go module that another one, in `folder`, requires.
fn inside(folder: &str, module: &str, what: &str) -> Result<PathBuf> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", module])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context(NO_GO)?;
    let said: Downloaded = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if !output.status.success() || said.dir.is_empty() {
        bail!(
            "cannot fetch {module}: {}{}\nthe first time it needs the network (see `go help environment`, GOPROXY)",
            said.error,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let found = Path::new(&said.dir).join(what);
    if !found.exists() {
        bail!("{module} has no definitions in {}", found.display());
    }
    Ok(found)
}
