//! Beginning and end: the API server away for a while, a part that dies, and nothing left over however the starter ended.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use controlplane::{ControlPlane, Supervised, Supervisor, User};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{ListParams, PostParams},
    runtime::wait::await_condition,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);
const STARTER: &str = "CONTROLPLANE_TEST_STARTER";
const PIDS: &str = "pids: ";

#[test]
fn supervise() {
    controlplane::supervise_if_asked();
}

/// Not a test of its own: the process that the one below kills.
#[tokio::test]
async fn starter() -> Result<()> {
    if env::var_os(STARTER).is_none() {
        return Ok(());
    }
    let supervisor = Supervisor::libtest("supervise")?;
    let plane = ControlPlane::start(supervisor.clone()).await?;
    let folder = plane.folder().join("program");
    let program =
        Supervised::start(&supervisor, &folder, "sleep", Path::new("/bin/sleep"), vec!["1000".into()]).await?;
    let mut pids = plane.pids();
    pids.insert("sleep".into(), program.pid().context("it does not run")?);
    eprintln!("{PIDS}{}", serde_json::to_string(&(pids, plane.folder()))?);
    std::future::pending().await
}

#[tokio::test]
async fn everything_ends_when_the_starter_is_killed() -> Result<()> {
    let mut starter = Command::new(env::current_exe()?)
        .args(["--exact", "starter", "--nocapture"])
        .env(STARTER, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = BufReader::new(starter.stderr.take().context("no stderr")?);
    let line =
        stderr.lines().map_while(Result::ok).find_map(|line| line.split_once(PIDS).map(|(_, rest)| rest.to_owned()));
    let (pids, folder): (BTreeMap<String, i32>, std::path::PathBuf) =
        serde_json::from_str(&line.context("the starter said no pids")?)?;
    assert_eq!(pids.len(), 7, "{pids:?}");
    starter.kill()?;
    starter.wait()?;
    all_gone(&pids.into_values().collect::<Vec<_>>()).await?;
    assert!(!folder.exists(), "{} is left", folder.display());
    Ok(())
}

/// They are no children of this process, so there is nothing to wait for but their absence.
async fn all_gone(pids: &[i32]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left: Vec<i32> = pids.iter().copied().filter(|pid| kill(Pid::from_raw(*pid), None).is_ok()).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the processes {left:?} are left");
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_api_server_comes_back_and_a_dying_part_is_told() -> Result<()> {
    let plane = ControlPlane::start(Supervisor::libtest("supervise")?).await?;
    let client = plane.client(User::Admin).await?;
    let api: Api<Deployment> = Api::namespaced(client.clone(), "default");

    plane.stop_apiserver().await?;
    let refused = timeout(PATIENCE, api.list(&ListParams::default())).await.context("no answer at all")?;
    assert!(refused.is_err(), "an API server still answers");
    plane.start_apiserver().await?;
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": "after"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "after"}},
            "template": {"metadata": {"labels": {"app": "after"}}, "spec": {"containers": [{"name": "main", "image": "example.test/main:1"}]}},
        },
    }))?;
    api.create(&PostParams::default(), &deployment).await?;
    let available = |deployment: Option<&Deployment>| {
        deployment.and_then(|deployment| deployment.status.as_ref()).and_then(|status| status.available_replicas)
            == Some(2)
    };
    timeout(PATIENCE, await_condition(api, "after", available)).await.context("nothing works after the restart")??;

    let pids = plane.pids();
    let scheduler = pids.get("kube-scheduler").copied().context("no scheduler runs")?;
    kill(Pid::from_raw(i32::try_from(scheduler)?), Signal::SIGKILL)?;
    let error = timeout(PATIENCE, plane.failure()).await.context("the death of the scheduler is not noticed")?;
    assert!(error.to_string().contains("kube-scheduler ended unexpectedly"), "{error}");

    plane.stop().await?;
    let pids = pids.into_values().map(i32::try_from).collect::<Result<Vec<_>, _>>()?;
    all_gone(&pids).await
}
