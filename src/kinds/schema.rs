//! What the derived definitions of custom resources lack, the same for every kind: schemas of embedded Kubernetes types,
//! and a last pass over the whole definition. PURE.
//!
//! The last pass exists because the derive macros speak of Rust types and an API server of user's documents: a Rust
//! default stores whole blocks where `{}` is enough, and an `Option` allows an explicit null that nobody means.

use std::collections::BTreeMap;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::children::duration;

/// What a quantity of something that cannot be negative looks like.
const QUANTITY: &str = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// Schema of a quantity: `500m`, `1Gi`, or a plain whole number.
pub fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "pattern": QUANTITY,
        // Keeps the estimated cost of rules that compare two of them inside the API server's budget.
        "maxLength": 32,
    })
}

/// Schema of a duration such as `30s`, `1m30s` or `500ms`.
pub fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": duration::PATTERN })
}

/// Schema of a type of the Kubernetes API, checked like the original and without its long descriptions: they would
/// make up most of the definition, and `kubectl explain` has them where the type comes from.
pub fn kubernetes<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    if let Some(map) = schema.as_object_mut() {
        for (key, value) in map.iter_mut() {
            without_prose(key, value);
        }
        map.remove("description");
    }
    schema
}

/// `key` tells a property that happens to be called `description` from the keyword.
fn without_prose(key: &str, value: &mut Value) {
    match value {
        Value::Object(map) => {
            if key != "properties" {
                map.remove("description");
                if map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                    map.insert("pattern".into(), QUANTITY.into());
                }
            }
            for (key, value) in map.iter_mut() {
                without_prose(key, value);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|item| without_prose("", item)),
        _ => {}
    }
}

/// Conditions: a list with one entry a type, so that several writers can each keep their own.
pub fn conditions<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let items = kubernetes::<T>(generator);
    json_schema!({
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// Schema of a label selector, with what the API server checks in its own.
pub fn label_selector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = kubernetes::<LabelSelector>(generator);
    if let Some(operator) = schema.pointer_mut("/properties/matchExpressions/items/properties/operator") {
        operator["enum"] = json!(["In", "NotIn", "Exists", "DoesNotExist"]);
    }
    if let Some(item) = schema.pointer_mut("/properties/matchExpressions/items") {
        item["x-kubernetes-validations"] = json!([{
            "rule": "!has(self.operator) || (self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "message": "values are needed for In and NotIn, and for nothing else",
        }]);
    }
    schema
}

/// The last pass: `spec` may be left out where it asks for nothing, names that cannot work are refused at creation, and
/// every schema is tidied. `longest`: how long a name may be, and why.
#[must_use]
pub fn finish(mut crd: CustomResourceDefinition, longest: (usize, &str)) -> CustomResourceDefinition {
    let (longest, why) = longest;
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) else { continue };
        tidy(root);
        root.required = None;
        root.title = None;
        // The API server takes no field path into metadata, so the message names the field.
        let name = format!("metadata.name must be at most {longest} characters long, because {why}");
        let mut rules = vec![at_creation(&format!("size(self.metadata.name) <= {longest}"), name)];
        if let Some(spec) = root.properties.as_mut().and_then(|p| p.get_mut("spec")) {
            if asks_for_nothing(spec) {
                spec.default = Some(JSON(json!({})));
            } else {
                let needed = spec.required.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
                rules.push(at_creation("has(self.spec)", format!("spec is needed, with {needed}")));
            }
        }
        root.x_kubernetes_validations = Some(rules);
    }
    crd
}

/// A rule for the whole object that holds at creation alone: a resource stored before must still get its status, be edited
/// and be deleted.
fn at_creation(rule: &str, message: String) -> ValidationRule {
    ValidationRule {
        rule: format!("oldSelf.hasValue() || {rule}"),
        message: Some(message),
        optional_old_self: Some(true),
        ..ValidationRule::default()
    }
}

fn asks_for_nothing(block: &JSONSchemaProps) -> bool {
    block.required.as_ref().is_none_or(Vec::is_empty)
}

fn tidy(schema: &mut JSONSchemaProps) {
    // Not nullable: the API server then drops an explicit null and fills the default in.
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| value.0 != Value::Null);
    }
    schema.description = schema.description.take().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    schema.default = schema.default.take().and_then(|default| match default.0 {
        Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        // The defaults of the fields inside do the rest; a block without any stays as absent as it was.
        Value::Object(_) => fills_itself(schema).then(|| JSON(json!({}))),
        other => Some(JSON(other)),
    });
    for property in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        tidy(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => tidy(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

/// Whether a default inside would take effect once the block exists. A block that asks for a field is not valid without it,
/// so it is never made out of nothing.
fn fills_itself(block: &JSONSchemaProps) -> bool {
    asks_for_nothing(block)
        && block.properties.iter().flat_map(BTreeMap::values).any(|property| match &property.default {
            Some(JSON(Value::Object(_))) => fills_itself(property),
            Some(JSON(Value::Null)) | None => false,
            Some(JSON(Value::Array(list))) => !list.is_empty(),
            Some(_) => true,
        })
}
