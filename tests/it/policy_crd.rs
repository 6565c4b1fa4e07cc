//! The definitions of policies as the API server reads them: what it takes, what it refuses, and what it fills in.

use igw::{
    kinds::ParentInfo,
    object::{ParentId, STATUS_MANAGER},
    policies::{
        reason,
        status::{Counts, Facts, ModuleFacts, Sample, Step, status},
    },
    policy::resource::{CLUSTER_WASM_POLICY, PolicySpec, WASM_POLICY},
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::world::World;

const SUM: &str = "5e7467006c4dafe986bdffa2f8a89a4b5382fe4490f03cd68474577ca2c5ea3b";

fn api(world: &World, kind: &ParentInfo) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural);
    match kind.kind {
        "WasmPolicy" => Api::namespaced_with(world.client.clone(), &world.namespace, &resource),
        _ => Api::all_with(world.client.clone(), &resource),
    }
}

fn document(kind: &ParentInfo, name: &str, spec: &Value) -> DynamicObject {
    let mut document = json!({
        "apiVersion": format!("{}/{}", kind.group, kind.version),
        "kind": kind.kind,
        "metadata": {"name": name},
    });
    if !spec.is_null() {
        document["spec"] = spec.clone();
    }
    serde_json::from_value(document).expect("an object")
}

/// What the API server makes of a new policy, without keeping it. A plain create drops what the schema does not know, as most
/// clients' do: whatever is refused here is refused to every client.
async fn offer(world: &World, kind: &ParentInfo, name: &str, spec: &Value) -> Result<Value, String> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let answer = api(world, kind).create(&params, &document(kind, name, spec)).await;
    answer.map(|object| object.data["spec"].clone()).map_err(|error| error.to_string())
}

fn minimal() -> Value {
    json!({
        "module": {"configMap": {"name": "m", "key": "policy.wasm.gz"}, "sha256": SUM},
        "match": {
            "parents": [{"group": "core.inference-gateway.com", "kind": "Gateway"}],
            "children": [{"group": "apps", "kind": "Deployment"}],
        },
    })
}

/// The smallest policy with one thing changed, which `null` takes away.
fn with(pointer: &str, value: Value) -> Value {
    let mut spec = minimal();
    let (block, field) = pointer.rsplit_once('/').expect("a pointer");
    let mut here = &mut spec;
    for step in block.split('/').skip(1) {
        here = &mut here[step];
    }
    match value {
        Value::Null => drop(here.as_object_mut().expect("an object").remove(field)),
        value => here[field] = value,
    }
    spec
}

