//! kubectl, as the commands use it: for one cluster, untouched by the user's settings.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::output::say;

/// A kubectl that talks to one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    /// `cache` is a folder for what it remembers of the cluster's API: two clusters on the same port, one after the other,
    /// would be taken for one.
    pub(crate) fn new(program: &Path, kubeconfig: &Path, cache: &Path) -> Self {
        Self { program: program.to_owned(), kubeconfig: kubeconfig.to_owned(), cache: cache.to_owned() }
    }

    /// The program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it and returns what it printed on stdout; a failure is an error with what it printed on stderr.
    pub(crate) async fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let output = self.output(arguments).await?;
        if !output.status.success() {
            let words: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
            bail!("`kubectl {}` failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it as [`run`](Self::run) and prints the command and what it printed, as one sees it in a terminal.
    pub(crate) async fn shown(&self, arguments: &[&str]) -> Result<()> {
        let output = self.run(arguments).await?;
        say(&format!("\n$ kubectl {}\n{}", arguments.join(" "), output.trim_end()));
        Ok(())
    }

    async fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output> {
        Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(arguments)
            // The user's aliases and default flags would change what is printed.
            .env("KUBERC", "off")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run {}", self.program.display()))
    }
}
