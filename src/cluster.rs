//! What the stages may ask of the API server, and what its refusals mean. No client here: see `cluster/kube.rs`.

use std::future::Future;

use serde_json::Value;

use crate::{
    kinds::ParentInfo,
    object::{Identity, ObjectId, live::Live},
};

pub mod kube;

/// The calls of the pipeline. One implementation holds a client.
pub trait Cluster: Send + Sync + 'static {
    /// One server-side apply.
    fn apply(&self, request: Apply<'_>) -> impl Future<Output = Result<Live, Refusal>> + Send;

    /// Puts single places of this very object right, by JSON patch operations. An apply has to follow, and then the entry
    /// that this leaves in the managed fields has to go: it would hold on to fields that a later apply no longer sends.
    fn patch(
        &self,
        id: &ObjectId,
        live: &Live,
        operations: &[Value],
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Rewrites the managed fields of this very object, and nothing else of it; `None` of `rewrite` leaves them. Returns the
    /// object when they were rewritten.
    fn rewrite_managers(
        &self,
        id: &ObjectId,
        uid: &str,
        rewrite: impl Fn(&[Value]) -> Option<Vec<Value>> + Send + Sync,
    ) -> impl Future<Output = Result<Option<Live>, Refusal>> + Send;

    /// Reads one object that the cache does not have.
    fn get(&self, id: &ObjectId) -> impl Future<Output = Result<Option<Live>, Refusal>> + Send;

    /// Deletes exactly this state of this object.
    fn delete(&self, id: &ObjectId, live: &Live) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Applies the whole status of a custom resource. Returns the resource version, and the status as it is then.
    fn apply_status(
        &self,
        kind: &ParentInfo,
        parent: &Identity,
        status: &Value,
    ) -> impl Future<Output = Result<(u64, Value), Refusal>> + Send;

    /// Replaces the status of a custom resource by what `change` makes of the whole of it; `None` leaves it. Returns the
    /// resource version and the status when it was replaced.
    fn change_status(
        &self,
        kind: &ParentInfo,
        parent: &Identity,
        change: impl Fn(&Value) -> Option<Value> + Send + Sync,
    ) -> impl Future<Output = Result<Option<(u64, Value)>, Refusal>> + Send;

    /// Why containers of the operator's pods in a namespace wait.
    fn waiting_containers(&self, namespace: &str) -> impl Future<Output = Result<Vec<Waiting>, Refusal>> + Send;
}

/// One server-side apply.
#[derive(Debug, Clone, Copy)]
pub struct Apply<'a> {
    /// Which object.
    pub id: &'a ObjectId,
    /// The document. `metadata.resourceVersion: "1"` creates only, `metadata.uid` updates only.
    pub body: &'a Value,
    /// Field manager.
    pub manager: &'static str,
    /// Whether fields of other managers are taken over.
    pub force: bool,
    /// Whether the server only says what it would do.
    pub dry_run: bool,
}

/// A container that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Value of the pod's `app` label.
    pub app: String,
    /// Reason of the waiting state, for example `CreateContainerConfigError`.
    pub reason: String,
    /// Message of the waiting state.
    pub message: String,
}

/// Why the API server did not do as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A create found an object of that name.
    #[error("an object of this name exists")]
    Exists,
    /// An update found another object, or none.
    #[error("the object was deleted meanwhile")]
    Gone,
    /// Fields belong to other managers.
    #[error("fields belong to other managers: {}", .0.iter().map(|c| format!("{} ({})", c.field, c.manager)).collect::<Vec<_>>().join(", "))]
    FieldConflict(Vec<Cause>),
    /// The namespace is going away.
    #[error("the namespace is being deleted")]
    NamespaceTerminating,
    /// RBAC, a webhook or an admission plugin says no.
    #[error("{0}")]
    Forbidden(String),
    /// A quota says no.
    #[error("{0}")]
    Quota(String),
    /// The server does not know the kind.
    #[error("{0}")]
    UnknownKind(String),
    /// The document is wrong for this server.
    #[error("{message}")]
    Content {
        /// Path of the field, when the server names one.
        field: Option<String>,
        /// The server's words.
        message: String,
    },
    /// Something that may pass.
    #[error("{message}")]
    Transient {
        /// The server's or the network's words.
        message: String,
    },
}

/// One field of a [`Refusal::FieldConflict`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Path in the server's form: `.spec.template.spec.containers[name="x"].image`.
    pub field: String,
    /// Name of the other manager, with its subresource.
    pub manager: String,
}

/// What was sent, because the same answer means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// A document with `metadata.resourceVersion: "1"`.
    Create,
    /// A document with `metadata.uid`, or a delete with preconditions.
    Update,
    /// Anything else.
    Other,
}

/// The machine-readable part of a failed answer (`metav1.Status`).
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// HTTP status code.
    pub code: u16,
    /// `reason`.
    pub reason: String,
    /// `message`.
    pub message: String,
    /// `details.causes`: reason, field, message.
    pub causes: Vec<(String, String, String)>,
}

