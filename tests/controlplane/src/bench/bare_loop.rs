//! The limit of the machine: the same creating applies as the operator sends, from a loop that does nothing else.

use std::{collections::HashMap, fs, path::Path, process, time::Duration};

use anyhow::{Context, Result, bail};
use controlplane::User;
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, TypeMeta},
    core::GroupVersionKind,
    discovery,
};
use serde_json::Value;
use tokio::process::Command;

use super::{
    calls::by_operator,
    observer::Observer,
    site::Site,
    workload::{self, CHILDREN, IN_FLIGHT, NAMESPACE},
};
use crate::usage::Usage;

/// Stands for the uid of a Gateway in the documents that are filled in.
const UID: &str = "00000000-0000-4000-8000-000000000000";

/// What the loop took.
pub(super) struct Taken {
    /// From the first request to the last answer, as the API server logged it.
    pub(super) time: Duration,
    /// Processor time of this process meanwhile: requests and answers, nothing decided and nothing watched.
    pub(super) cpu: Duration,
}

/// Sends them.
pub(super) async fn measure(site: &Site, program: &Path, count: usize) -> Result<Taken> {
    // The Gateways are there, without an operator: children whose owner is not there would be collected as garbage.
    workload::create(site.admin.clone(), count).await?;
    let uids: HashMap<String, String> = workload::gateways(&site.admin)
        .list_metadata(&ListParams::default())
        .await?
        .items
        .into_iter()
        .filter_map(|gateway| Some((gateway.name_any(), gateway.uid()?)))
        .collect();
    let templates = templates(site, program).await?;
    let mut documents = Vec::with_capacity(count * CHILDREN);
    for number in 0..count {
        let name = workload::name(number);
        let uid = uids.get(&name).with_context(|| format!("the Gateway {name} was not created"))?;
        for (resource, text) in &templates {
            let text = text.replace(UID, uid).replace(&workload::name(0), &name);
            documents.push((resource, serde_json::from_str::<Value>(&text)?));
        }
    }

    let mut observer = Observer::new(site);
    observer.settled().await?;
    // With the rights of the operator, so that the API server has the same work.
    let client = site.plane.client(User::Operator).await?;
    let before = Usage::of(process::id())?.cpu;
    stream::iter(documents)
        .map(async |(resource, document)| apply(&client, resource, &document).await)
        .buffer_unordered(IN_FLIGHT)
        .try_for_each(async |()| Ok(()))
        .await?;
    let cpu = Usage::of(process::id())?.cpu.saturating_sub(before);
    let entries = observer.settled().await?;
    let created: Vec<_> = entries.iter().filter(|entry| by_operator(entry) && entry.code() == 201).collect();
    if created.len() != count * CHILDREN {
        bail!("the bare loop created {} objects instead of {}", created.len(), count * CHILDREN);
    }
    let first = created.iter().map(|entry| entry.request_received_timestamp.0).min();
    let last = created.iter().map(|entry| entry.stage_timestamp.0).max();
    let (first, last) = first.zip(last).context("the bare loop created nothing")?;
    Ok(Taken { time: last.duration_since(first).unsigned_abs(), cpu })
}

async fn apply(client: &Client, resource: &ApiResource, document: &Value) -> Result<()> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, resource);
    let name = document["metadata"]["name"].as_str().context("a document without a name")?;
    let parameters = PatchParams::apply("bench-loop");
    api.patch(name, &parameters, &Patch::Apply(document))
        .await
        .with_context(|| format!("cannot create the {} {name}", resource.kind))?;
    Ok(())
}

/// The documents of the first Gateway, as the operator itself renders them, each with its kind.
async fn templates(site: &Site, program: &Path) -> Result<Vec<(ApiResource, String)>> {
    let mut gateway = workload::document(0)?;
    gateway.metadata.uid = Some(UID.to_owned());
    let file = site.plane.folder().join("gateway.yaml");
    // JSON is YAML.
    fs::write(&file, serde_json::to_string(&gateway)?)?;
    let output = Command::new(program).args(["render", "-o", "json", "-f"]).arg(&file).output().await?;
    if !output.status.success() {
        bail!("`igw render` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let mut list: Value = serde_json::from_slice(&output.stdout).context("`igw render` printed no JSON")?;
    let mut templates = Vec::new();
    for document in list["items"].as_array_mut().context("`igw render` printed no list")? {
        if document["metadata"]["ownerReferences"][0]["uid"] != UID {
            bail!("`igw render` left out the owner of a document, so the loop would not send what the operator sends");
        }
        // Creates, and answers 409 if there is anything of this name.
        document["metadata"]["resourceVersion"] = "1".into();
        let types: TypeMeta = serde_json::from_value(document.clone())?;
        let kind = GroupVersionKind::try_from(&types)?;
        let (resource, _) = discovery::pinned_kind(&site.admin, &kind).await?;
        templates.push((resource, document.to_string()));
    }
    if templates.len() != CHILDREN {
        bail!("`igw render` printed {} documents instead of {CHILDREN}", templates.len());
    }
    Ok(templates)
}
