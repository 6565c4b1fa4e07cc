//! What holds for every kind of custom resource, in one body for all of them: creation and its calls, drift, deleted
//! children, restart, a changed field, deletion, and the change from the Go operator.

use igw::{
    kinds::{Parent as _, ParentInfo, agent::Agent, gateway::Gateway, mcp::Mcp, orchestrator::Orchestrator},
    object::ChildKind::{self, ConfigMap, Deployment, HorizontalPodAutoscaler, Ingress, Service, ServiceAccount},
};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::world::{World, condition, everything};

/// A custom resource with every child that its kind has.
struct Case {
    kind: ParentInfo,
    spec: Value,
    children: &'static [(ChildKind, &'static str)],
    /// Status writes until it is Ready.
    status_writes: usize,
}

fn cases() -> [Case; 4] {
    let hpa = json!({"enabled": true, "config": {"minReplicas": 1, "maxReplicas": 3}});
    let discovery = json!({"enabled": true, "serviceDiscovery": {"enabled": true}});
    [
        Case {
            kind: Gateway::INFO,
            spec: everything(),
            children: &[
                (ServiceAccount, "x"),
                (Service, "x"),
                (Deployment, "x"),
                (Ingress, "x"),
                (HorizontalPodAutoscaler, "x-hpa"),
            ],
            status_writes: 2,
        },
        Case {
            kind: Agent::INFO,
            spec: json!({"image": "example.test/agent:1"}),
            children: &[(Service, "x"), (Deployment, "x")],
            status_writes: 3,
        },
        Case {
            kind: Mcp::INFO,
            spec: json!({"image": "example.test/mcp:1", "hpa": hpa}),
            children: &[(Service, "x-service"), (Deployment, "x"), (HorizontalPodAutoscaler, "x")],
            status_writes: 2,
        },
        Case {
            kind: Orchestrator::INFO,
            spec: json!({
                "image": "ghcr.io/inference-gateway/cli:v0.106.2",
                "channels": {"telegram": {"enabled": true, "tokenSecretRef": {"name": "telegram", "key": "token"}}},
                "gateway": {"url": "http://gateway:8080"},
                "agent": {"model": "openai/gpt-4o"},
                "a2a": discovery,
                "mcp": discovery,
            }),
            children: &[(ConfigMap, "x-agents"), (ConfigMap, "x-mcps"), (Deployment, "x")],
            status_writes: 2,
        },
    ]
}

impl Case {
    /// A world in which the custom resource `x` is Ready.
    async fn ready(&self, about: &str) -> World {
        let world = World::new(&format!("{}-{about}", self.kind.plural)).await;
        world.apply(&self.kind, "x", self.spec.clone()).await;
        world.ready(&self.kind, "x").await;
        world
    }

    fn names(&self) -> Vec<String> {
        self.children.iter().map(|(kind, name)| format!("{kind}/{name}")).collect()
    }
}

/// An edit by somebody else to what the operator owns.
fn edit(kind: ChildKind) -> Value {
    match kind {
        ServiceAccount => json!({"metadata": {"labels": {"app": "other"}}}),
        ConfigMap => json!({"data": {"agents.yaml": "agents: [edited]", "mcp.yaml": "edited: true"}}),
        Service => json!({"spec": {"selector": {"app": "other"}}}),
        Deployment => json!({"spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/name": "other"}}}}}),
        Ingress => json!({"spec": {"ingressClassName": "other"}}),
        HorizontalPodAutoscaler => json!({"spec": {"maxReplicas": 9}}),
        ChildKind::ApiGateway => json!({"spec": {"gatewayClassName": "other"}}),
        ChildKind::HttpRoute => json!({"spec": {"hostnames": ["other.example.com"]}}),
        ChildKind::PeerAuthentication
        | ChildKind::DestinationRule
        | ChildKind::NetworkPolicy
        | ChildKind::ServiceMonitor
        | ChildKind::PodMonitor => unreachable!("only policies add objects of the kind {kind}"),
    }
}

