//! What ties a child to its Gateway is taken away, by accident or by `--cascade=orphan`: the same objects are taken
//! back, never made anew.

use igw::object::{
    ChildKind::{self, Deployment, HorizontalPodAutoscaler, Ingress, Service, ServiceAccount},
    MANAGED_BY, MANAGED_BY_LABEL,
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject},
};
use serde_json::{Value, json};

use crate::world::{World, everything};

const CHILDREN: [(ChildKind, &str); 5] =
    [(ServiceAccount, "gw"), (Service, "gw"), (Deployment, "gw"), (Ingress, "gw"), (HorizontalPodAutoscaler, "gw-hpa")];

/// Waits until an object has the operator's label and the Gateway as its controller, and nothing is left to do.
async fn taken_back(world: &World, kind: ChildKind, name: &str, owner: &str) -> DynamicObject {
    let ours = |object: Option<&DynamicObject>| {
        object.is_some_and(|object| {
            let labelled = object.labels().get(MANAGED_BY_LABEL).is_some_and(|value| value == MANAGED_BY);
            labelled && object.owner_references().iter().any(|o| o.uid == owner && o.controller == Some(true))
        })
    };
    let object = world.wait(world.api(kind), name, "taken back", ours).await.expect("it exists");
    world.settled().await;
    object
}

#[tokio::test]
async fn a_lost_owner_reference_is_put_back_with_one_write() {
    let world = World::new("owner-stripped").await;
    let gateway = world.run_gateway("gw", everything()).await.uid().expect("a uid");
    let mut calls = world.calls().await;
    for (kind, name) in CHILDREN {
        let edited = world.edit(kind, name, json!({"metadata": {"ownerReferences": null}})).await;
        assert!(edited.owner_references().is_empty());
        let back = taken_back(&world, kind, name, &gateway).await;
        assert_eq!(back.uid(), edited.uid());
        assert_eq!(calls.read_children().await, [format!("patch {}/{name} 200", kind.info().plural)]);
    }
    world.event(&["Reclaimed", "Service"]).await;
}

#[tokio::test]
async fn a_lost_or_changed_label_is_put_back() {
    let world = World::new("label-stripped").await;
    let gateway = world.run_gateway("gw", everything()).await.uid().expect("a uid");
    let mut calls = world.calls().await;
    for (kind, name) in CHILDREN {
        for value in [Value::Null, json!("somebody-else")] {
            let edited = world.edit(kind, name, json!({"metadata": {"labels": {MANAGED_BY_LABEL: value}}})).await;
            let back = taken_back(&world, kind, name, &gateway).await;
            assert_eq!(back.uid(), edited.uid());
            let path = format!("{}/{name}", kind.info().plural);
            // The watch says only that it is gone: the create finds it, one read shows whose it is.
            let mut wanted = vec![format!("patch {path} 409"), format!("get {path} 200")];
            if !value.is_null() {
                wanted.push(format!("patch {path} 409"));
            }
            wanted.push(format!("patch {path} 200"));
            assert_eq!(calls.read_children().await, wanted, "{kind} {value}");
        }
    }
    let said = format!("{:?}", world.events().await);
    assert!(!said.contains("ResourceConflict") && !said.contains("FieldConflict"), "{said}");
}

#[tokio::test]
async fn orphaned_objects_are_taken_back_by_the_same_gateway_made_again() {
    let world = World::new("orphan").await;
    world.run_gateway("gw", everything()).await;
    let mut before = Vec::new();
    for (kind, name) in CHILDREN {
        before.push(world.get(kind, name).await.uid());
    }
    world.kubectl(&["delete", "igw/gw", "-n", &world.namespace, "--cascade=orphan"]).await;
    for (kind, name) in CHILDREN {
        assert!(world.get(kind, name).await.owner_references().is_empty(), "{kind}");
    }
    world.settled().await;
    let mut calls = world.calls().await;
    let gateway = world.apply_gateway("gw", everything()).await.uid().expect("a uid");
    world.running("gw").await;
    for ((kind, name), uid) in CHILDREN.into_iter().zip(before) {
        assert_eq!(taken_back(&world, kind, name, &gateway).await.uid(), uid, "{kind}");
    }
    let wanted = CHILDREN.map(|(kind, name)| format!("patch {}/{name} 200", kind.info().plural));
    assert_eq!(calls.read_children().await, wanted);
}

#[tokio::test]
async fn a_gateway_that_is_made_again_at_once_gets_its_own_objects() {
    let world = World::new("again").await;
    world.run_gateway("gw", json!({"environment": "development"})).await;
    let mut old = Vec::new();
    for (kind, name) in &CHILDREN[..3] {
        old.push(world.get(*kind, name).await.uid());
    }
    world.delete(world.gateways(), "gw", &DeleteParams::background()).await;
    let again = world.apply_gateway("gw", json!({"environment": "staging"})).await;
    world.running("gw").await;
    for ((kind, name), old) in CHILDREN.into_iter().zip(old) {
        let child = world.get(kind, name).await;
        assert_ne!(child.uid(), old, "{kind}");
        assert_eq!(child.owner_references()[0].uid, again.uid().expect("a uid"), "{kind}");
    }
    let env = world.get(Deployment, "gw").await.data["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
    assert!(env.contains("staging") && !env.contains("development"), "{env}");
    // What is left of the first one is waited for; nobody else stands in the way.
    let said = format!("{:?}", world.events().await);
    assert!(!said.contains("ResourceConflict"), "{said}");
}
