//! Two Gateways want one ServiceAccount: whoever has it keeps it, the other says whose it is and gets it when it is
//! free.

use igw::object::ChildKind::ServiceAccount;
use kube::api::{DeleteParams, DynamicObject};
use serde_json::{Value, json};

use crate::world::{World, assert_condition, condition};

fn account(name: &str) -> Value {
    json!({"serviceAccount": {"name": name}})
}

fn owner(object: &DynamicObject) -> Option<String> {
    Some(object.metadata.owner_references.as_ref()?.first()?.name.clone())
}

/// First runs and owns the account `shared`, second wants it too.
async fn collision(name: &str) -> World {
    let world = World::new(name).await;
    world.run_gateway("first", account("shared")).await;
    world.apply_gateway("second", account("shared")).await;
    let said = |status: &Value| status["phase"] == "Running" && condition(status, "Reconciled").is_some();
    let second = world.gateway("second", "running with the account of the other", said).await;
    let words = ["ServiceAccount", "shared", "Gateway/first"];
    assert_condition(&second.data["status"], "Reconciled", ("False", "ResourceConflict"), &words);
    world.event(&["ResourceConflict", "Gateway/first"]).await;
    world.settled().await;
    assert_eq!(owner(&world.get(ServiceAccount, "shared").await).as_deref(), Some("first"));
    world
}

async fn second_is_well(world: &World) {
    let well = |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["status"] == "True");
    let second = world.gateway("second", "Ready", well).await;
    assert_condition(&second.data["status"], "Reconciled", ("True", "Applied"), &[]);
    assert_eq!(owner(&world.get(ServiceAccount, "shared").await).as_deref(), Some("second"));
}

#[tokio::test]
async fn the_other_gets_it_when_the_owner_takes_another_name() {
    let world = collision("collision-rename").await;
    let mut calls = world.calls().await;
    // No call while it waits: the account is seen by the watch.
    world.edit(ServiceAccount, "shared", json!({"metadata": {"annotations": {"a": "b"}}})).await;
    world.seen(&world.get(ServiceAccount, "shared").await).await;
    assert_eq!(calls.read().await, [""; 0]);

    world.apply_gateway("first", account("own")).await;
    world.running("first").await;
    // The deletion wakes the other one: it does not wait for a back-off.
    let freed = |object: Option<&DynamicObject>| object.is_none_or(|o| owner(o).as_deref() != Some("first"));
    world.wait(world.api(ServiceAccount), "shared", "free", freed).await;
    world.seen(&world.get(ServiceAccount, "own").await).await;
    world.settled().await;
    assert_eq!(world.find(ServiceAccount, "shared").await.as_ref().and_then(owner).as_deref(), Some("second"));
    second_is_well(&world).await;
    let made = calls.read_children().await;
    assert_eq!(made.iter().filter(|call| *call == "patch serviceaccounts/shared 201").count(), 1, "{made:?}");
    assert_eq!(made.iter().filter(|call| call.ends_with(" 409")).count(), 0, "{made:?}");
}

#[tokio::test]
async fn the_other_gets_it_when_the_owner_is_deleted() {
    let world = collision("collision-delete").await;
    world.delete(world.gateways(), "first", &DeleteParams::background()).await;
    second_is_well(&world).await;
}
