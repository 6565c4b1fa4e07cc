//! The starter's end of the supervisor: starts it, sends it requests, knows the state of every component.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::sync::watch;

use crate::plan::{FOLDER_VARIABLE, MARK, Report, Request, log_file};

/// How to start the supervisor: which program, which arguments.
#[derive(Clone, Debug)]
pub struct Supervisor {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Supervisor {
    /// The running program itself, which has a subcommand `supervise` that calls [`supervise_if_asked`](crate::supervise_if_asked).
    pub fn own_binary() -> Result<Self> {
        Ok(Self { program: this_program()?, arguments: vec!["supervise".into()] })
    }

    /// The running test binary, which has a test `name` whose body is [`supervise_if_asked`](crate::supervise_if_asked).
    ///
    /// In a module the name is the whole path, as `cargo test` prints it.
    pub fn libtest(name: &str) -> Result<Self> {
        let arguments = ["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"];
        Ok(Self { program: this_program()?, arguments: arguments.map(OsString::from).to_vec() })
    }
}

fn this_program() -> Result<PathBuf> {
    env::current_exe().context("cannot find the running program, which is to be the supervisor")
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Running(u32),
    Stopped,
    Died(String),
}

#[derive(Clone, Debug, Default)]
struct States {
    ready: bool,
    /// The supervisor itself has ended.
    gone: bool,
    components: BTreeMap<String, State>,
}

/// A running supervisor. Dropping it stops everything and waits for that.
#[derive(Debug)]
pub(crate) struct Handle {
    child: Mutex<Child>,
    /// Closing it is what ends the supervisor.
    requests: Mutex<Option<ChildStdin>>,
    /// Works in whichever runtime asks, as an instance outlives that of the test that started it.
    states: watch::Receiver<States>,
    log: PathBuf,
}

impl Handle {
    pub(crate) async fn start(supervisor: &Supervisor, folder: &Path) -> Result<Self> {
        let log = log_file(folder, "supervisor");
        let mut child = Command::new(&supervisor.program)
            .args(&supervisor.arguments)
            .env(FOLDER_VARIABLE, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Not inherited: whoever reads the starter's stderr to its end would wait for the components too.
            .stderr(File::create(&log).context("cannot write the supervisor's log")?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {} as the supervisor", supervisor.program.display()))?;
        let requests = child.stdin.take();
        let reports = child.stdout.take().context("the supervisor has no stdout")?;
        let (sender, states) = watch::channel(States::default());
        thread::spawn(move || {
            for line in BufReader::new(reports).lines().map_while(Result::ok) {
                // Not at the start of the line: libtest prints the name of the test before it runs it.
                let report = line.split_once(MARK).and_then(|(_, json)| serde_json::from_str(json).ok());
                if let Some(report) = report {
                    sender.send_modify(|states| states.note(report));
                }
            }
            sender.send_modify(|states| states.gone = true);
        });
        let handle = Self { child: Mutex::new(child), requests: Mutex::new(requests), states, log };
        handle.wait(|states| states.ready).await.context(
            "the supervisor did not start: a test binary needs a test of the given name whose body is `controlplane::supervise_if_asked()`",
        )?;
        Ok(handle)
    }

    pub(crate) async fn start_component(&self, name: &str) -> Result<()> {
        self.send(&Request::Start(name.to_owned()))?;
        self.wait(|states| matches!(states.components.get(name), Some(State::Running(_)))).await
    }

    pub(crate) async fn stop_component(&self, name: &str) -> Result<()> {
        self.send(&Request::Stop(name.to_owned()))?;
        self.wait(|states| matches!(states.components.get(name), Some(State::Stopped))).await
    }

    /// Ends with an error when any component dies; never otherwise.
    pub(crate) async fn failure(&self) -> anyhow::Error {
        match self.wait(|_| false).await {
            Ok(()) => anyhow::anyhow!("the supervisor ended"),
            Err(error) => error,
        }
    }

    /// The process ids of the running components and of the supervisor, by name.
    pub(crate) fn pids(&self) -> BTreeMap<String, u32> {
        let mut pids = BTreeMap::new();
        if let Ok(child) = self.child.lock() {
            pids.insert("supervisor".to_owned(), child.id());
        }
        for (name, state) in &self.states.borrow().components {
            if let State::Running(pid) = state {
                pids.insert(name.clone(), *pid);
            }
        }
        pids
    }

    fn send(&self, request: &Request) -> Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let mut requests = self.requests.lock().map_err(|_| anyhow::anyhow!("a request to the supervisor panicked"))?;
        let pipe = requests.as_mut().context("the supervisor is stopped")?;
        pipe.write_all(&line).with_context(|| self.gone())
    }

    async fn wait(&self, until: impl Fn(&States) -> bool) -> Result<()> {
        let mut states = self.states.clone();
        // A sender that is gone has said so before.
        let states = states.wait_for(|states| states.gone || until(states) || states.dead().is_some()).await;
        let states = states.map_err(|_| anyhow::anyhow!(self.gone()))?;
        if until(&states) {
            return Ok(());
        }
        match states.dead() {
            Some((name, why)) => bail!("{name} {why}"),
            None => bail!(self.gone()),
        }
    }

    fn gone(&self) -> String {
        format!("the supervisor has ended; its log is {}", self.log.display())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Ok(requests) = self.requests.get_mut() {
            requests.take();
        }
        // Each of the three levels may take its two deadlines, so this is the supervisor's own longest time.
        let deadline = Instant::now() + Duration::from_secs(20);
        if let Ok(child) = self.child.get_mut() {
            while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

impl States {
    fn note(&mut self, report: Report) {
        match report {
            Report::Ready => self.ready = true,
            Report::Started { name, pid } => {
                self.components.insert(name, State::Running(pid));
            }
            Report::Stopped { name } => {
                self.components.insert(name, State::Stopped);
            }
            Report::Died { name, why } => {
                // Said here too: whoever uses the API server only sees refused connections.
                eprintln!("controlplane: {name} {why}");
                self.components.insert(name, State::Died(why));
            }
        }
    }

    fn dead(&self) -> Option<(&str, &str)> {
        self.components.iter().find_map(|(name, state)| {
            if let State::Died(why) = state { Some((name.as_str(), why.as_str())) } else { None }
        })
    }
}
