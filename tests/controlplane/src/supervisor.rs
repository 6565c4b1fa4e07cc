//! The supervisor process: owns the components and stops them in order when its starter is gone, however that ended.
//!
//! Its stdin is a pipe whose other end the starter holds; the kernel closes that end even when the starter is killed, which
//! neither a destructor nor a signal handler can promise.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{BufRead, ErrorKind, Write},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::timeout,
};

use crate::plan::{Component, KEEP_VARIABLE, MARK, Plan, Report, Request, log_file};

/// How long a component may take to end before it is killed. Nothing in the instance is worth waiting longer for.
const DEADLINE: Duration = Duration::from_secs(3);

/// Becomes the supervisor of the instance in `folder`; returns when everything is stopped.
pub(crate) fn run(folder: &Path) -> Result<()> {
    let plan = Plan::read(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the supervisor's runtime")?;
    runtime.block_on(
        Supervisor { folder: folder.to_owned(), plan, running: HashMap::new(), exits: FuturesUnordered::new() }.serve(),
    )?;
    if std::env::var_os(KEEP_VARIABLE).is_none()
        && let Err(error) = fs::remove_dir_all(folder)
        // It may lie in the folder of another instance that ends at the same time.
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
    }
    Ok(())
}

struct Supervisor {
    folder: PathBuf,
    plan: Plan,
    running: HashMap<String, Process>,
    exits: FuturesUnordered<BoxFuture<'static, (String, std::io::Result<ExitStatus>)>>,
}

struct Process {
    /// Valid as long as the entry exists: the exit is noticed and the entry removed by the same task.
    pid: Pid,
    level: u8,
    asked_to_stop: bool,
}

impl Supervisor {
    async fn serve(mut self) -> Result<()> {
        // Ctrl-C reaches every process of the terminal's group. The starter decides what it means; here the order counts.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut requests = requests();
        report(&Report::Ready);
        loop {
            tokio::select! {
                line = requests.recv() => match line {
                    Some(line) => self.answer(&line).await,
                    None => break,
                },
                Some((name, status)) = self.exits.next() => self.ended(&name, status),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
        }
        while let Some(level) = self.running.values().map(|process| process.level).max() {
            self.stop(|process| process.level == level).await;
        }
        Ok(())
    }

    async fn answer(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Request::Start(name)) => match self.start(&name) {
                Ok(pid) => report(&Report::Started { name, pid }),
                Err(error) => report(&Report::Died { name, why: format!("{error:#}") }),
            },
            Ok(Request::Stop(name)) => {
                if let Some(pid) = self.running.get(&name).map(|process| process.pid) {
                    self.stop(|process| process.pid == pid).await;
                } else {
                    report(&Report::Stopped { name });
                }
            }
            Err(error) => eprintln!("not a request: {line}: {error}"),
        }
    }

    fn start(&mut self, name: &str) -> Result<u32> {
        if let Some(process) = self.running.get(name) {
            return Ok(process.pid.as_raw().try_into()?);
        }
        let component: &Component = self
            .plan
            .components
            .iter()
            .find(|component| component.name == name)
            .with_context(|| format!("the plan has no {name}"))?;
        let path = log_file(&self.folder, name);
        let log: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let mut child = Command::new(&component.program)
            .args(&component.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", component.program.display()))?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        let process = Process { pid: Pid::from_raw(pid.try_into()?), level: component.level, asked_to_stop: false };
        self.running.insert(name.to_owned(), process);
        let name = name.to_owned();
        self.exits.push(Box::pin(async move { (name, child.wait().await) }));
        Ok(pid)
    }

    /// Asks the chosen ones to end, all at once; kills what is still there after the deadline.
    async fn stop(&mut self, chosen: impl Fn(&Process) -> bool) {
        for process in self.running.values_mut().filter(|process| chosen(process)) {
            process.asked_to_stop = true;
        }
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            for process in self.running.values().filter(|process| process.asked_to_stop) {
                // It fails only for one that has ended meanwhile.
                let _ = kill(process.pid, signal);
            }
            let all_ended = async {
                while self.running.values().any(|process| process.asked_to_stop) {
                    let Some((name, status)) = self.exits.next().await else {
                        break;
                    };
                    self.ended(&name, status);
                }
            };
            if timeout(DEADLINE, all_ended).await.is_ok() {
                return;
            }
        }
    }

    fn ended(&mut self, name: &str, status: std::io::Result<ExitStatus>) {
        let asked_to_stop = self.running.remove(name).is_some_and(|process| process.asked_to_stop);
        let name = name.to_owned();
        if asked_to_stop {
            report(&Report::Stopped { name });
        } else {
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            let why =
                format!("ended unexpectedly ({status}); the end of its log:\n{}", tail(&log_file(&self.folder, &name)));
            report(&Report::Died { name, why });
        }
    }
}

/// The lines of stdin. A thread of its own reads them, which at the end may still be in its read: nobody waits for it.
fn requests() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

/// The last lines of a log, enough to see why a component gave up.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn report(report: &Report) {
    let line = serde_json::to_string(report).unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    // When nobody listens any more the end of stdin is next.
    let _ = writeln!(stdout, "{MARK}{line}");
    let _ = stdout.flush();
}
