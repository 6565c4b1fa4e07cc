//! What Orchestrators cost when Agents come that they look for: one Agent, and many at once.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use controlplane::AuditEntry;

use super::{
    Stage,
    creation::{about, calls_for},
    workload::{children, create_late_agents, create_late_orchestrators, status_writes},
};
use crate::{
    bench::{
        calls::{Calls, by_operator, is_call},
        table::{Table, Unit},
    },
    kinds::Kind,
};

/// How many Orchestrators look for the Agents that come.
const ORCHESTRATORS: usize = 10;
/// How many Agents come at once.
const CROWD: usize = 50;
/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Makes the Orchestrators, then one Agent, then many.
pub(super) async fn measure(stage: &mut Stage<'_>, table: &mut Table) -> Result<()> {
    let (client, count) = (stage.site.admin.clone(), stage.count);
    eprintln!("bench: {ORCHESTRATORS} Orchestrators for Agents that come later");
    stage.observer.settled().await?;
    create_late_orchestrators(client.clone(), count..count + ORCHESTRATORS).await?;
    stage.settle(0, PATIENCE).await?;

    eprintln!("bench: one new Agent");
    create_late_agents(client.clone(), count..count + 1).await?;
    let entries = stage.settle(1, PATIENCE).await?;
    table.section(&format!("One new Agent that {ORCHESTRATORS} Orchestrators look for"));
    rows(1, &entries, table);

    eprintln!("bench: {CROWD} new Agents at once");
    create_late_agents(client, count + 1..count + 1 + CROWD).await?;
    let entries = stage.settle(1 + CROWD, PATIENCE).await?;
    table.section(&format!("{CROWD} new Agents at once that {ORCHESTRATORS} Orchestrators look for"));
    rows(CROWD, &entries, table);
    Ok(())
}

fn rows(agents: usize, entries: &[AuditEntry], table: &mut Table) {
    let given = Given::of(entries);
    table.exactly("applies of their ConfigMaps", given.config_maps.values().sum(), ORCHESTRATORS);
    table.exactly("applies of their Deployments", given.deployments.values().sum(), ORCHESTRATORS);
    let most = given.deployments.values().copied().max().unwrap_or_default();
    table.exactly("most applies of one Deployment", most, 1);
    let three_each = (3 * ORCHESTRATORS) as f64;
    table.at_most("writes of their status", given.statuses as f64, Unit::Count, three_each);
    table.at_most("other calls for them", given.others as f64, Unit::Count, 0.0);
    let (of_agents, all) = (calls_for(Some(Kind::Agent), entries).total(), Calls::of(entries).total());
    let per_agent = of_agents as f64 / agents as f64;
    let target = (children(Kind::Agent) + status_writes(Kind::Agent)) as f64;
    table.at_most("calls per new Agent", per_agent, Unit::PerObject, target);
    // Where controllers are slow, the operator looks why pods wait.
    let pods = entries.iter().filter(|entry| by_operator(entry) && entry.verb == "list" && entry.resource() == "pods");
    let pods = pods.count();
    table.row_unless_zero("lists of pods", pods as f64);
    let rest = all - of_agents - calls_for(Some(Kind::Orchestrator), entries).total() - pods;
    table.at_most("calls for anything else", rest as f64, Unit::Count, 0.0);
}

/// What Orchestrators were given.
#[derive(Default)]
struct Given {
    /// How often the ConfigMap of each was applied, by the Orchestrator's name.
    config_maps: BTreeMap<String, usize>,
    /// How often its Deployment was, which rolls its pod.
    deployments: BTreeMap<String, usize>,
    /// How often the status of any was written.
    statuses: usize,
    others: usize,
}

impl Given {
    fn of(entries: &[AuditEntry]) -> Self {
        let mut given = Self::default();
        for entry in entries.iter().filter(|entry| by_operator(entry) && is_call(entry)) {
            let Some((Kind::Orchestrator, name)) = about(entry) else { continue };
            match (entry.resource().as_str(), entry.verb.as_str()) {
                ("events", _) => {}
                ("configmaps", "patch") => *given.config_maps.entry(name.to_owned()).or_default() += 1,
                ("deployments", "patch") => *given.deployments.entry(name.to_owned()).or_default() += 1,
                ("orchestrators/status", "patch") => given.statuses += 1,
                _ => given.others += 1,
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::Given;
    use crate::bench::calls::tests::entry;

    #[test]
    fn applies_are_counted_for_each_orchestrator() {
        let entries = [
            entry("operator", "patch", "configmaps", "orch-00010-agents", 200),
            entry("operator", "patch", "deployments", "orch-00010", 200),
            entry("operator", "patch", "deployments", "orch-00010", 200),
            entry("operator", "patch", "deployments", "orch-00011", 200),
            entry("operator", "patch", "orchestrators/status", "orch-00010", 200),
            entry("operator", "patch", "events", "orch-00010.17f3", 200),
            entry("operator", "get", "configmaps", "orch-00010-agents", 200),
            entry("operator", "patch", "deployments", "agent-00010", 201),
            entry("admin", "patch", "deployments", "orch-00010", 200),
        ];
        let given = Given::of(&entries);
        assert_eq!(given.config_maps, [("orch-00010".to_owned(), 1)].into());
        assert_eq!(given.deployments, [("orch-00010".to_owned(), 2), ("orch-00011".to_owned(), 1)].into());
        assert_eq!((given.statuses, given.others), (1, 1));
    }
}
