//! Where a field is, in the words of the API server: `.spec.template.spec.containers[name="x"].image`. PURE.

use std::fmt;

use serde_json::{Map, Value};

/// Path of a field; list elements go by their merge key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Element(Map<String, Value>),
    Position(usize),
}

impl Path {
    /// This path and a field of it.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.then(Step::Field(name.into()))
    }

    /// This path and the element with these merge keys.
    #[must_use]
    pub fn element(&self, keys: Map<String, Value>) -> Self {
        self.then(Step::Element(keys))
    }

    /// This path and an element of a list without merge keys.
    #[must_use]
    pub fn position(&self, position: usize) -> Self {
        self.then(Step::Position(position))
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The name of the last field on the path, and of the one before it.
    #[must_use]
    pub fn last_fields(&self) -> (Option<&str>, Option<&str>) {
        let mut fields = self.0.iter().rev().filter_map(|step| match step {
            Step::Field(name) => Some(name.as_str()),
            _ => None,
        });
        (fields.next(), fields.next())
    }

    /// Whether a field of this name is on the path.
    #[must_use]
    pub fn passes(&self, name: &str) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Field(field) if field == name))
    }

    /// Whether `fieldsV1` (JSON) holds this field, or a whole value that contains it.
    #[must_use]
    pub fn is_held_by(&self, fields: &Value) -> bool {
        let mut here = fields;
        for step in &self.0 {
            let key = match step {
                Step::Field(name) => format!("f:{name}"),
                Step::Element(keys) => format!("k:{}", Value::Object(keys.clone())),
                // Lists without merge keys are held as a whole, by the leaf above.
                Step::Position(_) => return false,
            };
            match here.get(&key) {
                Some(next) if next.as_object().is_some_and(Map::is_empty) => return true,
                Some(next) => here = next,
                None => return false,
            }
        }
        // A list element or map that is held as such has the key ".".
        here.get(".").is_some()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Field(name) if name.contains(['.', '/']) => write!(f, "[{name}]")?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Position(position) => write!(f, "[{position}]")?,
                Step::Element(keys) => {
                    let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                    write!(f, "[{}]", keys.join(","))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Path;

    #[test]
    fn a_path_is_found_in_fields_v1() {
        let keys = json!({"name": "gateway"}).as_object().cloned().unwrap_or_default();
        let path = Path::default().field("spec").field("containers").element(keys).field("image");
        assert_eq!(path.to_string(), r#".spec.containers[name="gateway"].image"#);
        let held = json!({"f:spec": {"f:containers": {"k:{\"name\":\"gateway\"}": {"f:image": {}}}}});
        assert!(path.is_held_by(&held));
        assert!(path.is_held_by(&json!({"f:spec": {"f:containers": {}}})), "an atomic list is held whole");
        assert!(!path.is_held_by(&json!({"f:spec": {"f:replicas": {}}})));
    }
}
