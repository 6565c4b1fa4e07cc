//! What the guard should say, written apart from it: both documents as flat tables of leaves, and a plain list of the
//! paths that may change.

use std::collections::BTreeMap;

use igw::{object::ChildKind, policy::grants::Grants};
use serde_json::Value;

/// Lists whose elements go by a key; all others go by position.
const KEYED: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
];

type Leaves = BTreeMap<Vec<String>, Value>;

/// One leaf that differs.
struct Leaf<'a> {
    grants: &'a Grants,
    path: &'a [String],
    new: Option<&'a Value>,
    before: &'a Leaves,
    after: &'a Leaves,
}

impl Leaf<'_> {
    fn word(&self) -> &str {
        self.new.and_then(Value::as_str).unwrap_or_default()
    }

    fn last(&self) -> &str {
        self.path.last().map(String::as_str).unwrap_or_default()
    }

    /// How many of the leaves of `table` are at or below the first `length` steps of this path.
    fn below<'b>(&'b self, table: &'b Leaves, length: usize) -> impl Iterator<Item = (&'b Vec<String>, &'b Value)> {
        table.iter().filter(move |(path, _)| path.starts_with(&self.path[..length]))
    }

    /// The text at a path that begins with the first `length` steps of this one.
    fn text_at(&self, length: usize, rest: &[&str]) -> &str {
        let path: Vec<String> =
            self.path[..length].iter().cloned().chain(rest.iter().map(ToString::to_string)).collect();
        self.after.get(&path).and_then(Value::as_str).unwrap_or_default()
    }

    fn position(&self, step: &str) -> usize {
        self.path.iter().position(|part| part == step).map_or(0, |position| position + 1)
    }

    /// Whether a reference that begins at this step is gone, or names what is granted.
    fn reference(&self, step: &str, name: &str, granted: bool) -> bool {
        let length = self.position(step);
        self.below(self.after, length).next().is_none() || (granted && self.text_at(length, &[name]) == "granted")
    }
}

type Row = (&'static str, fn(&Leaf<'_>) -> bool);

