//! The one implementation of [`Cluster`] that holds a client, and how that client is made.

use std::{collections::BTreeMap, io, time::Duration};

use http::{Method, Request};
use kube::{
    Client, Config,
    api::{DeleteParams, Preconditions},
};
use serde::{
    Deserialize, Serialize as _,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, json, ser::Formatter};

use super::{Apply, Cluster, Failure, Refusal, Sent, Waiting};
use crate::{
    kinds::ParentInfo,
    object::{
        FIELD_MANAGER, Identity, MANAGED_BY, MANAGED_BY_LABEL, ObjectId, STATUS_MANAGER,
        live::{Live, Wire},
    },
};

/// Longest wait for one answer. A reconcile has a deadline of its own; this one ends the call.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Pods a page, so that a namespace with thousands of pods does not become one large answer.
const POD_PAGE: u32 = 500;

/// [`Cluster`] on a client.
#[derive(Clone)]
pub struct KubeCluster {
    client: Client,
}

/// Makes the client of the operator: no retries inside a call (the queue retries, with a back-off per object), and no
/// wait for ever.
///
/// # Errors
/// When TLS or credentials of the configuration cannot be used.
pub fn client(mut config: Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    Client::try_from(config)
}

impl KubeCluster {
    /// Wraps a client.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        sent: Sent,
        method: Method,
        path: String,
        body: &Value,
    ) -> Result<T, Refusal> {
        let content_type = match (&method, body) {
            (&Method::PATCH, Value::Array(_)) => "application/json-patch+json",
            (&Method::PATCH, _) => "application/apply-patch+yaml",
            _ => "application/json",
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .body(json_for_yaml(body).map_err(|e| transient(&e))?)
            .map_err(|e| transient(&e))?;
        match tokio::time::timeout(CALL_TIMEOUT, self.client.request::<T>(request)).await {
            Ok(answer) => answer.map_err(|error| refusal(sent, error)),
            Err(_) => Err(transient(&format!("no answer from the API server within {} s", CALL_TIMEOUT.as_secs()))),
        }
    }
}

impl Cluster for KubeCluster {
    async fn apply(&self, request: Apply<'_>) -> Result<Live, Refusal> {
        let Apply { id, body, manager, force, dry_run } = request;
        let mut path = format!("{}/{}?fieldManager={manager}", id.kind.info().path(Some(&id.namespace)), id.name);
        if force {
            path.push_str("&force=true");
        }
        if dry_run {
            path.push_str("&dryRun=All");
        }
        let sent = if body["metadata"]["resourceVersion"].is_string() { Sent::Create } else { Sent::Update };
        let wire: Wire = self.send(sent, Method::PATCH, path, body).await?;
        Ok(Live::new(id.kind, &wire))
    }

    async fn patch(&self, id: &ObjectId, live: &Live, operations: &[Value]) -> Result<(), Refusal> {
        let path = format!("{}/{}?fieldManager={FIELD_MANAGER}", id.kind.info().path(Some(&id.namespace)), id.name);
        let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": &*live.uid})];
        patch.extend_from_slice(operations);
        self.send::<IgnoredAny>(Sent::Update, Method::PATCH, path, &patch.into()).await.map(|_| ())
    }

    async fn rewrite_managers(
        &self,
        id: &ObjectId,
        uid: &str,
        rewrite: impl Fn(&[Value]) -> Option<Vec<Value>> + Send + Sync,
    ) -> Result<Option<Live>, Refusal> {
        const TRIES: u32 = 5;
        let path = format!("{}/{}", id.kind.info().path(Some(&id.namespace)), id.name);
        let patch_path = format!("{path}?fieldManager={FIELD_MANAGER}");
        let mut tries = 1;
        loop {
            let object: Value = self.send(Sent::Update, Method::GET, path.clone(), &Value::Null).await?;
            if object["metadata"]["uid"] != uid {
                return Err(Refusal::Gone);
            }
            let before = object["metadata"]["managedFields"].as_array();
            let Some(after) = before.and_then(|before| rewrite(before)) else { return Ok(None) };
            let patch = json!([
                {"op": "test", "path": "/metadata/resourceVersion", "value": object["metadata"]["resourceVersion"]},
                {"op": "replace", "path": "/metadata/managedFields", "value": after},
            ]);
            match self.send::<Wire>(Sent::Update, Method::PATCH, patch_path.clone(), &patch).await {
                Ok(wire) => return Ok(Some(Live::new(id.kind, &wire))),
                // Somebody wrote in between, so the test failed.
                Err(Refusal::Content { .. }) if tries < TRIES => tries += 1,
                // It never ends: nothing of this is in the spec, so nothing there can be wrong.
                Err(Refusal::Content { message, .. }) => return Err(Refusal::Transient { message }),
                Err(refusal) => return Err(refusal),
            }
        }
    }

