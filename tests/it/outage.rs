//! The API server goes away: nothing that happens meanwhile is lost, and everything converges after.

use igw::object::ChildKind::{Deployment, Service};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject},
};
use serde_json::{Value, json};

use crate::world::{World, breakable_plane, condition, everything};

#[tokio::test]
async fn what_is_deleted_while_the_watch_is_cut_off_comes_back() {
    let (plane, _turn) = breakable_plane().await;
    let mut world = World::on(plane, "cut").await;
    world.start().await;
    world.run_gateway("gw", everything()).await;
    world.run_gateway("edited", json!({})).await;
    let old: Vec<_> = [world.get(Service, "gw").await, world.get(Deployment, "gw").await].map(|o| o.uid()).into();
    let edited = world.get(Service, "edited").await;

    plane.stop_apiserver().await.expect("it stops");
    // The library's watches come back after 0.8 s at the earliest: this is before them, or it proves less.
    plane.start_apiserver().await.expect("it starts");
    world.api(Service).delete("gw", &DeleteParams::background()).await.expect("a delete");
    world.api(Deployment).delete("gw", &DeleteParams::background()).await.expect("a delete");
    world.edit(Service, "edited", json!({"spec": {"selector": {"app": "other"}}})).await;
    world.apply_gateway("new", json!({})).await;

    for (kind, old) in [Service, Deployment].into_iter().zip(old) {
        let again = move |object: Option<&DynamicObject>| object.is_some_and(|object| object.uid() != old);
        world.wait(world.api(kind), "gw", "made again", again).await;
    }
    let back = |object: Option<&DynamicObject>| object.is_some_and(|o| o.data["spec"]["selector"]["app"] == "edited");
    let live = world.wait(world.api(Service), "edited", "taken back", back).await;
    assert_eq!(live.and_then(|object| object.uid()), edited.uid());
    world.running("new").await;
    world.running("gw").await;
}

#[tokio::test]
async fn an_api_server_away_for_a_while_is_waited_for() {
    let (plane, _turn) = breakable_plane().await;
    let mut world = World::on(plane, "away").await;
    world.start().await;
    world.run_gateway("gw", json!({"environment": "development"})).await;
    // Work is under way when it stops: some applies and status writes fail.
    let names: Vec<_> = (0..20).map(|number| format!("gw-{number}")).collect();
    for name in &names {
        world.apply_gateway(name, json!({})).await;
    }
    plane.stop_apiserver().await.expect("it stops");
    plane.start_apiserver().await.expect("it starts");
    // Not phase Running alone: a Deployment may run while its Service still waits for a server that, just started, cannot
    // give out addresses yet.
    for name in &names {
        let ready = |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["status"] == "True");
        world.gateway(name, "Ready", ready).await;
    }
    let mut children = world.children().await;
    children.sort();
    assert_eq!(children.len(), 3 * (names.len() + 1), "{children:?}");
    world.run_gateway("gw", json!({"environment": "staging"})).await;
    world.settled().await;
    // Once it is quiet it stays so, also over a restart.
    world.stop().await;
    let mut calls = world.calls().await;
    world.start().await;
    assert_eq!(calls.read().await, [""; 0]);
}
