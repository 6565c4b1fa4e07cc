//! `controlplane up`: a control plane to try things on.

use anyhow::Result;
use controlplane::{ControlPlane, Options, Supervisor, User};

use crate::output::{interrupted, say, shell_lines};

/// The options of `up`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many simulated nodes the cluster has
    #[arg(long, default_value_t = 4, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=200))]
    nodes: u32,
}

/// Starts it, says how to reach it, and waits.
#[tokio::main]
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let options = Options { nodes: arguments.nodes, ..Options::default() };
    let plane = tokio::select! {
        plane = ControlPlane::start_with(Supervisor::own_binary()?, options) => plane?,
        // Dropping the half-started one stops its parts.
        ended = interrupted() => return ended,
    };
    say(&format!(
        "Control plane ready in {:.1} s: {} with {} simulated nodes.\n",
        plane.startup().as_secs_f64(),
        plane.url(),
        arguments.nodes
    ));
    say(&shell_lines(&plane.kubeconfig(User::Admin), plane.kubectl())?);
    say("  kubectl get nodes\n\nLogs and data are in that folder too. Ctrl-C stops everything and removes it.");
    tokio::select! {
        ended = interrupted() => ended?,
        error = plane.failure() => return Err(error),
    }
    say("\nStopping.");
    plane.stop().await
}
