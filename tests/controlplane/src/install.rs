//! What the operator needs in a cluster of our own: its kinds, and its rights for the user `operator`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use controlplane::User;

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
    let (role, user) = (format!("--clusterrole={ROLE}"), format!("--user={}", User::Operator.name()));
    kubectl.run(&["create", "clusterrolebinding", "operator", &role, &user]).await?;
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &crds]).await?;
    Ok(())
}
