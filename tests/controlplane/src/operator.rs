//! The operator as a process on this machine: starting it, waiting until it is ready, what it takes, ending it.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use controlplane::{CardServer, Supervised, Supervisor, free_port};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::usage::Usage;

/// How long it may take until it has seen the cluster. Far above what is normal: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running operator. It ends when this value is dropped, or with this process, however that ends.
pub(crate) struct Operator {
    process: Supervised,
    probe_port: u16,
}

impl Operator {
    /// Starts `program` for the cluster of `kubeconfig` with `more` arguments, and waits until it is ready; `folder` is made
    /// for its log and removed at its end.
    pub(crate) async fn start(program: &Path, kubeconfig: &Path, folder: &Path, more: &[String]) -> Result<Self> {
        let probe_port = free_port()?;
        let mut arguments = vec![
            "run".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            "--metrics-bind-address=0".to_owned(),
            format!("--health-probe-bind-address=127.0.0.1:{probe_port}"),
        ];
        arguments.extend_from_slice(more);
        let supervisor = Supervisor::own_binary()?;
        let process = Supervised::start(&supervisor, folder, "igw", program, arguments).await?;
        let this = Self { process, probe_port };
        this.ready().await?;
        Ok(this)
    }

    /// Ends it gracefully and starts it again.
    pub(crate) async fn restart(&self) -> Result<()> {
        self.process.pause().await?;
        self.process.resume().await?;
        self.ready().await
    }

    /// Ends it gracefully.
    pub(crate) async fn stop(self) -> Result<()> {
        self.process.pause().await?;
        self.process.stop().await
    }

    /// Ends with the reason when it ends by itself; never otherwise.
    pub(crate) async fn failure(&self) -> anyhow::Error {
        self.process.failure().await
    }

    /// What it and its children take now.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of_all(self.process.pid().context("the operator does not run")?)
    }

    /// Bytes that it and its children have resident now, what they share counted once; `None` where we may not look.
    pub(crate) fn shared_once(&self) -> Option<u64> {
        Usage::shared_once(self.process.pid()?)
    }

    /// The file that its messages go to.
    pub(crate) fn log(&self) -> PathBuf {
        self.process.log().to_owned()
    }

    /// Its last messages.
    pub(crate) fn tail(&self) -> String {
        self.process.tail()
    }

    async fn ready(&self) -> Result<()> {
        let answers = async {
            // Nothing tells when a server begins to answer.
            while !probe(self.probe_port).await.unwrap_or(false) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            answered = timeout(PATIENCE, answers) => {
                if answered.is_err() {
                    bail!(
                        "the operator is not ready after {} s; the end of its log:\n{}",
                        PATIENCE.as_secs(),
                        self.tail()
                    );
                }
                Ok(())
            }
            error = self.failure() => Err(error.context("the operator ended before it was ready")),
        }
    }
}

/// The argument that makes the operator fetch every agent's card from `cards`: it cannot resolve the names of a cluster from outside.
pub(crate) fn cards_from(cards: &CardServer) -> String {
    format!("--agent-connect-to=::{}", cards.address())
}

/// Whether `/readyz` answers 200: every watch has its first list.
async fn probe(port: u16) -> Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await??;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
