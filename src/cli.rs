//! The subcommands: thin front doors on the pipeline. Errors end with what to do.

mod admission;
mod diff;
mod generate;
mod install;
mod manifest;
mod policy;
mod reference;
mod render;
mod run;

use std::{io::Write as _, process::ExitCode};

use clap::CommandFactory as _;
use kube::{Client, Config, config::KubeConfigOptions, config::Kubeconfig};

use crate::{
    args::{Cli, Command, Connection},
    cluster,
};

pub use admission::{NotInstalled, installed};
pub use generate::{crds, rbac};
pub use install::{ACCOUNT, install};
pub use reference::reference;

/// Why a subcommand failed: words that end with what to do.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs one subcommand.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    let done = match cli.command {
        None => runtime().and_then(|runtime| runtime.block_on(run::run(&cli.run))),
        Some(Command::Run(run)) => runtime().and_then(|runtime| runtime.block_on(run::run(&run))),
        Some(Command::Render(args)) => render::render(&args).and_then(|text| say(&text)),
        Some(Command::Diff(args)) => match runtime().and_then(|runtime| runtime.block_on(diff::diff(&args))) {
            Ok((text, differs)) => match say(&text) {
                Ok(()) if differs => return ExitCode::from(1),
                done => done,
            },
            Err(error) => Err(error),
        },
        Some(Command::Policy(command)) => {
            runtime().and_then(|runtime| runtime.block_on(policy::policy(&command))).and_then(|printed| {
                std::io::stderr().lock().write_all(printed.notes.as_bytes())?;
                say(&printed.text)
            })
        }
        Some(Command::PolicyCompile) => policy::compile(),
        Some(Command::PolicyEvaluate) => policy::evaluate(),
        Some(Command::Install(args)) => {
            install(&args.image, &args.namespace, &args.added.kinds()).and_then(|text| say(&text))
        }
        Some(Command::Crds) => crds().and_then(|text| say(&text)),
        Some(Command::Rbac(added)) => rbac(&added.kinds()).and_then(|text| say(&text)),
        Some(Command::Reference) => say(&reference()),
        Some(Command::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "igw", &mut text);
            say(&String::from_utf8_lossy(&text))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "igw: {error}");
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) -> Result<(), Error> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // `igw crds | head` is no error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

async fn connect(connection: &Connection) -> Result<Client, Error> {
    let options = KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
    let config = match &connection.kubeconfig {
        Some(file) => {
            let text = Kubeconfig::read_from(file)
                .map_err(|error| format!("failed to read kubeconfig {}: {error}", file.display()))?;
            Config::from_custom_kubeconfig(text, &options).await.map_err(Error::from)
        }
        None if connection.context.is_some() => Config::from_kubeconfig(&options).await.map_err(Error::from),
        None => Config::infer().await.map_err(Error::from),
    };
    let config = config.map_err(|error| {
        format!("failed to find out how to reach the API server: {error}; give --kubeconfig FILE or set KUBECONFIG")
    })?;
    Ok(cluster::kube::client(config)?)
}
