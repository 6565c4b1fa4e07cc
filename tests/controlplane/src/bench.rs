//! `controlplane bench`: what the operator costs and how fast it is, measured from outside.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::json;

mod bare_loop;
mod calls;
mod creation;
mod gateways;
mod mixed;
mod observer;
mod policies;
mod progress;
mod reverts;
mod site;
mod statistics;
mod steady;
mod table;
mod workload;

use crate::{
    igw,
    output::{interrupted, say},
};

/// The options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many Gateways, each with five children [default: 1000]; with --mixed, how many of each kind [default: 250]
    ///
    /// The targets in the table are those for the default.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    count: Option<u32>,
    /// Measure Gateways, Agents, MCPs and Orchestrators together instead of Gateways alone
    ///
    /// Each Orchestrator looks for five of the Agents by their label; a server of this process has the cards of the Agents.
    #[arg(long)]
    mixed: bool,
    /// Measure what policies cost: without a cluster, and Gateways without policies and then with three that match all of them
    #[arg(long, conflicts_with = "mixed")]
    policies: bool,
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

/// A part of the benchmark. Creating the custom resources is always done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// With --policies: what they cost without a cluster
    Offline,
    /// Of Gateways alone: the same applies from a loop without an operator, on a control plane of its own
    Loop,
    /// 60 seconds in which nothing happens
    Idle,
    /// Of Gateways alone: one changed field of one Gateway. With --policies: another order of the policies
    Change,
    /// Of Gateways alone: 50 deleted Services and 50 changed images
    Reverts,
    /// With --mixed: new Agents that Orchestrators look for
    Arrivals,
    /// A restart of the operator
    Restart,
}

impl Arguments {
    fn count(&self) -> Result<usize> {
        let default = if self.mixed { 250 } else { 1000 };
        Ok(usize::try_from(self.count.unwrap_or(default))?)
    }

    fn wants(&self, part: Part) -> bool {
        !self.skip.contains(&part)
    }
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // Before there is a runtime that takes Ctrl-C for itself.
    let program = igw::build(true)?;
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build, which slows this program's own part down: say `cargo run --release`");
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the benchmark's runtime")?;
    let measure = async {
        match (arguments.mixed, arguments.policies) {
            (true, _) => mixed::measure(arguments, &program).await,
            (_, true) => policies::measure(arguments, &program).await,
            _ => gateways::measure(arguments, &program).await,
        }
    };
    let table = runtime.block_on(async {
        tokio::select! {
            table = measure => table,
            ended = interrupted() => ended.and_then(|()| bail!("stopped before the end")),
        }
    })?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let limits = if arguments.fast_controllers { "raised" } else { "default" };
    let mut document = json!({"controllerLimits": limits, "cores": cores, "rows": table.json()});
    let count = arguments.count()?;
    let what = if arguments.mixed {
        document["eachKind"] = count.into();
        format!("{count} Gateways, Agents, MCPs and Orchestrators each")
    } else {
        document["gateways"] = count.into();
        document["childrenEach"] = workload::CHILDREN.into();
        format!("{count} Gateways with {} children each", workload::CHILDREN)
    };
    say(&format!("\n{what}; controllers at their {limits} limits; {cores} cores\n\n{}", table.text()));
    let document = serde_json::to_string_pretty(&document)?;
    match &arguments.json {
        None => say(&document),
        Some(file) => fs::write(file, document + "\n").with_context(|| format!("cannot write {}", file.display()))?,
    }
    Ok(())
}
