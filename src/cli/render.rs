//! `igw render`: the pure half of the pipeline, custom resources in, objects out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Error, manifest};
use crate::{
    args::{Output, Render},
    config_maps,
    kinds::{self, Parent, Related, Visitor},
    object::{INTENT_ANNOTATION, Identity},
    parent::ParentObject,
    reconcile::{self, seal::Sealed},
};

/// A manifest that is a custom resource of the operator.
pub(super) struct Given {
    pub(super) object: ParentObject,
    pub(super) identity: Identity,
    pub(super) sealed: Vec<Sealed>,
    pub(super) info: kinds::ParentInfo,
}

pub(super) fn render(args: &Render) -> Result<String, Error> {
    let documents = manifest::read(&args.files)?;
    let config_maps = config_maps_in(&documents, &args.namespace);
    let mut objects = Vec::new();
    for mut document in documents {
        let Some(given) = given(&mut document, &args.namespace, |namespace, name| {
            config_maps.get(&(namespace.to_owned(), name.to_owned())).cloned()
        })?
        else {
            continue;
        };
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

/// Digests of the ConfigMaps among the documents.
pub(super) fn config_maps_in(documents: &[Value], namespace: &str) -> BTreeMap<(String, String), String> {
    let maps = documents.iter().filter(|d| d["kind"] == "ConfigMap" && d["apiVersion"] == "v1");
    maps.filter_map(|document| {
        let map: config_maps::Watched = serde_json::from_str(&document.to_string()).ok()?;
        let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").unwrap_or(namespace);
        Some(((namespace.to_owned(), text("/metadata/name")?.to_owned()), map.digest()))
    })
    .collect()
}

/// Renders a document if it is a custom resource of the operator.
pub(super) fn given(
    document: &mut Value,
    namespace: &str,
    config_map: impl Fn(&str, &str) -> Option<String>,
) -> Result<Option<Given>, Error> {
    struct Render<'a, F> {
        document: &'a Value,
        config_map: F,
        result: Result<Option<Given>, Error>,
    }
    impl<F: Fn(&str, &str) -> Option<String>> Visitor for Render<'_, F> {
        fn visit<P: Parent>(&mut self) {
            let api_version = format!("{}/{}", P::INFO.group, P::INFO.version);
            if self.document["apiVersion"] == api_version && self.document["kind"] == P::INFO.kind {
                self.result = self.one::<P>().map(Some);
            }
        }
    }
    impl<F: Fn(&str, &str) -> Option<String>> Render<'_, F> {
        fn one<P: Parent>(&self) -> Result<Given, Error> {
            let object = ParentObject::from_manifest(self.document)?;
            let (id, identity) = (object.id(&P::INFO), object.identity());
            let failed = |error: &dyn std::fmt::Display| format!("failed to render {id}: {error}");
            let spec = object.spec::<P>().map_err(|error| failed(&error))?;
            let references = P::references(&identity, &spec).map_err(|error| failed(&error))?;
            let names = references.config_maps;
            let found = names.into_iter().filter_map(|name| {
                let digest = (self.config_map)(&identity.namespace, &name)?;
                Some((name, digest))
            });
            let related = Related { config_maps: found.collect(), ..Related::default() };
            let rendered =
                reconcile::render::render::<P>(&identity, &spec, &related).map_err(|error| failed(&error))?;
            Ok(Given { object, identity, sealed: rendered.sealed, info: P::INFO })
        }
    }
    if document["metadata"]["namespace"].is_null() && document["metadata"].is_object() {
        document["metadata"]["namespace"] = namespace.into();
    }
    let mut render = Render { document, config_map, result: Ok(None) };
    kinds::for_each(&mut render);
    render.result
}
