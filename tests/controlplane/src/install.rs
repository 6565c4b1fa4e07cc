//! What the operator needs in a cluster of our own: its kinds, and its rights for the user `operator`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use controlplane::User;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{igw::checkout, kubectl::Kubectl};

/// The role in `manifests/rbac.yaml`.
const ROLE: &str = "operator-manager-role";

/// The folder with the CRDs of this checkout.
pub(crate) fn crds() -> PathBuf {
    checkout().join("crds")
}

/// Installs CRDs and role, and gives the role to the control plane's user `operator`, whom the operator runs as.
pub(crate) async fn install(kubectl: &Kubectl) -> Result<()> {
    let (crds, role) = (crds(), checkout().join("manifests/rbac.yaml"));
    for path in [&crds, &role] {
        if !path.exists() {
            bail!("{} is not there: it belongs to the checkout", path.display());
        }
    }
    let (crds, role) = (crds.to_string_lossy(), role.to_string_lossy());
    // Server-side, because the annotation of a client-side apply is too small for a CRD.
    kubectl.run(&["apply", "--server-side", "-f", &crds, "-f", &role]).await?;
    give_rights(kubectl).await?;
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &crds]).await?;
    Ok(())
}

/// Installs what `igw install` with `more` arguments prints, and the CRDs in the file `others`; `folder` is for files. The Deployment
/// is left out, and the Service of its metrics: the operator runs on this machine, as the control plane's user `operator`.
pub(crate) async fn install_as_printed(
    kubectl: &Kubectl,
    program: &Path,
    more: &[String],
    others: &Path,
    folder: &Path,
) -> Result<()> {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(&printed(program, "install", more).await?)?;
    documents.retain(|document| document["kind"] != "Deployment" && document["kind"] != "Service");
    let file = folder.join("install.json");
    fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string())?;
    kubectl.run(&["apply", "--server-side", "-f", &file.to_string_lossy(), "-f", &others.to_string_lossy()]).await?;
    give_rights(kubectl).await?;
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).await?;
    Ok(())
}

/// What a command of the operator's program prints.
pub(crate) async fn printed(program: &Path, command: &str, arguments: &[String]) -> Result<String> {
    let output = Command::new(program).arg(command).args(arguments).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        bail!("`igw {command} {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`igw {command}` does not print text"))
}

async fn give_rights(kubectl: &Kubectl) -> Result<()> {
    let (role, user) = (format!("--clusterrole={ROLE}"), format!("--user={}", User::Operator.name()));
    kubectl.run(&["create", "clusterrolebinding", "operator", &role, &user]).await?;
    Ok(())
}
