//! What the commands print for people, and how they hear that people want them to end.

use std::{
    io::{BufRead, IsTerminal, Write},
    path::Path,
};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Prints a line, or several.
#[expect(clippy::print_stdout, reason = "what a command prints for people goes to stdout")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// The two lines that make a shell's kubectl talk to the cluster of `kubeconfig`, with the `kubectl` given.
pub(crate) fn shell_lines(kubeconfig: &Path, kubectl: &Path) -> Result<String> {
    let folder = kubectl.parent().context("kubectl is in no folder")?;
    Ok(format!("  export KUBECONFIG={}\n  export PATH={}:$PATH\n", kubeconfig.display(), folder.display()))
}

/// Returns when the user wants an end: Ctrl-C, a closed terminal, or a plain `kill`.
pub(crate) async fn interrupted() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Asks a question whose answer is yes or no; anything but a yes is a no.
pub(crate) fn confirmed(question: &str) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        anyhow::bail!("nobody can answer \"{question}\" here: say --yes if you agree");
    }
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
