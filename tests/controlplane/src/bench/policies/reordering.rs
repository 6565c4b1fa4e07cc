//! A change of a policy that changes no pod template: the sidecar is added last in place of first, so every Deployment names its
//! policies in another order, and every Gateway too.

use anyhow::{Context, Result};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::{QUIET, workload};
use crate::{
    bench::{
        calls::Calls,
        observer::Observer,
        site::Site,
        steady::PATIENCE,
        table::{Table, Unit},
    },
    operator::Operator,
};

/// Moves the policy and counts what that leads to.
pub(super) async fn measure(
    site: &Site,
    observer: &mut Observer,
    operator: &Operator,
    count: usize,
    table: &mut Table,
) -> Result<()> {
    eprintln!("bench: another order of the policies");
    observer.settled().await?;
    let (before, start) = (operator.usage()?, Instant::now());
    let patch = Patch::Merge(json!({"spec": {"order": 10}}));
    let api = workload::api(&site.admin);
    api.patch(workload::MOVED, &PatchParams::default(), &patch).await.context("cannot change a policy")?;
    let entries = observer.quiet(QUIET, PATIENCE).await?;
    let took = start.elapsed().saturating_sub(QUIET);
    let after = operator.usage()?;
    let calls = Calls::of(&entries);
    let sets = entries.iter().filter(|entry| entry.verb == "create" && entry.resource() == "replicasets").count();
    table.section("Another order of the policies: one annotation of each Deployment");
    table.exactly("writes to children", calls.child_writes(), count);
    table.at_most("writes of statuses of Gateways", calls.apply_status as f64, Unit::Count, count as f64);
    table.row("writes of statuses of policies", calls.apply_policy_status as f64, Unit::Count);
    let others = calls.total() - calls.child_writes() - calls.apply_status - calls.apply_policy_status;
    // A policy that has changed has its module's ConfigMap read again.
    table.at_most("other calls", others as f64, Unit::Count, 1.0);
    table.row("Events", calls.events as f64, Unit::Count);
    table.at_most("ReplicaSets made by anybody", sets as f64, Unit::Count, 0.0);
    table.row("until the last call", took.as_secs_f64(), Unit::Seconds);
    table.row("processor", after.cpu.saturating_sub(before.cpu).as_secs_f64(), Unit::Seconds);
    Ok(())
}
