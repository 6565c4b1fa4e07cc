//! A fresh control plane with everything the operator needs, for one part of the benchmark.

use anyhow::{Context, Result};
use controlplane::{ControlPlane, Options, Supervisor, User};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::PostParams};

use super::workload::NAMESPACE;
use crate::{install::install, kubectl::Kubectl};

/// The control plane and its administrator.
pub(super) struct Site {
    pub(super) plane: ControlPlane,
    pub(super) admin: Client,
}

impl Site {
    /// Starts it and installs kinds, role and namespace.
    pub(super) async fn start(fast_controllers: bool) -> Result<Self> {
        let options = Options { default_controller_limits: !fast_controllers, ..Options::default() };
        let plane = ControlPlane::start_with(Supervisor::own_binary()?, options).await?;
        let cache = plane.folder().join("kubectl-cache");
        install(&Kubectl::new(plane.kubectl(), &plane.kubeconfig(User::Admin), &cache)).await?;
        let admin = plane.client(User::Admin).await?;
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(NAMESPACE.to_owned());
        Api::<Namespace>::all(admin.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .context("cannot create the namespace of the benchmark")?;
        Ok(Self { plane, admin })
    }

    /// The result of `work`, unless a part of the control plane ends meanwhile; then ends the control plane.
    pub(super) async fn finish<T>(self, work: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<T> {
        let result = tokio::select! {
            result = work(&self) => result,
            error = self.plane.failure() => Err(error),
        };
        self.plane.stop().await?;
        result
    }
}
