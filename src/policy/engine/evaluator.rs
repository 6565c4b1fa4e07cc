//! Speaks to the evaluating child, one call at a time, and starts it again when it died.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    Loaded,
    process::{Started, ended, start},
};
use crate::policy::{
    failure::{Failure, Reason},
    limits::{self, Limits},
    protocol::{Report, Request, frame_length},
};

/// The child, while there is one.
#[derive(Debug)]
pub(super) struct Evaluator {
    program: PathBuf,
    started: Arc<AtomicU64>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Started,
    engine: u64,
    loaded: HashSet<String>,
}

impl Evaluator {
    pub(super) fn new(program: PathBuf, started: Arc<AtomicU64>) -> Self {
        Self { program, started, running: None }
    }

    /// Loads and tries out a module. What is not in `keep` is unloaded.
    pub(super) async fn load(&mut self, module: &Loaded, keep: &[String]) -> Result<Report, Failure> {
        let mut running = self.running().await?;
        running.tidy(module, keep).await?;
        let report = running.load(module).await?;
        self.running = Some(running);
        Ok(report)
    }

    /// Asks something of a module, which is loaded when this child does not have it.
    pub(super) async fn ask(&mut self, module: &Loaded, request: &Request, keep: &[String]) -> Result<Report, Failure> {
        // Taken out: when this call is given up halfway, the child goes with it, because its answer would be taken for
        // the answer to the next one.
        let mut running = self.running().await?;
        if !running.loaded.contains(&module.digest) {
            running.tidy(module, keep).await?;
            let report = running.load(module).await?;
            if report.result.is_err() {
                self.running = Some(running);
                return Ok(report);
            }
        }
        let report = running.exchange(request).await?;
        self.running = Some(running);
        Ok(report)
    }

    async fn running(&mut self) -> Result<Running, Failure> {
        if let Some(mut running) = self.running.take() {
            // One that died between two calls is nobody's fault.
            if matches!(running.process.child.try_wait(), Ok(None)) {
                return Ok(running);
            }
        }
        self.started.fetch_add(1, Ordering::Relaxed);
        let mut process = start(&self.program, "policy-evaluate")?;
        let mut hello = [0; 8];
        let read = timeout(limits::EVALUATE_WALL, process.stdout.read_exact(&mut hello)).await;
        if !matches!(read, Ok(Ok(_))) {
            let how = how(&mut process).await;
            let words = format!("the evaluating process did not start: {how}");
            return Err(Failure::new(Reason::EngineUnavailable, words));
        }
        Ok(Running { process, engine: u64::from_le_bytes(hello), loaded: HashSet::new() })
    }

    #[cfg(debug_assertions)]
    pub(super) async fn misbehave(&mut self, how: &str) -> Result<Report, Failure> {
        self.running().await?.exchange(&Request::Misbehave { how: how.to_owned() }).await
    }

    #[cfg(debug_assertions)]
    pub(super) fn process(&self) -> Option<u32> {
        self.running.as_ref()?.process.child.id()
    }
}

impl Running {
    async fn load(&mut self, module: &Loaded) -> Result<Report, Failure> {
        if module.engine != self.engine {
            let words = "the code was compiled for another engine than the evaluating process has";
            return Err(Failure::new(Reason::EngineUnavailable, words));
        }
        let request = Request::Load {
            key: module.digest.clone(),
            schema: module.schema(),
            native: module.native.clone(),
            limits: Limits::default(),
        };
        let report = self.exchange(&request).await?;
        if report.result.is_ok() {
            self.loaded.insert(module.digest.clone());
        }
        Ok(report)
    }

    /// Has the child forget what the operator forgot.
    async fn tidy(&mut self, module: &Loaded, keep: &[String]) -> Result<(), Failure> {
        let gone = |key: &&String| !keep.contains(key) && **key != module.digest;
        let gone: Vec<String> = self.loaded.iter().filter(gone).cloned().collect();
        for key in gone {
            self.loaded.remove(&key);
            self.exchange(&Request::Unload { key }).await?;
        }
        Ok(())
    }

    async fn exchange(&mut self, request: &Request) -> Result<Report, Failure> {
        let frame = request.frame();
        if frame.len() > limits::REQUEST {
            let most = limits::REQUEST >> 20;
            return Err(Failure::new(Reason::EngineUnavailable, format!("the request is larger than {most} MiB")));
        }
        let Started { stdin, stdout, .. } = &mut self.process;
        let speak = async {
            stdin.write_all(&frame).await?;
            let mut head = [0; 4];
            stdout.read_exact(&mut head).await?;
            let garbled = |_| std::io::Error::from(std::io::ErrorKind::InvalidData);
            let mut body = vec![0; frame_length(head, limits::ANSWER).map_err(garbled)?];
            stdout.read_exact(&mut body).await?;
            Report::read(&body).map_err(garbled)
        };
        match timeout(limits::EVALUATE_WALL, speak).await {
            Ok(Ok(report)) => Ok(report),
            Err(_) => Err(Failure::new(Reason::Timeout, format!("no answer within {:?}", limits::EVALUATE_WALL))),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(Failure::new(Reason::EngineCrashed, "the evaluating process answered with nonsense"))
            }
            Ok(Err(_)) => {
                let how = how(&mut self.process).await;
                Err(Failure::new(Reason::EngineCrashed, format!("the evaluating process ended with {how}")))
            }
        }
    }
}

/// How a child ended whose pipe is closed; ends one that lives on without it.
async fn how(process: &mut Started) -> String {
    match timeout(std::time::Duration::from_secs(1), process.child.wait()).await {
        Ok(Ok(status)) => ended(status),
        Ok(Err(error)) => error.to_string(),
        Err(_) => {
            let _ = process.child.start_kill();
            "a closed pipe".into()
        }
    }
}
