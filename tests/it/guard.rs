//! The guard: what a policy may change, rule by rule and trick by trick, and for every path of the schemas.

mod mutation;
pub(crate) mod oracle;
mod property;
mod rules;

use std::{fs, path::Path};

use igw::{
    object::{ChildKind, DesiredChild, Identity, ObjectId},
    policy::grants::Grants,
    reconcile::guard::{Subject, Violation, check},
};
use serde_json::Value;

/// What the golden page of a case says should exist.
fn generated(page: &str) -> Vec<DesiredChild> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(page);
    let text = fs::read_to_string(path).expect("a golden page");
    let (_, output) = text.split_once("# Output\n").expect("an output");
    let documents: Vec<Value> = serde_saphyr::from_multiple(output).expect("YAML");
    let children: Vec<_> = documents.into_iter().filter_map(child).collect();
    assert!(!children.is_empty(), "{page} has objects");
    children
}

fn child(body: Value) -> Option<DesiredChild> {
    let kind = ChildKind::ALL.into_iter().find(|kind| body["kind"] == kind.info().kind)?;
    let text = |field: &str| body["metadata"][field].as_str().expect("text").to_owned();
    Some(DesiredChild { id: ObjectId::new(kind, &text("namespace"), &text("name")), body, shared_fields: &[] })
}

fn identity(children: &[DesiredChild]) -> Identity {
    let deployment = children.iter().find(|child| child.id.kind == ChildKind::Deployment).expect("a Deployment");
    Identity {
        namespace: deployment.id.namespace.to_string(),
        name: deployment.id.name.to_string(),
        ..Identity::default()
    }
}

/// The guard after one policy.
fn judge(before: &[DesiredChild], after: Vec<DesiredChild>, grants: &Grants) -> Result<Vec<DesiredChild>, Violation> {
    check(&Subject { identity: &identity(before), fixed: &[] }, before, after, grants)
}

fn of_kind(children: &mut [DesiredChild], kind: ChildKind) -> &mut Value {
    &mut children.iter_mut().find(|child| child.id.kind == kind).expect("an object of the kind").body
}
