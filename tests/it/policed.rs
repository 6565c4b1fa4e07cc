//! What tests of policies share: modules in ConfigMaps, the custom resources that run them, and what both say.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use igw::{
    args::NAMESPACE,
    kinds::ParentInfo,
    object::digest,
    policy::resource::{CLUSTER_WASM_POLICY, WASM_POLICY},
};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    core::ObjectMeta,
};
use serde_json::{Value, json};

use crate::world::{World, within};

/// Key of the module in its ConfigMap.
const KEY: &str = "policy.wasm";

/// The packed module of an example, and the settings that it comes with.
pub(crate) fn example(name: &str) -> (Vec<u8>, Value) {
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "examples/policies", name, "10-policy.yaml"].iter().collect();
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let map = documents.iter().find(|document| document["kind"] == "ConfigMap").expect("a ConfigMap");
    let map: ConfigMap = serde_json::from_value(map.clone()).expect("a ConfigMap");
    let bytes = map.binary_data.and_then(|data| data.into_values().next()).expect("a module").0;
    let policy = documents.last().expect("a policy");
    (bytes, policy["spec"]["settings"].clone())
}

impl World {
    /// Puts a module into a ConfigMap of a namespace. Returns what a policy says to run it.
    pub(crate) async fn ship_to(&self, namespace: &str, name: &str, bytes: &[u8]) -> Value {
        let map_name = format!("{}-{name}", self.namespace);
        // A packed module tells itself by its first bytes, and the key has to say so.
        let key = if bytes.starts_with(&[0x1f, 0x8b]) { format!("{KEY}.gz") } else { KEY.into() };
        let map = ConfigMap {
            metadata: ObjectMeta { name: Some(map_name.clone()), ..ObjectMeta::default() },
            binary_data: Some(BTreeMap::from([(key.clone(), ByteString(bytes.to_vec()))])),
            ..ConfigMap::default()
        };
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams::apply("user").force();
        maps.patch(&map_name, &params, &Patch::Apply(with_type(&map))).await.expect("a valid ConfigMap");
        let sha256 = digest(bytes).trim_start_matches("sha256:").to_owned();
        json!({"configMap": {"name": map_name, "key": key}, "sha256": sha256})
    }

    /// Puts a module into a ConfigMap of the operator's namespace.
    pub(crate) async fn ship(&self, name: &str, bytes: &[u8]) -> Value {
        self.ship_to(NAMESPACE, name, bytes).await
    }

    fn policies_of(&self, kind: &ParentInfo) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural);
        match *kind == CLUSTER_WASM_POLICY {
            true => Api::all_with(self.client.clone(), &resource),
            false => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        }
    }

    /// ClusterWasmPolicies.
    pub(crate) fn cluster_policies(&self) -> Api<DynamicObject> {
        self.policies_of(&CLUSTER_WASM_POLICY)
    }

    /// WasmPolicies of the namespace.
    pub(crate) fn wasm_policies(&self) -> Api<DynamicObject> {
        self.policies_of(&WASM_POLICY)
    }

    /// The whole name of a ClusterWasmPolicy of this test.
    pub(crate) fn policy_name(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace)
    }

    /// A spec that matches every Gateway of the namespace and is shown Deployments; `more` is laid over it.
    pub(crate) fn policy_spec(&self, module: &Value, more: Value) -> Value {
        let mut spec = json!({
            "operator": self.namespace,
            "module": module,
            "match": {
                "parents": [{"group": "core.inference-gateway.com", "kind": "Gateway"}],
                "children": [{"group": "apps", "kind": "Deployment"}],
            },
        });
        lay(&mut spec, more);
        spec
    }

    /// Applies a ClusterWasmPolicy for this namespace only.
    pub(crate) async fn apply_cluster_policy(&self, name: &str, mut spec: Value) -> DynamicObject {
        let here = json!({"matchLabels": {"kubernetes.io/metadata.name": self.namespace}});
        if spec["match"]["namespaceSelector"].is_null() {
            spec["match"]["namespaceSelector"] = here;
        }
        self.apply_policy(&CLUSTER_WASM_POLICY, &self.policy_name(name), spec).await
    }

    /// Applies a WasmPolicy.
    pub(crate) async fn apply_wasm_policy(&self, name: &str, spec: Value) -> DynamicObject {
        self.apply_policy(&WASM_POLICY, name, spec).await
    }

    async fn apply_policy(&self, kind: &ParentInfo, name: &str, spec: Value) -> DynamicObject {
        let document = json!({
            "apiVersion": format!("{}/{}", kind.group, kind.version),
            "kind": kind.kind,
            "metadata": {"name": name},
            "spec": spec,
        });
        let params = PatchParams::apply("user").force();
        self.policies_of(kind).patch(name, &params, &Patch::Apply(&document)).await.expect("a valid policy")
    }

    /// Waits until a ClusterWasmPolicy says what `holds` wants, at its newest generation.
    pub(crate) async fn cluster_policy(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool + Send) -> Value {
        let name = self.policy_name(name);
        self.policy_at(self.cluster_policies(), &name, what, holds).await
    }

    pub(crate) async fn policy_at(
        &self,
        api: Api<DynamicObject>,
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool + Send,
    ) -> Value {
        let current = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| {
                let status = &object.data["status"];
                status["observedGeneration"].as_i64() == object.metadata.generation && holds(status)
            })
        };
        self.wait(api, name, what, current).await.expect("it exists").data["status"].clone()
    }

    /// Waits until every policy of the running operator is loaded, and it has nothing to do: what a status says after a start
    /// may be of the time before.
    pub(crate) async fn loaded(&self) {
        let policies = &self.operator().context.policies;
        let all = async {
            loop {
                let figures = policies.figures();
                if !figures.is_empty() && figures.iter().all(|(_, figures)| figures.code > 0) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("every policy to be loaded", all).await;
        self.settled().await;
    }

    /// Waits until a ClusterWasmPolicy is active, and the Gateways that it matches went through it.
    pub(crate) async fn active(&self, name: &str, up_to_date: u64) -> Value {
        let holds = |status: &Value| says(status, "Active", "True", "Active") && status["upToDate"] == up_to_date;
        self.cluster_policy(name, &format!("Active with {up_to_date} up to date"), holds).await
    }
}

/// Whether a condition has this status and reason.
pub(crate) fn says(status: &Value, kind: &str, wanted: &str, reason: &str) -> bool {
    crate::world::condition(status, kind).is_some_and(|c| c["status"] == wanted && c["reason"] == reason)
}

fn with_type(map: &ConfigMap) -> Value {
    let mut map = json!(map);
    lay(&mut map, json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    map
}

/// Lays a document over another one, map by map.
pub(crate) fn lay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// Names of the containers of a Deployment, native sidecars included.
pub(crate) fn containers(deployment: &DynamicObject) -> Vec<String> {
    let pod = &deployment.data["spec"]["template"]["spec"];
    let all = ["initContainers", "containers"].map(|list| pod[list].as_array().cloned().unwrap_or_default());
    all.into_iter().flatten().filter_map(|container| Some(container["name"].as_str()?.to_owned())).collect()
}
