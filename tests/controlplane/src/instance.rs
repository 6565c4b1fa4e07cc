//! A control plane of its own: starting it, finding its parts, taking its API server away for a while.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures::TryFutureExt;
use http::Request;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{
    Api, Client,
    runtime::wait::{await_condition, conditions::is_created},
};
use tokio::{sync::OnceCell, time::timeout};

use crate::{
    Audit, Binaries, Supervisor, User, audit,
    components::{self, APISERVER, CONTROLLERS, ETCD, KWOK, Layout, Ports, SCHEDULER},
    credentials::Credentials,
    handle::Handle,
    plan::KEEP_VARIABLE,
    ports, simulated,
};

/// How long a part may take to answer. Far above what is normal: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an instance is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many simulated nodes it has.
    pub nodes: u32,
    /// Whether requests are logged.
    pub audit: bool,
    /// Leaves controller manager and scheduler at the call limits that they have by default, as in most real clusters.
    pub default_controller_limits: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 4, audit: true, default_controller_limits: false }
    }
}

/// A running control plane. It ends when this value is dropped, or with the process, however that ends.
#[derive(Debug)]
pub struct ControlPlane {
    // Before the folder: dropped first, so that nothing is written any more when the folder goes.
    handle: Handle,
    folder: PathBuf,
    binaries: Binaries,
    credentials: Credentials,
    startup: Duration,
}

impl ControlPlane {
    /// Starts one with the default options. Ready means: the API server answers, the nodes can take pods, the controllers work.
    pub async fn start(supervisor: Supervisor) -> Result<Self> {
        Self::start_with(supervisor, Options::default()).await
    }

    /// Starts one.
    pub async fn start_with(supervisor: Supervisor, options: Options) -> Result<Self> {
        // Building takes minutes and has no other use for the runtime's thread.
        let binaries = tokio::task::spawn_blocking(Binaries::ensure).await??;
        let mut attempt = 1;
        loop {
            match Self::launch(&supervisor, &options, binaries.clone()).await {
                // Between finding a free port and using it someone else may take it.
                Err(error) if attempt < 3 && format!("{error:#}").contains("address already in use") => {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// The one instance of this process, started by the first who asks; it ends with the process.
    ///
    /// For tests: each in its own [namespace](Self::create_namespace). It may be used from several runtimes, its clients may not.
    pub async fn shared(supervisor: Supervisor) -> Result<&'static Self> {
        static SHARED: OnceCell<Result<ControlPlane, String>> = OnceCell::const_new();
        let start = || Self::start(supervisor).map_err(|error| format!("{error:#}"));
        // A failure is kept too: no second test should wait for the same one.
        let shared = SHARED.get_or_init(|| async { start().await }).await;
        shared.as_ref().map_err(|error| anyhow::anyhow!("the control plane did not start: {error}"))
    }

    async fn launch(supervisor: &Supervisor, options: &Options, binaries: Binaries) -> Result<Self> {
        let started = Instant::now();
        let [etcd, apiserver] = ports::free()?;
        let ports = Ports { etcd, apiserver };
        let folder = tempfile::Builder::new()
            .prefix("igw-controlplane-")
            .tempdir()
            .context("cannot create a folder for the control plane")?;
        std::fs::create_dir(folder.path().join("logs"))?;
        let credentials = Credentials::create(folder.path(), ports.apiserver)?;
        audit::write_policy(folder.path())?;
        simulated::write_stages(folder.path())?;
        components::plan(
            &Layout { folder: folder.path(), binaries: &binaries, credentials: &credentials, ports },
            options,
        )
        .write(folder.path())?;

        let handle = Handle::start(supervisor, folder.path()).await?;
        // From here on the supervisor removes it: it is there when this process is not any more.
        let folder = folder.keep();
        let mut this = Self { handle, folder, binaries, credentials, startup: Duration::ZERO };
        this.bring_up(ports, options).await?;
        this.startup = started.elapsed();
        Ok(this)
    }

    async fn bring_up(&self, ports: Ports, options: &Options) -> Result<()> {
        self.handle.start_component(ETCD).await?;
        self.or_failure("etcd did not listen", listening(ports.etcd)).await?;
        self.start_apiserver().await?;
        let client = self.client(User::Admin).await?;
        for component in [CONTROLLERS, KWOK, SCHEDULER] {
            self.handle.start_component(component).await?;
        }
        self.or_failure("the nodes did not become Ready", async {
            simulated::create_nodes(&client, options.nodes).await?;
            simulated::nodes_ready(&client, options.nodes).await
        })
        .await?;
        self.or_failure("the controllers made no default ServiceAccount", default_service_account(&client, "default"))
            .await
    }

    /// Ends it and waits until everything is stopped; dropping does the same, but blocks the runtime's thread meanwhile.
    pub async fn stop(self) -> Result<()> {
        tokio::task::spawn_blocking(move || drop(self)).await.context("stopping the control plane failed")
    }

    /// Stops the API server alone: watches are cut, connections refused. The port stays its own.
    pub async fn stop_apiserver(&self) -> Result<()> {
        self.handle.stop_component(APISERVER).await
    }

    /// Starts the API server again and waits until it is ready.
    pub async fn start_apiserver(&self) -> Result<()> {
        self.handle.start_component(APISERVER).await?;
        let client = self.client(User::Admin).await?;
        self.or_failure("the API server did not become ready", ready(&client)).await
    }

    /// Stops the API server and starts it again.
    pub async fn restart_apiserver(&self) -> Result<()> {
        self.stop_apiserver().await?;
        self.start_apiserver().await
    }

    /// Ends with the reason when a part of the control plane ends unexpectedly; never otherwise.
    pub async fn failure(&self) -> anyhow::Error {
        self.handle.failure().await
    }

    /// The audit log from its beginning.
    pub fn audit(&self) -> Audit {
        Audit::new(audit::log_file(&self.folder))
    }

    /// Where data, logs and kubeconfig files are. Removed when the control plane ends, unless the variable `CONTROLPLANE_KEEP` is set.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The programs it runs.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// A kubectl of the API server's version.
    pub fn kubectl(&self) -> &Path {
        &self.binaries.kubectl
    }

    /// Where the API server is.
    pub fn url(&self) -> &str {
        self.credentials.server()
    }

    /// The process ids of all parts that run, by the name of the program; `supervisor` is the process that owns the others.
    pub fn pids(&self) -> BTreeMap<String, u32> {
        self.handle.pids()
    }

    /// How long it took from the first step to ready, building not counted.
    pub fn startup(&self) -> Duration {
        self.startup
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The result of `work`, but not after [`PATIENCE`], and not if a component dies meanwhile.
    async fn or_failure<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = timeout(PATIENCE, work) => match result {
                Ok(result) => result,
                Err(_) => bail!(
                    "{what} in {} s: its logs are in {}/logs (set {KEEP_VARIABLE}=1 to keep them)",
                    PATIENCE.as_secs(),
                    self.folder.display()
                ),
            },
            error = self.handle.failure() => Err(error),
        }
    }
}

/// Nothing tells when a server begins to answer; this and the next one ask often, because every test run waits for it.
async fn listening(port: u16) -> Result<()> {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn ready(client: &Client) -> Result<()> {
    while client.request_text(Request::get("/readyz").body(Vec::new())?).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Pods of a namespace are refused until it has its default ServiceAccount.
pub(crate) async fn default_service_account(client: &Client, namespace: &str) -> Result<()> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    await_condition(api, "default", is_created())
        .await
        .with_context(|| format!("cannot watch the ServiceAccount of {namespace}"))?;
    Ok(())
}
