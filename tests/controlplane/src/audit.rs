//! The audit log: one entry for every request that did not come from the control plane itself.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Client, client::Body};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::credentials::COMPONENTS;

pub(crate) fn policy_file(folder: &Path) -> PathBuf {
    folder.join("audit-policy.yaml")
}

pub(crate) fn log_file(folder: &Path) -> PathBuf {
    folder.join("audit.log")
}

pub(crate) fn write_policy(folder: &Path) -> Result<()> {
    let own: Vec<&str> = COMPONENTS.iter().map(|(user, _)| *user).chain(["system:apiserver"]).collect();
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {"level": "None", "users": own},
            {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*"]},
            {"level": "Metadata"},
        ],
    });
    // JSON is YAML.
    fs::write(policy_file(folder), policy.to_string()).context("cannot write the audit policy")
}

/// A finished request, as the API server logged it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Different for every request.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// `ResponseComplete`, or `Panic`. A watch is logged when it ends.
    pub stage: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// get, list, watch, create, update, patch (which is what an apply is), delete or deletecollection.
    pub verb: String,
    /// Who asked.
    pub user: AuditUser,
    /// What the client calls itself.
    #[serde(default)]
    pub user_agent: String,
    /// What it was about; absent for paths like `/version`.
    pub object_ref: Option<AuditObject>,
    /// The answer.
    pub response_status: Option<AuditResponse>,
    /// When the API server got the request.
    pub request_received_timestamp: MicroTime,
    /// When it was finished.
    pub stage_timestamp: MicroTime,
}

/// Who sent a request.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditUser {
    /// The user name, `system:serviceaccount:<namespace>:<name>` for a service account.
    pub username: String,
}

/// The object of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditObject {
    /// The plural name, for example `deployments`.
    pub resource: String,
    /// `status`, `scale` and the like, or empty.
    pub subresource: String,
    /// Empty for cluster-scoped objects and for requests about all namespaces.
    pub namespace: String,
    /// Empty for lists and watches.
    pub name: String,
    /// Empty for the core group.
    pub api_group: String,
    /// The version within the group.
    pub api_version: String,
}

/// The answer to a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuditResponse {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason of a refusal.
    pub reason: String,
    /// The words of a refusal.
    pub message: String,
}

impl AuditEntry {
    /// Whether the request was one that changes something, whatever its answer.
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// The HTTP status code of the answer.
    pub fn code(&self) -> u16 {
        self.response_status.as_ref().map_or(0, |status| status.code)
    }

    /// The plural name, with the subresource after a slash if there is one; empty for a path like `/version`.
    pub fn resource(&self) -> String {
        match &self.object_ref {
            Some(object) if !object.subresource.is_empty() => {
                format!("{}/{}", object.resource, object.subresource)
            }
            Some(object) => object.resource.clone(),
            None => String::new(),
        }
    }
}

/// Reads the audit log from where it stopped the last time.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    position: u64,
}

impl Audit {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, position: 0 }
    }

    /// Passes over everything that is in the log now.
    pub fn skip(&mut self) -> Result<()> {
        self.read().map(drop)
    }

    /// The entries that were added since the last call.
    ///
    /// An entry is written before the handling of its request ends, but the client may see the end of a long answer a moment
    /// earlier. Where that matters use [`read_settled`](Self::read_settled).
    pub fn read(&mut self) -> Result<Vec<AuditEntry>> {
        let (entries, used) = parse(&self.bytes()?, |_| true)?;
        self.position += used;
        Ok(entries)
    }

    /// Everything from where it stopped the last time.
    fn bytes(&self) -> Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            // The API server makes it when it has something to write.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.with_context(|| format!("cannot read the audit log {}", self.path.display()))?,
        };
        file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// As [`read`](Self::read), but only the requests that were refused for want of a right; the others are passed over
    /// without being decoded, because there may be very many.
    pub fn read_denied(&mut self) -> Result<Vec<AuditEntry>> {
        let denied = |line: &[u8]| str::from_utf8(line).is_ok_and(|line| line.contains(DENIED));
        let (entries, used) = parse(&self.bytes()?, denied)?;
        self.position += used;
        Ok(entries)
    }

    /// The entries that were added since the last call, and certainly those of every request answered before this call: sends a
    /// request of its own (with `client`, which must be a user with rights) and reads until that is in the log.
    pub async fn read_settled(&mut self, client: &Client) -> Result<Vec<AuditEntry>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let uri = format!("/version?settle={}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        client.send(http::Request::get(&uri).body(Body::empty())?).await.context("cannot ask for the version")?;
        let mut entries = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            entries.append(&mut self.read()?);
            if let Some(place) = entries.iter().position(|entry| entry.request_uri == uri) {
                entries.remove(place);
                return Ok(entries);
            }
            // A file has no better way to say that it grew.
            sleep(Duration::from_millis(2)).await;
        }
        bail!("the audit log {} does not grow: was the control plane started with audit off?", self.path.display())
    }
}

/// What the authorizer adds to the line of a request that it refuses.
const DENIED: &str = r#""authorization.k8s.io/decision":"forbid""#;

/// The complete lines that are `wanted`, and how many bytes all complete lines are; the last line may still be in the
/// writing.
fn parse(bytes: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Result<(Vec<AuditEntry>, u64)> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    let lines = bytes[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && wanted(line));
    let entries = lines
        .map(|line| serde_json::from_slice(line).context("a line of the audit log is not as expected"))
        .collect::<Result<_>>()?;
    Ok((entries, u64::try_from(end)?))
}

#[cfg(test)]
mod tests {
    use super::parse;

    const LINE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/n/configmaps/c?fieldManager=m","verb":"patch","user":{"username":"operator","groups":["system:authenticated"]},"sourceIPs":["127.0.0.1"],"userAgent":"igw/0.1","objectRef":{"resource":"configmaps","namespace":"n","name":"c","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":409,"reason":"Conflict"},"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","stageTimestamp":"2026-01-02T03:04:05.680000Z","annotations":{}}"#;

    #[test]
    fn complete_lines_are_read_and_the_rest_is_left() {
        let text = format!("{LINE}\n{LINE}\n{}", &LINE[..50]);
        let (entries, used) = parse(text.as_bytes(), |_| true).expect("two entries");
        assert_eq!(entries.len(), 2);
        assert_eq!(usize::try_from(used).expect("small"), 2 * (LINE.len() + 1));
        let entry = &entries[0];
        assert_eq!(
            (entry.user.username.as_str(), entry.resource().as_str(), entry.code()),
            ("operator", "configmaps", 409)
        );
        assert!(entry.is_write());
    }

    #[test]
    fn a_request_without_an_object_is_an_entry_too() {
        let text = r#"{"auditID":"a","stage":"ResponseComplete","requestURI":"/version","verb":"get","user":{"username":"admin"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","stageTimestamp":"2026-01-02T03:04:05.680000Z"}"#;
        let (entries, _) = parse(format!("{text}\n").as_bytes(), |_| true).expect("one entry");
        assert_eq!(entries[0].resource(), "");
        assert!(!entries[0].is_write());
    }
}
