//! The definitions of `WasmPolicy` and `ClusterWasmPolicy`: one schema, and what the namespaced kind may not say. PURE.
//!
//! A field that a schema does not have is dropped by the API server without a word, except by clients that ask for strict
//! validation. A grant that is dropped silently is worse than one that is refused, so the namespaced kind has every field of
//! the other one, and a rule that refuses it. The lists of kinds come from where the kinds are.

use std::borrow::Cow;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition,
};
use kube::{CustomResource, CustomResourceExt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{grants::GroupKind, paths::added},
    PolicySpec,
    status::PolicyStatus,
};
use crate::{
    kinds::{self, Parent, Visitor, schema},
    object::ChildKind,
};

/// Longest name of a policy, and why.
const NAME: (usize, &str) = (63, "objects and metrics name it");

/// Blocks and the fields in them that only the cluster kind may have.
const CLUSTER_ONLY: &[(&str, &str)] = &[
    ("/properties/module/properties/configMap", "namespace"),
    ("/properties/match", "namespaceSelector"),
    ("/properties/grants", "addKinds"),
    ("/properties/grants", "containerSecurity"),
    ("/properties/grants", "command"),
    ("/properties/grants", "serviceType"),
    ("/properties/grants", "ingressHosts"),
];

/// The spec of a `WasmPolicy`.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "policy.inference-gateway.dev",
    version = "v1alpha1",
    kind = "WasmPolicy",
    plural = "wasmpolicies",
    shortname = "wasmpol",
    namespaced,
    category = "inference-gateway",
    status = "PolicyStatus",
    derive = "PartialEq",
    doc = "A WebAssembly module that rewrites what the operator generates in one namespace."
)]
#[serde(transparent)]
pub struct WasmPolicySpec(pub PolicySpec);

/// The spec of a `ClusterWasmPolicy`.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "policy.inference-gateway.dev",
    version = "v1alpha1",
    kind = "ClusterWasmPolicy",
    plural = "clusterwasmpolicies",
    shortname = "cwasmpol",
    category = "inference-gateway",
    status = "PolicyStatus",
    derive = "PartialEq",
    doc = "A WebAssembly module that rewrites what the operator generates in all namespaces."
)]
#[serde(transparent)]
pub struct ClusterWasmPolicySpec(pub PolicySpec);

impl JsonSchema for WasmPolicySpec {
    fn schema_name() -> Cow<'static, str> {
        "WasmPolicySpec".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = spec(
            generator,
            "A WebAssembly module that rewrites what the operator generates for the custom resources of this namespace. \
             The module lies in a ConfigMap of the same namespace. It runs where the operator was started with \
             --namespaced-policies.",
        );
        for (block, field) in CLUSTER_ONLY {
            reserve(&mut schema, block, field);
        }
        schema
    }
}

impl JsonSchema for ClusterWasmPolicySpec {
    fn schema_name() -> Cow<'static, str> {
        "ClusterWasmPolicySpec".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        spec(
            generator,
            "A WebAssembly module that rewrites what the operator generates for the custom resources of every namespace \
             but the operator's own. It runs after the WasmPolicies of the namespace, so it has the last word.",
        )
    }
}

/// Both definitions.
#[must_use]
pub fn definitions() -> [CustomResourceDefinition; 2] {
    [WasmPolicy::crd(), ClusterWasmPolicy::crd()].map(|mut crd| {
        for version in &mut crd.spec.versions {
            version.additional_printer_columns = Some(columns());
        }
        schema::finish(crd, NAME)
    })
}

/// The kinds of custom resources that a policy can match.
#[must_use]
pub fn parents() -> Vec<GroupKind> {
    #[derive(Default)]
    struct Known(Vec<GroupKind>);
    impl Visitor for Known {
        fn visit<P: Parent>(&mut self) {
            self.0.push(kind(P::INFO.group, P::INFO.kind));
        }
    }
    let mut known = Known::default();
    kinds::for_each(&mut known);
    known.0
}

/// The kinds of objects that a policy can be shown: those that are generated, and those that policies may add.
#[must_use]
pub fn children() -> Vec<GroupKind> {
    ChildKind::ALL.iter().map(|child| child.info()).map(|info| kind(info.group, info.kind)).collect()
}

fn added_kinds() -> Vec<GroupKind> {
    added::KINDS.iter().map(|added| added.child.info()).map(|info| kind(info.group, info.kind)).collect()
}

fn kind(group: &str, kind: &str) -> GroupKind {
    GroupKind { group: group.into(), kind: kind.into() }
}

