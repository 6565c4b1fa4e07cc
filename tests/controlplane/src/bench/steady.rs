//! What a cluster costs in which nothing, or nearly nothing, happens: idle calls, one changed field, a restart.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{
    calls::Calls,
    creation::{QUIET, memory},
    observer::{Observer, TICK},
    site::Site,
    table::{Table, Unit},
    workload,
};
use crate::{kinds, operator::Operator};

/// How long the operator is watched doing nothing.
const IDLE: Duration = Duration::from_secs(60);

/// How long a phase may take to become quiet.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Nothing happens.
pub(super) async fn idle(observer: &mut Observer, table: &mut Table) -> Result<()> {
    eprintln!("bench: idle for {} s", IDLE.as_secs());
    observer.settled().await?;
    sleep(IDLE).await;
    let calls = Calls::of(&observer.settled().await?);
    table.section("Idle for 60 s");
    table.at_most("calls", calls.total() as f64, Unit::Count, 0.0);
    table.row("Events", calls.events as f64, Unit::Count);
    table.row_unless_zero("watches ended", calls.watches as f64);
    table.row_unless_zero("leases", calls.leases as f64);
    Ok(())
}

/// One field of one Gateway changes.
pub(super) async fn change(site: &Site, observer: &mut Observer, table: &mut Table) -> Result<()> {
    eprintln!("bench: one changed field");
    observer.settled().await?;
    let (api, name) = (workload::gateways(&site.admin), workload::name(0));
    let patch = json!({"spec": {"environment": "staging"}});
    api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.context("cannot change a Gateway")?;
    let running = async {
        while !kinds::is_running(&api.get(&name).await?) {
            sleep(TICK).await;
        }
        Ok::<(), kube::Error>(())
    };
    timeout(PATIENCE, running).await.context("a changed Gateway does not become Running")??;
    let calls = Calls::of(&observer.quiet(QUIET, PATIENCE).await?);
    table.section("One changed field");
    table.at_most("writes to children", calls.child_writes() as f64, Unit::Count, 1.0);
    table.row("writes of the status", calls.apply_status as f64, Unit::Count);
    table.row("all calls", calls.total() as f64, Unit::Count);
    Ok(())
}

/// The operator starts again, and everything is as it should be; without a call for `pause` that is over. `most`: of memory, in MiB.
pub(super) async fn restart(
    observer: &mut Observer,
    operator: &Operator,
    pause: Duration,
    most: Option<f64>,
    table: &mut Table,
) -> Result<()> {
    eprintln!("bench: restart");
    observer.settled().await?;
    operator.restart().await?;
    let calls = Calls::of(&observer.quiet(pause, PATIENCE).await?);
    table.section("Restart");
    table.at_most("writes", calls.writes() as f64, Unit::Count, 0.0);
    table.row("Events", calls.events as f64, Unit::Count);
    table.row("reads", (calls.total() - calls.writes()) as f64, Unit::Count);
    let usage = operator.usage()?;
    table.row("processor time", usage.cpu.as_secs_f64(), Unit::Seconds);
    memory(table, "after it", usage, most);
    Ok(())
}
