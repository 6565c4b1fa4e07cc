//! Every path of the schemas of the generated kinds, and what can be done to a document there.

use igw::object::ChildKind;
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::Ingress,
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// One step of a path through a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    Item,
    Key,
}

/// A place in a schema.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) steps: Vec<Step>,
    pub(super) schema: Value,
}

/// What is done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Set,
    Remove,
    WrongType,
    UnknownField,
    Reverse,
}

/// Values that mean something to some rule, beside one that means nothing to any.
const WORDS: &[&str] = &[
    "changed",
    "granted",
    "NodePort",
    "Always",
    "RuntimeDefault",
    "None",
    "ALL",
    "scratch",
    "/granted",
    "ExternalName",
];
const NUMBERS: &[i64] = &[0, 7];
const KEYS: &[&str] = &[
    "example.com/x",
    "team",
    "app",
    "sidecar.istio.io/inject",
    "app.kubernetes.io/name",
    "inference-gateway.com/config-hash",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/configuration-snippet",
];

/// Decides where there is a choice; the same numbers give the same document.
pub(super) struct Choice<'a>(pub(super) &'a [u8], pub(super) usize);

impl Choice<'_> {
    fn of(&mut self, options: usize) -> usize {
        let number = self.0.get(self.1 % self.0.len().max(1)).copied().unwrap_or(0);
        self.1 += 1;
        usize::from(number) % options.max(1)
    }
}

pub(super) fn places(kind: ChildKind) -> Vec<Place> {
    fn schema<T: JsonSchema>() -> Value {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        settings.into_generator().into_root_schema_for::<T>().to_value()
    }
    let schema = match kind {
        ChildKind::Deployment => schema::<Deployment>(),
        ChildKind::Service => schema::<Service>(),
        ChildKind::Ingress => schema::<Ingress>(),
        ChildKind::HorizontalPodAutoscaler => schema::<HorizontalPodAutoscaler>(),
        ChildKind::ServiceAccount => schema::<ServiceAccount>(),
        ChildKind::ConfigMap => schema::<ConfigMap>(),
        // Their types are not Kubernetes' own; a policy may change their metadata alone, as of a ServiceAccount.
        ChildKind::ApiGateway | ChildKind::HttpRoute => Value::Null,
        // Never generated, and judged as a whole: see `paths/added/tests.rs` and `rules.rs`.
        ChildKind::PeerAuthentication
        | ChildKind::DestinationRule
        | ChildKind::NetworkPolicy
        | ChildKind::ServiceMonitor
        | ChildKind::PodMonitor => Value::Null,
    };
    let mut found = Vec::new();
    walk(&schema, &mut Vec::new(), &mut found);
    found
}

fn walk(schema: &Value, steps: &mut Vec<Step>, found: &mut Vec<Place>) {
    if !steps.is_empty() {
        found.push(Place { steps: steps.clone(), schema: schema.clone() });
    }
    let mut inside = |step: Step, schema: &Value| {
        steps.push(step);
        walk(schema, steps, found);
        steps.pop();
    };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        inside(Step::Field(name.clone()), property);
    }
    if schema["items"].is_object() {
        inside(Step::Item, &schema["items"]);
    }
    if schema["additionalProperties"].is_object() {
        inside(Step::Key, &schema["additionalProperties"]);
    }
}

/// What the schema asks for.
pub(super) fn type_of(schema: &Value) -> &str {
    if schema["x-kubernetes-int-or-string"] == true {
        return "int-or-string";
    }
    schema["type"].as_str().unwrap_or("any")
}

/// A value that fits, with every field.
fn fitting(schema: &Value, choice: &mut Choice<'_>) -> Value {
    match type_of(schema) {
        "object" => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let mut map: Map<_, _> = fields.map(|(name, schema)| (name.clone(), fitting(schema, choice))).collect();
            if schema["additionalProperties"].is_object() {
                map.insert(KEYS[choice.of(KEYS.len())].into(), fitting(&schema["additionalProperties"], choice));
            }
            Value::Object(map)
        }
        "array" => json!([fitting(&schema["items"], choice)]),
        "integer" => NUMBERS[choice.of(NUMBERS.len())].into(),
        "number" => json!(0.5),
        "boolean" => json!(choice.of(2) == 0),
        "int-or-string" => [json!(7), json!("7")][choice.of(2)].clone(),
        _ => WORDS[choice.of(WORDS.len())].into(),
    }
}