impl Refusal {
    /// Reads an answer. The table of meanings is in ARCHITECTURE.md; it was tried on kube-apiserver 1.36.
    #[must_use]
    pub fn read(sent: Sent, failure: Failure) -> Self {
        let Failure { code, reason, message, causes } = failure;
        let field = causes.iter().map(|(_, field, _)| field.clone()).find(|field| !field.is_empty());
        match code {
            // Also when fields conflict: the server merges before it compares the resource version.
            409 if sent == Sent::Create => Self::Exists,
            409 if causes.iter().any(|(reason, ..)| reason == "FieldManagerConflict") => {
                Self::FieldConflict(causes.into_iter().map(cause).collect())
            }
            409 if sent == Sent::Update => Self::Gone,
            422 if field.as_deref() == Some("metadata.uid") => Self::Gone,
            403 if causes.iter().any(|(reason, ..)| reason == "NamespaceTerminating") => Self::NamespaceTerminating,
            403 if message.contains("exceeded quota") => Self::Quota(message),
            403 if message.contains("custom resource definition is terminating") => Self::UnknownKind(message),
            401 | 403 => Self::Forbidden(message),
            404 if sent == Sent::Create && reason == "NotFound" && message.starts_with("namespaces ") => {
                Self::NamespaceTerminating
            }
            404 if sent == Sent::Create || (sent == Sent::Other && reason.is_empty()) => Self::UnknownKind(message),
            404 => Self::Gone,
            400 | 413 | 415 | 422 => Self::Content { field, message },
            // The server answers 500 for a document that does not fit its schema: the user's mistake, not its own.
            500 if message.contains("failed to create typed ") || message.contains("failed to convert") => {
                Self::Content { field: typed_patch_path(&message).or(field), message }
            }
            // An admission webhook may answer with any code below 500; its words are for the user.
            405..=428 => Self::Forbidden(message),
            _ => Self::Transient { message },
        }
    }

    /// Whether trying again at once cannot help, and only the user or an administrator can.
    #[must_use]
    pub const fn needs_somebody(&self) -> bool {
        !matches!(self, Self::Transient { .. } | Self::Gone | Self::Exists)
    }
}

fn cause((_, field, message): (String, String, String)) -> Cause {
    // The message is: conflict with "<manager>" [with subresource "<name>"] using <version> [at <time>]
    let mut quoted = message.split('"').skip(1).step_by(2);
    let manager = quoted.next().unwrap_or("another manager").to_owned();
    let manager = match (message.contains("with subresource"), quoted.next()) {
        (true, Some(subresource)) => format!("{manager} (subresource {subresource})"),
        _ => manager,
    };
    Cause { field, manager }
}

/// The path inside `failed to create typed patch object (...): .spec.x.y: reason`.
fn typed_patch_path(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("): ")?;
    let rest = rest.trim_start_matches("errors:").trim();
    let (path, _) = rest.split_once(": ")?;
    path.starts_with('.').then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Cause, Failure, Refusal, Sent};

    fn failure(code: u16, message: &str, causes: &[(&str, &str, &str)]) -> Failure {
        let causes = causes.iter().map(|(r, f, m)| ((*r).into(), (*f).into(), (*m).into())).collect();
        Failure { code, message: message.into(), causes, ..Failure::default() }
    }

    #[test]
    fn a_field_conflict_names_field_and_manager() {
        let message = r#"conflict with "kube-controller-manager" with subresource "scale" using apps/v1"#;
        let answer = failure(409, "Apply failed", &[("FieldManagerConflict", ".spec.replicas", message)]);
        let wanted =
            Cause { field: ".spec.replicas".into(), manager: "kube-controller-manager (subresource scale)".into() };
        assert_eq!(Refusal::read(Sent::Update, answer.clone()), Refusal::FieldConflict(vec![wanted]));
        assert_eq!(
            Refusal::read(Sent::Create, answer),
            Refusal::Exists,
            "a create meets a field only where something is"
        );
    }

    #[test]
    fn a_plain_409_depends_on_what_was_sent() {
        assert_eq!(Refusal::read(Sent::Create, failure(409, "x", &[])), Refusal::Exists);
        assert_eq!(Refusal::read(Sent::Update, failure(409, "x", &[])), Refusal::Gone);
    }

    #[test]
    fn a_schema_error_is_content_although_the_server_says_500() {
        let message = "failed to create typed patch object (ns/x; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema";
        let wanted = Refusal::Content { field: Some(".spec.foo".into()), message: message.into() };
        assert_eq!(Refusal::read(Sent::Create, failure(500, message, &[])), wanted);
    }

    #[test]
    fn a_terminating_namespace_is_told_from_other_refusals() {
        let causes = [("NamespaceTerminating", "metadata.namespace", "namespace x is being terminated")];
        assert_eq!(Refusal::read(Sent::Create, failure(403, "x", &causes)), Refusal::NamespaceTerminating);
        let going =
            r#"httproutes "x" is forbidden: create not allowed while custom resource definition is terminating"#;
        assert_eq!(Refusal::read(Sent::Create, failure(403, going, &[])), Refusal::UnknownKind(going.into()));
        let quota = r#"deployments.apps "x" is forbidden: exceeded quota: q"#;
        assert_eq!(Refusal::read(Sent::Create, failure(403, quota, &[])), Refusal::Quota(quota.into()));
    }
}
