//! One row of the reference: what a schema says of a field, in the words of a table. PURE.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{
        autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec},
        core::v1::{EnvVar, ResourceRequirements},
    },
    apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector},
};
use schemars::{JsonSchema, SchemaGenerator, schema_for};
use serde_json::Value;

use super::{list, word};
use crate::{children::duration, kinds::schema};

/// A Kubernetes type with too many fields to list.
pub(super) struct Named {
    /// Its name.
    pub(super) name: &'static str,
    /// Where its fields are explained.
    pub(super) explained: &'static str,
    /// Whether these are its fields.
    has: fn(&BTreeSet<String>) -> bool,
}

/// All of them.
pub(super) const NAMED: &[Named] = &[
    Named {
        name: "Condition",
        explained: "`type`, `status`, `reason`, `message`, `lastTransitionTime`; see [conditions](conditions.md)",
        has: has::<Condition>,
    },
    Named { name: "EnvVar", explained: "`kubectl explain pod.spec.containers.env`", has: has::<EnvVar> },
    Named {
        name: "HorizontalPodAutoscalerBehavior",
        explained: "`kubectl explain hpa.spec.behavior --api-version=autoscaling/v2`",
        has: has::<HorizontalPodAutoscalerBehavior>,
    },
    Named { name: "LabelSelector", explained: "`kubectl explain deployment.spec.selector`", has: has::<LabelSelector> },
    Named {
        name: "MetricSpec",
        explained: "`kubectl explain hpa.spec.metrics --api-version=autoscaling/v2`",
        has: has::<MetricSpec>,
    },
    Named {
        name: "ResourceRequirements",
        explained: "`kubectl explain pod.spec.containers.resources`",
        has: has::<ResourceRequirements>,
    },
];

fn has<T: JsonSchema>(given: &BTreeSet<String>) -> bool {
    fields(schema_for!(T).as_value()) == *given
}

/// A row.
pub(super) struct Field {
    pub(super) path: String,
    pub(super) type_: String,
    pub(super) default: String,
    pub(super) allowed: String,
    pub(super) about: String,
}

impl Field {
    pub(super) fn new(path: &str, schema: &Value, required: bool) -> Self {
        let default = match &schema["default"] {
            _ if required => "required".into(),
            // What is inside has defaults of its own.
            Value::Null | Value::Object(_) => String::new(),
            Value::String(text) if text.is_empty() => "empty".into(),
            Value::String(text) => code(text),
            other => code(&other.to_string()),
        };
        Self {
            path: path.into(),
            type_: code(&type_name(schema)),
            default,
            allowed: allowed(schema).join("; "),
            about: prose(word(&schema["description"])),
        }
    }
}

/// Whether a block is a type of the Kubernetes API: those come without descriptions.
pub(super) fn is_embedded(schema: &Value) -> bool {
    fn described(schema: &Value) -> bool {
        schema["description"].is_string() || inside(schema)
    }
    fn inside(schema: &Value) -> bool {
        let properties = schema["properties"].as_object();
        properties.into_iter().flat_map(|fields| fields.values()).any(described)
            || ["items", "additionalProperties"].iter().any(|key| schema[*key].is_object() && described(&schema[*key]))
    }
    schema["properties"].as_object().is_some_and(|fields| !fields.is_empty()) && !inside(schema)
}