/// Schema of the settings: the module knows what is in them.
pub(super) fn settings(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// What both kinds have.
fn spec(generator: &mut SchemaGenerator, about: &str) -> Schema {
    let mut schema = PolicySpec::json_schema(generator);
    schema.insert("description".into(), about.into());
    one_of(&mut schema, "/properties/match/properties/parents/items", &parents());
    one_of(&mut schema, "/properties/match/properties/children/items", &children());
    one_of(&mut schema, "/properties/grants/properties/addKinds/items", &added_kinds());
    schema
}

/// Only these kinds make sense here.
fn one_of(schema: &mut Schema, place: &str, known: &[GroupKind]) {
    let Some(item) = schema.pointer_mut(place) else { return };
    let pairs: Vec<_> = known.iter().map(|known| format!("'{}/{}'", known.group, known.kind)).collect();
    let names: Vec<_> = known.iter().map(ToString::to_string).collect();
    let rule =
        format!("!has(self.kind) || ((has(self.group) ? self.group : '') + '/' + self.kind) in [{}]", pairs.join(", "));
    add_rule(item, json!({"rule": rule, "message": format!("must be one of {}", names.join(", "))}));
}

/// Refuses a field of a block.
fn reserve(schema: &mut Schema, block: &str, field: &str) {
    let Some(block) = schema.pointer_mut(block) else { return };
    if let Some(property) = block["properties"][field].as_object_mut() {
        property.insert("description".into(), "Not here: it is for a ClusterWasmPolicy alone.".into());
        property.remove("default");
    }
    // A word of the language of rules is written so.
    let name = if field == "namespace" { "__namespace__" } else { field };
    add_rule(
        block,
        json!({
            "rule": format!("!has(self.{name})"),
            "message": "is for a ClusterWasmPolicy alone",
            "reason": "FieldValueForbidden",
            "fieldPath": format!(".{field}"),
        }),
    );
}

fn add_rule(schema: &mut Value, rule: Value) {
    match &mut schema["x-kubernetes-validations"] {
        Value::Array(rules) => rules.push(rule),
        none => *none = json!([rule]),
    }
}

/// What `kubectl get` shows: whether it runs and on how much; with `-o wide` which module that is, and why not.
fn columns() -> Vec<CustomResourceColumnDefinition> {
    let active = |field: &str| format!(".status.conditions[?(@.type==\"Active\")].{field}");
    let column = |name: &str, type_: &str, path: String, priority| CustomResourceColumnDefinition {
        name: name.into(),
        type_: type_.into(),
        json_path: path,
        priority,
        ..CustomResourceColumnDefinition::default()
    };
    vec![
        column("Active", "string", active("status"), None),
        column("Reason", "string", active("reason"), None),
        column("Matched", "integer", ".status.matched".into(), None),
        column("Held", "integer", ".status.held".into(), None),
        column("Order", "integer", ".spec.order".into(), None),
        column("Mode", "string", ".spec.mode".into(), None),
        column("Age", "date", ".metadata.creationTimestamp".into(), None),
        column("Module", "string", ".status.module.name".into(), Some(1)),
        column("Version", "string", ".status.module.version".into(), Some(1)),
        column("Digest", "string", ".status.module.digest".into(), Some(1)),
        column("Failed", "integer", ".status.failed".into(), Some(1)),
        column("Operator", "string", ".spec.operator".into(), Some(1)),
        column("Message", "string", active("message"), Some(1)),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{CLUSTER_ONLY, children, definitions, parents};
    use crate::policy::{
        limits::Limits,
        resource::{CLUSTER_WASM_POLICY, WASM_POLICY},
    };

    fn spec_of(number: usize) -> Value {
        let version = json!(definitions()[number].spec.versions[0]);
        version["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
    }

    #[test]
    fn the_names_are_those_that_the_operator_asks_for() {
        for (crd, info) in definitions().iter().zip([WASM_POLICY, CLUSTER_WASM_POLICY]) {
            let (names, spec) = (&crd.spec.names, &crd.spec);
            assert_eq!((names.kind.as_str(), names.plural.as_str()), (info.kind, info.plural));
            assert_eq!((spec.group.as_str(), spec.versions[0].name.as_str()), (info.group, info.version));
        }
    }

    #[test]
    fn what_is_for_the_cluster_kind_is_refused_in_the_other_one() {
        let (namespaced, cluster) = (spec_of(0), spec_of(1));
        for (block, field) in CLUSTER_ONLY {
            let rules = |spec: &Value| spec.pointer(block).expect("a block")["x-kubernetes-validations"].to_string();
            assert!(cluster.pointer(block).expect("a block")["properties"][field].is_object(), "{block} {field}");
            assert!(rules(&namespaced).contains(&format!("\".{field}\"")), "{block} {field}");
            assert!(!rules(&cluster).contains("Forbidden"), "{block} {field}");
        }
    }

    #[test]
    fn every_kind_is_offered_once() {
        let mut all = children();
        assert!(parents().len() >= 4 && all.len() > 12, "{all:?}");
        let before = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), before);
        for place in ["match/properties/parents", "match/properties/children", "grants/properties/addKinds"] {
            let spec = spec_of(0);
            let items = &spec.pointer(&format!("/properties/{place}/items")).expect("a list");
            let rule = items["x-kubernetes-validations"][0]["rule"].as_str().expect("a rule");
            assert!(rule.contains("'core.inference-gateway.com/Gateway'") || rule.contains("'/ConfigMap'"), "{rule}");
        }
    }

    #[test]
    fn the_schema_allows_what_the_operator_gives() {
        let limits = &spec_of(1)["properties"]["limits"]["properties"];
        let most = Limits::default();
        assert_eq!(limits["fuel"]["maximum"].as_f64(), Some(most.fuel as f64));
        assert_eq!(limits["memoryMiB"]["maximum"].as_f64(), Some((most.memory >> 20) as f64));
    }
}
