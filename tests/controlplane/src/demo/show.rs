//! What the user sees when everything runs: tables, and what to try.

use std::collections::BTreeSet;

use anyhow::Result;

use super::examples::{Example, Search};
use crate::{
    kinds::{CHILDREN, Kind},
    kubectl::Kubectl,
};

/// Prints what was made, as kubectl shows it: all namespaces in one table of a kind, because a table for each would fill the screen.
pub(crate) async fn tables(kubectl: &Kubectl, examples: &[Example]) -> Result<()> {
    let namespaces: BTreeSet<&str> = examples.iter().map(|example| example.namespace.as_str()).collect();
    let place = match namespaces.first() {
        Some(namespace) if namespaces.len() == 1 => vec!["-n", namespace],
        _ => vec!["-A"],
    };
    let kinds = Kind::ALL.into_iter().filter(|kind| examples.iter().any(|example| example.kind == *kind));
    let kinds = kinds.map(Kind::spoken).collect::<Vec<_>>().join(",");
    kubectl.shown(&[&["get", &kinds], &place[..]].concat()).await?;
    let children = "deploy,svc,sa,ingress,hpa,cm";
    kubectl.shown(&[&["get", children], &place[..], &["-l", CHILDREN]].concat()).await
}

/// Things to try; `shell` is what makes the user's shell talk to this cluster.
pub(crate) fn suggestions(shell: &str, examples: &[Example]) -> String {
    let mut text = format!("In another terminal:\n\n{shell}");
    let gateways: Vec<&Example> = examples.iter().filter(|example| example.kind == Kind::Gateway).collect();
    // Scaling shows nothing where an autoscaler decides.
    if let Some(example) = gateways.iter().find(|example| !example.autoscaled).or(gateways.first()) {
        text.push_str(&with_gateway(example));
    }
    text.push_str(&with_agent(examples).unwrap_or_default());
    text
}

fn with_gateway(Example { namespace, name, .. }: &Example) -> String {
    format!(
        "
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

/// With the first Orchestrator that finds an Agent of the examples by a label.
fn with_agent(examples: &[Example]) -> Option<String> {
    let (orchestrator, agent, (key, value)) = examples.iter().find_map(|orchestrator| {
        let search = orchestrator.search.as_ref()?;
        let agent = examples.iter().find(|example| example.kind == Kind::Agent && search.finds(example))?;
        Some((orchestrator, agent, search.labels.first_key_value()?))
    })?;
    let Example { namespace, name, .. } = orchestrator;
    let found = r#"'{.status.discoveredAgents}{"\n"}'"#;
    Some(format!(
        "
4. Take a label from an Agent, and a few seconds later its Orchestrator has forgotten it; give it back:
  kubectl -n {there} label agent {agent} {key}-
  kubectl -n {namespace} get orchestrator {name} -o jsonpath={found} -w   # until Ctrl-C
  kubectl -n {there} label agent {agent} {key}={value}
",
        there = agent.namespace,
        agent = agent.name
    ))
}

impl Search {
    fn finds(&self, agent: &Example) -> bool {
        let mut labels = self.labels.iter();
        self.namespace == agent.namespace && labels.all(|(key, value)| agent.labels.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::{Example, Kind, Search, suggestions};

    fn example(kind: Kind, name: &str) -> Example {
        let labels = [].into();
        Example { kind, namespace: "team".into(), name: name.into(), labels, autoscaled: false, search: None }
    }

    #[test]
    fn what_to_try_is_made_of_the_examples() {
        let mut scaled = example(Kind::Gateway, "scaled");
        scaled.autoscaled = true;
        let (mut news, mut weather) = (example(Kind::Agent, "news"), example(Kind::Agent, "weather"));
        news.labels = [("tier".into(), "back".into())].into();
        weather.labels = [("tier".into(), "front".into())].into();
        let mut orchestrator = example(Kind::Orchestrator, "bot");
        orchestrator.search = Some(Search { namespace: "team".into(), labels: weather.labels.clone() });

        let text =
            suggestions("", &[scaled.clone(), example(Kind::Gateway, "plain"), news.clone(), orchestrator.clone()]);
        assert!(text.contains("scale igw plain --replicas=3") && !text.contains("4."), "{text}");
        let text = suggestions("", &[scaled, news, weather, orchestrator]);
        assert!(text.contains("scale igw scaled"), "{text}");
        for line in ["label agent weather tier-\n", "label agent weather tier=front\n", "get orchestrator bot -o"] {
            assert!(text.contains(line), "{text}");
        }
    }
}
