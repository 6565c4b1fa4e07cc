//! A program that is no part of a control plane, under a supervisor of its own: it ends with this process, however that ends.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    Supervisor,
    handle::Handle,
    plan::{Component, Plan, log_file},
    supervisor::tail,
};

/// A supervised program. Dropping it stops the program and removes its folder.
#[derive(Debug)]
pub struct Supervised {
    handle: Handle,
    name: String,
    log: PathBuf,
}

impl Supervised {
    /// Starts `program`, called `name` in messages.
    ///
    /// `folder` is made for it: output goes to `logs/<name>.log` there, and the supervisor removes the folder when it ends.
    pub async fn start(
        supervisor: &Supervisor,
        folder: &Path,
        name: &str,
        program: &Path,
        arguments: Vec<String>,
    ) -> Result<Self> {
        let log = log_file(folder, name);
        log.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let component = Component { name: name.to_owned(), program: program.to_owned(), arguments, level: 0 };
        Plan { components: vec![component] }.write(folder)?;
        let this = Self { handle: Handle::start(supervisor, folder).await?, name: name.to_owned(), log };
        this.resume().await?;
        Ok(this)
    }

    /// Starts the program again with the same arguments, after [`pause`](Self::pause).
    pub async fn resume(&self) -> Result<()> {
        self.handle.start_component(&self.name).await
    }

    /// Asks the program to end (SIGTERM), kills it if it takes too long, and returns when it is gone.
    pub async fn pause(&self) -> Result<()> {
        self.handle.stop_component(&self.name).await
    }

    /// Ends program and supervisor and waits for both; dropping does the same, but blocks the runtime's thread meanwhile.
    pub async fn stop(self) -> Result<()> {
        let name = self.name.clone();
        tokio::task::spawn_blocking(move || drop(self)).await.with_context(|| format!("stopping {name} failed"))
    }

    /// The process id of the program, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.handle.pids().get(&self.name).copied()
    }

    /// Ends with the reason when the program ends by itself; never otherwise.
    pub async fn failure(&self) -> anyhow::Error {
        self.handle.failure().await
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its output.
    pub fn tail(&self) -> String {
        tail(&self.log)
    }
}