#[tokio::test]
async fn each_kind_is_made_with_the_fewest_calls() {
    for case in cases() {
        let world = World::new(&format!("{}-create", case.kind.plural)).await;
        let mut calls = world.calls().await;
        world.apply(&case.kind, "x", case.spec.clone()).await;
        let object = world.ready(&case.kind, "x").await;
        assert_eq!(world.children().await, case.names());
        let made = calls.read().await;
        let creates = made.iter().filter(|call| call.ends_with(" 201")).count();
        assert_eq!((creates, made.len() - creates), (case.children.len(), case.status_writes), "{made:#?}");
        let status = &object.data["status"];
        for kind in ["Ready", "Reconciled", "Available", "Progressing"] {
            assert_eq!(condition(status, kind).map(|c| &c["status"]), Some(&json!("True")), "{kind} of {status:#}");
        }
    }
}

#[tokio::test]
async fn each_child_of_each_kind_comes_back() {
    for case in cases() {
        let world = case.ready("drift").await;
        let mut calls = world.calls().await;
        for (kind, name) in case.children {
            let before = world.get(*kind, name).await;
            let edited = world.edit(*kind, name, edit(*kind)).await;
            assert_ne!(edited.resource_version(), before.resource_version(), "{kind}: the edit changes something");
            world.seen(&edited).await;
            world.ready(&case.kind, "x").await;
            let path = format!("{}/{name}", kind.info().plural);
            assert_eq!(calls.read_children().await, [format!("patch {path} 200")], "{}", case.kind.kind);

            let deleted = world.get(*kind, name).await;
            world.api(*kind).delete(name, &DeleteParams::background()).await.expect("a delete");
            let again = |object: Option<&DynamicObject>| object.is_some_and(|object| object.uid() != deleted.uid());
            world.wait(world.api(*kind), name, "made again", again).await;
            world.ready(&case.kind, "x").await;
            let made = calls.read_children().await;
            assert!(made.contains(&format!("patch {path} 201")), "{made:?}");
        }
        assert_eq!(world.children().await, case.names());
    }
}

#[tokio::test]
async fn a_restart_of_the_operator_writes_nothing() {
    for case in cases() {
        let mut world = case.ready("restart").await;
        world.stop().await;
        let mut calls = world.calls().await;
        world.start().await;
        assert_eq!(calls.read().await, [""; 0], "{}", case.kind.kind);
    }
}

#[tokio::test]
async fn one_changed_field_is_one_child_write() {
    for case in cases() {
        let world = case.ready("update").await;
        let mut calls = world.calls().await;
        let mut spec = case.spec.clone();
        spec["image"] = json!("example.test/another:2");
        world.apply(&case.kind, "x", spec).await;
        world.ready(&case.kind, "x").await;
        assert_eq!(calls.read_children().await, ["patch deployments/x 200"], "{}", case.kind.kind);
    }
}

#[tokio::test]
async fn with_a_custom_resource_goes_what_it_made_and_nothing_else() {
    for case in cases() {
        let world = case.ready("delete").await;
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}});
        world.create(ConfigMap, config).await;
        let mut calls = world.calls().await;
        world.delete(world.parents(&case.kind), "x", &DeleteParams::foreground()).await;
        for (kind, name) in case.children {
            assert!(world.find(*kind, name).await.is_none(), "{kind} {name}");
        }
        assert!(world.find(ConfigMap, "x").await.is_some());
        world.settled().await;
        assert_eq!(calls.read().await, [""; 0], "garbage collection does it");
    }
}

/// T-51: children of one name and one label.
#[tokio::test]
async fn two_kinds_of_one_name_do_not_fight() {
    let world = World::new("one-name").await;
    let [gateway, agent, ..] = cases();
    world.apply(&gateway.kind, "x", gateway.spec).await;
    world.ready(&gateway.kind, "x").await;
    let deployment = world.get(Deployment, "x").await;
    world.apply(&agent.kind, "x", agent.spec).await;
    let conflict = |status: &Value| condition(status, "Reconciled").is_some_and(|c| c["reason"] == "ResourceConflict");
    let object = world.parent(&agent.kind, "x", "a conflict", conflict).await;
    let said = object.data["status"].to_string();
    assert!(said.contains("it belongs to Gateway/x"), "{said}");
    world.settled().await;
    assert_eq!(world.get(Deployment, "x").await.resource_version(), deployment.resource_version());
    // When the name becomes free, the other one gets it.
    world.parents(&gateway.kind).delete("x", &DeleteParams::background()).await.expect("a delete");
    world.ready(&agent.kind, "x").await;
}

