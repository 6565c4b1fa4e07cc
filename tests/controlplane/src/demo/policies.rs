//! The examples with policies: applied as a user does, and what the policies changed, told by the objects that are there.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{examples::Examples, ready};
use crate::{
    install::printed,
    kinds::{CHILDREN, conditions},
    kubectl::Kubectl,
    operator::Operator,
    output::say,
};

mod additions;

use additions::{additions, sent};

/// The kinds of objects that these policies may be granted to add.
pub(super) const ADDED: &str = "PeerAuthentication.security.istio.io";

/// Things to try with the policies of the examples.
pub(super) const WITH_POLICIES: &str = "
5. Suspend a policy, and what it has changed stays; delete it, and that goes:
  kubectl patch clusterwasmpolicy extra-env --type=merge -p '{\"spec\":{\"mode\":\"Suspended\"}}'
  kubectl describe clusterwasmpolicy extra-env
  kubectl delete clusterwasmpolicy extra-env
  kubectl -n policy-extra-env get deployment my-gateway -o jsonpath='{.spec.template.spec.containers[0].env[*].name}{\"\\n\"}'

6. Pin bytes that the ConfigMap does not have: the version before goes on, and the policy says why:
  kubectl patch clusterwasmpolicy add-sidecar --type=merge -p '{\"spec\":{\"module\":{\"sha256\":\"'$(printf %064d 0)'\"}}}'
  kubectl describe clusterwasmpolicy add-sidecar
  kubectl -n policy-add-sidecar get deployment my-gateway -o jsonpath='{.spec.template.spec.initContainers[*].name}{\"\\n\"}'
";

/// On a generated object: the policies that have changed it.
const CHANGED_BY: &str = "inference-gateway.com/policies";

/// Kinds of what the operator makes for a Gateway with a policy.
const KINDS: [(&str, &str, &str, &str); 4] = [
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("", "v1", "Service", "services"),
    ("apps", "v1", "Deployment", "deployments"),
    ("security.istio.io", "v1", "PeerAuthentication", "peerauthentications"),
];

/// What it takes to show them.
pub(super) struct Show<'a> {
    pub(super) program: &'a Path,
    pub(super) client: &'a Client,
    pub(super) kubectl: &'a Kubectl,
    pub(super) operator: &'a Operator,
    pub(super) patience: Duration,
}

impl Show<'_> {
    /// Applies the folders, waits until the policies are active and their Gateways Ready, and says what each policy changed.
    pub(super) async fn run(&self, examples: &Examples) -> Result<()> {
        say("\nNow three policies: WebAssembly modules that rewrite what the operator generates.");
        for folder in examples.folders() {
            self.kubectl.shown(&["apply", "-f", &folder.to_string_lossy()]).await?;
        }
        say("\nWaiting for the policies and their custom resources:");
        let wait = async {
            active(self.client, &examples.named("ClusterWasmPolicy"), self.patience).await?;
            ready::wait(self.client, &examples.resources(), self.patience).await
        };
        let result = tokio::select! {
            result = wait => result,
            error = self.operator.failure() => return Err(error),
        };
        result.map_err(|error| anyhow!("{error:#}\nthe end of the operator's log:\n{}", self.operator.tail()))?;
        self.kubectl.shown(&["get", "clusterwasmpolicies"]).await?;
        self.changes(examples).await
    }

    /// What is there and would not be there without policies: `igw render` makes the objects and runs none.
    async fn changes(&self, examples: &Examples) -> Result<()> {
        let mut text =
            "\nWhat they changed, compared with what `igw render` prints, which runs no policy:\n".to_owned();
        for folder in examples.folders() {
            let arguments = ["--output=json".to_owned(), format!("--filename={}", folder.display())];
            let list: Value = serde_json::from_str(&printed(self.program, "render", &arguments).await?)?;
            let generated = list["items"].as_array().context("`igw render` prints no list")?;
            let namespaces = examples.resources_in(folder)?.into_iter().map(|example| example.namespace);
            for namespace in namespaces {
                text.push_str(&self.changes_in(&namespace, generated).await?);
            }
        }
        say(text.trim_end());
        Ok(())
    }

    async fn changes_in(&self, namespace: &str, generated: &[Value]) -> Result<String> {
        let mut text = String::new();
        for (group, version, kind, plural) in KINDS {
            let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
            for object in api.list(&ListParams::default().labels(CHILDREN)).await? {
                let name = object.name_any();
                let is = |other: &&Value| other["kind"] == kind && other["metadata"]["name"] == *name;
                let lines = additions(&object, sent(&object), generated.iter().find(is));
                if lines.is_empty() {
                    continue;
                }
                let by = object.annotations().get(CHANGED_BY).with_context(|| {
                    format!("{kind} {namespace}/{name} is not as generated, and no policy is named on it: {lines:?}")
                })?;
                text.push_str(&format!("\n{kind} {namespace}/{name}, by {by}:\n"));
                lines.iter().for_each(|line| text.push_str(&format!("  + {line}\n")));
            }
        }
        if text.is_empty() {
            bail!("no object in {namespace} was changed by a policy");
        }
        Ok(text)
    }
}

/// Waits until every policy is active and has been applied to what it matches; says so for each.
async fn active(client: &Client, names: &[String], patience: Duration) -> Result<()> {
    let gvk = GroupVersionKind::gvk("policy.inference-gateway.dev", "v1alpha1", "ClusterWasmPolicy");
    let api: Api<DynamicObject> =
        Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&gvk, "clusterwasmpolicies"));
    let started = Instant::now();
    for name in names {
        loop {
            let policy = api.get(name).await.with_context(|| format!("cannot read the ClusterWasmPolicy {name}"))?;
            let status = &policy.data["status"];
            let active = conditions(&policy).iter().any(|condition| {
                condition["type"] == "Active"
                    && condition["status"] == "True"
                    && condition["observedGeneration"].as_i64() == policy.metadata.generation
            });
            if active && status["matched"].as_u64() > Some(0) && status["upToDate"] == status["matched"] {
                say(&format!("  ClusterWasmPolicy {name} is Active ({:.1} s)", started.elapsed().as_secs_f64()));
                break;
            }
            if started.elapsed() > patience {
                bail!("the ClusterWasmPolicy {name} is not active after {} s: {status:#}", patience.as_secs());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}
