//! Starts a child, and tells how one ended.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
};

use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::policy::failure::{Failure, Reason};

/// A child with both its pipes.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
}

/// Starts this program in a role: with two pipes, and nothing else of ours.
pub(super) fn start(program: &Path, role: &str) -> Result<Started, Failure> {
    let failed =
        |words: String| Failure::new(Reason::EngineUnavailable, format!("failed to start igw {role}: {words}"));
    let mut command = Command::new(program);
    command.arg(role).env_clear().current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A Ctrl-C in a terminal is for the operator, which ends its children itself.
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(stdin), Some(stdout)) => Ok(Started { child, stdin, stdout }),
        _ => Err(failed("it has no pipes".into())),
    }
}

/// The name of the signal that ended a child.
pub(super) fn signal(status: ExitStatus) -> Option<&'static str> {
    Some(match status.signal()? {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        31 => "SIGSYS",
        _ => "another signal",
    })
}

/// How a child ended, in words.
pub(super) fn ended(status: ExitStatus) -> String {
    match (signal(status), status.code()) {
        (Some("SIGSYS"), _) => "SIGSYS: it tried what its sandbox forbids".into(),
        (Some("SIGABRT"), _) => "SIGABRT: it ran out of memory or found itself broken".into(),
        (Some(name), _) => name.into(),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => "an unknown status".into(),
    }
}
