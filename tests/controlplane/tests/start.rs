//! What tests and the demo count on: nodes, controllers, stuck pods, tokens, rights and the audit log.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use controlplane::{ControlPlane, MESSAGE_ANNOTATION, POD_LABEL, Supervisor, User};
use k8s_openapi::api::{
    apps::v1::Deployment,
    authentication::v1::SelfSubjectReview,
    core::v1::{ConfigMap, ContainerStateWaiting, Node, Pod, Service},
};
use kube::{
    Api, Client, Config, Resource,
    api::{DeleteParams, ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{
        WatchStreamExt,
        wait::{await_condition, conditions},
        watcher,
    },
};
use serde_json::json;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn supervise() {
    controlplane::supervise_if_asked();
}

async fn plane() -> Result<&'static ControlPlane> {
    ControlPlane::shared(Supervisor::libtest("supervise")?).await
}

fn deployment(name: &str, replicas: u32, pod: serde_json::Value) -> Result<Deployment> {
    let mut pod = pod;
    pod["metadata"]["labels"]["app"] = name.into();
    pod["spec"] = json!({"containers": [{"name": "main", "image": "example.test/main:1"}]});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pod},
    }))?)
}

#[tokio::test]
async fn nodes_are_ready_and_pods_run_on_them() -> Result<()> {
    let plane = plane().await?;
    assert!(plane.startup() < PATIENCE, "it took {:?}", plane.startup());
    let client = plane.client(User::Admin).await?;
    assert_eq!(Api::<Node>::all(client.clone()).list(&ListParams::default()).await?.items.len(), 4);

    let namespace = plane.create_namespace("run").await?;
    let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    api.create(&PostParams::default(), &deployment("web", 3, json!({}))?).await?;
    let available = |deployment: Option<&Deployment>| {
        deployment.and_then(|deployment| deployment.status.as_ref()).and_then(|status| status.available_replicas)
            == Some(3)
    };
    timeout(PATIENCE, await_condition(api.clone(), "web", available))
        .await
        .context("the Deployment is not Available")??;

    // The garbage collector works: pods go with their Deployment.
    api.delete("web", &DeleteParams::background()).await?;
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    for pod in pods.list(&ListParams::default()).await? {
        let (name, uid) = (pod.metadata.name.unwrap_or_default(), pod.metadata.uid.unwrap_or_default());
        timeout(PATIENCE, await_condition(pods.clone(), &name, conditions::is_deleted(&uid)))
            .await
            .context("a pod stays")??;
    }
    Ok(())
}

#[tokio::test]
async fn a_label_chooses_where_pods_get_stuck() -> Result<()> {
    let plane = plane().await?;
    let namespace = plane.create_namespace("stuck").await?;
    let client = plane.client(User::Admin).await?;
    let cases = [
        ("CreateContainerConfigError", Some("secret \"api-keys\" not found"), "secret \"api-keys\" not found"),
        ("ImagePullBackOff", None, "Back-off pulling image \"example.test/main:1\""),
        ("CrashLoopBackOff", None, "restarting failed container=main"),
    ];
    for (reason, message, expected) in cases {
        let name = reason.to_lowercase();
        let mut pod = json!({"metadata": {"labels": {POD_LABEL: reason}}});
        if let Some(message) = message {
            pod["metadata"]["annotations"] = json!({MESSAGE_ANNOTATION: message});
        }
        let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
        api.create(&PostParams::default(), &deployment(&name, 1, pod)?).await?;
        let waiting =
            timeout(PATIENCE, first_waiting(&client, &namespace, &name)).await.context("no container waits")??;
        assert_eq!(waiting.reason.as_deref(), Some(reason));
        let message = waiting.message.unwrap_or_default();
        assert!(message.contains(expected), "{reason}: {message}");
    }
    Ok(())
}

/// The first waiting state with a reason that a pod of the Deployment shows.
async fn first_waiting(client: &Client, namespace: &str, app: &str) -> Result<ContainerStateWaiting> {
    use futures::TryStreamExt;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut events =
        std::pin::pin!(watcher(pods, watcher::Config::default().labels(&format!("app={app}"))).applied_objects());
    while let Some(pod) = events.try_next().await? {
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        if let Some(waiting) = statuses.into_iter().find_map(|status| status.state.and_then(|state| state.waiting)) {
            return Ok(waiting);
        }
    }
    bail!("the watch ended")
}

#[tokio::test]
async fn services_get_addresses() -> Result<()> {
    let plane = plane().await?;
    let namespace = plane.create_namespace("service").await?;
    let api: Api<Service> = Api::namespaced(plane.client(User::Admin).await?, &namespace);
    let service = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}))?;
    let service = api.create(&PostParams::default(), &service).await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).unwrap_or_default();
    assert!(address.starts_with("10.32."), "the address is {address:?}");
    Ok(())
}

#[tokio::test]
async fn tokens_of_service_accounts_work() -> Result<()> {
    let plane = plane().await?;
    let namespace = plane.create_namespace("token").await?;
    let token = plane.service_account_token(&namespace, "default").await?;
    let file = plane.kubeconfig_for_token("token-test", &token)?;
    let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &KubeConfigOptions::default()).await?;
    let api: Api<SelfSubjectReview> = Api::all(Client::try_from(config)?);
    let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    assert_eq!(user, Some(format!("system:serviceaccount:{namespace}:default")));
    Ok(())
}

#[tokio::test]
async fn users_have_no_rights_of_their_own() -> Result<()> {
    let plane = plane().await?;
    for user in [User::Nobody, User::Operator] {
        let api: Api<Pod> = Api::namespaced(plane.client(user).await?, "default");
        match api.list(&ListParams::default()).await {
            Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{status:?}"),
            other => bail!("{}: {other:?}", user.name()),
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_audit_log_has_requests_of_users_only() -> Result<()> {
    let plane = plane().await?;
    let client = plane.client(User::Admin).await?;
    let mut audit = plane.audit();
    audit.skip()?;
    let namespace = plane.create_namespace("audit").await?;
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let mut map = ConfigMap::default();
    map.meta_mut().name = Some("noted".to_owned());
    api.create(&PostParams::default(), &map).await?;
    let denied: Api<ConfigMap> = Api::namespaced(plane.client(User::Nobody).await?, &namespace);
    assert!(denied.create(&PostParams::default(), &map).await.is_err());

    let entries = audit.read_settled(&client).await?;
    let codes = |user: User| {
        let own = entries.iter().filter(|entry| {
            entry.user.username == user.name() && entry.verb == "create" && entry.resource() == "configmaps"
        });
        own.filter(|entry| entry.object_ref.as_ref().is_some_and(|object| object.namespace == namespace))
            .map(|entry| entry.code())
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(User::Admin), [201]);
    assert_eq!(codes(User::Nobody), [403]);
    let own: Vec<_> = entries
        .iter()
        .filter(|entry| entry.user.username.starts_with("system:kube-") || entry.user.username == "system:kwok")
        .collect();
    assert!(own.is_empty(), "{own:?}");
    Ok(())
}
