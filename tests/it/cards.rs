//! Cards of agents: asked for over real HTTP, whatever agents do, and never in the way of anything else.

use std::time::{Duration, Instant};

use igw::kinds::{Parent as _, agent::Agent};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::{
    agent_server::{Behaviour, agents, card, host},
    world::{World, assert_condition, condition, within},
};

fn spec() -> Value {
    json!({"image": "example.test/agent:1"})
}

fn says(kind: &'static str, reason: &'static str) -> impl Fn(&Value) -> bool + Send {
    move |status| condition(status, kind).is_some_and(|condition| condition["reason"] == reason)
}

/// Waits until an agent has been asked so many times.
async fn asked(host: &str, times: usize) -> Vec<String> {
    let enough = async {
        loop {
            let asked = agents().asked(host);
            if asked.len() >= times {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(&format!("{host} to be asked {times} times"), enough).await
}

#[tokio::test]
async fn an_agent_is_ready_when_it_runs_and_its_card_is_there() {
    let mut world = World::new("card").await;
    let mut calls = world.calls().await;
    world.apply(&Agent::INFO, "a", spec()).await;
    let agent = world.ready(&Agent::INFO, "a").await;
    let status = &agent.data["status"];
    assert_condition(status, "CardFetched", ("True", "CardFetched"), &[]);
    assert_eq!(status["ready"], true);
    let card = &status["card"];
    assert_eq!((&card["name"], &card["version"], &card["skillsNames"]), (&json!("a"), &json!("1.0.0"), &json!("add")));
    assert_eq!(card["capabilities"]["pushNotifications"], false, "written, not left out");
    assert_eq!(agents().asked(&host(&world.namespace, "a")), ["/.well-known/agent-card.json"]);
    let made = calls.read().await;
    let status_writes = made.iter().filter(|call| *call == "patch agents/status/a 200").count();
    assert_eq!(
        (made.len() - status_writes, status_writes),
        (2, 3),
        "two children, two writes of status and one for the card: {made:?}"
    );
    let table = world.kubectl(&["get", "agents", "-n", &world.namespace]).await;
    let row: Vec<_> = table.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row[..2], ["a", "true"], "{table}");
    assert!(table.contains("1.0.0") && table.contains("false"), "{table}");

    world.stop().await;
    let mut calls = world.calls().await;
    world.start().await;
    asked(&host(&world.namespace, "a"), 2).await;
    world.settled().await;
    assert_eq!(calls.read().await, [""; 0], "a restart writes nothing");
}

#[tokio::test]
async fn what_agents_do_wrong_is_said_and_delays_nobody() {
    let world = World::new("bad-cards").await;
    let cases = [
        ("silent", Behaviour::Silent, "CardTimeout"),
        ("huge", Behaviour::Huge, "CardTooLarge"),
        ("elsewhere", Behaviour::Redirect(host(&world.namespace, "good")), "CardRedirected"),
        ("page", Behaviour::Text("<html><body>Hello</body></html>"), "NotACard"),
        ("list", Behaviour::Text("[]"), "NotACard"),
        ("nameless", Behaviour::Card(json!({"version": "1"})), "NotACard"),
        ("broken", Behaviour::Status(500), "CardNotServed"),
        ("cardless", Behaviour::Status(404), "CardNotServed"),
    ];
    for (name, behaviour, _) in &cases {
        agents().behave(&host(&world.namespace, name), behaviour.clone());
        world.apply(&Agent::INFO, name, spec()).await;
    }
    agents().behave(&host(&world.namespace, "old"), Behaviour::OldPath(card("old", "0.9")));
    for good in ["good", "old"] {
        world.apply(&Agent::INFO, good, spec()).await;
    }
    let started = Instant::now();
    for good in ["good", "old"] {
        world.ready(&Agent::INFO, good).await;
    }
    assert!(started.elapsed() < Duration::from_secs(10), "the silent one is in nobody's way: {:?}", started.elapsed());
    for (name, _, reason) in &cases {
        let agent = world.parent(&Agent::INFO, name, reason, says("CardFetched", reason)).await;
        let status = &agent.data["status"];
        assert_condition(status, "Ready", ("False", reason), &[]);
        assert_eq!((&status["ready"], status.get("card")), (&json!(false), None), "{name}");
        assert!(!status.to_string().contains("Hello"), "nothing of the answer is repeated");
    }
    // The same failure again is the same status.
    let mut calls = world.calls().await;
    let before = agents().asked(&host(&world.namespace, "broken")).len();
    asked(&host(&world.namespace, "broken"), before + 2).await;
    world.settled().await;
    assert_eq!(calls.read().await, [""; 0]);
}

#[tokio::test]
async fn a_card_is_followed_and_the_last_good_one_kept() {
    let mut world = World::without_operator("card-changes").await;
    world.agents.refresh = Duration::from_secs(1);
    let host = host(&world.namespace, "a");
    world.start().await;
    world.apply(&Agent::INFO, "a", spec()).await;
    world.ready(&Agent::INFO, "a").await;
    let mut calls = world.calls().await;
    let known = asked(&host, 4).await;
    assert_eq!(known[1..4], ["/.well-known/agent-card.json if changed"; 3]);
    assert_eq!(calls.read().await, [""; 0], "an unchanged card changes nothing");

    agents().behave(&host, Behaviour::Card(card("a", "2.0.0")));
    world.parent(&Agent::INFO, "a", "the new card", |status| status["card"]["version"] == "2.0.0").await;
    world.settled().await;
    assert_eq!(calls.read().await, ["patch agents/status/a 200"]);

    agents().behave(&host, Behaviour::Text("gone mad"));
    let agent = world.parent(&Agent::INFO, "a", "no card", says("CardFetched", "NotACard")).await;
    assert_eq!(agent.data["status"]["card"]["version"], "2.0.0");
    assert_condition(&agent.data["status"], "Ready", ("False", "NotACard"), &[]);
    world.settled().await;
    assert_eq!(calls.read().await, ["patch agents/status/a 200"], "once, after some failures in a row");
    agents().behave(&host, Behaviour::Card(card("a", "2.0.0")));
    world.ready(&Agent::INFO, "a").await;
}

#[tokio::test]
async fn an_agent_that_cannot_be_reached_says_so() {
    let mut world = World::without_operator("unreachable").await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    world.agents.connect_to = vec![format!("::127.0.0.1:{}", closed.port()).parse().expect("a detour")];
    world.start().await;
    world.apply(&Agent::INFO, "a", spec()).await;
    let agent = world.parent(&Agent::INFO, "a", "unreachable", says("CardFetched", "CardUnreachable")).await;
    let base = format!("http://a.{}.svc.cluster.local:8080", world.namespace);
    assert_condition(&agent.data["status"], "CardFetched", ("False", "CardUnreachable"), &[&base]);
    assert_condition(&agent.data["status"], "Available", ("True", "MinimumReplicasAvailable"), &[]);
}

#[tokio::test]
async fn an_agent_with_tls_is_asked_over_tls() {
    let mut world = World::without_operator("card-tls").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    world.agents.connect_to = vec![format!("::127.0.0.1:{port}").parse().expect("a detour")];
    world.start().await;
    let mut tls = spec();
    tls["tls"] = json!({"enabled": true, "secretRef": "certificate"});
    world.apply(&Agent::INFO, "a", tls).await;
    let (mut stream, _) = within("a connection", listener.accept()).await.expect("a connection");
    let first = within("a byte", stream.read_u8()).await.expect("a byte");
    assert_eq!(first, 0x16, "a TLS handshake (RFC 8446, section 5.1)");
    drop((stream, listener));
    let https = |object: Option<&DynamicObject>| {
        object.is_some_and(|o| o.data["status"]["url"].as_str().is_some_and(|url| url.starts_with("https://")))
    };
    world.wait(world.parents(&Agent::INFO), "a", "an https url", https).await;
}
