//! The examples that the demo shows: which there are, what is in them, and how they look in another namespace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{igw::checkout, kinds::Kind};

/// Folders below `examples`, in the order in which they are applied.
const NAMES: [&str; 7] = [
    "gateway-minimal",
    "gateway-complete",
    "gateway-with-ingress-simple",
    "gateway-with-ingress-advanced",
    "agent-server",
    "mcp-server",
    "orchestrator",
];

/// How many of them, from the first one, fit into one namespace and work with an operator that cannot reach the pods.
const SMALL: usize = 2;

/// Those with policies, in folders below `examples` too.
const POLICIES: [&str; 3] = ["policies/extra-env", "policies/add-sidecar", "policies/istio-mtls"];

/// The documents of some examples.
pub(crate) struct Examples {
    folders: Vec<PathBuf>,
    documents: Vec<Value>,
}

/// A custom resource of the examples: where it is, and what matters for what one can try with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether an autoscaler decides the number of its pods.
    pub(crate) autoscaled: bool,
    /// The agents that it looks for.
    pub(crate) search: Option<Search>,
}

/// Which agents something looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Examples {
    /// All that this checkout has.
    pub(crate) fn all() -> Result<Self> {
        Self::load(&NAMES)
    }

    /// Those for a cluster of the user's.
    pub(crate) fn small() -> Result<Self> {
        Self::load(&NAMES[..SMALL])
    }

    /// Those with policies.
    pub(crate) fn policies() -> Result<Self> {
        Self::load(&POLICIES)
    }

    fn load(names: &[&str]) -> Result<Self> {
        let folders = names.iter().map(|name| checkout().join("examples").join(name));
        let folders: Vec<PathBuf> = folders.filter(|folder| folder.is_dir()).collect();
        let mut documents = Vec::new();
        for folder in &folders {
            documents.append(&mut read(folder)?);
        }
        let this = Self { folders, documents };
        if this.resources().is_empty() {
            bail!("{} has no custom resources: it belongs to the checkout", checkout().join("examples").display());
        }
        Ok(this)
    }

    /// The folders that kubectl can apply as they are.
    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The custom resources among them.
    pub(crate) fn resources(&self) -> Vec<Example> {
        self.documents.iter().filter_map(Example::read).collect()
    }

    /// The custom resources in one of the folders.
    pub(crate) fn resources_in(&self, folder: &Path) -> Result<Vec<Example>> {
        Ok(read(folder)?.iter().filter_map(Example::read).collect())
    }

    /// Names of all documents of a kind.
    pub(crate) fn named(&self, kind: &str) -> Vec<String> {
        let documents = self.documents.iter().filter(|document| document["kind"] == kind);
        documents.map(|document| text(&document["metadata"]["name"], "")).collect()
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

impl Example {
    /// Of a document, if it is a custom resource of the operator.
    fn read(document: &Value) -> Option<Self> {
        let (metadata, spec) = (&document["metadata"], &document["spec"]);
        let namespace = text(&metadata["namespace"], "default");
        let (a2a, search) = (&spec["a2a"], &spec["a2a"]["serviceDiscovery"]);
        let search = (a2a["enabled"] == true && search["enabled"] == true).then(|| Search {
            namespace: text(&search["namespace"], &namespace),
            labels: texts(&search["selector"]["matchLabels"]),
        });
        Some(Self {
            kind: Kind::of_document(document)?,
            namespace,
            name: text(&metadata["name"], ""),
            labels: texts(&metadata["labels"]),
            autoscaled: spec["hpa"]["enabled"] == true,
            search,
        })
    }

    /// Kind, namespace and name, for people.
    pub(crate) fn title(&self) -> String {
        format!("{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

/// The documents of a folder.
fn read(folder: &Path) -> Result<Vec<Value>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    // The order in which kubectl takes them.
    files.sort();
    let mut documents = Vec::new();
    for file in files {
        if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            let text = fs::read_to_string(&file)?;
            documents.append(&mut parse(&text).with_context(|| format!("{} is not YAML", file.display()))?);
        }
    }
    Ok(documents)
}

/// The documents of a file; empty ones, such as a comment before the first separator, are left out.
fn parse(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn text(value: &Value, default: &str) -> String {
    value.as_str().unwrap_or(default).to_owned()
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), text(value, ""))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Example, Examples, Kind, Search, parse};

    const TEXT: &str = "# a comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n---\n\
        apiVersion: core.inference-gateway.com/v1alpha1\nkind: Gateway\nmetadata: {name: a, namespace: team}\nspec: {hpa: {enabled: true}}\n---\n\
        apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: other}\n";

    const ORCHESTRATOR: &str = "apiVersion: core.inference-gateway.com/v1alpha1\nkind: Orchestrator\nmetadata: {name: o, namespace: team}\n\
        spec: {a2a: {enabled: true, serviceDiscovery: {enabled: true, selector: {matchLabels: {tier: front}}}}}\n";

    fn examples(text: &str) -> Examples {
        Examples { folders: Vec::new(), documents: parse(text).expect("YAML") }
    }

    #[test]
    fn examples_move_into_one_namespace() {
        let examples = examples(TEXT);
        let mut expected = Example {
            kind: Kind::Gateway,
            namespace: "team".into(),
            name: "a".into(),
            labels: [].into(),
            autoscaled: true,
            search: None,
        };
        assert_eq!(examples.resources(), std::slice::from_ref(&expected));
        let moved = examples.in_namespace("demo").expect("no two names alike");
        expected.namespace = "demo".into();
        assert_eq!(moved.resources(), [expected]);
        assert_eq!(moved.names(), ["Gateway a", "Gateway other"]);
    }

    #[test]
    fn an_orchestrator_says_which_agents_it_looks_for() {
        let search = Search { namespace: "team".into(), labels: [("tier".into(), "front".into())].into() };
        assert_eq!(examples(ORCHESTRATOR).resources()[0].search, Some(search));
        let without = ORCHESTRATOR.replace("a2a: {enabled: true", "a2a: {enabled: false");
        assert_eq!(examples(&without).resources()[0].search, None);
    }

    #[test]
    fn two_of_one_name_do_not_fit_into_one_namespace() {
        let text = "kind: Secret\nmetadata: {name: key, namespace: a}\n---\nkind: Secret\nmetadata: {name: key, namespace: b}\n";
        assert!(examples(text).in_namespace("demo").is_err());
    }
}
