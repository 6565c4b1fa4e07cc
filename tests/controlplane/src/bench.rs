//! `controlplane bench`: what the operator costs and how fast it is, measured from outside.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use controlplane::User;
use serde_json::json;

mod bare_loop;
mod calls;
mod creation;
mod observer;
mod progress;
mod reverts;
mod site;
mod statistics;
mod steady;
mod table;
mod workload;

use calls::Calls;
use observer::Observer;
use site::Site;
use table::{Table, Unit};

use crate::{
    igw,
    operator::Operator,
    output::{interrupted, say},
};

/// The options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many Gateways; each has five children
    ///
    /// The targets in the table are those for 1000.
    #[arg(long, default_value_t = 1000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    count: u32,
    /// Write the JSON document there instead of after the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leave a part out; several with commas or by repeating
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    skip: Vec<Part>,
    /// Let controller manager and scheduler call ten times as often as by default
    ///
    /// With their default of 20 calls a second, 1000 Gateways take 4 minutes until all are Running; with more calls they take
    /// processor time from the operator, so the times are not comparable.
    #[arg(long)]
    fast_controllers: bool,
}

/// A part of the benchmark. Creating the Gateways is always done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The same applies from a loop without an operator, on a control plane of its own
    Loop,
    /// 60 seconds in which nothing happens
    Idle,
    /// One changed field of one Gateway
    Change,
    /// 50 deleted Services and 50 changed images
    Reverts,
    /// A restart of the operator
    Restart,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // Before there is a runtime that takes Ctrl-C for itself.
    let program = igw::build(true)?;
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build, which slows the bare loop down: say `cargo run --release`");
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the benchmark's runtime")?;
    let table = runtime.block_on(async {
        tokio::select! {
            table = measure(arguments, &program) => table,
            ended = interrupted() => ended.and_then(|()| bail!("stopped before the end")),
        }
    })?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let limits = if arguments.fast_controllers { "raised" } else { "default" };
    let document = json!({
        "gateways": arguments.count,
        "childrenEach": workload::CHILDREN,
        "controllerLimits": limits,
        "cores": cores,
        "rows": table.json(),
    });
    say(&format!(
        "\n{} Gateways with {} children each; controllers at their {limits} limits; {cores} cores\n\n{}",
        arguments.count,
        workload::CHILDREN,
        table.text()
    ));
    let document = serde_json::to_string_pretty(&document)?;
    match &arguments.json {
        None => say(&document),
        Some(file) => fs::write(file, document + "\n").with_context(|| format!("cannot write {}", file.display()))?,
    }
    Ok(())
}

async fn measure(arguments: &Arguments, program: &Path) -> Result<Table> {
    let count = usize::try_from(arguments.count)?;
    let fast = arguments.fast_controllers;
    let mut bare = None;
    if !arguments.skip.contains(&Part::Loop) {
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
    let count = usize::try_from(arguments.count)?;
    let wanted = |part: Part| !arguments.skip.contains(&part);
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
    if wanted(Part::Idle) {
        steady::idle(observer, &mut table).await?;
    }
    if wanted(Part::Change) {
        steady::change(site, observer, &mut table).await?;
    }
    if wanted(Part::Reverts) {
        reverts::deletions(site, observer, count, &mut table).await?;
        reverts::edits(site, observer, count, &mut table).await?;
    }
    if wanted(Part::Restart) {
        steady::restart(observer, operator, creation::QUIET, &mut table).await?;
    }
    Ok(table)
}