/// Makes the children of a custom resource as a predecessor would have: by plain creates, without our marks, and with
/// something of its own in each.
async fn made_before(world: &World, case: &Case, wanted: Vec<DynamicObject>) -> Vec<DynamicObject> {
    let mut made = Vec::new();
    for ((kind, _), mut object) in case.children.iter().zip(wanted) {
        let meta = &mut object.metadata;
        (meta.uid, meta.resource_version, meta.managed_fields, meta.creation_timestamp) = (None, None, None, None);
        meta.annotations = None;
        meta.labels =
            Some([("app".to_owned(), "x".to_owned()), ("made-by".to_owned(), "predecessor".to_owned())].into());
        object.data.as_object_mut().expect("an object").remove("status");
        match kind {
            Service => {
                let spec = object.data["spec"].as_object_mut().expect("a spec");
                for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                    spec.remove(field);
                }
                let extra = json!({"name": "https", "port": 8443, "targetPort": 8443, "protocol": "TCP"});
                spec["ports"].as_array_mut().expect("ports").push(extra);
            }
            Deployment => {
                let container = &mut object.data["spec"]["template"]["spec"]["containers"][0];
                let env = container["env"].as_array_mut().expect("variables");
                env.push(json!({"name": "DEAD", "value": "1"}));
            }
            ConfigMap => object.data["data"]["dead"] = json!("1"),
            _ => {}
        }
        let params = PostParams { field_manager: Some("operator".into()), ..PostParams::default() };
        made.push(world.api(*kind).create(&params, &object).await.expect("a valid object"));
    }
    made
}

#[tokio::test]
async fn what_the_go_operator_made_of_each_kind_is_adopted() {
    for case in cases() {
        let mut world = case.ready("adopt").await;
        world.stop().await;
        let mut wanted = Vec::new();
        for (kind, name) in case.children {
            wanted.push(world.get(*kind, name).await);
            world.delete(world.api(*kind), name, &DeleteParams::background()).await;
        }
        let before = made_before(&world, &case, wanted).await;
        let mut calls = world.calls().await;
        world.start().await;
        world.ready(&case.kind, "x").await;
        for ((kind, name), before) in case.children.iter().zip(before) {
            let after = world.get(*kind, name).await;
            assert_eq!(after.uid(), before.uid(), "{kind} {name} is the same object");
            let left = json!([after.data["spec"], after.data["data"], after.metadata.labels]).to_string();
            for dead in ["DEAD", "8443", "\"dead\"", "predecessor"] {
                assert!(!left.contains(dead), "{dead} is left in {kind} {name}: {left}");
            }
            let others = after.metadata.managed_fields.unwrap_or_default().into_iter();
            let others: Vec<_> = others.filter(|m| m.manager.as_deref() == Some("operator")).collect();
            assert!(others.is_empty(), "{kind} {name}: {others:?}");
        }
        let made = calls.read().await;
        assert!(!made.iter().any(|call| call.starts_with("delete") || call.ends_with(" 201")), "{made:#?}");
        // Each template that pods were made of has one: the predecessor's, and ours.
        let sets: Api<ReplicaSet> = Api::namespaced(world.client.clone(), &world.namespace);
        let of_this = ListParams::default().labels("app=x");
        let deployment = world.get(Deployment, "x").await.uid();
        let list = sets.list(&of_this).await.expect("a list").items.into_iter();
        let ours =
            list.filter(|set| set.owner_references().iter().any(|owner| Some(&owner.uid) == deployment.as_ref()));
        assert_eq!(ours.count(), 2, "one rolling update of {}", case.kind.kind);
    }
}
