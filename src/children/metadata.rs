//! Names, labels and the outer form of generated objects. PURE.
//!
//! Owner reference, intent and the managed-by label of the objects themselves are the seal's work, not done here.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::{
    kinds::InvalidSpec,
    object::{ChildKind, DesiredChild, Identity, MANAGED_BY, MANAGED_BY_LABEL, ObjectId},
};

/// Longest value of a label, and longest name of a Service.
pub const MAX_NAME: usize = 63;

/// Labels or annotations.
pub type Pairs = BTreeMap<String, String>;

/// What makes the generated objects of one custom resource look alike.
#[derive(Debug, Clone, Copy)]
pub struct Family<'a> {
    /// The custom resource.
    pub parent: &'a Identity,
    /// `app.kubernetes.io/name`: the program that runs in the pods.
    pub program: &'static str,
    /// `app.kubernetes.io/component`: which kind of custom resource made it.
    pub component: &'static str,
}

/// Refuses names that give no valid objects. The schema refuses them at creation; resources that were stored before it
/// can still say so. `suffix` is what the name of the Service has behind that of the custom resource; `None` when there
/// is no Service.
///
/// # Errors
/// When the name is too long, or has a dot that the name of a Service cannot have.
pub fn check_name(name: &str, suffix: Option<&str>) -> Result<(), InvalidSpec> {
    let longest = MAX_NAME - suffix.map_or(0, str::len);
    let why = match suffix {
        None => "because a label of the objects has it as its value",
        Some("") => "because the Service has the same name",
        Some(_) => "because the name of the Service begins with it",
    };
    let problem = if name.len() > longest {
        format!("must be at most {longest} characters long, {why}")
    } else if suffix.is_some() && name.contains('.') {
        format!("must not contain a dot, {why}")
    } else {
        return Ok(());
    };
    Err(InvalidSpec { field: "metadata.name".into(), message: problem })
}

impl Family<'_> {
    /// The label that pods are selected by. Users' Services and ServiceMonitors select on it too, and the selector of a
    /// Deployment cannot change, so it is exactly this one label.
    #[must_use]
    pub fn selector(&self) -> Pairs {
        Pairs::from([("app".into(), self.parent.name.clone())])
    }

    /// Labels of every generated object.
    #[must_use]
    pub fn labels(&self) -> Pairs {
        let mut labels = self.selector();
        labels.insert("app.kubernetes.io/name".into(), self.program.into());
        labels.insert("app.kubernetes.io/instance".into(), self.parent.name.clone());
        labels.insert("app.kubernetes.io/component".into(), self.component.into());
        labels
    }

    /// Labels of pods: those of the objects, and the one that the seal does not reach inside a template.
    #[must_use]
    pub fn pod_labels(&self) -> Pairs {
        let mut labels = self.labels();
        labels.insert(MANAGED_BY_LABEL.into(), MANAGED_BY.into());
        labels
    }

    /// Metadata of a generated object in the namespace of its custom resource.
    #[must_use]
    pub fn metadata(&self, name: &str, annotations: Pairs) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.into()),
            namespace: Some(self.parent.namespace.clone()),
            labels: Some(self.labels()),
            annotations: Some(annotations).filter(|a| !a.is_empty()),
            ..ObjectMeta::default()
        }
    }

    /// Wraps a finished Kubernetes object; `name` is the one in its metadata.
    ///
    /// # Panics
    /// Never in practice: the types of the Kubernetes API always serialise to JSON.
    #[must_use]
    pub fn child(&self, kind: ChildKind, name: &str, object: &impl Serialize) -> DesiredChild {
        DesiredChild {
            id: ObjectId::new(kind, &self.parent.namespace, name),
            body: serde_json::to_value(object).expect("a Kubernetes type serialises to JSON"),
            shared_fields: &[],
        }
    }
}
