//! What becomes of a running policy when its source, its digest or its settings change, told of a policy that was built with
//! the first release.

use igw::{args::NAMESPACE, object::ChildKind};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    frozen::MODULE,
    policed::says,
    policies::{applied, held},
    world::{World, assert_condition},
};

/// The label that the policy sets.
const LABEL: &str = "example.com/first";

/// Changes the Gateway and waits until that shows; gives the label of its Deployment.
async fn goes_on(world: &World, replicas: i64) -> String {
    world.edit_parent("x", json!({"spec": {"replicas": replicas}})).await;
    world.running("x").await;
    let live = world.get(ChildKind::Deployment, "x").await;
    assert_eq!(live.data["spec"]["replicas"], replicas);
    live.labels()[LABEL].clone()
}

/// Waits until the policy says this.
async fn becomes(world: &World, (step, status, reason): (&str, &str, &str), active: &str, words: &[&str]) {
    let is = |said: &Value| says(said, step, status, reason) && says(said, "Active", "True", active);
    let said = world.cluster_policy("first", &format!("{step} {status} {reason}, Active {active}"), is).await;
    assert_condition(&said, step, (status, reason), words);
}

#[tokio::test]
async fn a_running_policy_goes_on_whatever_happens_to_source_digest_and_settings() {
    let mut world = World::new("policy-outcomes").await;
    let module = world.ship("first", MODULE).await;
    let children = json!([{"group": "apps", "kind": "Deployment"}, {"kind": "Service"}]);
    let settings = json!({"label": "l", "env": [{"name": "B", "value": "2"}]});
    let good = world.policy_spec(&module, json!({"match": {"children": children}, "settings": settings}));
    world.apply_cluster_policy("first", good.clone()).await;
    world.active("first", 0).await;
    world.run_gateway("x", json!({})).await;
    let status = world.active("first", 1).await;
    assert_eq!((&status["module"]["name"], &status["module"]["version"]), (&json!("first"), &json!("1.0.0")));
    let live = world.get(ChildKind::Deployment, "x").await;
    assert_eq!(live.data["spec"]["template"]["metadata"]["labels"][LABEL], "l");
    let env = live.data["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("variables");
    assert!(env.contains(&json!({"name": "B", "value": "2"})), "{env:?}");
    assert_eq!(world.get(ChildKind::Service, "x").await.labels()[LABEL], "l");

    let with = |pointer: &str, value: Value| {
        let mut spec = good.clone();
        *spec.pointer_mut(pointer).expect("a field") = value;
        spec
    };
    let steps = [
        ("/module/sha256", json!("0".repeat(64)), ("Verified", "DigestMismatch"), "and the ConfigMap holds"),
        ("/settings", json!({"label": "A"}), ("SettingsValid", "SettingsInvalid"), "spec.settings.label: "),
        ("/settings/env/0", json!({"name": "B"}), ("SettingsValid", "SettingsInvalid"), "spec.settings.env.0: "),
        ("/settings/label", json!(""), ("SettingsValid", "SettingsInvalid"), "settings.label is empty"),
    ];
    let mut replicas = 1;
    for (pointer, value, (step, reason), words) in steps {
        world.apply_cluster_policy("first", with(pointer, value)).await;
        becomes(&world, (step, "False", reason), "LastGood", &[words]).await;
        replicas += 1;
        assert_eq!(goes_on(&world, replicas).await, "l", "{words}");
    }
    world.apply_cluster_policy("first", with("/settings/label", json!("m"))).await;
    world.active("first", 1).await;
    assert_eq!(world.get(ChildKind::Deployment, "x").await.labels()[LABEL], "m");

    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), NAMESPACE);
    let name = module["configMap"]["name"].as_str().expect("a name");
    let key = module["configMap"]["key"].as_str().expect("a key");
    maps.delete(name, &DeleteParams::default()).await.expect("a delete");
    let missing = ("Verified", "False", "SourceMissing");
    becomes(&world, missing, "Active", &["there is no ConfigMap", "runs on"]).await;
    assert_eq!(goes_on(&world, 2).await, "m");
    let text = json!({"metadata": {"name": name}, "data": {key: "text"}});
    maps.create(&PostParams::default(), &serde_json::from_value(text).expect("a ConfigMap")).await.expect("a create");
    let in_data = |said: &Value| said.to_string().contains("a module belongs in binaryData");
    world.cluster_policy("first", "it is in data", in_data).await;
    assert_eq!(goes_on(&world, 3).await, "m");

    // Nothing of that is known after a restart.
    world.stop().await;
    world.start().await;
    let lost = |said: &Value| says(said, "Active", "False", "LastGoodLost") && said["held"] == 1;
    let said = world.cluster_policy("first", "LastGoodLost", lost).await;
    assert_condition(&said, "Verified", ("False", "SourceMissing"), &["in data"]);
    let gateway = world.gateway("x", "held", held).await;
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("False", "SourceMissing"), &["in data"]);

    // The same bytes come back, and the policy is deleted and made again at once: it reads them.
    maps.delete(name, &DeleteParams::default()).await.expect("a delete");
    world.ship("first", MODULE).await;
    world.active("first", 1).await;
    world.gateway("x", "applied", applied).await;
    for _ in 0..3 {
        let policy = world.policy_name("first");
        world.cluster_policies().delete(&policy, &DeleteParams::default()).await.expect("a delete");
        world.apply_cluster_policy("first", good.clone()).await;
    }
    world.active("first", 1).await;
    world.settled().await;
    assert_eq!(world.get(ChildKind::Deployment, "x").await.labels()[LABEL], "l");
}
