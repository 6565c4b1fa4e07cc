//! What the user sees when everything runs: tables, and what to try.

use std::collections::BTreeSet;

use anyhow::Result;

use super::examples::Example;
use crate::{gateway::CHILDREN, kubectl::Kubectl, output::say};

/// Prints what was made, as kubectl shows it.
pub(crate) async fn tables(kubectl: &Kubectl, examples: &[Example]) -> Result<()> {
    let namespaces: BTreeSet<&str> = examples.iter().map(|example| example.namespace.as_str()).collect();
    for namespace in namespaces {
        table(kubectl, &["get", "gateways.core.inference-gateway.com", "-n", namespace]).await?;
        let kinds = "deploy,svc,sa,ingress,hpa";
        table(kubectl, &["get", kinds, "-n", namespace, "-l", CHILDREN]).await?;
    }
    Ok(())
}

async fn table(kubectl: &Kubectl, arguments: &[&str]) -> Result<()> {
    let output = kubectl.run(arguments).await?;
    say(&format!("\n$ kubectl {}\n{}", arguments.join(" "), output.trim_end()));
    Ok(())
}

/// Three things to try; `shell` is what makes the user's shell talk to this cluster.
pub(crate) fn suggestions(shell: &str, examples: &[Example]) -> String {
    // Scaling shows nothing where an autoscaler decides.
    let example = examples.iter().find(|example| !example.autoscaled).or(examples.first());
    let Some(Example { namespace, name, .. }) = example else {
        return String::new();
    };
    format!(
        "In another terminal:

{shell}
1. Change the Gateway, and its Deployment follows:
  kubectl -n {namespace} scale igw {name} --replicas=3
  kubectl -n {namespace} get igw,deploy {name}

2. Delete a child, and it is back before you can look:
  kubectl -n {namespace} delete service {name}
  kubectl -n {namespace} get service {name}

3. Change a child by hand; it is put back, and an Event says whose change that was:
  kubectl -n {namespace} set image deployment/{name} '*=example.test/other:1'
  kubectl -n {namespace} get deployment {name} -o wide
  kubectl -n {namespace} events --for igw/{name}
"
    )
}
