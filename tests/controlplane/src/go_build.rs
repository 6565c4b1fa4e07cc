//! Builds the control plane's programs from the two Go modules of this crate, and says what it does while it takes minutes.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader, ErrorKind, IsTerminal, Write},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// The Go module of etcd and Kubernetes.
pub(crate) const KUBERNETES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kubernetes");
/// The Go module of kwok. It needs its own: its dependencies do not go together with those of Kubernetes.
pub(crate) const KWOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kwok");

pub(crate) const NO_GO: &str = "go is not installed, but the control plane for the demo, the tests and the benchmark is built with it: \
    install Go 1.26 or newer (https://go.dev/dl, or the package `golang-go` or `go` of your system) and try again; \
    a C compiler is not needed for it";

/// One call of `go build`: some programs of one module.
#[derive(Debug)]
pub(crate) struct Build {
    module: &'static str,
    /// The program and its Go package.
    programs: Vec<(&'static str, &'static str)>,
}

impl Build {
    pub(crate) fn all() -> [Self; 3] {
        [
            Self { module: KUBERNETES, programs: vec![("etcd", "go.etcd.io/etcd/server/v3")] },
            Self {
                module: KUBERNETES,
                programs: vec![
                    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
                    ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
                    ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
                    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
                ],
            },
            Self { module: KWOK, programs: vec![("kwok", "sigs.k8s.io/kwok/cmd/kwok")] },
        ]
    }

    /// The part of it that builds one of `wanted`.
    pub(crate) fn only(mut self, wanted: &[&str]) -> Option<Self> {
        self.programs.retain(|(program, _)| wanted.contains(program));
        (!self.programs.is_empty()).then_some(self)
    }

    fn names(&self) -> String {
        self.programs.iter().map(|(program, _)| *program).collect::<Vec<_>>().join(", ")
    }
}

/// The version of Go that builds the modules; it may be newer than the installed one, which then fetches it.
pub(crate) fn go_version() -> Result<String> {
    let output = match Command::new("go").args(["env", "GOVERSION"]).current_dir(KUBERNETES).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(NO_GO),
        output => output.context("cannot run `go env GOVERSION`")?,
    };
    if !output.status.success() {
        bail!(
            "`go env GOVERSION` failed, so the control plane cannot be built: {}\ninstall Go 1.26 or newer (https://go.dev/dl)",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs the builds one after the other and moves each result into `cache` when it is complete.
pub(crate) fn run(builds: &[Build], cache: &Path) -> Result<()> {
    if builds.is_empty() {
        return Ok(());
    }
    let started = Instant::now();
    eprintln!("controlplane: building the Kubernetes control plane, once; this takes about 5 minutes on two cores");
    eprintln!("controlplane: the result is kept in {}", cache.display());
    let output = tempfile::Builder::new()
        .prefix("building-")
        .tempdir_in(cache)
        .context("cannot create a folder for the build")?;
    for (number, build) in builds.iter().enumerate() {
        build_one(build, output.path(), &format!("[{}/{}] {}", number + 1, builds.len(), build.names()))?;
        for (program, _) in &build.programs {
            fs::rename(output.path().join(program), cache.join(program))
                .with_context(|| format!("cannot keep the built {program}"))?;
        }
    }
    eprintln!("controlplane: built in {}", minutes(started.elapsed()));
    Ok(())
}

fn build_one(build: &Build, output: &Path, title: &str) -> Result<()> {
    let target = match build.programs.as_slice() {
        // Named, because Go would call etcd after the last part of its package.
        [(program, _)] => output.join(program),
        // Several go into the folder; the trailing slash says that it is one.
        _ => output.join(""),
    };
    let mut child = Command::new("go")
        .args(["build", "-v", "-trimpath", "-ldflags", &linker_flags(build.module)?, "-o"])
        .arg(target)
        .args(build.programs.iter().map(|(_, package)| *package))
        .current_dir(build.module)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context(NO_GO)?;
    let stderr = child.stderr.take().context("the build has no stderr")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));

    let mut progress = Progress::new(title);
    let mut last: VecDeque<String> = VecDeque::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                progress.count(&line);
                last.push_back(line);
                if last.len() > 30 {
                    last.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        progress.show(false);
    }
    let status = child.wait().context("cannot wait for `go build`")?;
    progress.show(true);
    if !status.success() {
        let tail = last.into_iter().collect::<Vec<_>>().join("\n");
        bail!(
            "building {} failed ({status}):\n{tail}\nthe first build needs the network for its Go modules (see `go help environment`, GOPROXY) and about 6 GB of disk",
            build.names()
        );
    }
    Ok(())
}

/// Without the version set here `kubectl version` and the API server say "v0.0.0-master".
fn linker_flags(module: &str) -> Result<String> {
    let mut flags = "-s -w".to_owned();
    if module == KUBERNETES {
        let text =
            fs::read_to_string(Path::new(module).join("go.mod")).context("cannot read the Go module of Kubernetes")?;
        let version = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
            .and_then(|rest| rest.split_whitespace().next())
            .context("go.mod names no version of k8s.io/kubernetes")?;
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        for (name, value) in [("gitVersion", version), ("gitMajor", major), ("gitMinor", minor)] {
            flags.push_str(&format!(" -X k8s.io/component-base/version.{name}={value}"));
        }
    }
    Ok(flags)
}

/// One line per build: rewritten in place on a terminal, repeated now and then in a log.
struct Progress<'a> {
    title: &'a str,
    started: Instant,
    shown: Option<Instant>,
    downloads: usize,
    packages: usize,
    terminal: bool,
}

impl<'a> Progress<'a> {
    fn new(title: &'a str) -> Self {
        Self {
            title,
            started: Instant::now(),
            shown: None,
            downloads: 0,
            packages: 0,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    fn count(&mut self, line: &str) {
        if line.starts_with("go: downloading") {
            self.downloads += 1;
        } else {
            self.packages += 1;
        }
    }

    fn show(&mut self, done: bool) {
        let pause = Duration::from_secs(if self.terminal { 1 } else { 10 });
        if !done && self.shown.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        self.shown = Some(Instant::now());
        let mut line = format!("controlplane: {}: {}", self.title, minutes(self.started.elapsed()));
        if self.downloads > 0 {
            line.push_str(&format!(", {} modules downloaded", self.downloads));
        }
        line.push_str(&format!(", {} packages compiled", self.packages));
        if done {
            line.push_str(", done");
        }
        let mut stderr = std::io::stderr().lock();
        // Progress that cannot be shown is no reason to stop the build.
        let _ = if self.terminal {
            write!(stderr, "\r\x1b[K{line}{}", if done { "\n" } else { "" })
        } else {
            writeln!(stderr, "{line}")
        };
        let _ = stderr.flush();
    }
}

fn minutes(time: Duration) -> String {
    format!("{}m{:02}s", time.as_secs() / 60, time.as_secs() % 60)
}
