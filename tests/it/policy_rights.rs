//! An operator that may not read policies or their modules, and a control plane without the definitions of policies.

use std::time::Duration;

use igw::object::ChildKind::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
    runtime::wait::{await_condition, conditions},
};
use serde_json::Value;

use crate::{
    policed::{containers, says},
    policies::{applied, held, sidecar},
    world::{World, assert_condition, breakable_plane, condition, within},
};

#[tokio::test]
async fn policies_that_may_not_be_listed_hold_every_custom_resource() {
    let mut world = World::without_operator("policy-unlisted").await;
    world.apply_gateway("x", serde_json::json!({})).await;
    world.start_restricted(|_, plural, verb| plural != "clusterwasmpolicies" || verb != "list").await;
    let unknown = |status: &Value| says(status, "PoliciesApplied", "Unknown", "PoliciesUnreadable");
    let gateway = world.gateway("x", "held", unknown).await;
    let words = ["cannot be found out which policies match", "clusterwasmpolicies", "forbidden"];
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("Unknown", "PoliciesUnreadable"), &words);
    assert_condition(&gateway.data["status"], "Reconciled", ("False", "PolicyFailed"), &words);
    assert_eq!(world.children().await, [""; 0], "what cannot be listed does not count as none");
    world.restrict(|_, _, _| true).await;
    world.running("x").await;
    assert_eq!(world.children().await, ["ServiceAccount/x", "Service/x", "Deployment/x"]);
    // What was listed once stands while it cannot be listed again.
    world.restrict(|_, plural, verb| plural != "clusterwasmpolicies" || verb == "patch").await;
    world.edit_parent("x", serde_json::json!({"spec": {"replicas": 2}})).await;
    world.running("x").await;
}

#[tokio::test]
async fn a_module_that_may_not_be_read_holds_what_its_policy_matches() {
    let mut world = World::without_operator("policy-unread").await;
    world.apply_cluster_policy("sidecar", sidecar(&world).await).await;
    world.apply_gateway("x", serde_json::json!({})).await;
    world.start_restricted(|_, plural, verb| plural != "configmaps" || verb != "list").await;
    let unreadable = |said: &Value| says(said, "Verified", "False", "SourceUnreadable") && said["held"] == 1;
    let said = world.cluster_policy("sidecar", "SourceUnreadable", unreadable).await;
    assert_condition(&said, "Verified", ("False", "SourceUnreadable"), &["failed to read ConfigMap", "forbidden"]);
    assert_condition(&said, "Active", ("False", "SourceUnreadable"), &["held"]);
    let gateway = world.gateway("x", "held", held).await;
    assert_condition(&gateway.data["status"], "PoliciesApplied", ("False", "SourceUnreadable"), &["forbidden"]);
    assert!(world.find(Deployment, "x").await.is_none());
    world.restrict(|_, _, _| true).await;
    world.gateway("x", "applied", applied).await;
    world.active("sidecar", 1).await;
    assert_eq!(containers(&world.get(Deployment, "x").await), ["collector", "inference-gateway"]);
}

/// The definitions of policies.
fn definitions() -> Vec<CustomResourceDefinition> {
    let text = igw::cli::crds().expect("definitions");
    let all: Vec<CustomResourceDefinition> = serde_saphyr::from_multiple(&text).expect("YAML");
    all.into_iter().filter(|definition| definition.name_any().contains("wasmpolicies")).collect()
}

async fn remove(api: &Api<CustomResourceDefinition>) {
    for definition in definitions() {
        let name = definition.name_any();
        let uid = api.get(&name).await.expect("it exists").uid().expect("a uid");
        api.delete(&name, &DeleteParams::default()).await.expect("a delete");
        let gone = await_condition(api.clone(), &name, conditions::is_deleted(&uid));
        within("a definition to be gone", gone).await.expect("a watch");
    }
}

async fn install(api: &Api<CustomResourceDefinition>, policies: &Api<DynamicObject>) {
    for definition in definitions() {
        api.create(&PostParams::default(), &definition).await.expect("valid");
        let name = definition.name_any();
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        within("a definition to be established", established).await.expect("a watch");
    }
    within("policies to be served", async {
        while policies.list(&ListParams::default()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_cluster_without_definitions_of_policies_is_one_without_policies() {
    let (plane, _turn) = breakable_plane().await;
    let mut world = World::on(plane, "policy-undefined").await;
    world.look_again = Duration::from_secs(1);
    let api: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    remove(&api).await;
    world.start().await;
    let gateway = world.run_gateway("x", serde_json::json!({})).await;
    assert_eq!(condition(&gateway.data["status"], "PoliciesApplied"), None);

    // They come while it runs.
    install(&api, &world.cluster_policies()).await;
    let spec = sidecar(&world).await;
    world.apply_cluster_policy("sidecar", spec.clone()).await;
    world.active("sidecar", 1).await;
    world.gateway("x", "applied", applied).await;
    assert_eq!(containers(&world.get(Deployment, "x").await).len(), 2);

    // They go, and the policies with them.
    remove(&api).await;
    let alone = |object: Option<&DynamicObject>| object.is_some_and(|live| containers(live).len() == 1);
    world.wait(world.api(Deployment), "x", "without the sidecar", alone).await;
    world.gateway("x", "no policy", |status| condition(status, "PoliciesApplied").is_none()).await;

    // And come once more.
    install(&api, &world.cluster_policies()).await;
    world.apply_cluster_policy("sidecar", spec).await;
    world.active("sidecar", 1).await;
    world.gateway("x", "applied", applied).await;
}