fn type_name(schema: &Value) -> String {
    if schema["items"].is_object() {
        return format!("[]{}", type_name(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        return format!("map[string]{}", type_name(&schema["additionalProperties"]));
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return if schema["pattern"] == quantity() { "quantity".into() } else { "integer or string".into() };
    }
    if is_embedded(schema) {
        return shape(schema);
    }
    match (word(&schema["type"]), word(&schema["format"])) {
        ("string", "date-time") => "time".into(),
        ("string", _) if schema["pattern"] == duration::PATTERN => "duration".into(),
        ("", _) => "any".into(),
        ("object", _) if schema["properties"].is_null() => "any object".into(),
        (name, _) => name.into(),
    }
}

/// A Kubernetes type by its name, or by its fields when they are few and plain.
fn shape(schema: &Value) -> String {
    let fields = fields(schema);
    if let Some(name) = kubernetes_name(&fields) {
        return name.into();
    }
    let plain = |property: &Value| property["properties"].is_null() && property["items"].is_null();
    if !schema["properties"].as_object().is_some_and(|all| all.values().all(plain)) {
        return "object".into();
    }
    let required = list(&schema["required"]);
    let named: Vec<_> = fields
        .into_iter()
        .map(|name| if required.iter().any(|field| *field == name) { name } else { format!("{name}?") })
        .collect();
    format!("{{{}}}", named.join(", "))
}

fn kubernetes_name(given: &BTreeSet<String>) -> Option<&'static str> {
    NAMED.iter().find(|named| (named.has)(given)).map(|named| named.name)
}

fn fields(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect()
}

fn quantity() -> Value {
    schema::quantity(&mut SchemaGenerator::default()).get("pattern").cloned().unwrap_or_default()
}

/// What a value must be like beyond its type.
fn allowed(schema: &Value) -> Vec<String> {
    let mut said = Vec::new();
    let values: Vec<_> = list(&schema["enum"]).iter().map(|value| code(&plain(value))).collect();
    if !values.is_empty() {
        said.push(values.join(", "));
    }
    said.extend(range(&schema["minimum"], &schema["maximum"], ""));
    said.extend(range(&schema["minItems"], &schema["maxItems"], " entries"));
    let known = schema["x-kubernetes-int-or-string"] == true || schema["pattern"] == duration::PATTERN;
    if !known {
        match (schema["minLength"].as_u64(), &schema["maxLength"]) {
            (Some(1), Value::Null) => said.push("not empty".into()),
            _ => said.extend(range(&schema["minLength"], &schema["maxLength"], " characters")),
        }
        said.extend(schema["pattern"].as_str().map(code));
    }
    for rule in list(&schema["x-kubernetes-validations"]) {
        let message = prose(word(&rule["message"]));
        said.push(match rule["fieldPath"].as_str() {
            Some(path) => format!("{} {message}", code(path.trim_start_matches('.'))),
            None => message,
        });
    }
    for inner in ["items", "additionalProperties"].iter().map(|key| &schema[*key]).filter(|inner| inner.is_object()) {
        if !is_embedded(inner) {
            said.extend(allowed(inner).into_iter().map(|words| format!("each {words}")));
        }
    }
    said
}

fn range(least: &Value, most: &Value, what: &str) -> Option<String> {
    Some(match (least.as_f64(), most.as_f64()) {
        (Some(least), Some(most)) => format!("{least} to {most}{what}"),
        (Some(least), None) => format!("at least {least}{what}"),
        (None, Some(most)) => format!("at most {most}{what}"),
        (None, None) => return None,
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// As code in a cell of a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// As prose in Markdown: nothing outside of code is taken for markup.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, part) in text.split('`').enumerate() {
        if number > 0 {
            out.push('`');
        }
        let part = part.replace('|', "\\|");
        out.push_str(&if number % 2 == 0 { part.replace('<', "&lt;").replace('*', "\\*") } else { part });
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Field, is_embedded, kubernetes_name, prose, shape};

    #[test]
    fn a_type_of_kubernetes_is_known_by_its_fields() {
        let key = json!({
            "properties": {"name": {"type": "string"}, "key": {"type": "string"}, "optional": {"type": "boolean"}},
            "required": ["key", "name"],
        });
        assert!(is_embedded(&key));
        assert_eq!(shape(&key), "{key, name, optional?}");
        let own = json!({"properties": {"name": {"type": "string", "description": "Its name."}}});
        assert!(!is_embedded(&own));
        let env = json!({"properties": {"name": {}, "value": {}, "valueFrom": {"properties": {}}}});
        assert_eq!(shape(&env), "EnvVar");
        let names = ["minReplicas".to_owned()].into();
        assert_eq!(kubernetes_name(&names), None);
    }

    #[test]
    fn a_row_says_what_the_schema_says() {
        let port =
            json!({"type": "integer", "default": 8080, "minimum": 1024.0, "maximum": 65535.0, "description": "A | b"});
        let Field { path, type_, default, allowed, about } = Field::new("spec.port", &port, false);
        assert_eq!(
            [path.as_str(), &type_, &default, &allowed, &about],
            ["spec.port", "`integer`", "`8080`", "1024 to 65535", "A \\| b"]
        );
        let list = json!({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}});
        let row = Field::new("spec.list", &list, true);
        assert_eq!([row.type_.as_str(), &row.default, &row.allowed], ["`[]string`", "required", "each `a`, `b`"]);
    }

    #[test]
    fn prose_has_no_markup_by_accident() {
        assert_eq!(prose("a <b> of *_C, `<d>|*`"), "a &lt;b> of \\*_C, `<d>\\|*`");
    }
}
