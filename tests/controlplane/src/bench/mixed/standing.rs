//! What is still missing: custom resources that are not Ready, and Orchestrators that have not found their Agents.

use anyhow::{Context, Result};
use kube::{
    Client, ResourceExt,
    api::{DynamicObject, ListParams},
};

use super::workload::finds;
use crate::{
    bench::workload::api,
    kinds::{self, Kind},
};

/// All that is missing, a line for each custom resource. There are `count` of each kind, and `arrived` late Agents.
pub(super) async fn problems(client: &Client, count: usize, arrived: usize) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for kind in Kind::ALL {
        let objects = api(client, kind).list(&ListParams::default()).await;
        let objects = objects.with_context(|| format!("cannot list the {}", kind.plural()))?.items;
        problems.extend(objects.iter().filter_map(|object| problem(kind, object, count, arrived)));
    }
    Ok(problems)
}

fn problem(kind: Kind, object: &DynamicObject, count: usize, arrived: usize) -> Option<String> {
    let name = object.name_any();
    if !kinds::is_ready(object) {
        let ready = kinds::conditions(object).iter().find(|condition| condition["type"] == "Ready");
        let why = ready.and_then(|condition| condition["message"].as_str()).unwrap_or("no condition");
        return Some(format!("{} {name} is not Ready: {why}", kind.name()));
    }
    if kind != Kind::Orchestrator {
        return None;
    }
    let number = name.rsplit('-').next().and_then(|number| number.parse().ok())?;
    let (found, right) = (&object.data["status"]["discoveredAgentCount"], finds(number, count, arrived));
    (found != right).then(|| format!("Orchestrator {name} has found {found} Agents instead of {right}"))
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::{Kind, problem};

    fn object(name: &str, ready: &str, found: usize) -> DynamicObject {
        let condition = json!({"type": "Ready", "status": ready, "message": "some pods wait", "observedGeneration": 1});
        let object = json!({
            "apiVersion": "core.inference-gateway.com/v1alpha1", "kind": "Orchestrator",
            "metadata": {"name": name, "generation": 1},
            "status": {"conditions": [condition], "discoveredAgentCount": found},
        });
        serde_json::from_value(object).expect("an object")
    }

    #[test]
    fn an_orchestrator_has_to_find_all_its_agents() {
        let of = |object| problem(Kind::Orchestrator, &object, 250, 1);
        assert_eq!(of(object("orch-00003", "True", 5)), None);
        assert_eq!(of(object("orch-00250", "True", 1)), None);
        let missing = "Orchestrator orch-00250 has found 0 Agents instead of 1";
        assert_eq!(of(object("orch-00250", "True", 0)).as_deref(), Some(missing));
        let waits = "Orchestrator orch-00003 is not Ready: some pods wait";
        assert_eq!(of(object("orch-00003", "False", 5)).as_deref(), Some(waits));
        assert_eq!(problem(Kind::Mcp, &object("mcp-00003", "True", 0), 250, 1), None);
    }
}
