//! What is created: Gateways that ask for every sort of child, all in one namespace.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, PostParams},
};
use serde_json::json;

use crate::kinds::{Kind, api_version};

/// Where everything is.
pub(super) const NAMESPACE: &str = "bench";
/// Deployment, Service, ServiceAccount, Ingress and HorizontalPodAutoscaler.
pub(super) const CHILDREN: usize = 5;
/// How many requests of ours are under way at a time.
pub(super) const IN_FLIGHT: usize = 16;
/// The image of the workload's Deployments.
pub(super) const IMAGE: &str = "example.test/gateway:1";

/// The name of a Gateway, and of most of its children. All are equally long, so that all documents are.
pub(super) fn name(number: usize) -> String {
    format!("bench-{number:05}")
}

/// The API of a kind.
pub(super) fn api(client: &Client, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), NAMESPACE, &kind.resource())
}

/// The API of the Gateways.
pub(super) fn gateways(client: &Client) -> Api<DynamicObject> {
    api(client, Kind::Gateway)
}

/// A Gateway.
pub(super) fn document(number: usize) -> Result<DynamicObject> {
    let name = name(number);
    let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
    let object = json!({
        "apiVersion": api_version(),
        "kind": Kind::Gateway.name(),
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "image": IMAGE,
            "providers": [{"name": "Ollama", "env": [{"name": "OLLAMA_API_URL", "value": "http://ollama.models:11434/v1"}]}],
            "ingress": {"enabled": true, "host": format!("{name}.example.test")},
            "hpa": {"enabled": true, "config": {"minReplicas": 1, "maxReplicas": 3, "metrics": [cpu]}},
        },
    });
    Ok(serde_json::from_value(object)?)
}

/// Creates Gateways as fast as the API server takes them.
pub(super) async fn create(client: Client, count: usize) -> Result<()> {
    create_all(client, (0..count).map(|number| Ok((Kind::Gateway, document(number)?)))).await
}

/// Creates custom resources as fast as the API server takes them, in this order but for those that are under way at a time.
pub(super) async fn create_all(
    client: Client,
    documents: impl IntoIterator<Item = Result<(Kind, DynamicObject)>>,
) -> Result<()> {
    stream::iter(documents)
        .map(async |document| {
            let (kind, document) = document?;
            api(&client, kind)
                .create(&PostParams::default(), &document)
                .await
                .with_context(|| format!("cannot create the {} {}", kind.name(), document.name_any()))
        })
        .buffer_unordered(IN_FLIGHT)
        .try_for_each(async |_| Ok(()))
        .await
}
