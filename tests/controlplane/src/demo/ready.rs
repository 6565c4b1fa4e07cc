//! Waiting until the examples run, and saying what is wrong with those that do not.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::examples::Example;
use crate::{
    kinds::{self, CHILDREN},
    output::say,
};

/// A custom resource and its Deployments, as they are now.
struct Standing {
    resource: Option<DynamicObject>,
    deployments: Vec<Deployment>,
}

/// Waits until every custom resource is Ready and its Deployment Available; says so for each. The error lists those that are not.
pub(crate) async fn wait(client: &Client, examples: &[Example], patience: Duration) -> Result<()> {
    let started = Instant::now();
    let mut waiting: Vec<&Example> = examples.iter().collect();
    loop {
        let mut left = Vec::new();
        let mut problems = String::new();
        for example in waiting {
            let standing = Standing::of(client, example).await?;
            if standing.is_ready() {
                say(&format!(
                    "  {} is Ready, its Deployment Available ({:.1} s)",
                    example.title(),
                    started.elapsed().as_secs_f64()
                ));
            } else {
                problems.push_str(&standing.problems(example));
                left.push(example);
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() > patience {
            bail!("not ready after {} s:\n{problems}", patience.as_secs());
        }
        waiting = left;
        sleep(Duration::from_millis(200)).await;
    }
}

impl Standing {
    async fn of(client: &Client, example: &Example) -> Result<Self> {
        let resources: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &example.namespace, &example.kind.resource());
        let resource =
            resources.get_opt(&example.name).await.with_context(|| format!("cannot read the {}", example.title()))?;
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &example.namespace);
        let mut deployments = deployments
            .list(&ListParams::default().labels(CHILDREN))
            .await
            .with_context(|| format!("cannot list the Deployments of {}", example.namespace))?
            .items;
        let uid = resource.as_ref().and_then(ResourceExt::uid);
        deployments
            .retain(|deployment| deployment.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref()));
        Ok(Self { resource, deployments })
    }

    fn is_ready(&self) -> bool {
        self.resource.as_ref().is_some_and(kinds::is_ready)
            && !self.deployments.is_empty()
            && self.deployments.iter().all(is_available)
    }

    /// Several lines for a person.
    fn problems(&self, example: &Example) -> String {
        let title = example.title();
        let Some(resource) = &self.resource else {
            return format!("- {title} is not there\n");
        };
        let conditions = kinds::conditions(resource);
        let message = match conditions {
            [] => "no status: the operator has not answered",
            _ => kinds::status_text(resource, "message"),
        };
        let mut text = format!("- {title}: {message}\n");
        for condition in conditions {
            text.push_str(&line(condition));
        }
        if self.deployments.is_empty() {
            text.push_str("    it has no Deployment\n");
        }
        for deployment in &self.deployments {
            text.push_str(&format!("  its Deployment {}:\n", deployment.name_any()));
            let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_ref());
            for condition in conditions.into_iter().flatten() {
                text.push_str(&line(&serde_json::to_value(condition).unwrap_or_default()));
            }
        }
        text
    }
}

/// A condition in one line.
fn line(condition: &Value) -> String {
    let field = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
    format!("    {}={} {} {}\n", field("type"), field("status"), field("reason"), field("message"))
}

fn is_available(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    status.observed_generation == deployment.metadata.generation
        && status.conditions.iter().flatten().any(|condition| {
            condition.type_.as_deref() == Some("Available") && condition.status.as_deref() == Some("True")
        })
}
