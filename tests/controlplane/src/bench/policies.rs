//! What policies cost: loading and rewriting without a cluster, then Gateways without policies and, on another control plane, with
//! three that match all of them. Both in one run, because machines differ and are busy with something else.

use std::{path::Path, time::Duration};

use anyhow::Result;
use controlplane::User;

mod offline;
mod reordering;
mod workload;

use super::{
    Arguments, Part,
    creation::{self, Creation, Stage, mebibytes},
    observer::Observer,
    site::Site,
    steady,
    table::{Table, Unit},
};
use crate::operator::Operator;

/// Without a call for so long, nothing is going on any more. The status of a policy is written every ten seconds at most.
const QUIET: Duration = Duration::from_secs(12);

/// One run with Gateways.
struct Taken {
    creation: Creation,
    /// Bytes resident in all processes of the operator when all Gateways are Running, what they share counted once.
    shared_once: Option<u64>,
}

/// Measures everything that was not left out.
pub(super) async fn measure(arguments: &Arguments, program: &Path) -> Result<Table> {
    let mut table = Table::default();
    if arguments.wants(Part::Offline) {
        eprintln!("bench: policies without a cluster");
        offline::measure(program, &mut table)?;
    }
    eprintln!("bench: without policies");
    let mut none = Table::default();
    let without = one(arguments, program, false, &mut none).await?;
    eprintln!("bench: with three policies");
    let mut rest = Table::default();
    let with = one(arguments, program, true, &mut rest).await?;
    compare(&without, &with, arguments.count()?, &mut table);
    table.append(rest);
    Ok(table)
}

/// Runs the operator on a control plane of its own.
async fn one(arguments: &Arguments, program: &Path, policies: bool, table: &mut Table) -> Result<Taken> {
    Site::start(arguments.fast_controllers)
        .await?
        .finish(async |site| {
            if policies {
                workload::apply(&site.admin).await?;
            }
            let folder = site.plane.folder().join("operator");
            let mut observer = Observer::new(site);
            let operator = Operator::start(program, &site.plane.kubeconfig(User::Operator), &folder, &[]).await?;
            let taken = tokio::select! {
                taken = with_operator(arguments, site, &mut observer, &operator, policies, table) => taken,
                error = operator.failure() => Err(error),
            };
            operator.stop().await?;
            taken
        })
        .await
}

async fn with_operator(
    arguments: &Arguments,
    site: &Site,
    observer: &mut Observer,
    operator: &Operator,
    policies: bool,
    table: &mut Table,
) -> Result<Taken> {
    let count = arguments.count()?;
    if policies {
        workload::active(&site.admin, None).await?;
    }
    observer.quiet(Duration::from_secs(2), steady::PATIENCE).await?;
    eprintln!("bench: creating {count} Gateways");
    let creation = creation::measure(site, observer, operator, count).await?;
    let shared_once = operator.shared_once();
    if policies {
        workload::active(&site.admin, Some(count)).await?;
        observer.quiet(QUIET, steady::PATIENCE).await?;
        if arguments.wants(Part::Idle) {
            steady::idle(observer, table).await?;
        }
        if arguments.wants(Part::Change) {
            reordering::measure(site, observer, operator, count, table).await?;
        }
        if arguments.wants(Part::Restart) {
            steady::restart(observer, operator, QUIET, None, table).await?;
        }
    }
    Ok(Taken { creation, shared_once })
}

/// Rows for the difference that policies make.
fn compare(without: &Taken, with: &Taken, count: usize, table: &mut Table) {
    let (none, three) = (&without.creation, &with.creation);
    table.section("With three policies, until all Gateways are Running and the operator is quiet");
    let per_gateway = |stage: &Stage| (stage.calls.total() - stage.calls.apply_policy_status) as f64 / count as f64;
    table.row("calls per Gateway without policies", per_gateway(&none.running), Unit::PerObject);
    table.at_most("calls per Gateway", per_gateway(&three.running), Unit::PerObject, 7.05);
    table.at_most("answered with 409", three.running.calls.conflicts as f64, Unit::Count, 0.0);
    table.row("writes of statuses of policies", three.running.calls.apply_policy_status as f64, Unit::Count);
    let stages = [
        ("until children and URLs", &none.children, &three.children),
        ("until Running", &none.running, &three.running),
    ];
    table.row("all children and URLs there, without policies", none.seconds(), Unit::Seconds);
    table.row("all children and URLs there", three.seconds(), Unit::Seconds);
    table.section("Processor and memory of the operator and its children, with three policies");
    for (when, before, after) in stages {
        let (before, after) = (before.usage.cpu.as_secs_f64(), after.usage.cpu.as_secs_f64());
        table.row(&format!("processor {when}, without policies"), before, Unit::Seconds);
        table.row(&format!("processor {when}"), after, Unit::Seconds);
        table.at_most(&format!("more of it {when}"), after - before, Unit::Seconds, 1.5);
    }
    for (when, before, after) in
        [("with all children", &none.children, &three.children), ("with all Running", &none.running, &three.running)]
    {
        let (before, after) = (before.usage, after.usage);
        let more = mebibytes(after.resident) - mebibytes(before.resident);
        table.row(&format!("resident {when}, without policies"), mebibytes(before.resident), Unit::Mebibytes);
        table.row(&format!("resident {when}"), mebibytes(after.resident), Unit::Mebibytes);
        table.at_most(&format!("more of it {when}"), more, Unit::Mebibytes, 20.0);
        let more = mebibytes(after.anonymous) - mebibytes(before.anonymous);
        table.row(&format!("more that is not from files {when}"), more, Unit::Mebibytes);
    }
    if let Some((before, after)) = without.shared_once.zip(with.shared_once) {
        let more = mebibytes(after) - mebibytes(before);
        table.row("more with what processes share counted once", more, Unit::Mebibytes);
    }
}
