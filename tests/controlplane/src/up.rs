//! `controlplane up`: a control plane to try things on.

use anyhow::{Context, Result};
use controlplane::{ControlPlane, Options, Supervisor, User};

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
    let options = Options {
        nodes: arguments.nodes,
        ..Options::default()
    };
    let plane = tokio::select! {
        plane = ControlPlane::start_with(Supervisor::own_binary()?, options) => plane?,
        // Dropping the half-started one stops its parts.
        _ = tokio::signal::ctrl_c() => return Ok(()),
    };
    say(&format!(
        "Control plane ready in {:.1} s: {} with {} simulated nodes.\n",
        plane.startup().as_secs_f64(),
        plane.url(),
        arguments.nodes
    ));
    say(&shell_lines(&plane)?);
    say(
        "  kubectl get nodes\n\nLogs and data are in that folder too. Ctrl-C stops everything and removes it.",
    );
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        error = plane.failure() => return Err(error),
    }
    say("\nStopping.");
    plane.stop().await
}

/// The two lines that make a shell's kubectl talk to the control plane.
fn shell_lines(plane: &ControlPlane) -> Result<String> {
    let programs = plane
        .kubectl()
        .parent()
        .context("kubectl is in no folder")?;
    Ok(format!(
        "  export KUBECONFIG={}\n  export PATH={}:$PATH\n",
        plane.kubeconfig(User::Admin).display(),
        programs.display()
    ))
}

#[expect(
    clippy::print_stdout,
    reason = "what a command prints for people goes to stdout"
)]
fn say(text: &str) {
    println!("{text}");
}
