//! The operator's program, and what measures policies without it: building them from this checkout.

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The root of the checkout.
pub(crate) fn checkout() -> &'static Path {
    let this = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Without `..`, because users see it in messages.
    this.ancestors().nth(2).unwrap_or(this)
}

/// The part of cargo's messages that says where a program is.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds the operator and returns its program. Cargo shows its progress on stderr, as always.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    program("igw", release)
}

/// Builds the program of a package, both of one name, and returns it.
pub(crate) fn program(name: &str, release: bool) -> Result<PathBuf> {
    // Set by cargo for what it runs: the toolchain stays the same.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--package", name, "--bin", name])
        // The folder of the result depends on several settings; cargo itself says which it was.
        .arg("--message-format=json-render-diagnostics")
        .current_dir(checkout())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if release {
        command.arg("--release");
    }
    // What `cargo run` tells this program of its own package; build scripts of others would see it and run again.
    for (variable, _) in env::vars_os() {
        let variable = variable.to_string_lossy();
        if variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_") {
            command.env_remove(variable.as_ref());
        }
    }
    let mut child =
        command.spawn().context("cannot run cargo, which builds what is measured: install Rust (https://rustup.rs)")?;
    let messages = child.stdout.take().context("cargo has no stdout")?;
    let mut program = None;
    for line in BufReader::new(messages).lines() {
        // Other lines are messages without these fields, or of other packages.
        let Ok(message) = serde_json::from_str::<Message>(&line?) else {
            continue;
        };
        if message.target.is_some_and(|target| target.name == name) && message.executable.is_some() {
            program = message.executable;
        }
    }
    if !child.wait()?.success() {
        bail!("{name} does not build: see the messages above");
    }
    program.with_context(|| format!("cargo built no program named {name}: is there a src/main.rs?"))
}
