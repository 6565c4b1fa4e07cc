//! `igw policy pack`: a ConfigMap that holds a module, and the custom resource that runs it.

use std::{collections::BTreeMap, fs, io::Write as _};

use flate2::{Compression, GzBuilder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::LabelSelector};
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::{
    super::{Error, manifest},
    Printed,
    describe::Description,
};
use crate::{
    args::{NAMESPACE, policy::Pack},
    object::digest,
    policy::{
        grants::{Grants, GroupKind},
        limits, module,
        resource::{CLUSTER_WASM_POLICY, ConfigMapKey, Match, Module, WASM_POLICY, definition},
        settings::Schema,
    },
};

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
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let info = if args.cluster { CLUSTER_WASM_POLICY } else { WASM_POLICY };
    let module = Module {
        config_map: ConfigMapKey {
            name: text(&map["name"]),
            namespace: args.cluster.then(|| text(&map["namespace"])),
            key: KEY.into(),
        },
        sha256: sum.into(),
    };
    let labels =
        LabelSelector { match_labels: Some(args.labels.iter().cloned().collect()), ..LabelSelector::default() };
    let matches = Match {
        parents: parents(&args.parents)?,
        children: of.kinds.clone(),
        label_selector: (!args.labels.is_empty()).then_some(labels),
        namespace_selector: None,
    };
    let add_kinds = args.grant_kinds.iter().map(|(kind, group)| GroupKind { group: group.clone(), kind: kind.clone() });
    let grants = Grants { images: args.grant_images.clone(), add_kinds: add_kinds.collect(), ..Grants::default() };
    // Not all of a spec: what is left to its defaults says nothing to a reader.
    let mut spec = json!({"module": module, "match": matches, "settings": settings});
    if grants != Grants::default() {
        spec["grants"] = serde_json::to_value(grants)?;
    }
    let mut metadata = json!({"name": args.name});
    if !args.cluster {
        metadata["namespace"] = map["namespace"].clone();
    }
    let api_version = format!("{}/{}", info.group, info.version);
    Ok(json!({"apiVersion": api_version, "kind": info.kind, "metadata": metadata, "spec": spec}))
}

/// The kinds of custom resources to match.
fn parents(wanted: &[String]) -> Result<Vec<GroupKind>, Error> {
    let mut known = definition::parents();
    if let Some(kind) = wanted.iter().find(|kind| !known.iter().any(|k| k.kind == **kind)) {
        let names: Vec<_> = known.into_iter().map(|known| known.kind).collect();
        return Err(format!("--parent {kind} is none of {}", names.join(", ")).into());
    }
    known.retain(|known| wanted.is_empty() || wanted.contains(&known.kind));
    Ok(known)
}
