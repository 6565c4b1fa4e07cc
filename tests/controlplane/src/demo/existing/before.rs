//! Before the demo changes a cluster: whether it may, what it will do, and doing it.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Namespace},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, ListParams, PostParams},
    runtime::wait::{await_condition, conditions},
};
use tokio::time::timeout;

use super::{
    NAMESPACE,
    removal::{Made, kind_of},
};
use crate::{demo::examples::Examples, install::crds, kinds::GROUP, output::say};

/// What will be installed.
pub(super) struct Plan {
    /// CRDs of this checkout that the cluster does not have. Those of policies are left out: nothing here has one.
    missing: Vec<CustomResourceDefinition>,
    /// Names of those that it has.
    present: Vec<String>,
    /// The kinds of all of them.
    kinds: Vec<ApiResource>,
}

impl Plan {
    /// Looks at the cluster; an error says why the demo must not run there.
    pub(super) async fn make(client: &Client) -> Result<Self> {
        if let Some(other) = other_operator(client).await? {
            bail!(
                "the Deployment {other} already serves these kinds in this cluster, and two operators would fight: use another cluster"
            );
        }
        let namespaces: Api<Namespace> = Api::all(client.clone());
        if namespaces.get_opt(NAMESPACE).await?.is_some() {
            bail!(
                "the namespace {NAMESPACE} exists: if a demo that was killed has left it, remove it with `kubectl delete namespace {NAMESPACE}`"
            );
        }
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        let mut plan = Self { missing: Vec::new(), present: Vec::new(), kinds: Vec::new() };
        for crd in read_crds()?.into_iter().filter(|crd| crd.spec.group == GROUP) {
            plan.kinds.push(kind_of(&crd));
            match api.get_opt(&crd.name_any()).await.context("cannot read the CRDs of the cluster")? {
                Some(_) => plan.present.push(crd.name_any()),
                None => plan.missing.push(crd),
            }
        }
        Ok(plan)
    }

    /// For the user to agree to.
    pub(super) fn text(&self, cluster: &str, examples: &Examples) -> String {
        let missing: Vec<String> = self.missing.iter().map(ResourceExt::name_any).collect();
        let mut text = format!("The demo will use this cluster: {cluster}\n");
        if !missing.is_empty() {
            text.push_str(&format!("- install the CRDs {}\n", missing.join(", ")));
        }
        if !self.present.is_empty() {
            text.push_str(&format!("- use the CRDs that are there, and leave them: {}\n", self.present.join(", ")));
        }
        text.push_str(&format!(
            "- create the namespace {NAMESPACE} with {}\n\
             - run the operator on this machine, with your rights, for that namespace only\n\
             At the end it removes all of this.",
            examples.names().join(", ")
        ));
        text
    }

    /// Does it; `made` knows each thing before it is there, so that nothing is forgotten.
    pub(super) async fn install(&self, client: &Client, made: &mut Made) -> Result<()> {
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        for crd in &self.missing {
            let name = crd.name_any();
            made.crds.push(crd.clone());
            if let Err(error) = api.create(&PostParams::default(), crd).await {
                made.crds.pop();
                return Err(error).with_context(|| format!("cannot install the CRD {name}"));
            }
            let established = await_condition(api.clone(), &name, conditions::is_crd_established());
            timeout(Duration::from_secs(60), established)
                .await
                .with_context(|| format!("the CRD {name} is not usable after 60 s"))??;
            say(&format!("CRD {name} installed."));
        }
        made.kinds.clone_from(&self.kinds);
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(NAMESPACE.to_owned());
        made.namespace = true;
        let api: Api<Namespace> = Api::all(client.clone());
        if let Err(error) = api.create(&PostParams::default(), &namespace).await {
            // Perhaps somebody else's: then it must stay.
            made.namespace = false;
            return Err(error).with_context(|| format!("cannot create the namespace {NAMESPACE}"));
        }
        Ok(())
    }
}

/// Where another operator for the same kinds runs, ours or the one that it follows.
async fn other_operator(client: &Client) -> Result<Option<String>> {
    let api: Api<Deployment> = Api::all(client.clone());
    let mut page = ListParams::default().limit(500);
    loop {
        let list = api
            .list_metadata(&page)
            .await
            .context("cannot list the Deployments of the cluster, to see whether another operator runs there")?;
        let found = list.items.iter().find(|deployment| {
            let name = deployment.name_any();
            deployment.labels().get("control-plane").is_some_and(|value| value == "inference-gateway-operator")
                || name.contains("operator-inference-gateway")
                || name.contains("inference-gateway-operator")
        });
        if let Some(deployment) = found {
            return Ok(Some(format!("{}/{}", deployment.namespace().unwrap_or_default(), deployment.name_any())));
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(None),
        }
    }
}

fn read_crds() -> Result<Vec<CustomResourceDefinition>> {
    let folder = crds();
    let entries = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}: it belongs to the checkout", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    // In an order that people can find them in.
    paths.sort();
    let mut crds = Vec::new();
    for path in paths {
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let documents: Vec<CustomResourceDefinition> = serde_saphyr::from_multiple(&fs::read_to_string(&path)?)
                .with_context(|| format!("{} is not a CRD", path.display()))?;
            crds.extend(documents);
        }
    }
    if crds.is_empty() {
        bail!("{} has no CRDs", folder.display());
    }
    Ok(crds)
}
