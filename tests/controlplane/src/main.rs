//! The command `controlplane`: a Kubernetes control plane for people, and the operator on it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod demo;
mod igw;
mod install;
mod kinds;
mod kubectl;
mod operator;
mod output;
mod up;
mod usage;

/// Starts a real Kubernetes control plane with simulated nodes on this machine: alone, with the operator, or to measure the operator.
///
/// The control plane is built from source when it is first used (kept in your cache folder) and ends with the command;
/// your other clusters and your kubectl configuration are not touched.
#[derive(Parser)]
#[command(name = "controlplane", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the operator at work: the examples become running gateways, agents, MCP servers and orchestrators
    ///
    /// Builds the operator, starts a control plane and the operator, applies the examples, waits until they run, shows what was made
    /// and what to try. Stays until Ctrl-C.
    Demo(demo::Arguments),
    /// Measure the operator: calls, times, memory
    ///
    /// Builds the operator in release mode and runs it on fresh control planes with many Gateways, or with --mixed with many resources
    /// of every kind. Run this command itself with `cargo run --release` too. Prints a table with the targets, and the same as JSON.
    Bench(bench::Arguments),
    /// Start a control plane and keep it until Ctrl-C
    Up(up::Arguments),
    /// Watch over the parts of a control plane (started by the other commands)
    #[command(hide = true)]
    Supervise,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::Supervise => {
            controlplane::supervise_if_asked();
            Err(anyhow::anyhow!("`supervise` is started by the other commands, not by hand"))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
