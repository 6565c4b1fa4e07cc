//! Policies that mean harm in the running operator: each is told apart by its exact reason, and nobody else notices.

use std::time::{Duration, Instant};

use igw::{
    kinds::{Parent as _, gateway::Gateway},
    object::ChildKind,
};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::{
    guests::{self, Guest},
    policed::{containers, says},
    policies::sidecar,
    world::{World, assert_condition, condition, within},
};

/// Longest time in which a hostile policy may keep the rest of the operator from anything.
const BOUND: Duration = Duration::from_secs(10);

/// How it has to end: whether it is loaded, and the reason.
fn ends(guest: &Guest) -> Option<(bool, &str)> {
    let word = |when: &str| guest.says.get(when).map(String::as_str).filter(|word| *word != "ok");
    word("load").map(|word| (false, word)).or_else(|| word("rewrite").map(|word| (true, word)))
}

/// What `kubectl describe` shows of each object of a kind.
async fn described(world: &World, args: &[&str]) -> Vec<String> {
    let text = world.kubectl(&[&["describe"][..], args].concat()).await;
    format!("\n{text}").split("\nName:").skip(1).map(|part| part.trim_start().to_owned()).collect()
}

/// What it shows of one of them.
fn of<'a>(described: &'a [String], name: &str) -> &'a str {
    described.iter().find(|text| text.lines().next() == Some(name)).unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn every_hostile_policy_holds_what_it_matches_and_nobody_else_notices() {
    let mut world = World::without_operator("policy-hostile").await;
    let elsewhere = World::without_operator("policy-honest").await;
    let both = format!("kubernetes.io/metadata.name in ({},{})", world.namespace, elsewhere.namespace);
    world.start_with(&both).await;
    let mut honest = sidecar(&world).await;
    let there = json!({"matchLabels": {"kubernetes.io/metadata.name": elsewhere.namespace}});
    honest["match"]["namespaceSelector"] = there;
    world.apply_cluster_policy("honest", honest).await;
    world.active("honest", 0).await;
    elsewhere.apply_gateway("x", json!({})).await;
    elsewhere.gateway("x", "phase Running", |status| status["phase"] == "Running").await;

    let guests: Vec<Guest> = guests::all().into_iter().filter(|guest| ends(guest).is_some()).collect();
    assert!(guests.len() > 25 && guests.len() < 63, "all of them at once, and the honest one: {}", guests.len());
    let hostile = async {
        for guest in &guests {
            let module = world.ship(&guest.name, &guest.bytes).await;
            let children = json!([{"group": "apps", "kind": "Deployment"}, {"kind": "Service"}]);
            let labels = json!({"matchLabels": {"guest": guest.name}});
            let more = json!({"match": {"children": children, "labelSelector": labels}});
            world.apply_cluster_policy(&guest.name, world.policy_spec(&module, more)).await;
        }
        for guest in &guests {
            let (loads, reason) = ends(guest).expect("it ends badly");
            // What it does wrong when it is called it may do already when it is asked for its settings.
            let is = |said: &Value| match loads {
                true => says(said, "Active", "True", "Active") || says(said, "SettingsValid", "False", reason),
                false => says(said, "Compiled", "False", reason) && says(said, "Active", "False", reason),
            };
            world.cluster_policy(&guest.name, &format!("loaded, or {reason}"), is).await;
        }
        for guest in &guests {
            let labels = json!({"guest": guest.name});
            world.try_apply(&Gateway::INFO, &guest.name, &labels, &json!({})).await.expect("a Gateway");
        }
        for guest in &guests {
            let (loads, reason) = ends(guest).expect("it ends badly");
            let is = |status: &_| says(status, "PoliciesApplied", "False", reason);
            let gateway = world.gateway(&guest.name, &format!("held with {reason}"), is).await;
            let status = &gateway.data["status"];
            assert_condition(status, "Reconciled", ("False", "PolicyFailed"), &["held by ClusterWasmPolicy"]);
            let words = guest.says.get("says").filter(|_| loads).map(String::as_str);
            assert_condition(status, "PoliciesApplied", ("False", reason), &words.into_iter().collect::<Vec<_>>());
            let said = world.cluster_policy(&guest.name, "one held", |status| status["held"] == 1).await;
            assert_eq!(said["samples"][0]["reason"], reason, "{}", guest.name);
        }
    };
    let mut served = 0_i64;
    let goes_on = async {
        while served < 10_000 {
            let start = Instant::now();
            served += 1;
            elsewhere.edit_parent("x", json!({"spec": {"replicas": served % 3 + 1}})).await;
            elsewhere.gateway("x", "its generation", |_| true).await;
            assert!(start.elapsed() < BOUND, "the honest one waited for {:?}", start.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = hostile => {}
        () = goes_on => unreachable!("nobody is served that often"),
    }
    assert!(served > 5, "the honest one was served {served} times");
    let live = elsewhere.get(ChildKind::Deployment, "x").await;
    assert_eq!(containers(&live), ["collector", "inference-gateway"]);
    assert_eq!(world.children().await, [""; 0], "nothing was ever written");
    assert_eq!(world.operator().context.engine.figures().started, 1, "none took the evaluating child down");

    // What people see.
    let gateways =
        described(&world, &[&format!("{}.{}", Gateway::INFO.plural, Gateway::INFO.group), "-n", &world.namespace])
            .await;
    let policies = described(&world, &["clusterwasmpolicies.policy.inference-gateway.dev"]).await;
    for guest in &guests {
        let (_, reason) = ends(guest).expect("it ends badly");
        let shown = of(&gateways, &guest.name);
        assert!(shown.contains(reason) && shown.contains("PoliciesApplied"), "{}: {shown}", guest.name);
        let shown = of(&policies, &world.policy_name(&guest.name));
        assert!(shown.contains(reason), "{}: {shown}", guest.name);
    }

    // With its policy a held one goes on.
    let name = world.policy_name("endless-loop");
    world.delete(world.cluster_policies(), &name, &DeleteParams::default()).await;
    let free = |status: &_| condition(status, "PoliciesApplied").is_none() && status["phase"] == "Running";
    within("it to run", world.gateway("endless-loop", "phase Running", free)).await;
}
