//! The examples that the demo shows: which there are, what is in them, and how they look in another namespace.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    gateway::{GROUP, KIND},
    igw::checkout,
};

/// Folders below `examples`, in the order in which they are applied.
const NAMES: [&str; 2] = ["gateway-minimal", "gateway-complete"];

/// The documents of the examples.
pub(crate) struct Examples {
    documents: Vec<Value>,
}

/// Where a Gateway of the examples is, and what matters for what one can try with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Whether an autoscaler decides the number of its pods.
    pub(crate) autoscaled: bool,
}

impl Examples {
    /// The folders that kubectl can apply as they are.
    pub(crate) fn folders() -> impl Iterator<Item = PathBuf> {
        NAMES.map(|name| checkout().join("examples").join(name)).into_iter()
    }

    /// Reads them.
    pub(crate) fn load() -> Result<Self> {
        let mut documents = Vec::new();
        for folder in Self::folders() {
            let entries = fs::read_dir(&folder)
                .with_context(|| format!("cannot read {}: it belongs to the checkout", folder.display()))?;
            let mut files: Vec<PathBuf> =
                entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
            // The order in which kubectl takes them.
            files.sort();
            for file in files {
                if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                    documents.extend(
                        parse(&fs::read_to_string(&file)?)
                            .with_context(|| format!("{} is not YAML", file.display()))?,
                    );
                }
            }
        }
        let this = Self { documents };
        if this.gateways().is_empty() {
            bail!("the examples have no Gateway");
        }
        Ok(this)
    }

    /// The Gateways among them.
    pub(crate) fn gateways(&self) -> Vec<Example> {
        self.documents
            .iter()
            .filter(|document| is_ours(document) && document["kind"] == KIND)
            .map(|document| Example {
                namespace: text(&document["metadata"]["namespace"], "default"),
                name: text(&document["metadata"]["name"], ""),
                autoscaled: document["spec"]["hpa"]["enabled"] == true,
            })
            .collect()
    }

    /// Everything in one namespace: namespaces of their own are left out.
    pub(crate) fn in_namespace(mut self, namespace: &str) -> Result<Self> {
        self.documents.retain(|document| document["kind"] != "Namespace");
        let mut seen = BTreeSet::new();
        for document in &mut self.documents {
            document["metadata"]["namespace"] = namespace.into();
            let key = (text(&document["kind"], ""), text(&document["metadata"]["name"], ""));
            if let Some((kind, name)) = seen.replace(key) {
                bail!("two examples have a {kind} named {name}, so they do not fit into one namespace: rename one");
            }
        }
        Ok(self)
    }

    /// Kind and name of every document.
    pub(crate) fn names(&self) -> Vec<String> {
        self.documents
            .iter()
            .map(|document| format!("{} {}", text(&document["kind"], "?"), text(&document["metadata"]["name"], "?")))
            .collect()
    }

    /// As one document that kubectl can apply.
    pub(crate) fn as_list(&self) -> Value {
        json!({"apiVersion": "v1", "kind": "List", "items": self.documents})
    }
}

/// The documents of a file; empty ones, such as a comment before the first separator, are left out.
fn parse(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn is_ours(document: &Value) -> bool {
    document["apiVersion"].as_str().is_some_and(|version| version.split('/').next() == Some(GROUP))
}

fn text(value: &Value, default: &str) -> String {
    value.as_str().unwrap_or(default).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Example, Examples, parse};

    const TEXT: &str = "# a comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n---\n\
        apiVersion: core.inference-gateway.com/v1alpha1\nkind: Gateway\nmetadata: {name: a, namespace: team}\nspec: {hpa: {enabled: true}}\n---\n\
        apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: other}\n";

    #[test]
    fn examples_move_into_one_namespace() {
        let examples = Examples { documents: parse(TEXT).expect("three documents") };
        let mut expected = Example { namespace: "team".into(), name: "a".into(), autoscaled: true };
        assert_eq!(examples.gateways(), std::slice::from_ref(&expected));
        let moved = examples.in_namespace("demo").expect("no two names alike");
        expected.namespace = "demo".into();
        assert_eq!(moved.gateways(), [expected]);
        assert_eq!(moved.names(), ["Gateway a", "Gateway other"]);
    }

    #[test]
    fn two_of_one_name_do_not_fit_into_one_namespace() {
        let text = "kind: Secret\nmetadata: {name: key, namespace: a}\n---\nkind: Secret\nmetadata: {name: key, namespace: b}\n";
        let examples = Examples { documents: parse(text).expect("two documents") };
        assert!(examples.in_namespace("demo").is_err());
    }
}
