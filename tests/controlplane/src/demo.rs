//! `controlplane demo`: the operator at work, on a control plane of its own or on a cluster of the user's.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

mod examples;
mod existing;
mod own;
mod policies;
mod ready;
mod show;

use examples::Example;
use kube::Client;

use crate::{igw, kubectl::Kubectl, operator::Operator, output::say};

/// The options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// End as soon as everything is ready; the exit code is 0 only then
    #[arg(long)]
    once: bool,
    /// Build the operator with optimisations
    #[arg(long)]
    release: bool,
    /// Use the cluster of this kubeconfig file (its current context) instead of starting one
    ///
    /// It shows the first two examples, both with Gateways: an operator outside a cluster cannot reach the agents in it. Policies are
    /// left out.
    /// Everything happens in a namespace of its own, igw-demo. What will be installed is shown and asked first, and removed at the end.
    /// The operator runs on this machine, with the rights of that file's user, and looks at that namespace only.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// With --kubeconfig: install without asking
    #[arg(long, requires = "kubeconfig")]
    yes: bool,
}

/// Builds the operator and shows it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    // Before there is a runtime that takes Ctrl-C for itself.
    let program = igw::build(arguments.release)?;
    let demo = Demo { program, started, built: started.elapsed(), once: arguments.once };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the demo's runtime")?;
    runtime.block_on(async {
        match &arguments.kubeconfig {
            None => own::run(&demo).await,
            Some(kubeconfig) => existing::run(&demo, kubeconfig, arguments.yes).await,
        }
    })
}

/// What both ways have in common.
struct Demo {
    program: PathBuf,
    started: Instant,
    built: Duration,
    once: bool,
}

impl Demo {
    /// Waits for the examples and shows them. Returns when everything was shown; an operator that ends meanwhile is an error, and
    /// any error comes with the end of its log.
    async fn present(
        &self,
        client: &Client,
        kubectl: &Kubectl,
        operator: &Operator,
        examples: &[Example],
        patience: Duration,
    ) -> Result<()> {
        say("Waiting for the custom resources:");
        let result = tokio::select! {
            result = ready::wait(client, examples, patience) => result,
            error = operator.failure() => return Err(error),
        };
        result.map_err(|error| anyhow!("{error:#}\nthe end of the operator's log:\n{}", operator.tail()))?;
        show::tables(kubectl, examples).await
    }

    /// Says that everything was shown, and how long that took.
    fn done(&self) {
        say(&format!(
            "\nEverything is ready: {:.1} s, of which building the operator took {:.1} s.",
            self.started.elapsed().as_secs_f64(),
            self.built.as_secs_f64()
        ));
    }

    /// Stays while the user tries things, `more` among them; ends with an error when the operator ends.
    async fn stay(&self, shell: &str, operator: &Operator, examples: &[Example], more: &str) -> Result<()> {
        say(&format!(
            "\n{}{more}\nThe operator's log: {}\nCtrl-C ends the demo and removes everything it made.",
            show::suggestions(shell, examples),
            operator.log().display()
        ));
        Err(operator.failure().await)
    }
}

/// Where a demo keeps what kubectl remembers of the API.
fn kubectl_cache(folder: &Path) -> PathBuf {
    folder.join("kubectl-cache")
}