const YES: fn(&Leaf<'_>) -> bool = |_| true;
const NO: fn(&Leaf<'_>) -> bool = |_| false;

fn free_key(leaf: &Leaf<'_>) -> bool {
    let domain = leaf.last().split('/').next().unwrap_or_default();
    let selects = leaf.last() == "app" && leaf.path.iter().any(|step| step == "labels");
    !selects && !domain.ends_with("kubernetes.io") && !domain.ends_with("inference-gateway.com")
}

fn exposed_key(leaf: &Leaf<'_>) -> bool {
    free_key(leaf) || (leaf.last().starts_with("nginx.ingress.kubernetes.io/") && !leaf.last().contains("snippet"))
}

fn own_host(leaf: &Leaf<'_>) -> bool {
    leaf.new.is_none() || leaf.grants.container_security
}

fn restricted(leaf: &Leaf<'_>) -> bool {
    let ok = match leaf.path.iter().skip(leaf.position("securityContext")).map(String::as_str).collect::<Vec<_>>()[..] {
        ["allowPrivilegeEscalation" | "privileged"] => leaf.new == Some(&false.into()),
        ["runAsNonRoot"] => leaf.new == Some(&true.into()),
        ["runAsUser"] => leaf.new.and_then(Value::as_i64).is_some_and(|user| user != 0),
        ["runAsGroup" | "readOnlyRootFilesystem"] => true,
        ["seccompProfile" | "appArmorProfile", ..] => {
            leaf.text_at(leaf.position("securityContext") + 1, &["type"]) == "RuntimeDefault"
        }
        ["capabilities", "drop", ..] => leaf.below(leaf.after, leaf.position("drop")).any(|(_, value)| value == "ALL"),
        _ => false,
    };
    ok || leaf.grants.container_security
}

/// A volume that a policy could have added.
fn mountable(leaf: &Leaf<'_>, length: usize) -> bool {
    let name = leaf.text_at(length, &["name"]);
    let mut prefix: Vec<String> = ["spec", "template", "spec", "volumes"].iter().map(ToString::to_string).collect();
    prefix.push(format!("[{name}]"));
    let sources: Vec<_> =
        leaf.after.keys().filter(|p| p.starts_with(&prefix) && p.last().is_some_and(|l| l != "name")).collect();
    !sources.is_empty()
        && sources.iter().all(|path| match path[5].as_str() {
            "emptyDir" | "downwardAPI" => true,
            "secret" => {
                leaf.grants.secrets.len() == 1
                    && leaf
                        .after
                        .get(&[&prefix[..], &["secret".into(), "secretName".into()]].concat())
                        .is_some_and(|v| v == "granted")
            }
            "configMap" => {
                leaf.grants.config_maps.len() == 1
                    && leaf
                        .after
                        .get(&[&prefix[..], &["configMap".into(), "name".into()]].concat())
                        .is_some_and(|v| v == "granted")
            }
            "projected" => path.get(8).is_none_or(|source| source == "downwardAPI"),
            _ => false,
        })
}

fn mount(leaf: &Leaf<'_>) -> bool {
    let length = leaf.position("volumeMounts") + 1;
    let path = leaf.text_at(length, &["mountPath"]);
    let propagation = leaf.text_at(length, &["mountPropagation"]);
    path.starts_with('/')
        && (propagation.is_empty() || propagation == "None" || leaf.grants.container_security)
        && mountable(leaf, length)
}

/// Patterns of paths, the first that fits counts for everything below it: `*` is any step, `=` an element that was there,
/// `+` one that was not, `#` any element.
const DEPLOYMENT: &[Row] = &[
    ("metadata labels *", free_key),
    ("metadata annotations *", free_key),
    ("spec template metadata labels *", free_key),
    ("spec template metadata annotations *", free_key),
    ("spec template spec affinity", YES),
    ("spec template spec tolerations", YES),
    ("spec template spec topologySpreadConstraints", YES),
    ("spec template spec imagePullSecrets + name", |leaf| !leaf.grants.secrets.is_empty() && leaf.word() == "granted"),
    ("spec template spec volumes + name", YES),
    ("spec template spec volumes + emptyDir", YES),
    ("spec template spec volumes + downwardAPI", YES),
    ("spec template spec volumes + secret", |leaf| {
        leaf.reference("secret", "secretName", !leaf.grants.secrets.is_empty())
    }),
    ("spec template spec volumes + configMap", |leaf| {
        leaf.reference("configMap", "name", !leaf.grants.config_maps.is_empty())
    }),
    ("spec template spec volumes + projected defaultMode", YES),
    ("spec template spec volumes + projected sources # downwardAPI", YES),
    ("spec template spec volumes + projected sources # secret", |leaf| {
        leaf.reference("secret", "name", !leaf.grants.secrets.is_empty())
    }),
    ("spec template spec volumes + projected sources # configMap", |leaf| {
        leaf.reference("configMap", "name", !leaf.grants.config_maps.is_empty())
    }),
    // Every container.
    ("spec template spec C # env # name", YES),
    ("spec template spec C # env # value", YES),
    ("spec template spec C # env # valueFrom fieldRef", YES),
    ("spec template spec C # env # valueFrom resourceFieldRef", YES),
    ("spec template spec C # env # valueFrom secretKeyRef", |leaf| {
        leaf.reference("secretKeyRef", "name", !leaf.grants.secrets.is_empty())
    }),
    ("spec template spec C # env # valueFrom configMapKeyRef", |leaf| {
        leaf.reference("configMapKeyRef", "name", !leaf.grants.config_maps.is_empty())
    }),
    ("spec template spec C # envFrom # prefix", YES),
    ("spec template spec C # envFrom # secretRef", |leaf| {
        leaf.reference("secretRef", "name", !leaf.grants.secrets.is_empty())
    }),
    ("spec template spec C # envFrom # configMapRef", |leaf| {
        leaf.reference("configMapRef", "name", !leaf.grants.config_maps.is_empty())
    }),
    ("spec template spec C # image", |leaf| !leaf.grants.images.is_empty() && leaf.word() == "granted"),
    ("spec template spec C # resources claims", NO),
    ("spec template spec C # resources", YES),
    ("spec template spec C # volumeMounts +", mount),
    ("spec template spec C # P httpGet host", own_host),
    ("spec template spec C # P tcpSocket host", own_host),
    ("spec template spec C = P exec", |leaf| leaf.grants.command),
    ("spec template spec C # P", YES),
    // Those that were there.
    ("spec template spec C = args", |leaf| leaf.grants.command),
    ("spec template spec C = command", |leaf| leaf.grants.command),
    ("spec template spec C = securityContext", |leaf| leaf.grants.container_security),
    // Those that were not.
    ("spec template spec C + name", YES),
    ("spec template spec C + args", YES),
    ("spec template spec C + command", YES),
    ("spec template spec C + imagePullPolicy", YES),
    ("spec template spec C + lifecycle * httpGet host", own_host),
    ("spec template spec C + lifecycle * tcpSocket host", own_host),
    ("spec template spec C + lifecycle", YES),
    ("spec template spec C + ports # hostIP", NO),
    ("spec template spec C + ports # hostPort", NO),
    ("spec template spec C + ports", YES),
    ("spec template spec initContainers + restartPolicy", |leaf| leaf.word() == "Always"),
    ("spec template spec C + securityContext", restricted),
    ("spec template spec C + stdin", YES),
    ("spec template spec C + stdinOnce", YES),
    ("spec template spec C + terminationMessagePath", YES),
    ("spec template spec C + terminationMessagePolicy", YES),
    ("spec template spec C + tty", YES),
    ("spec template spec C + workingDir", YES),
];

const SERVICE: &[Row] = &[
    ("metadata labels *", free_key),
    ("metadata annotations *", exposed_key),
    ("spec type", |leaf| leaf.grants.service_type && matches!(leaf.word(), "NodePort" | "ClusterIP" | "LoadBalancer")),
];

const INGRESS: &[Row] = &[
    ("metadata labels *", free_key),
    ("metadata annotations *", exposed_key),
    // The granted hosts are the generated one and "granted".
    ("spec rules # host", |leaf| {
        let has_paths = leaf.below(leaf.before, 3).any(|(path, _)| path.contains(&"http".to_owned()));
        !leaf.grants.ingress_hosts.is_empty() && leaf.word() == "granted" && has_paths
    }),
    ("spec tls # hosts", |leaf| {
        let secret = leaf.text_at(3, &["secretName"]);
        let entry_gone = leaf.below(leaf.after, 3).next().is_none();
        let left = leaf.below(leaf.after, 4).next().is_some();
        let right = leaf.new.is_none() || leaf.word() == "granted";
        !leaf.grants.ingress_hosts.is_empty() && right && (entry_gone || (left && !secret.is_empty()))
    }),
    ("spec tls # secretName", |leaf| {
        let entry_gone = leaf.below(leaf.after, 3).next().is_none();
        let hosts = leaf.after.keys().any(|path| path.starts_with(&leaf.path[..3]) && path[3] == "hosts");
        let granted = !leaf.grants.secrets.is_empty() && leaf.word() == "granted" && hosts;
        !leaf.grants.ingress_hosts.is_empty() && (entry_gone || granted)
    }),
];

const AUTOSCALER: &[Row] = &[
    ("metadata labels *", free_key),
    ("metadata annotations *", free_key),
    ("spec minReplicas", YES),
    ("spec maxReplicas", |leaf| leaf.new.and_then(Value::as_i64) > Some(0)),
    ("spec metrics", YES),
];

const PLAIN: &[Row] = &[("metadata labels *", free_key), ("metadata annotations *", free_key)];

/// Whether the change from one document to the other is allowed.
pub(crate) fn allows(kind: ChildKind, before: &Value, after: &Value, grants: &Grants) -> bool {
    let (Some(before), Some(after)) = (flat(before), flat(after)) else { return false };
    let rows = match kind {
        ChildKind::Deployment => DEPLOYMENT,
        ChildKind::Service => SERVICE,
        ChildKind::Ingress => INGRESS,
        ChildKind::HorizontalPodAutoscaler => AUTOSCALER,
        ChildKind::ServiceAccount | ChildKind::ConfigMap | ChildKind::ApiGateway | ChildKind::HttpRoute => PLAIN,
    };
    if kind == ChildKind::Deployment && !whole(&before, &after) {
        return false;
    }
    let paths = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
    paths.into_iter().all(|path| {
        let leaf = Leaf { grants, path, new: after.get(path), before: &before, after: &after };
        let row = rows.iter().find(|(pattern, _)| fits(pattern, path, &before));
        row.is_some_and(|(_, allowed)| allowed(&leaf))
    })
}

/// What must hold for a pod beside its leaves: added containers have images, added volumes one source each.
fn whole(before: &Leaves, after: &Leaves) -> bool {
    let mut containers: BTreeMap<&[String], bool> = BTreeMap::new();
    let mut volumes: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
    for path in after.keys().filter(|path| path.len() > 5) {
        let element = &path[..5];
        match path[3].as_str() {
            "containers" | "initContainers" => *containers.entry(element).or_default() |= path[5] == "image",
            "volumes" if !there(before, element) => {
                let sources = volumes.entry(element).or_default();
                if path[5] != "name" && !sources.contains(&path[5].as_str()) {
                    sources.push(&path[5]);
                }
            }
            _ => {}
        }
    }
    let mut names: Vec<_> = containers.keys().map(|path| &path[4]).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    all == names.len() && containers.values().all(|image| *image) && volumes.values().all(|sources| sources.len() == 1)
}

/// Whether the table has something at or below a path.
fn there(table: &Leaves, path: &[String]) -> bool {
    table.range(path.to_vec()..).next().is_some_and(|(known, _)| known.starts_with(path))
}

fn fits(pattern: &str, path: &[String], before: &Leaves) -> bool {
    let steps: Vec<_> = pattern.split(' ').collect();
    steps.len() <= path.len()
        && steps.iter().zip(path).enumerate().all(|(position, (step, part))| {
            let was_there = || there(before, &path[..=position]);
            match *step {
                "*" | "#" => true,
                "C" => part == "containers" || part == "initContainers",
                "P" => part.ends_with("Probe"),
                "=" => was_there(),
                "+" => !was_there(),
                step => step == part,
            }
        })
}

/// The leaves of a document by path; `None` when an element of a keyed list has no key, or has that of another.
fn flat(document: &Value) -> Option<Leaves> {
    let mut leaves = Leaves::new();
    flatten(document, &mut Vec::new(), &mut leaves)?;
    Some(leaves)
}

fn flatten(value: &Value, path: &mut Vec<String>, leaves: &mut Leaves) -> Option<()> {
    let last = path.last().cloned().unwrap_or_default();
    let known = leaves.len();
    match value {
        Value::Null => {}
        Value::Object(map) if map.is_empty() => {
            if matches!(last.as_str(), "emptyDir" | "podSelector" | "namespaceSelector" | "labelSelector") {
                leaves.insert(path.clone(), value.clone());
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                path.push(key.clone());
                flatten(value, path, leaves)?;
                path.pop();
            }
        }
        Value::Array(items) => {
            let keys = KEYED.iter().find(|(name, _)| *name == last).map(|(_, keys)| *keys);
            let mut seen = Vec::new();
            for (place, item) in items.iter().enumerate() {
                let label = match keys {
                    None => format!("[{place}]"),
                    Some(keys) => {
                        let texts: Option<Vec<_>> = keys.iter().map(|key| item.get(*key)?.as_str()).collect();
                        format!("[{}]", texts?.join(","))
                    }
                };
                if seen.contains(&label) {
                    return None;
                }
                seen.push(label.clone());
                path.push(label);
                flatten(item, path, leaves)?;
                path.pop();
            }
        }
        leaf => {
            leaves.insert(path.clone(), leaf.clone());
        }
    }
    // What holds only empty things is still there.
    let holds =
        value.as_object().is_some_and(|map| !map.is_empty()) || value.as_array().is_some_and(|list| !list.is_empty());
    if holds && leaves.len() == known {
        leaves.insert(path.clone(), value.clone());
    }
    Some(())
}
