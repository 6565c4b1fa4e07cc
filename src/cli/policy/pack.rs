//! `igw policy pack`: a ConfigMap that holds a module, and the custom resource that runs it.

use std::{collections::BTreeMap, fs, io::Write as _};

use flate2::{Compression, GzBuilder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::api::ObjectMeta;
use serde_json::{Map, Value, json};

use super::{
    super::{Error, manifest},
    Printed,
    describe::Description,
};
use crate::{
    args::{NAMESPACE, policy::Pack},
    kinds::{self, Parent, Visitor},
    object::digest,
    policy::{
        limits,
        module::{self, GroupKind},
        settings::Schema,
    },
};

/// Group and version of policies.
const API_VERSION: &str = "policy.inference-gateway.dev/v1alpha1";
/// Key in the ConfigMap.
const KEY: &str = "policy.wasm.gz";
/// The API server takes no larger ConfigMap.
const CONFIG_MAP: usize = 1 << 20;
/// `kubectl apply` without --server-side copies all of it into an annotation, which may not be larger.
const CLIENT_SIDE: usize = 190_000;

pub(super) fn pack(args: &Pack) -> Result<Printed, Error> {
    let file = args.module.display();
    let module = fs::read(&args.module)
        .map_err(|error| format!("failed to read {file}: {error}; give the file that `igw policy build` wrote"))?;
    let failed = |error: Error| format!("failed to read {file}: {error}");
    if module.starts_with(&[0x1f, 0x8b]) {
        return Err(format!("{file} is packed already: give the file that `igw policy build` wrote").into());
    }
    if module.len() > limits::MODULE {
        return Err(format!("{file} has {} bytes, and the operator takes {}", module.len(), limits::MODULE).into());
    }
    module::inspect(&module).map_err(|failure| failed(failure.into()))?;
    let description = Description::of(&module).map_err(failed)?;
    let packed = gzip(&module)?;
    if packed.len() > CONFIG_MAP {
        return Err(format!("{file} has {} bytes when packed, and a ConfigMap holds {CONFIG_MAP}", packed.len()).into());
    }
    let settings = match &args.settings {
        Some(path) => match manifest::read(&[path])?.as_slice() {
            [settings @ Value::Object(_)] => settings.clone(),
            _ => return Err(format!("{}: the settings are one document, a map", path.display()).into()),
        },
        None => json!({}),
    };
    if let Some(schema) = &description.settings {
        let checked = Schema::new(&schema.to_string()).and_then(|schema| schema.check(&settings.to_string()));
        checked.map_err(|failure| {
            format!("the policy refuses its settings: {failure}; give others with --settings FILE")
        })?;
    }
    let mut notes = String::new();
    if packed.len() > CLIENT_SIDE {
        notes.push_str(&format!("igw: {} bytes: apply it with kubectl apply --server-side\n", packed.len()));
    }
    for GroupKind { group, kind } in &description.adds {
        if !args.grant_kinds.iter().any(|(k, g)| k == kind && g == group) {
            notes.push_str(&format!(
                "igw: the policy adds {kind}.{group}: allow it with --cluster --grant-kind {kind}.{group}\n"
            ));
        }
    }
    let sum = digest(&packed).trim_start_matches("sha256:").to_owned();
    let map = config_map(args, &sum, packed)?;
    let policy = policy(args, &description, &sum, &map["metadata"], settings)?;
    Ok(Printed { text: manifest::yaml(&[map, policy])?, notes })
}

/// Without a time and a name, so that the same module gives the same bytes.
fn gzip(module: &[u8]) -> Result<Vec<u8>, Error> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::best());
    writer.write_all(module)?;
    Ok(writer.finish()?)
}

/// Named by its digest and immutable: another module is another ConfigMap, and the name says which one runs.
fn config_map(args: &Pack, sum: &str, packed: Vec<u8>) -> Result<Value, Error> {
    let namespace = args.namespace.as_deref().unwrap_or(if args.cluster { NAMESPACE } else { "default" });
    Ok(serde_json::to_value(ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", args.name, sum.get(..12).unwrap_or(sum))),
            namespace: Some(namespace.into()),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        binary_data: Some(BTreeMap::from([(KEY.into(), ByteString(packed))])),
        ..ConfigMap::default()
    })?)
}

fn policy(args: &Pack, of: &Description, sum: &str, map: &Value, settings: Value) -> Result<Value, Error> {
    let mut module = json!({"configMap": {"name": map["name"], "key": KEY}, "sha256": sum});
    let mut metadata = json!({"name": args.name});
    if args.cluster {
        module["configMap"]["namespace"] = map["namespace"].clone();
    } else {
        metadata["namespace"] = map["namespace"].clone();
    }
    let mut matches = json!({"parents": parents(&args.parents)?, "children": of.kinds});
    if !args.labels.is_empty() {
        let labels = args.labels.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
        matches["labelSelector"] = json!({"matchLabels": labels.collect::<Map<_, _>>()});
    }
    let mut spec = json!({"module": module, "match": matches, "settings": settings});
    if !args.grant_images.is_empty() {
        spec["grants"]["images"] = json!(args.grant_images);
    }
    if !args.grant_kinds.is_empty() {
        let kinds = args.grant_kinds.iter().map(|(kind, group)| json!({"group": group, "kind": kind}));
        spec["grants"]["addKinds"] = kinds.collect();
    }
    let kind = if args.cluster { "ClusterWasmPolicy" } else { "WasmPolicy" };
    Ok(json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}))
}

/// The kinds of custom resources to match.
fn parents(wanted: &[String]) -> Result<Value, Error> {
    struct Known(Vec<GroupKind>);
    impl Visitor for Known {
        fn visit<P: Parent>(&mut self) {
            self.0.push(GroupKind { group: P::INFO.group.into(), kind: P::INFO.kind.into() });
        }
    }
    let mut known = Known(Vec::new());
    kinds::for_each(&mut known);
    if let Some(kind) = wanted.iter().find(|kind| !known.0.iter().any(|k| k.kind == **kind)) {
        let names: Vec<_> = known.0.into_iter().map(|known| known.kind).collect();
        return Err(format!("--parent {kind} is none of {}", names.join(", ")).into());
    }
    known.0.retain(|known| wanted.is_empty() || wanted.contains(&known.kind));
    Ok(serde_json::to_value(known.0)?)
}