    async fn change_status(
        &self,
        kind: &ParentInfo,
        parent: &Identity,
        change: impl Fn(&Value) -> Option<Value> + Send + Sync,
    ) -> Result<Option<(u64, Value)>, Refusal> {
        let path = parent_path(kind, parent);
        let object: Value = self.send(Sent::Update, Method::GET, path.clone(), &Value::Null).await?;
        let Some(status) = change(&object).filter(|_| object["metadata"]["uid"] == parent.uid) else { return Ok(None) };
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": object["metadata"]["resourceVersion"]},
            {"op": "add", "path": "/status", "value": status},
        ]);
        let path = format!("{path}/status?fieldManager={STATUS_MANAGER}");
        match self.send::<WithStatus>(Sent::Update, Method::PATCH, path, &patch).await {
            Ok(answer) => Ok(Some(answer.read())),
            // Somebody wrote in between, so the test failed.
            Err(Refusal::Content { message, .. }) => Err(Refusal::Transient { message }),
            Err(refusal) => Err(refusal),
        }
    }

    async fn get(&self, id: &ObjectId) -> Result<Option<Live>, Refusal> {
        let path = format!("{}/{}", id.kind.info().path(Some(&id.namespace)), id.name);
        match self.send::<Wire>(Sent::Update, Method::GET, path, &Value::Null).await {
            Ok(wire) => Ok(Some(Live::new(id.kind, &wire))),
            Err(Refusal::Gone) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    async fn delete(&self, id: &ObjectId, live: &Live) -> Result<(), Refusal> {
        let path = format!("{}/{}", id.kind.info().path(Some(&id.namespace)), id.name);
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: Some((*live.uid).into()),
            resource_version: Some(live.resource_version.to_string()),
        });
        let mut body = json!(params);
        body["kind"] = json!("DeleteOptions");
        body["apiVersion"] = json!("v1");
        self.send::<IgnoredAny>(Sent::Update, Method::DELETE, path, &body).await.map(|_| ())
    }

    async fn apply_status(
        &self,
        kind: &ParentInfo,
        parent: &Identity,
        status: &Value,
    ) -> Result<(u64, Value), Refusal> {
        let ParentInfo { group, version, .. } = kind;
        let Identity { namespace, name, uid, .. } = parent;
        let path = format!("{}/status?fieldManager={STATUS_MANAGER}&force=true", parent_path(kind, parent));
        // With the uid, the status of a deleted custom resource never reaches a new one of the same name.
        let mut body = json!({
            "apiVersion": format!("{group}/{version}"),
            "kind": kind.kind,
            "metadata": {"name": name, "uid": uid},
            "status": status,
        });
        if !namespace.is_empty() {
            body["metadata"]["namespace"] = json!(namespace);
        }
        let answer: WithStatus = match self.send(Sent::Update, Method::PATCH, path.clone(), &body).await {
            // An apply wants all that is stored to fit the schema, also what was stored before there was this schema.
            Err(Refusal::Content { .. }) => {
                let patch = json!([
                    {"op": "test", "path": "/metadata/uid", "value": uid},
                    {"op": "add", "path": "/status", "value": status},
                ]);
                self.send(Sent::Update, Method::PATCH, path.replace("&force=true", ""), &patch).await?
            }
            answer => answer?,
        };
        Ok(answer.read())
    }

    async fn waiting_containers(&self, namespace: &str) -> Result<Vec<Waiting>, Refusal> {
        let first = format!(
            "/api/v1/namespaces/{namespace}/pods?labelSelector={MANAGED_BY_LABEL}%3D{MANAGED_BY}&limit={POD_PAGE}"
        );
        let mut path = first.clone();
        let mut waiting = Vec::new();
        loop {
            let page: PodList = self.send(Sent::Other, Method::GET, path, &Value::Null).await?;
            waiting.extend(page.items.into_iter().flat_map(Pod::waiting));
            if page.metadata.next.is_empty() {
                return Ok(waiting);
            }
            path = format!("{first}&continue={}", page.metadata.next);
        }
    }
}

