//! Gateways alone, compared with a bare loop of the same applies: the figures that other operators have too.

use std::path::Path;

use anyhow::Result;
use controlplane::User;

use super::{
    Arguments, Part, bare_loop,
    calls::Calls,
    creation::{self, MEMORY, QUIET},
    observer::Observer,
    reverts,
    site::Site,
    steady,
    table::{Table, Unit},
};
use crate::operator::Operator;

/// Measures everything that was not left out.
pub(super) async fn measure(arguments: &Arguments, program: &Path) -> Result<Table> {
    let count = arguments.count()?;
    let fast = arguments.fast_controllers;
    let mut bare = None;
    if arguments.wants(Part::Loop) {
        eprintln!("bench: the bare loop");
        let alone =
            Site::start(fast).await?.finish(async |site| bare_loop::measure(site, program, count).await).await?;
        eprintln!("bench: {:.1} s", alone.time.as_secs_f64());
        bare = Some(alone);
    }
    let site = Site::start(fast).await?;
    site.finish(async |site| {
        let folder = site.plane.folder().join("operator");
        let mut observer = Observer::new(site);
        let operator = Operator::start(program, &site.plane.kubeconfig(User::Operator), &folder, &[]).await?;
        let table = tokio::select! {
            table = with_operator(arguments, site, &mut observer, &operator, bare) => table,
            error = operator.failure() => Err(error),
        };
        operator.stop().await?;
        table
    })
    .await
}

async fn with_operator(
    arguments: &Arguments,
    site: &Site,
    observer: &mut Observer,
    operator: &Operator,
    bare: Option<bare_loop::Taken>,
) -> Result<Table> {
    let count = arguments.count()?;
    let mut table = Table::default();

    let start = Calls::of(&observer.settled().await?);
    eprintln!("bench: creating {count} Gateways");
    let creation = creation::measure(site, observer, operator, count).await?;
    table.section("Start with an empty cluster");
    table.row("calls", start.total() as f64, Unit::Count);
    creation.rows(&mut table);
    if let Some(bare) = bare {
        table.section("Compared with a bare loop of the same applies");
        let seconds = bare.time.as_secs_f64();
        table.row("the bare loop", seconds, Unit::Seconds);
        table.at_most("operator / bare loop", creation.seconds() / seconds, Unit::Ratio, 2.2);
        table.row("processor of the bare loop", bare.cpu.as_secs_f64(), Unit::Seconds);
    }
    if arguments.wants(Part::Idle) {
        steady::idle(observer, &mut table).await?;
    }
    if arguments.wants(Part::Change) {
        steady::change(site, observer, &mut table).await?;
    }
    if arguments.wants(Part::Reverts) {
        reverts::deletions(site, observer, count, &mut table).await?;
        reverts::edits(site, observer, count, &mut table).await?;
    }
    if arguments.wants(Part::Restart) {
        steady::restart(observer, operator, QUIET, Some(MEMORY), &mut table).await?;
    }
    Ok(table)
}
