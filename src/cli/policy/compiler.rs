//! Runs cargo for WebAssembly: with the standard library that rustup installs, or with Debian's compiler and a standard
//! library that is built too.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::super::Error;

const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's compiler for WebAssembly. The one of rustup comes first on PATH, so it is named in full.
const DEBIAN: &str = "/usr/bin/rustc";

/// What the module is compiled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compiler {
    /// The compiler on PATH, which has a standard library for WebAssembly.
    Installed,
    /// Debian's, which has the source of one.
    Debian,
}

impl Compiler {
    /// Finds one.
    pub(super) fn find(build_std: bool) -> Result<Self, Error> {
        let has = |compiler: &str, below: &str| sysroot(compiler).is_some_and(|root| root.join(below).exists());
        if !build_std && has("rustc", &format!("lib/rustlib/{TARGET}/lib")) {
            return Ok(Self::Installed);
        }
        if has(DEBIAN, "lib/rustlib/src/rust/library/std/Cargo.toml") && starts("wasm-ld") {
            return Ok(Self::Debian);
        }
        Err(format!(
            "failed to find a compiler for WebAssembly: run `rustup target add {TARGET}`; where that cannot be had, run \
             `apt-get install rustc-web rust-web-src lld` on Debian"
        )
        .into())
    }

    /// Compiles the crate in a folder; returns the core module.
    pub(super) fn compile(self, folder: &Path, target: &Path) -> Result<PathBuf, Error> {
        let mut cargo = cargo(folder);
        cargo.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
        cargo.arg("--target-dir").arg(target);
        if self == Self::Debian {
            cargo.args(["-Zbuild-std=std,panic_abort"]);
            // The feature of cargo is not stable, and this is how a stable compiler is told to take it.
            cargo.env("RUSTC", DEBIAN).env("RUSTC_BOOTSTRAP", "1");
            cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.without_paths(folder)?);
        let output = cargo.stdout(Stdio::piped()).spawn().and_then(|child| child.wait_with_output());
        let output = output.map_err(no_cargo)?;
        if !output.status.success() {
            return Err(format!("failed to compile {}: cargo has said why", folder.display()).into());
        }
        artifact(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
            format!("{}: cargo made no module; Cargo.toml needs crate-type = [\"cdylib\"]", folder.display()).into()
        })
    }

    /// Flags that keep the folders of this machine out of the module: panics name source files.
    fn without_paths(self, folder: &Path) -> Result<OsString, Error> {
        let output = cargo(folder)
            .args(["metadata", "--format-version=1", "--filter-platform", TARGET])
            .stderr(Stdio::inherit())
            .output()
            .map_err(no_cargo)?;
        if !output.status.success() {
            return Err(format!("failed to read {}: cargo has said why", folder.join("Cargo.toml").display()).into());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut flags = OsString::new();
        let mut remap = |from: &Path, to: &str| {
            if !flags.is_empty() {
                flags.push("\u{1f}");
            }
            flags.push("--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        };
        for package in metadata["packages"].as_array().into_iter().flatten() {
            if let Some(from) = Path::new(&text(&package["manifest_path"])).parent() {
                remap(from, &format!("/{}-{}", text(&package["name"]), text(&package["version"])));
            }
        }
        if self == Self::Debian
            && let Some(root) = sysroot(DEBIAN)
        {
            remap(&root.join("lib/rustlib/src/rust"), "/rustc");
        }
        Ok(flags)
    }
}

/// Cargo in a folder, without what an outer cargo has left in the environment.
fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder);
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTC", "CARGO"] {
        cargo.env_remove(name);
    }
    cargo
}

fn no_cargo(error: std::io::Error) -> Error {
    format!("failed to run cargo: {error}; install Rust with rustup, or with `apt-get install cargo`").into()
}

fn sysroot(compiler: &str) -> Option<PathBuf> {
    let output = Command::new(compiler).args(["--print", "sysroot"]).stderr(Stdio::null()).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !path.trim().is_empty()).then(|| PathBuf::from(path.trim()))
}

fn starts(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// The module among the messages of cargo: that of the crate itself comes last.
fn artifact(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut files = messages.filter(|message| message["reason"] == "compiler-artifact").flat_map(|message| {
        let files = message["filenames"].as_array().cloned().unwrap_or_default();
        files.into_iter().filter_map(|file| Some(PathBuf::from(file.as_str()?)))
    });
    files.rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::artifact;

    #[test]
    fn the_last_module_is_the_one() {
        let messages = r#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"]}
not JSON
{"reason":"compiler-artifact","filenames":["/t/dep.wasm"]}
{"reason":"build-script-executed"}
{"reason":"compiler-artifact","filenames":["/t/one.wasm","/t/libone.rlib"]}"#;
        assert_eq!(artifact(messages).as_deref(), Some(Path::new("/t/one.wasm")));
        assert_eq!(artifact(""), None);
    }
}
