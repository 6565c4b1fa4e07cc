//! `igw render`: the pure half of the pipeline, custom resources in, objects out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Error, manifest};
use crate::{
    args::{Output, Render},
    config_maps,
    directory::{Directory, Entry},
    kinds::{self, Parent, References, Related, Visitor},
    object::{ChildKind, DesiredChild, INTENT_ANNOTATION, Identity},
    parent::ParentObject,
    reconcile::{self, seal::Sealed},
};

/// A manifest that is a custom resource of the operator.
pub(super) struct Given {
    pub(super) object: ParentObject,
    pub(super) identity: Identity,
    pub(super) references: References,
    /// What its kind wants, before anything else had a look at it.
    pub(super) generated: Vec<DesiredChild>,
    /// See [`Parent::FIXED`].
    pub(super) fixed: &'static [(ChildKind, &'static str)],
    pub(super) sealed: Vec<Sealed>,
    pub(super) info: kinds::ParentInfo,
}

pub(super) fn render(args: &Render) -> Result<String, Error> {
    let documents = manifest::read(&args.files)?;
    let known = Known::in_documents(&documents, &args.namespace);
    let mut objects = Vec::new();
    for mut document in documents {
        let Some(given) = given(&mut document, &args.namespace, &known)? else { continue };
        objects.extend(given.sealed.into_iter().map(|sealed| without_uid(sealed.body, &given.identity)));
    }
    if objects.is_empty() {
        return Err(format!(
            "failed to find a custom resource of group {} in the files: give at least one with -f",
            kinds::GROUP
        )
        .into());
    }
    match args.output {
        Output::Yaml => manifest::yaml(&objects),
        Output::Json => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
            Ok(format!("{}\n", serde_json::to_string_pretty(&list)?))
        }
    }
}

/// Without a cluster a custom resource has no uid, and what depends on one would be made up.
fn without_uid(mut body: Value, identity: &Identity) -> Value {
    if identity.uid.is_empty()
        && let Some(metadata) = body["metadata"].as_object_mut()
    {
        metadata.remove("ownerReferences");
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove(INTENT_ANNOTATION);
        }
    }
    body
}

/// What custom resources are related to, as files or a server have it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Digests of ConfigMaps by namespace and name.
    pub(super) config_maps: BTreeMap<(String, String), String>,
    /// Custom resources that others look for.
    pub(super) directory: Directory,
}

impl Known {
    /// What is among the documents.
    pub(super) fn in_documents(documents: &[Value], namespace: &str) -> Self {
        struct List<'a> {
            document: &'a Value,
            directory: &'a Directory,
        }
        impl Visitor for List<'_> {
            fn visit<P: Parent>(&mut self) {
                // One that cannot be read says so when it is rendered itself.
                if P::LISTED
                    && is::<P>(self.document)
                    && let Ok(object) = ParentObject::from_manifest(self.document)
                    && let Ok(entry) = Entry::of::<P>(&object)
                {
                    self.directory.saw(&object.id(&P::INFO), entry);
                }
            }
        }
        let directory = Directory::default();
        for document in documents {
            let document = &with_namespace(document.clone(), namespace);
            kinds::for_each(&mut List { document, directory: &directory });
        }
        Self { config_maps: config_maps_in(documents, namespace), directory }
    }

    fn related(&self, identity: &Identity, references: &References) -> Related {
        let key = |name: &String| (identity.namespace.clone(), name.clone());
        let digest = |name: &String| Some((name.clone(), self.config_maps.get(&key(name))?.clone()));
        let config_maps = references.config_maps.iter().filter_map(digest).collect();
        let found = references.discoveries.iter().map(|(kind, wanted)| (*kind, self.directory.find(kind, wanted)));
        Related { config_maps, found: found.collect(), ..Related::default() }
    }
}

/// Digests of the ConfigMaps among the documents.
fn config_maps_in(documents: &[Value], namespace: &str) -> BTreeMap<(String, String), String> {
    let maps = documents.iter().filter(|d| d["kind"] == "ConfigMap" && d["apiVersion"] == "v1");
    maps.filter_map(|document| {
        let map: config_maps::Watched = serde_json::from_str(&document.to_string()).ok()?;
        let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").unwrap_or(namespace);
        Some(((namespace.to_owned(), text("/metadata/name")?.to_owned()), map.digest()))
    })
    .collect()
}

fn is<P: Parent>(document: &Value) -> bool {
    document["apiVersion"] == format!("{}/{}", P::INFO.group, P::INFO.version) && document["kind"] == P::INFO.kind
}

fn with_namespace(mut document: Value, namespace: &str) -> Value {
    if document["metadata"]["namespace"].is_null() && document["metadata"].is_object() {
        document["metadata"]["namespace"] = namespace.into();
    }
    document
}

/// Renders a document if it is a custom resource of the operator.
pub(super) fn given(document: &mut Value, namespace: &str, known: &Known) -> Result<Option<Given>, Error> {
    struct Render<'a> {
        document: &'a Value,
        known: &'a Known,
        result: Result<Option<Given>, Error>,
    }
    impl Visitor for Render<'_> {
        fn visit<P: Parent>(&mut self) {
            if is::<P>(self.document) {
                self.result = self.one::<P>().map(Some);
            }
        }
    }
    impl Render<'_> {
        fn one<P: Parent>(&self) -> Result<Given, Error> {
            let object = ParentObject::from_manifest(self.document)?;
            let (id, identity) = (object.id(&P::INFO), object.identity());
            let failed = |error: &dyn std::fmt::Display| format!("failed to render {id}: {error}");
            let spec = object.spec::<P>().map_err(|error| failed(&error))?;
            let references = P::references(&identity, &spec).map_err(|error| failed(&error))?;
            let related = self.known.related(&identity, &references);
            let rendered =
                reconcile::render::render::<P>(&identity, &spec, &related).map_err(|error| failed(&error))?;
            let (generated, sealed) = (rendered.desired.children, rendered.sealed);
            Ok(Given { object, identity, references, generated, fixed: P::FIXED, sealed, info: P::INFO })
        }
    }
    *document = with_namespace(document.take(), namespace);
    let mut render = Render { document, known, result: Ok(None) };
    kinds::for_each(&mut render);
    render.result
}
