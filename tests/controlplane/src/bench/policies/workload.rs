//! The policies: a sidecar and variables, as in the examples, and other variables by the module of the second one. All of them match
//! every Gateway.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::igw::checkout;

/// Namespace of the operator, and of the modules.
const NAMESPACE: &str = "inference-gateway-system";
/// Group of policies, and their version.
const GROUP: (&str, &str) = ("policy.inference-gateway.dev", "v1alpha1");
/// The policy that is moved: its sidecar is the same wherever it stands.
pub(super) const MOVED: &str = "add-sidecar";
/// How many there are.
const COUNT: usize = 3;

/// The API of ClusterWasmPolicies.
pub(super) fn api(client: &Client) -> Api<DynamicObject> {
    let (group, version) = GROUP;
    let resource = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: format!("{group}/{version}"),
        kind: "ClusterWasmPolicy".into(),
        plural: "clusterwasmpolicies".into(),
    };
    Api::all_with(client.clone(), &resource)
}

/// Creates them and the ConfigMaps with their modules.
pub(super) async fn apply(client: &Client) -> Result<()> {
    let params = PostParams::default();
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(NAMESPACE.into());
    Api::<Namespace>::all(client.clone()).create(&params, &namespace).await.context("cannot create a namespace")?;
    for example in [MOVED, "extra-env"] {
        let file = checkout().join("examples/policies").join(example).join("10-policy.yaml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
        let of = |kind: &str| documents.iter().find(|document| document["kind"] == kind).cloned();
        let map: ConfigMap = serde_json::from_value(of("ConfigMap").context("no ConfigMap in the example")?)?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
        maps.create(&params, &map).await.context("cannot create the ConfigMap of a module")?;
        let mut policy = of("ClusterWasmPolicy").context("no policy in the example")?;
        if let Some(matches) = policy["spec"]["match"].as_object_mut() {
            matches.remove("labelSelector");
        }
        create(client, &policy).await?;
        if example == "extra-env" {
            policy["metadata"]["name"] = "more-env".into();
            policy["spec"]["settings"]["env"] = json!([{"name": "REGION", "value": "eu-1"}]);
            create(client, &policy).await?;
        }
    }
    Ok(())
}

async fn create(client: &Client, policy: &Value) -> Result<()> {
    let policy: DynamicObject = serde_json::from_value(policy.clone())?;
    api(client).create(&PostParams::default(), &policy).await.context("cannot create a policy")?;
    Ok(())
}

/// Waits until all of them run, and until they say that so many Gateways went through them.
pub(super) async fn active(client: &Client, gateways: Option<usize>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let list = api(client).list(&ListParams::default()).await?.items;
        let runs = |policy: &&DynamicObject| {
            let status = &policy.data["status"];
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let active = |known: &Value| known["type"] == "Active" && known["status"] == "True";
            conditions.into_iter().any(active) && gateways.is_none_or(|count| status["upToDate"] == count)
        };
        if list.iter().filter(runs).count() == COUNT {
            return Ok(());
        }
        if Instant::now() > deadline {
            let statuses: Vec<_> = list.iter().map(|policy| policy.data["status"].to_string()).collect();
            bail!("the policies do not run: {}", statuses.join("\n"));
        }
        sleep(Duration::from_millis(100)).await;
    }
}
