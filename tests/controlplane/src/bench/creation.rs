//! The main part: Gateways are created while the operator runs, until all children are there and until all Gateways are Running.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::{DynamicObject, ListParams};
use tokio::time::{Instant, sleep};

use super::{
    calls::Calls,
    observer::{Observer, TICK},
    progress::Progress,
    site::Site,
    table::{Table, Unit},
    workload,
};
use crate::{kinds, operator::Operator, usage::Usage};

/// Without a call for so long, nothing is going on any more.
pub(super) const QUIET: Duration = Duration::from_secs(5);

/// What was measured.
pub(super) struct Creation {
    count: usize,
    /// Until all children and URLs are there.
    pub(super) children: Stage,
    /// Until all Gateways are Running.
    pub(super) running: Stage,
}

/// A moment on the way.
pub(super) struct Stage {
    pub(super) calls: Calls,
    /// Counted from the first Gateway.
    pub(super) time: Duration,
    pub(super) usage: Usage,
}

/// Creates `count` Gateways and waits until all is quiet.
pub(super) async fn measure(
    site: &Site,
    observer: &mut Observer,
    operator: &Operator,
    count: usize,
) -> Result<Creation> {
    observer.settled().await?;
    let mut progress = Progress::new(count);
    let creating = async {
        workload::create(site.admin.clone(), count).await?;
        // The other future ends the whole.
        std::future::pending().await
    };
    tokio::select! {
        result = creating => result,
        result = follow(site, observer, operator, &mut progress) => result,
    }
}

async fn follow(
    site: &Site,
    observer: &mut Observer,
    operator: &Operator,
    progress: &mut Progress,
) -> Result<Creation> {
    let patience = Duration::from_secs(60) + Duration::from_millis(300) * u32::try_from(progress.count)?;
    let deadline = Instant::now() + patience;
    let (complete, usage) = loop {
        progress.note(observer.read()?);
        if let Some(complete) = progress.complete {
            // Before the list, which takes a while.
            let usage = operator.usage()?;
            if every(site, |gateway| !kinds::status_text(gateway, "url").is_empty()).await? {
                break (complete, usage);
            }
            // The first status had no URL: the next one counts.
            progress.wait_for_next_status();
        }
        if Instant::now() > deadline {
            bail!(
                "after {} s there are only {} children and {} statuses",
                patience.as_secs(),
                progress.children.len(),
                progress.statuses.len()
            );
        }
        sleep(TICK).await;
    };
    let children = Stage { calls: progress.calls_until(complete), time: progress.since_first(complete)?, usage };
    eprintln!("bench: all children and URLs after {:.1} s", children.time.as_secs_f64());

    let deadline = Instant::now() + 2 * patience;
    let (mut usage, mut last, mut asked) = (operator.usage()?, Instant::now(), Instant::now());
    loop {
        if progress.note(observer.read()?) {
            (usage, last) = (operator.usage()?, Instant::now());
        }
        if last.elapsed() >= QUIET && asked.elapsed() >= QUIET {
            if every(site, kinds::is_running).await? {
                break;
            }
            asked = Instant::now();
        }
        if Instant::now() > deadline {
            bail!("after {} more seconds not all Gateways are Running and the operator quiet", 2 * patience.as_secs());
        }
        sleep(TICK).await;
    }
    progress.note(observer.settled().await?);
    let end = progress.last.context("the operator called nothing")?;
    let running = Stage { calls: progress.calls_until(end), time: progress.since_first(end)?, usage };
    eprintln!("bench: all Running and quiet after {:.1} s", running.time.as_secs_f64());
    Ok(Creation { count: progress.count, children, running })
}

/// Whether all Gateways are so.
async fn every(site: &Site, is_so: impl Fn(&DynamicObject) -> bool) -> Result<bool> {
    let list =
        workload::gateways(&site.admin).list(&ListParams::default()).await.context("cannot list the Gateways")?;
    Ok(list.items.iter().all(is_so))
}

impl Creation {
    /// Seconds until all children and URLs were there.
    pub(super) fn seconds(&self) -> f64 {
        self.children.time.as_secs_f64()
    }

    pub(super) fn rows(&self, table: &mut Table) {
        let per_gateway = |number: usize| number as f64 / self.count as f64;
        for (title, stage) in [
            ("Calls until all children and URLs are there", &self.children),
            ("Calls until all Gateways are Running and the operator is quiet", &self.running),
        ] {
            table.section(title);
            let calls = &stage.calls;
            for (name, number) in calls.named() {
                table.row_unless_zero(name, number as f64);
            }
            table.row("all of these", calls.total() as f64, Unit::Count);
            table.at_most("per Gateway", per_gateway(calls.total()), Unit::PerObject, 7.05);
            table.at_most("answered with 409", calls.conflicts as f64, Unit::Count, 0.0);
            table.row("Events", calls.events as f64, Unit::Count);
            table.row_unless_zero("watches ended", calls.watches as f64);
            table.row_unless_zero("leases", calls.leases as f64);
        }
        table.section("Time and processor");
        table.row("until all children and URLs are there", self.seconds(), Unit::Seconds);
        table.row("until all Gateways are Running", self.running.time.as_secs_f64(), Unit::Seconds);
        let cpu = |stage: &Stage| stage.usage.cpu.as_secs_f64();
        table.at_most("processor until children and URLs", cpu(&self.children), Unit::Seconds, 3.0);
        table.at_most("processor until Running", cpu(&self.running), Unit::Seconds, 5.0);
        table.section("Memory");
        memory(table, "with all children", self.children.usage, Some(MEMORY));
        memory(table, "with all Gateways Running", self.running.usage, Some(MEMORY));
    }
}

/// The most memory that 1,000 Gateways may take, in MiB.
pub(super) const MEMORY: f64 = 40.0;

/// Bytes in MiB.
pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Rows for the memory of a moment, with the most that may be resident, in MiB, where there is a target.
pub(super) fn memory(table: &mut Table, when: &str, usage: Usage, most: Option<f64>) {
    let (name, resident) = (format!("resident {when}"), mebibytes(usage.resident));
    match most {
        Some(most) => table.at_most(&name, resident, Unit::Mebibytes, most),
        None => table.row(&name, resident, Unit::Mebibytes),
    }
    table.row(&format!("not from files {when}"), mebibytes(usage.anonymous), Unit::Mebibytes);
    table.row(&format!("resident at most until then, {when}"), mebibytes(usage.peak), Unit::Mebibytes);
}