#[tokio::test]
async fn the_api_server_refuses_what_makes_no_sense_and_names_the_field() {
    let world = World::without_operator("policy-refused").await;
    let many = |number: usize, item: &Value| Value::Array(vec![item.clone(); number]);
    let deployment = json!({"group": "apps", "kind": "Deployment"});
    let both = [WASM_POLICY, CLUSTER_WASM_POLICY];
    for (pointer, value, words) in [
        ("/module", Value::Null, "spec.module: Required"),
        ("/match", Value::Null, "spec.match: Required"),
        ("/module/sha256", Value::Null, "spec.module.sha256: Required"),
        ("/module/sha256", json!(SUM.to_uppercase()), "spec.module.sha256"),
        ("/module/sha256", json!(&SUM[1..]), "spec.module.sha256"),
        ("/module/sha256", json!(format!("sha256:{SUM}")), "spec.module.sha256"),
        ("/module/configMap", json!({"name": "m"}), "spec.module.configMap.key: Required"),
        ("/module/configMap/key", json!("policy.wat"), "spec.module.configMap.key"),
        ("/module/configMap/key", json!("policy.wasm.zip"), "spec.module.configMap.key"),
        ("/module/configMap/name", json!("Not a name"), "spec.module.configMap.name"),
        ("/match/parents", Value::Null, "spec.match.parents: Required"),
        ("/match/parents", json!([]), "spec.match.parents"),
        ("/match/parents", json!([{"group": "*", "kind": "*"}]), "spec.match.parents[0]"),
        ("/match/parents", json!([{"kind": "Gateway"}]), "spec.match.parents[0]"),
        ("/match/parents", json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway"}]), "spec.match.parents[0]"),
        (
            "/match/parents",
            json!([{"group": "core.inference-gateway.com", "kind": "Route"}]),
            "must be one of Gateway.",
        ),
        ("/match/parents", json!([{"group": "core.inference-gateway.com"}]), "spec.match.parents[0].kind: Required"),
        ("/match/parents", many(17, &minimal()["match"]["parents"][0]), "spec.match.parents"),
        ("/match/children", Value::Null, "spec.match.children: Required"),
        ("/match/children", json!([]), "spec.match.children"),
        ("/match/children", json!([deployment, {"kind": "Secret"}]), "spec.match.children[1]"),
        ("/match/children", json!([{"group": "apps", "kind": "*"}]), "must be one of ServiceAccount, ConfigMap,"),
        ("/match/children", json!([{"kind": "Deployment"}]), "spec.match.children[0]"),
        ("/match/children", many(17, &deployment), "spec.match.children"),
        ("/match/labelSelector", json!({"matchExpressions": [{"key": "a", "operator": "Like"}]}), "labelSelector"),
        ("/order", json!("first"), "spec.order"),
        ("/settings", json!([]), "spec.settings"),
        ("/mode", json!("Shadow"), "spec.mode"),
        ("/failurePolicy", json!({"load": "Open"}), "spec.failurePolicy.load"),
        ("/failurePolicy", json!({"evaluation": "LastGood"}), "spec.failurePolicy.evaluation"),
        ("/limits", json!({"fuel": 0}), "spec.limits.fuel"),
        ("/limits", json!({"fuel": 50_000_001}), "spec.limits.fuel"),
        ("/limits", json!({"memoryMiB": 0}), "spec.limits.memoryMiB"),
        ("/limits", json!({"memoryMiB": 65}), "spec.limits.memoryMiB"),
        ("/operator", json!("Not a label"), "spec.operator"),
        ("/operator", json!("x".repeat(64)), "spec.operator"),
        ("/grants", json!({"images": many(65, &json!("a/"))}), "spec.grants.images"),
        ("/grants", json!({"images": [""]}), "spec.grants.images[0]"),
        ("/grants", json!({"images": ["x".repeat(513)]}), "spec.grants.images[0]"),
        ("/grants", json!({"secrets": many(65, &json!("a"))}), "spec.grants.secrets"),
        ("/grants", json!({"secrets": ["*"]}), "spec.grants.secrets[0]"),
        ("/grants", json!({"configMaps": many(65, &json!("a"))}), "spec.grants.configMaps"),
        ("/grants", json!({"configMaps": ["x".repeat(254)]}), "spec.grants.configMaps[0]"),
    ] {
        for kind in &both {
            let spec = with(pointer, value.clone());
            let said = offer(&world, kind, "p", &spec).await.expect_err(pointer);
            assert!(said.contains(words), "{} with {pointer} {value} gets {said:?}, not {words}", kind.kind);
        }
    }
    for (grants, words) in [
        (json!({"addKinds": [{"kind": "Secret"}]}), "spec.grants.addKinds[0]"),
        (json!({"addKinds": [deployment]}), "must be one of ConfigMap, NetworkPolicy.networking.k8s.io,"),
        (json!({"addKinds": many(65, &json!({"kind": "ConfigMap"}))}), "spec.grants.addKinds"),
        (json!({"ingressHosts": many(65, &json!("*"))}), "spec.grants.ingressHosts"),
        (json!({"ingressHosts": ["*x"]}), "spec.grants.ingressHosts[0]"),
        (json!({"ingressHosts": [""]}), "spec.grants.ingressHosts[0]"),
    ] {
        let said =
            offer(&world, &CLUSTER_WASM_POLICY, "p", &with("/grants", grants.clone())).await.expect_err("refused");
        assert!(said.contains(words), "{grants} gets {said:?}, not {words}");
    }
    for kind in both {
        let said = offer(&world, &kind, &"x".repeat(64), &minimal()).await.expect_err("refused");
        assert!(said.contains("metadata.name") && said.contains("63"), "{said}");
        let said = offer(&world, &kind, "p", &Value::Null).await.expect_err("refused");
        assert!(said.contains("spec is needed, with"), "{said}");
    }
}

#[tokio::test]
async fn what_only_a_cluster_policy_may_is_refused_in_a_namespace_and_not_dropped() {
    let world = World::without_operator("policy-cluster-only").await;
    for (pointer, value) in [
        ("/module/configMap/namespace", json!("other")),
        ("/match/namespaceSelector", json!({})),
        ("/grants", json!({"addKinds": [{"group": "", "kind": "ConfigMap"}]})),
        ("/grants", json!({"containerSecurity": true})),
        ("/grants", json!({"command": true})),
        ("/grants", json!({"serviceType": true})),
        ("/grants", json!({"ingressHosts": ["a.example.com", "*.example.com", "*"]})),
    ] {
        let spec = with(pointer, value.clone());
        let field = match value.as_object().and_then(|grants| grants.keys().next()) {
            Some(grant) => format!("spec.grants.{grant}"),
            None => format!("spec{}", pointer.replace('/', ".")),
        };
        let said = offer(&world, &WASM_POLICY, "p", &spec).await.expect_err(pointer);
        assert!(said.contains(&format!("{field}: Forbidden: is for a ClusterWasmPolicy alone")), "{said}");
        let taken = offer(&world, &CLUSTER_WASM_POLICY, "p", &spec).await.expect("taken");
        assert_eq!(taken.pointer(pointer), Some(&value));
    }
}

#[tokio::test]
async fn the_api_server_fills_in_what_decoding_fills_in() {
    let world = World::without_operator("policy-taken").await;
    let decode = |spec: &Value| serde_json::from_value::<PolicySpec>(spec.clone()).expect("a spec");
    for kind in [WASM_POLICY, CLUSTER_WASM_POLICY] {
        for spec in [minimal(), with("/failurePolicy", json!({})), with("/failurePolicy", json!({"load": "LastGood"}))]
        {
            let taken = offer(&world, &kind, "p", &spec).await.expect("taken");
            assert_eq!(decode(&taken), decode(&minimal()), "{}", kind.kind);
            assert_eq!(taken["operator"], "default");
            assert_eq!(taken["mode"], "Enforce");
            assert_eq!(taken["order"], 0);
            assert_eq!(taken["failurePolicy"], json!({"load": "LastGood", "evaluation": "Fail"}));
            assert!(taken.get("grants").is_none(), "no grants are no block of grants: {taken}");
        }
        for (pointer, value) in [
            ("/settings", json!({"deep": {"list": [1, "a", null, {"b": 0.5}]}})),
            ("/limits", json!({"fuel": 1, "memoryMiB": 64})),
            ("/limits", json!({"fuel": 50_000_000, "memoryMiB": 1})),
            ("/grants", json!({"images": ["docker.io/otel/"], "secrets": ["a.b"], "configMaps": ["c"]})),
            ("/match/labelSelector", json!({"matchLabels": {"a": "b"}})),
            (
                "/match/children",
                json!([{"group": "", "kind": "ConfigMap"}, {"group": "monitoring.coreos.com", "kind": "PodMonitor"}]),
            ),
            ("/module/configMap/key", json!("a.wasm")),
            ("/order", json!(-5)),
        ] {
            let spec = with(pointer, value.clone());
            let taken = offer(&world, &kind, "p", &spec).await.expect("taken");
            assert_eq!(taken.pointer(pointer), Some(&value));
            assert_eq!(decode(&taken), decode(&spec));
        }
        let longest = offer(&world, &kind, &"x".repeat(63), &minimal()).await;
        assert!(longest.is_ok(), "{longest:?}");
    }
}

/// A policy that goes on with the module it had.
fn facts() -> Facts {
    let step = |kind, message: &str| Step { status: "True", reason: kind, message: message.into() };
    let mut steps = reason::STEPS.map(|kind| (kind, Some(step(kind, "it is"))));
    steps[2].1 = None;
    let words = "the newest spec cannot be loaded";
    steps[4].1 = Some(Step { status: "False", reason: reason::LAST_GOOD, message: words.into() });
    let sample = |number: usize| Sample {
        parent: ParentId { kind: "Gateway", namespace: "a".into(), name: format!("gw-{number:02}").into() },
        reason: reason::GUARD_VIOLATION,
        path: (number > 3).then(|| ".spec.replicas".into()),
    };
    Facts {
        generation: 2,
        steps,
        module: Some(ModuleFacts {
            sha256: SUM.into(),
            name: "extra-env".into(),
            version: "1.0.0".into(),
            code_bytes: 500_000,
            compile_millis: 140,
        }),
        counts: Counts { matched: 12, up_to_date: 9, held: 3, failed: 12 },
        samples: (0..12).map(sample).collect(),
    }
}

#[tokio::test]
async fn the_operator_of_a_policy_cannot_change_and_its_status_and_columns_tell_how_it_is() {
    let world = World::without_operator("policy-columns").await;
    // A ClusterWasmPolicy is there for every test, so it is for an operator that nobody is.
    let mut spec = with("/operator", json!("nobody"));
    spec["mode"] = json!("Suspended");
    let name = world.namespace.clone();
    for kind in [WASM_POLICY, CLUSTER_WASM_POLICY] {
        let policies = api(&world, &kind);
        policies.create(&PostParams::default(), &document(&kind, &name, &spec)).await.expect("a policy");
        for operator in [json!("other"), Value::Null] {
            let patch = Patch::Merge(json!({"spec": {"operator": operator}}));
            let said = policies.patch(&name, &PatchParams::default(), &patch).await.expect_err("refused").to_string();
            assert!(said.contains("spec.operator: Invalid value") && said.contains("cannot be changed"), "{said}");
        }
        let patch = Patch::Merge(json!({"spec": {"order": 7}}));
        policies.patch(&name, &PatchParams::default(), &patch).await.expect("another order");
        let facts = facts();
        let made = status(&facts, &Value::Null, "2026-01-01T00:00:00Z").expect("a first status");
        let mut whole = document(&kind, &name, &Value::Null);
        whole.data["status"] = made.clone();
        let params = PatchParams::apply(STATUS_MANAGER).force();
        let stored = policies.patch_status(&name, &params, &Patch::Apply(&whole)).await.expect("a status");
        assert_eq!(stored.data["status"], made, "nothing of it is dropped");
        let again = status(&facts, &stored.data["status"], "2026-01-02T00:00:00Z");
        assert_eq!(again, None, "what the server gives back is not written again");
        let short = if kind == WASM_POLICY { "wasmpol" } else { "cwasmpol" };
        let table = world.kubectl(&["get", short, &name, "-n", &name]).await;
        let row: Vec<_> = table.lines().nth(1).unwrap_or_default().split_whitespace().collect();
        assert_eq!(row[1..7], ["False", "LastGood", "12", "3", "7", "Suspended"], "{table}");
        let wide = world.kubectl(&["get", short, &name, "-n", &name, "-o", "wide"]).await;
        for words in ["extra-env", "1.0.0", "sha256:5e7467006c4d", "nobody", "the newest spec cannot be loaded"] {
            assert!(wide.contains(words), "{words} in {wide}");
        }
        let all = world.kubectl(&["get", "inference-gateway", "-A"]).await;
        assert!(all.contains(&format!("{}.{}/{name}", kind.kind.to_lowercase(), kind.group)), "{all}");
        for (field, words) in [
            (
                "spec.grants.addKinds",
                if kind == WASM_POLICY { "ClusterWasmPolicy alone" } else { "--policy-added-kinds" },
            ),
            ("spec.match", "namespaceSelector"),
            ("status", "upToDate"),
        ] {
            let said = world.kubectl(&["explain", &format!("{}.{field}", kind.plural)]).await;
            assert!(said.contains(words), "{words} in {said}");
        }
        world.kubectl(&["delete", short, &name, "-n", &name]).await;
    }
}
