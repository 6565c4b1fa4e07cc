//! The generated objects as JSON, and the ways to reach what is in them.

use serde_json::{Map, Value};

use crate::{Error, PodTemplate};

/// The objects of one custom resource. What is in here at the end is what there will be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects(Vec<Object>);

impl Objects {
    /// Objects from JSON documents.
    pub fn new(documents: impl IntoIterator<Item = Value>) -> Self {
        Self(documents.into_iter().map(Object).collect())
    }

    /// Every object.
    pub fn iter(&self) -> impl Iterator<Item = &Object> {
        self.0.iter()
    }

    /// Every object, to change it.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Object> {
        self.0.iter_mut()
    }

    /// The objects of a kind; the core group is empty.
    pub fn of<'a>(&'a mut self, group: &'a str, kind: &'a str) -> impl Iterator<Item = &'a mut Object> {
        self.0.iter_mut().filter(move |object| object.is(group, kind))
    }

    /// The Deployments.
    pub fn deployments(&mut self) -> impl Iterator<Item = &mut Object> {
        self.of("apps", "Deployment")
    }

    /// What the pods of every workload are made from.
    pub fn pod_templates(&mut self) -> impl Iterator<Item = PodTemplate<'_>> {
        self.0.iter_mut().filter_map(Object::pod_template)
    }

    /// One object; the core group is empty.
    pub fn find(&mut self, group: &str, kind: &str, name: &str) -> Option<&mut Object> {
        self.0.iter_mut().find(|object| object.is(group, kind) && object.name() == name)
    }

    /// Adds an object. The operator takes it only if its kind was granted to the policy.
    ///
    /// # Errors
    ///
    /// When there is such an object already: change that one.
    pub fn add(&mut self, document: Value) -> Result<(), Error> {
        let new = Object(document);
        if self.0.iter().any(|object| object.is(new.group(), new.kind()) && object.name() == new.name()) {
            return Err(format!("failed to add {} {}: it is there already", new.kind(), new.name()).into());
        }
        self.0.push(new);
        Ok(())
    }

    /// The documents, in order.
    #[must_use]
    pub fn into_documents(self) -> Vec<Value> {
        self.0.into_iter().map(|object| object.0).collect()
    }
}

/// One object: a JSON document with `apiVersion`, `kind` and `metadata`.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(Value);

impl Object {
    /// API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        text(&self.0["apiVersion"]).split_once('/').map_or("", |(group, _)| group)
    }

    /// Kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        text(&self.0["kind"])
    }

    /// Name.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.0["metadata"]["name"])
    }

    /// Namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        text(&self.0["metadata"]["namespace"])
    }

    /// Whether it is of a kind; the core group is empty.
    #[must_use]
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.kind() == kind && self.group() == group
    }

    /// Sets a label of the object itself; its pods have their own, see [`PodTemplate::set_label`].
    pub fn set_label(&mut self, key: &str, value: &str) {
        map_at(&mut self.0, &["metadata", "labels"]).insert(key.into(), value.into());
    }

    /// Sets an annotation of the object itself.
    pub fn set_annotation(&mut self, key: &str, value: &str) {
        map_at(&mut self.0, &["metadata", "annotations"]).insert(key.into(), value.into());
    }

    /// What its pods are made from, if it has pods.
    pub fn pod_template(&mut self) -> Option<PodTemplate<'_>> {
        let has_pods = self.group() == "apps" && self.0["spec"]["template"].is_object();
        has_pods.then(|| PodTemplate::new(&mut self.0["spec"]["template"]))
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.0
    }

    /// The document, to change it.
    pub fn document_mut(&mut self) -> &mut Value {
        &mut self.0
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The object at `path`, made when it is absent. A value of another type on the way is replaced.
pub(crate) fn map_at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut here = value;
    for key in path {
        here = as_map(here).entry(*key).or_insert(Value::Null);
    }
    as_map(here)
}

fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// The list at `key`, made when it is absent. A value of another type is replaced.
pub(crate) fn list_at<'a>(value: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    let here = as_map(value).entry(key).or_insert(Value::Null);
    if !here.is_array() {
        *here = Value::Array(Vec::new());
    }
    match here {
        Value::Array(list) => list,
        _ => unreachable!("made a list above"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Objects;

    fn objects() -> Objects {
        let meta = json!({"name": "a", "namespace": "n"});
        Objects::new([
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
                   "spec": {"template": {"spec": {"containers": []}}}}),
        ])
    }

    #[test]
    fn objects_are_found_by_group_kind_and_name() {
        let mut objects = objects();
        assert_eq!(objects.of("", "Service").count(), 1);
        assert_eq!(objects.of("apps", "Service").count(), 0);
        assert_eq!(objects.deployments().count(), 1);
        assert_eq!(objects.pod_templates().count(), 1, "a Service has no pods");
        assert!(objects.find("", "Service", "a").is_some() && objects.find("", "Service", "b").is_none());
    }

    #[test]
    fn an_object_is_added_once() {
        let mut objects = objects();
        let added =
            json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "a"}});
        assert_eq!(objects.add(added.clone()), Ok(()));
        let said = objects.add(added).map_err(|error| error.to_string());
        assert_eq!(said, Err("failed to add PeerAuthentication a: it is there already".into()));
        // Another version of a kind is the same object.
        assert!(
            objects.add(json!({"apiVersion": "apps/v2", "kind": "Deployment", "metadata": {"name": "a"}})).is_err()
        );
        assert_eq!(objects.into_documents().len(), 3);
    }

    #[test]
    fn labels_and_annotations_are_made_when_there_are_none() {
        let mut objects = objects();
        for service in objects.of("", "Service") {
            service.set_label("team", "a");
            service.set_annotation("note", "b");
        }
        let service = &objects.into_documents()[0];
        assert_eq!(service["metadata"]["labels"], json!({"team": "a"}));
        assert_eq!(service["metadata"]["annotations"], json!({"note": "b"}));
    }
}
