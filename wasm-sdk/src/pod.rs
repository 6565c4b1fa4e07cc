//! What pods are made from: labels, containers, environment, volumes.

use serde_json::{Value, json};

use crate::{
    Error,
    objects::{list_at, map_at},
};

/// What the pods of a workload are made from: `spec.template` of a Deployment.
#[derive(Debug)]
pub struct PodTemplate<'a>(&'a mut Value);

impl<'a> PodTemplate<'a> {
    pub(crate) fn new(template: &'a mut Value) -> Self {
        Self(template)
    }

    /// Sets a label of the pods.
    pub fn set_label(&mut self, key: &str, value: &str) {
        map_at(self.0, &["metadata", "labels"]).insert(key.into(), value.into());
    }

    /// Sets an annotation of the pods.
    pub fn set_annotation(&mut self, key: &str, value: &str) {
        map_at(self.0, &["metadata", "annotations"]).insert(key.into(), value.into());
    }

    /// The containers, without init containers.
    pub fn containers(&mut self) -> impl Iterator<Item = Container<'_>> {
        self.containers_in("containers")
    }

    /// The init containers, native sidecars among them.
    pub fn init_containers(&mut self) -> impl Iterator<Item = Container<'_>> {
        self.containers_in("initContainers")
    }

    fn containers_in(&mut self, list: &str) -> impl Iterator<Item = Container<'_>> {
        let list = self.0["spec"].get_mut(list).and_then(Value::as_array_mut);
        list.into_iter().flatten().map(Container)
    }

    /// A container by its name, without init containers.
    pub fn container(&mut self, name: &str) -> Option<Container<'_>> {
        self.containers().find(|container| container.name() == name)
    }

    /// Adds a container behind those that are there.
    ///
    /// # Errors
    ///
    /// When a container or init container of that name is there already, or when it has no name.
    pub fn add_container(&mut self, container: Value) -> Result<(), Error> {
        self.free_name(&container)?;
        list_at(&mut self.0["spec"], "containers").push(container);
        Ok(())
    }

    /// Adds an init container before those that are there. With `restartPolicy: Always` it is a native sidecar, and runs
    /// before every other init container and as long as the pod.
    ///
    /// # Errors
    ///
    /// As [`Self::add_container`].
    pub fn add_init_container(&mut self, container: Value) -> Result<(), Error> {
        self.free_name(&container)?;
        list_at(&mut self.0["spec"], "initContainers").insert(0, container);
        Ok(())
    }

    fn free_name(&mut self, container: &Value) -> Result<(), Error> {
        let name = name_of(container);
        if name.is_empty() {
            return Err("failed to add a container: it has no name".into());
        }
        if self.containers().any(|c| c.name() == name) || self.init_containers().any(|c| c.name() == name) {
            return Err(format!("failed to add container {name}: it is there already").into());
        }
        Ok(())
    }

    /// Adds a volume.
    ///
    /// # Errors
    ///
    /// When a volume of that name is there already, or when it has no name.
    pub fn add_volume(&mut self, volume: Value) -> Result<(), Error> {
        let name = name_of(&volume);
        if name.is_empty() {
            return Err("failed to add a volume: it has no name".into());
        }
        let volumes = list_at(&mut self.0["spec"], "volumes");
        if volumes.iter().any(|volume| name_of(volume) == name) {
            return Err(format!("failed to add volume {name}: it is there already").into());
        }
        volumes.push(volume);
        Ok(())
    }

    /// The document: `metadata` and `spec` of the pods.
    pub fn document_mut(&mut self) -> &mut Value {
        self.0
    }
}

/// A container of a pod.
#[derive(Debug)]
pub struct Container<'a>(&'a mut Value);

impl Container<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        name_of(self.0)
    }

    /// Whether an environment variable is there.
    #[must_use]
    pub fn has_env(&self, name: &str) -> bool {
        self.0["env"].as_array().is_some_and(|env| env.iter().any(|variable| name_of(variable) == name))
    }

    /// Sets an environment variable to a literal value.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.put_env(json!({"name": name, "value": value}));
    }

    /// Sets an environment variable, as a manifest has it: `name` with `value` or `valueFrom`. One of that name is
    /// replaced where it stands; a new one comes last, so that it may use `$(NAME)` of those before it.
    pub fn put_env(&mut self, variable: Value) {
        put(list_at(self.0, "env"), "name", variable);
    }

    /// Mounts a volume, as a manifest has it. One at that path is replaced.
    pub fn put_volume_mount(&mut self, mount: Value) {
        put(list_at(self.0, "volumeMounts"), "mountPath", mount);
    }

    /// The document.
    pub fn document_mut(&mut self) -> &mut Value {
        self.0
    }
}

fn name_of(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

fn put(list: &mut Vec<Value>, key: &str, element: Value) {
    match list.iter_mut().find(|there| there[key] == element[key]) {
        Some(there) => *there = element,
        None => list.push(element),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::PodTemplate;

    fn template() -> Value {
        json!({"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]}})
    }

    #[test]
    fn env_is_replaced_in_place_and_added_last() {
        let mut value = template();
        let mut template = PodTemplate::new(&mut value);
        let mut main = template.container("main").expect("it is there");
        assert!(main.has_env("A") && !main.has_env("C"));
        main.set_env("C", "3");
        main.put_env(json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}));
        let names: Vec<_> = value["spec"]["containers"][0]["env"].as_array().expect("a list").iter().collect();
        assert_eq!(names[0]["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
        assert!(names[0].get("value").is_none(), "replaced as a whole");
        assert_eq!((&names[1]["name"], &names[2]["name"]), (&json!("B"), &json!("C")));
    }

    #[test]
    fn names_are_taken_once_in_both_lists() {
        let mut value = template();
        let mut template = PodTemplate::new(&mut value);
        assert_eq!(template.add_init_container(json!({"name": "first"})), Ok(()));
        assert_eq!(template.add_init_container(json!({"name": "zeroth"})), Ok(()));
        assert_eq!(template.add_container(json!({"name": "second"})), Ok(()));
        let again = template.add_container(json!({"name": "first"})).map_err(|error| error.to_string());
        assert_eq!(again, Err("failed to add container first: it is there already".into()));
        assert!(template.add_init_container(json!({"name": "main"})).is_err());
        assert!(template.add_container(json!({"image": "x"})).is_err());
        let names: Vec<_> = template.init_containers().map(|container| container.name().to_owned()).collect();
        assert_eq!(names, ["zeroth", "first"]);
        assert_eq!(template.containers().count(), 2);
    }

    #[test]
    fn volumes_mounts_labels_and_annotations() {
        let mut value = template();
        let mut template = PodTemplate::new(&mut value);
        assert_eq!(template.add_volume(json!({"name": "tmp", "emptyDir": {}})), Ok(()));
        assert!(template.add_volume(json!({"name": "tmp"})).is_err() && template.add_volume(json!({})).is_err());
        template.set_label("a", "b");
        template.set_annotation("c", "d");
        let mut main = template.container("main").expect("it is there");
        main.put_volume_mount(json!({"name": "tmp", "mountPath": "/tmp"}));
        main.put_volume_mount(json!({"name": "tmp", "mountPath": "/tmp", "readOnly": true}));
        assert_eq!(value["metadata"], json!({"labels": {"a": "b"}, "annotations": {"c": "d"}}));
        let mounts = json!([{"name": "tmp", "mountPath": "/tmp", "readOnly": true}]);
        assert_eq!(value["spec"]["containers"][0]["volumeMounts"], mounts);
    }
}
