//! The simulated nodes, and what their pods do: kwok plays the kubelet after the stages in `simulated/`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::PostParams,
    runtime::wait::{Condition, await_condition},
};
use serde_json::json;
use tokio::time::timeout;

const STAGES: &str = concat!(include_str!("../simulated/nodes.yaml"), "---\n", include_str!("../simulated/pods.yaml"));

/// The file with the stages in an instance's folder.
pub(crate) fn stages_file(folder: &Path) -> PathBuf {
    folder.join("stages.yaml")
}

pub(crate) fn write_stages(folder: &Path) -> Result<()> {
    fs::write(stages_file(folder), STAGES).context("cannot write kwok's stages")
}

fn name(number: u32) -> String {
    format!("node-{number}")
}

/// Creates the nodes; kwok makes them Ready as soon as it runs.
pub(crate) async fn create_nodes(client: &Client, count: u32) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let create = async |number: u32| -> Result<()> {
        let name = name(number);
        // Room for every pod of the benchmark: what is tested here is not the scheduler.
        let room = json!({"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "4Ti", "pods": "20000"});
        let node = serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
            },
            "status": {
                "capacity": room,
                "allocatable": room,
                "addresses": [{"type": "InternalIP", "address": format!("10.63.0.{number}")}, {"type": "Hostname", "address": name}],
            },
        }))?;
        api.create(&PostParams::default(), &node).await.with_context(|| format!("cannot create the node {name}"))?;
        Ok(())
    };
    try_join_all((1..=count).map(create)).await?;
    Ok(())
}

/// Waits until pods can be scheduled onto every node.
pub(crate) async fn nodes_ready(client: &Client, count: u32) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    try_join_all((1..=count).map(async |number| {
        let name = name(number);
        timeout(Duration::from_secs(60), await_condition(api.clone(), &name, usable()))
            .await
            .with_context(|| {
                format!("the node {name} did not become Ready in 60 s: see kwok.log and kube-controller-manager.log")
            })?
            .with_context(|| format!("cannot watch the node {name}"))
    }))
    .await?;
    Ok(())
}

/// Ready, and without the taint that admission puts on a new node until the controllers have seen it Ready.
fn usable() -> impl Condition<Node> {
    |node: Option<&Node>| {
        node.is_some_and(|node| {
            let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
            let ready = conditions
                .into_iter()
                .flatten()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).map_or(0, Vec::len);
            ready && taints == 0
        })
    }
}
