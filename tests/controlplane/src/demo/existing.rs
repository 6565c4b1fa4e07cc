//! The demo on a cluster that is there already: in a namespace of its own, after a question, and without a trace at the end.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use controlplane::Binaries;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

mod before;
mod removal;

use before::Plan;
use removal::Made;

use super::{Demo, examples::Examples, kubectl_cache};
use crate::{
    kubectl::Kubectl,
    operator::Operator,
    output::{confirmed, interrupted, say},
};

/// The namespace for everything.
const NAMESPACE: &str = "igw-demo";

/// Real nodes fetch images first.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn run(demo: &Demo, kubeconfig: &Path, yes: bool) -> Result<()> {
    let kubeconfig = fs::canonicalize(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let client = client(&kubeconfig).await?;
    let examples = Examples::small()?.in_namespace(NAMESPACE)?;
    let plan = Plan::make(&client).await?;
    say(&plan.text(&where_to(&kubeconfig)?, &examples));
    if !yes && !confirmed("Go on?")? {
        bail!("nothing was changed");
    }

    let program = kubectl_program().await?;
    let folder = tempfile::Builder::new().prefix("igw-demo-").tempdir()?;
    let kubectl = Kubectl::new(&program, &kubeconfig, &kubectl_cache(folder.path()));
    let mut stage = Stage {
        demo,
        client: &client,
        kubectl: &kubectl,
        kubeconfig: &kubeconfig,
        folder: folder.path(),
        shown: false,
    };
    let mut made = Made::default();
    let result = tokio::select! {
        result = stage.show(&plan, &examples, &mut made) => result,
        ended = interrupted() => ended,
    };
    let result = match result {
        Ok(()) if !stage.shown => Err(anyhow::anyhow!("stopped before everything was ready")),
        result => result,
    };
    say("\nRemoving what the demo made; for a kind that is new in a cluster this may take half a minute.");
    tokio::select! {
        removed = made.remove(&client) => removed?,
        ended = interrupted() => {
            ended?;
            bail!("stopped while removing: look for the namespace {NAMESPACE} and the CRDs above");
        }
    }
    say("Done.");
    result
}

/// The demo while it runs.
struct Stage<'a> {
    demo: &'a Demo,
    client: &'a Client,
    kubectl: &'a Kubectl,
    kubeconfig: &'a Path,
    folder: &'a Path,
    shown: bool,
}

impl Stage<'_> {
    /// `made` says at every moment what has to be removed.
    async fn show(&mut self, plan: &Plan, examples: &Examples, made: &mut Made) -> Result<()> {
        plan.install(self.client, made).await?;
        let selector = format!("--watch-namespace-selector=kubernetes.io/metadata.name={NAMESPACE}");
        // Policies that the cluster has are not this operator's: it neither runs them nor writes their statuses.
        let name = format!("--operator-name={NAMESPACE}");
        let folder = self.folder.join("operator");
        let operator = Operator::start(&self.demo.program, self.kubeconfig, &folder, &[selector, name]).await?;
        let operator = made.operator.insert(operator);
        say("The operator is ready.");

        let file = self.folder.join("examples.json");
        fs::write(&file, examples.as_list().to_string())?;
        say(self.kubectl.run(&["apply", "-f", &file.to_string_lossy()]).await?.trim_end());
        let resources = examples.resources();
        self.demo.present(self.client, self.kubectl, operator, &resources, PATIENCE).await?;
        self.demo.done();
        self.shown = true;
        if self.demo.once {
            return Ok(());
        }
        let shell = format!("  export KUBECONFIG={}\n", self.kubeconfig.display());
        self.demo.stay(&shell, operator, &resources, "").await
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let read = || {
        Kubeconfig::read_from(kubeconfig).with_context(|| format!("{} is not a kubeconfig file", kubeconfig.display()))
    };
    let config = Config::from_custom_kubeconfig(read()?, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    client
        .apiserver_version()
        .await
        .with_context(|| format!("the cluster of {} does not answer", kubeconfig.display()))?;
    Ok(client)
}

/// The cluster in the user's own words.
fn where_to(kubeconfig: &Path) -> Result<String> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let context = config.current_context.unwrap_or_default();
    let named = config.contexts.iter().find(|named| named.name == context);
    let cluster = named.and_then(|named| named.context.as_ref()).map(|context| context.cluster.as_str());
    let server = config
        .clusters
        .iter()
        .find(|named| Some(named.name.as_str()) == cluster)
        .and_then(|named| named.cluster.as_ref()?.server.clone());
    Ok(format!("context {context}, {}", server.unwrap_or_default()))
}

/// The user's own kubectl, which fits the cluster; else the one of the control plane, which may have to be built.
async fn kubectl_program() -> Result<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    if let Some(found) = env::split_paths(&folders).map(|folder| folder.join("kubectl")).find(|path| path.is_file()) {
        return Ok(found);
    }
    Ok(tokio::task::spawn_blocking(Binaries::ensure).await??.kubectl)
}
