//! Ways into a control plane: kubeconfig files, clients, tokens, and a namespace for each test.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::time::timeout;

use crate::{ControlPlane, User, instance::default_service_account};

impl ControlPlane {
    /// The kubeconfig file of a user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.credentials().kubeconfig(user.name())
    }

    /// Writes a kubeconfig file that uses `token`; `name` becomes part of the file's name.
    pub fn kubeconfig_for_token(&self, name: &str, token: &str) -> Result<PathBuf> {
        self.credentials().kubeconfig_for_token(name, token)
    }

    /// The client configuration of a user, for a client with layers of its own.
    pub async fn config(&self, user: User) -> Result<Config> {
        let path = self.kubeconfig(user);
        let kubeconfig = Kubeconfig::read_from(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// A new client of the calling runtime, acting as `user`.
    pub async fn client(&self, user: User) -> Result<Client> {
        Ok(Client::try_from(self.config(user).await?)?)
    }

    /// A token of a ServiceAccount, valid for an hour, asked for by TokenRequest as a kubelet does.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(User::Admin).await?, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(3600), ..Default::default() }),
            ..Default::default()
        };
        let answer: TokenRequest = api
            .create_subresource("token", name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for the ServiceAccount {namespace}/{name}"))?;
        answer.status.and_then(|status| status.token).context("the answer to a TokenRequest has no token")
    }

    /// Creates a namespace that no other test of this process has, and waits until pods can be created in it.
    pub async fn create_namespace(&self, prefix: &str) -> Result<String> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let client = self.client(User::Admin).await?;
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        let api: Api<Namespace> = Api::all(client.clone());
        api.create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("cannot create the namespace {name}"))?;
        timeout(Duration::from_secs(30), default_service_account(&client, &name))
            .await
            .with_context(|| format!("the namespace {name} got no default ServiceAccount in 30 s"))??;
        Ok(name)
    }
}
