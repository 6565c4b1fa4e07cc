//! Where a field is, in the words of the API server: `.spec.template.spec.containers[name="x"].image`. PURE.

use std::fmt;

use serde_json::{Map, Value};

/// Path of a field; list elements go by their merge key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

/// The way to a field while a document is walked: nothing is allocated until somebody wants the [`Path`].
#[derive(Debug, Clone, Copy)]
pub enum Trail<'a> {
    /// The document.
    Root,
    /// A field.
    Field(&'a Trail<'a>, &'a str),
    /// The element of a list with the merge keys of this one.
    Element(&'a Trail<'a>, &'a Value, &'a [&'a str]),
    /// An element of a list without merge keys.
    Position(&'a Trail<'a>, usize),
}

impl<'a> Trail<'a> {
    const fn parent(&self) -> Option<&'a Self> {
        match self {
            Self::Root => None,
            Self::Field(parent, _) | Self::Element(parent, ..) | Self::Position(parent, _) => Some(parent),
        }
    }

    /// The name of the last field on the way, and of the one before it.
    #[must_use]
    pub fn last_fields(&self) -> (Option<&'a str>, Option<&'a str>) {
        let mut fields = std::iter::successors(Some(self), |trail| trail.parent()).filter_map(|trail| match trail {
            Trail::Field(_, name) => Some(*name),
            _ => None,
        });
        (fields.next(), fields.next())
    }

    /// Whether a field of one of these names is on the way.
    #[must_use]
    pub fn passes(&self, names: &[&str]) -> bool {
        std::iter::successors(Some(self), |trail| trail.parent())
            .any(|trail| matches!(trail, Trail::Field(_, name) if names.contains(name)))
    }

    /// The whole path.
    #[must_use]
    pub fn path(&self) -> Path {
        let mut steps: Vec<Step> = std::iter::successors(Some(self), |trail| trail.parent())
            .filter_map(|trail| match trail {
                Trail::Root => None,
                Trail::Field(_, name) => Some(Step::Field((*name).to_owned())),
                Trail::Element(_, item, keys) => Some(Step::Element(
                    keys.iter().filter_map(|key| Some(((*key).to_owned(), item.get(key)?.clone()))).collect(),
                )),
                Trail::Position(_, position) => Some(Step::Position(*position)),
            })
            .collect();
        steps.reverse();
        Path(steps)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Element(Map<String, Value>),
    Position(usize),
}

impl Path {
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

    /// Whether a path in the words of the server is this one, holds it, or is a part of it.
    #[must_use]
    pub fn overlaps(&self, server: &str) -> bool {
        // The server writes every field with a dot, also those that have dots or slashes themselves.
        let own: String = self.0.iter().map(Step::in_server_words).collect();
        let holds = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        holds(&own, server) || holds(server, &own)
    }

    /// The same for a path in the words of the server's validation, which counts the elements of lists:
    /// `spec.template.spec.containers[1].image`.
    #[must_use]
    pub fn overlaps_indexed(&self, server: &str, document: &Value) -> bool {
        let mut own = String::new();
        let mut here = Some(document);
        for step in &self.0 {
            match step {
                Step::Field(name) => {
                    own.push('.');
                    own.push_str(name);
                    here = here.and_then(|value| value.get(name));
                }
                Step::Element(keys) => {
                    let is = |item: &Value| keys.iter().all(|(key, value)| item.get(key) == Some(value));
                    let position = here.and_then(Value::as_array).and_then(|list| list.iter().position(is));
                    // What was taken away has no place any more.
                    let Some(position) = position else { break };
                    own.push_str(&format!("[{position}]"));
                    here = here.and_then(|value| value.get(position));
                }
                Step::Position(position) => {
                    own.push_str(&format!("[{position}]"));
                    here = here.and_then(|value| value.get(*position));
                }
            }
        }
        let server = format!(".{}", server.trim_start_matches('.'));
        let holds = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        holds(&own, &server) || holds(&server, &own)
    }

    /// The part of it that is there in a document, as text; the rest is cut off.
    #[must_use]
    pub fn known_in(&self, document: &Value) -> String {
        let mut here = document;
        let is_there = |step: &&Step| {
            let next = match step {
                Step::Field(name) => here.get(name),
                Step::Element(keys) => {
                    let is = |item: &&Value| keys.iter().all(|(key, value)| item.get(key) == Some(value));
                    here.as_array().and_then(|list| list.iter().find(is))
                }
                Step::Position(position) => here.get(position),
            };
            next.map(|next| here = next).is_some()
        };
        let known: Vec<Step> = self.0.iter().take_while(is_there).cloned().collect();
        let cut = if known.len() < self.0.len() { "…" } else { "" };
        format!("{}{cut}", Self(known))
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

impl Step {
    fn in_server_words(&self) -> String {
        match self {
            Self::Field(name) => format!(".{name}"),
            Self::Position(position) => format!("[{position}]"),
            Self::Element(keys) => {
                let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("[{}]", keys.join(","))
            }
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Field(name) if name.contains(['.', '/']) => write!(f, "[{name}]"),
            step => f.write_str(&step.in_server_words()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Trail;

    #[test]
    fn a_path_is_found_in_the_words_of_the_server() {
        let (metadata, spec) = (Trail::Field(&Trail::Root, "metadata"), Trail::Field(&Trail::Root, "spec"));
        let labels = Trail::Field(&metadata, "labels");
        let label = Trail::Field(&labels, "example.com/a").path();
        assert_eq!(label.to_string(), ".metadata.labels[example.com/a]");
        assert!(label.overlaps(".metadata.labels.example.com/a"));
        assert!(!label.overlaps(".metadata.labels.example.com/ab"));
        let selector = Trail::Field(&spec, "selector");
        let app = Trail::Field(&selector, "app");
        assert!(app.path().overlaps(".spec.selector"), "a selector has one owner");
        assert!(Trail::Field(&app, "x").path().overlaps(".spec.selector.app"));
        assert!(!app.path().overlaps(".spec.select"));
    }

    #[test]
    fn a_path_is_found_where_the_server_counts() {
        let document = json!({"spec": {"containers": [{"name": "gateway"}, {"name": "x", "image": "y"}]}});
        let spec = Trail::Field(&Trail::Root, "spec");
        let containers = Trail::Field(&spec, "containers");
        let element = Trail::Element(&containers, &document["spec"]["containers"][1], &["name"]);
        let path = Trail::Field(&element, "image").path();
        assert!(path.overlaps_indexed("spec.containers[1].image", &document));
        assert!(path.overlaps_indexed("spec.containers[1]", &document));
        assert!(path.overlaps_indexed("spec.containers", &document));
        assert!(!path.overlaps_indexed("spec.containers[0].image", &document));
        assert!(!path.overlaps_indexed("spec.containers[1].imagePullPolicy", &document));
    }

    #[test]
    fn a_path_shows_only_what_a_document_has() {
        let document = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "A"}]}]}});
        let added = json!([{"name": "secret"}, {"name": "A"}]);
        let spec = Trail::Field(&Trail::Root, "spec");
        let containers = Trail::Field(&spec, "containers");
        let known = Trail::Element(&containers, &document["spec"]["containers"][0], &["name"]);
        let env = Trail::Field(&known, "env");
        let shown = |trail: Trail<'_>| trail.path().known_in(&document);
        let whole = r#".spec.containers[name="a"].env[name="A"]"#;
        assert_eq!(shown(Trail::Element(&env, &added[1], &["name"])), whole);
        assert_eq!(shown(Trail::Element(&env, &added[0], &["name"])), r#".spec.containers[name="a"].env…"#);
        let other = Trail::Element(&containers, &added[0], &["name"]);
        assert_eq!(shown(Trail::Field(&other, "image")), ".spec.containers…");
        assert_eq!(shown(Trail::Field(&Trail::Root, "secret")), "…");
        assert_eq!(shown(Trail::Position(&containers, 0)), ".spec.containers[0]");
    }

    #[test]
    fn a_path_is_found_in_fields_v1() {
        let container = json!({"name": "gateway", "image": "x"});
        let spec = Trail::Field(&Trail::Root, "spec");
        let containers = Trail::Field(&spec, "containers");
        let element = Trail::Element(&containers, &container, &["name"]);
        let path = Trail::Field(&element, "image").path();
        assert_eq!(path.to_string(), r#".spec.containers[name="gateway"].image"#);
        let held = json!({"f:spec": {"f:containers": {"k:{\"name\":\"gateway\"}": {"f:image": {}}}}});
        assert!(path.is_held_by(&held));
        assert!(path.is_held_by(&json!({"f:spec": {"f:containers": {}}})), "an atomic list is held whole");
        assert!(!path.is_held_by(&json!({"f:spec": {"f:replicas": {}}})));
    }
}