fn unfitting(schema: &Value) -> Value {
    match type_of(schema) {
        "array" => json!({"a": 1}),
        "string" => json!(7),
        "int-or-string" => json!(true),
        "object" => json!(["x"]),
        _ => json!("x"),
    }
}

/// A new element of a list, with what pairs it and nothing else.
fn fresh(list: &str) -> Value {
    match list {
        "containers" | "initContainers" => json!({"name": "fresh", "image": "granted"}),
        "volumeMounts" => json!({"mountPath": "/fresh", "name": "scratch"}),
        "ports" => json!({"containerPort": 7777}),
        "topologySpreadConstraints" => json!({"topologyKey": "fresh", "whenUnsatisfiable": "DoNotSchedule"}),
        "env" | "volumes" | "imagePullSecrets" => json!({"name": "fresh"}),
        _ => Value::Null,
    }
}

/// Does something at a place of a document; whether there was anything to do.
pub(super) fn mutate(document: &mut Value, place: &Place, deed: Deed, choice: &mut Choice<'_>) -> bool {
    let create = matches!(deed, Deed::Set | Deed::WrongType | Deed::UnknownField);
    let (Some(last), Some(target)) = (place.steps.last(), reach(document, &place.steps, create, choice)) else {
        return false;
    };
    let slot = match target {
        Slot::Of(map, key) => {
            if deed == Deed::Remove {
                return map.remove(&key).is_some();
            }
            map.entry(key).or_insert(Value::Null)
        }
        Slot::At(list, index) => {
            if deed == Deed::Remove {
                list.remove(index);
                return true;
            }
            &mut list[index]
        }
    };
    match deed {
        Deed::Set => {
            let value = fitting(&place.schema, choice);
            *slot = match (last, slot.take()) {
                // An element that is replaced as a whole keeps its kind of list, not its key.
                (Step::Item | Step::Field(_) | Step::Key, _) => value,
            };
        }
        Deed::WrongType => *slot = unfitting(&place.schema),
        Deed::UnknownField => {
            let known = place.schema["properties"].is_object();
            let Some(map) = (if slot.is_null() { Some(Map::new()) } else { slot.as_object().cloned() }) else {
                return false;
            };
            if !known {
                return false;
            }
            *slot = Value::Object(map);
            slot["unknownField"] = "x".into();
        }
        Deed::Reverse => match slot {
            Value::Array(items) if items.len() > 1 => items.reverse(),
            _ => return false,
        },
        Deed::Remove => {}
    }
    true
}

enum Slot<'a> {
    Of(&'a mut Map<String, Value>, String),
    At(&'a mut Vec<Value>, usize),
}

/// The place in the document, made on the way when it is not there.
fn reach<'a>(document: &'a mut Value, steps: &[Step], create: bool, choice: &mut Choice<'_>) -> Option<Slot<'a>> {
    let (mut here, mut list_name) = (document, String::new());
    for (position, step) in steps.iter().enumerate() {
        let last = position + 1 == steps.len();
        match step {
            Step::Field(_) | Step::Key => {
                if here.is_null() && create {
                    *here = json!({});
                }
                let map = here.as_object_mut()?;
                let key = match step {
                    Step::Field(name) => name.clone(),
                    _ => {
                        let existing: Vec<_> = map.keys().cloned().collect();
                        let pick = choice.of(existing.len() + if create { KEYS.len() } else { 0 });
                        existing.get(pick).cloned().or_else(|| Some((*KEYS.get(pick - existing.len())?).to_owned()))?
                    }
                };
                list_name.clone_from(&key);
                if last {
                    return Some(Slot::Of(map, key));
                }
                if !create && !map.contains_key(&key) {
                    return None;
                }
                here = map.entry(key).or_insert(Value::Null);
            }
            Step::Item => {
                if here.is_null() && create {
                    *here = json!([]);
                }
                let list = here.as_array_mut()?;
                let index = choice.of(list.len() + usize::from(create));
                if index == list.len() {
                    if !create {
                        return None;
                    }
                    list.push(fresh(&list_name));
                }
                if last {
                    return Some(Slot::At(list, index));
                }
                here = &mut list[index];
            }
        }
    }
    None
}
