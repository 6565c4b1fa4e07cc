//! Removing what the demo made in a cluster, and nothing else.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::{ConfigMap, Namespace, Service, ServiceAccount},
        networking::v1::Ingress,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams},
};
use tokio::time::{Instant, sleep};

use super::NAMESPACE;
use crate::{kinds::CHILDREN, operator::Operator, output::say};

/// How long the cluster may take for one step.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the demo has made, or was about to make when it was ended.
#[derive(Default)]
pub(super) struct Made {
    /// The CRDs that were not there before.
    pub(super) crds: Vec<CustomResourceDefinition>,
    /// The operator's kinds, whoever installed them.
    pub(super) kinds: Vec<ApiResource>,
    pub(super) namespace: bool,
    pub(super) operator: Option<Operator>,
}

impl Made {
    /// Removes it: the custom resources first, so that their children go as they go for every user, and not with the namespace.
    pub(super) async fn remove(mut self, client: &Client) -> Result<()> {
        if self.namespace {
            for kind in &self.kinds {
                delete_all(client, kind).await?;
            }
            until("the children of the Gateways are gone", async || Ok(children(client).await? == 0)).await?;
            say("Gateways and their children are gone.");
        }
        if let Some(operator) = self.operator.take() {
            // It can only fail for one that ended by itself, which was told already.
            let _ = operator.stop().await;
        }
        if self.namespace {
            let api: Api<Namespace> = Api::all(client.clone());
            unless_gone(api.delete(NAMESPACE, &DeleteParams::default()).await)?;
            until("the namespace is gone", async || Ok(api.get_metadata_opt(NAMESPACE).await?.is_none())).await?;
            say(&format!("The namespace {NAMESPACE} is gone."));
        }
        for crd in &self.crds {
            remove_crd(client, crd).await?;
        }
        Ok(())
    }
}

/// How to address the objects of a CRD.
pub(super) fn kind_of(crd: &CustomResourceDefinition) -> ApiResource {
    let version = crd.spec.versions.iter().find(|version| version.served);
    let version = version.map_or_else(String::new, |version| version.name.clone());
    ApiResource {
        api_version: format!("{}/{version}", crd.spec.group),
        group: crd.spec.group.clone(),
        version,
        kind: crd.spec.names.kind.clone(),
        plural: crd.spec.names.plural.clone(),
    }
}

async fn delete_all(client: &Client, kind: &ApiResource) -> Result<()> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, kind);
    let all = ListParams::default();
    unless_gone(api.delete_collection(&DeleteParams::default(), &all).await)?;
    until(
        &format!("every {} in {NAMESPACE} is gone", kind.kind),
        // A kind that is gone, or never came to be, has no objects.
        async || Ok(unless_gone(api.list_metadata(&all).await)?.is_none_or(|list| list.items.is_empty())),
    )
    .await
}

/// How many objects the operator's work has left in the namespace.
async fn children(client: &Client) -> Result<usize> {
    let ours = ListParams::default().labels(CHILDREN);
    macro_rules! count {
        ($($kind:ty),*) => {
            0 $(+ Api::<$kind>::namespaced(client.clone(), NAMESPACE).list_metadata(&ours).await?.items.len())*
        };
    }
    Ok(count!(ConfigMap, Deployment, Service, ServiceAccount, Ingress, HorizontalPodAutoscaler))
}

/// Others may have begun to use the kind meanwhile; with the CRD all their objects would go.
async fn remove_crd(client: &Client, crd: &CustomResourceDefinition) -> Result<()> {
    let (name, kind) = (crd.name_any(), kind_of(crd));
    let objects: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let left = unless_gone(objects.list_metadata(&ListParams::default().limit(1)).await)?;
    if left.is_some_and(|list| !list.items.is_empty()) {
        say(&format!("The CRD {name} is left: other namespaces have a {} by now.", kind.kind));
        return Ok(());
    }
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    unless_gone(api.delete(&name, &DeleteParams::default()).await)?;
    until(&format!("the CRD {name} is gone"), async || Ok(api.get_metadata_opt(&name).await?.is_none())).await?;
    say(&format!("The CRD {name} is gone."));
    Ok(())
}

/// What is gone already need not be removed.
fn unless_gone<T>(result: kube::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error).context("cannot remove what the demo made"),
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await? {
        if Instant::now() > deadline {
            bail!(
                "waited {} s until {what}: see what holds it with `kubectl get all,gateways.core.inference-gateway.com -n {NAMESPACE}`",
                PATIENCE.as_secs()
            );
        }
        sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}