/// A custom resource as far as its status goes.
#[derive(Deserialize)]
struct WithStatus {
    metadata: Version,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

impl WithStatus {
    fn read(self) -> (u64, Value) {
        (self.metadata.resource_version.parse().unwrap_or_default(), self.status)
    }
}

fn parent_path(kind: &ParentInfo, parent: &Identity) -> String {
    let ParentInfo { group, version, plural, .. } = kind;
    let Identity { namespace, name, .. } = parent;
    match namespace.as_str() {
        "" => format!("/apis/{group}/{version}/{plural}/{name}"),
        namespace => format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}"),
    }
}

/// A list of pods, as far as it matters why their containers wait.
#[derive(Deserialize)]
struct PodList {
    metadata: ListMeta,
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct ListMeta {
    #[serde(default, rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct Pod {
    metadata: PodMeta,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
struct PodMeta {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    init_container_statuses: Vec<ContainerStatus>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
struct ContainerStatus {
    #[serde(default)]
    state: ContainerState,
}

#[derive(Default, Deserialize)]
struct ContainerState {
    waiting: Option<WaitingState>,
}

#[derive(Deserialize)]
struct WaitingState {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl Pod {
    fn waiting(self) -> impl Iterator<Item = Waiting> {
        let app = self.metadata.labels.get("app").cloned().unwrap_or_default();
        let all = self.status.init_container_statuses.into_iter().chain(self.status.container_statuses);
        all.filter_map(|container| container.state.waiting).map(move |WaitingState { reason, message }| Waiting {
            app: app.clone(),
            reason,
            message,
        })
    }
}

/// JSON that means the same to a YAML parser, which the server has for every apply: characters that YAML takes for line
/// breaks, or refuses, are escaped. Those outside the basic plane stay, because it refuses their escapes.
fn json_for_yaml(body: &Value) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    body.serialize(&mut serde_json::Serializer::with_formatter(&mut text, ForYaml))?;
    Ok(text)
}

struct ForYaml;

impl Formatter for ForYaml {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let misread = |c: &char| {
            matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        };
        let mut written = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| misread(c)) {
            writer.write_all(&fragment.as_bytes()[written..at])?;
            write!(writer, "\\u{:04x}", u32::from(c))?;
            written = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}

fn transient(error: &impl ToString) -> Refusal {
    Refusal::Transient { message: error.to_string() }
}

/// Reads the library's error.
fn refusal(sent: Sent, error: kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => {
            let details = status.details.as_ref();
            let causes = details.map(|d| d.causes.as_slice()).unwrap_or_default();
            Refusal::read(
                sent,
                Failure {
                    code: status.code,
                    reason: status.reason.clone(),
                    message: status.message.clone(),
                    causes: causes.iter().map(|c| (c.reason.clone(), c.field.clone(), c.message.clone())).collect(),
                },
            )
        }
        other => transient(&other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::json_for_yaml;

    #[test]
    fn what_yaml_would_misread_is_escaped() {
        let body = json!({"a\u{85}": "\u{feff}a \u{2028} b\u{7f}\u{9f}\n\"\u{1f600}é", "list": [1, null]});
        let text = String::from_utf8(json_for_yaml(&body).expect("JSON")).expect("UTF-8");
        assert_eq!(text, r#"{"a\u0085":"\ufeffa \u2028 b\u007f\u009f\n\"😀é","list":[1,null]}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), body);
    }
}
