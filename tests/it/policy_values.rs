//! Values of a namespace stay there, whatever a policy of the cluster does to hand them out.

use std::{
    io,
    sync::{Arc, Mutex},
};

use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt as _};

use crate::{
    guests::guest,
    policed::says,
    world::{World, assert_condition},
};

/// As the policies look for it.
const KEY: &str = "sk-8f2c51a07d";

/// What the operator of a test has logged: it runs on the thread of the test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

#[tokio::test]
async fn values_of_a_namespace_stay_there() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("igw=trace,info"))
        .with_writer(move || writer.clone())
        .finish();
    let _until_the_end = subscriber.set_default();
    let world = World::new("policy-values").await;
    // Each hands out what it is told in another way: the first two with the conditions of the custom resource, whose readers
    // may read its spec anyway.
    let cases = [
        ("telling-panic", "Panicked", "PolicyFailed"),
        ("telling-failure", "PolicyFailed", "PolicyFailed"),
        ("telling-path", "GuardViolation", "GuardViolation"),
    ];
    for (name, ..) in cases {
        let module = world.ship(name, &guest(name).bytes).await;
        let children = json!([{"group": "apps", "kind": "Deployment"}, {"kind": "Service"}]);
        let labels = json!({"matchLabels": {"case": name}});
        let more = json!({"match": {"children": children, "labelSelector": labels}});
        world.apply_cluster_policy(name, world.policy_spec(&module, more)).await;
    }
    let env = json!([{"name": "OPENAI_API_KEY", "value": KEY}]);
    let spec = json!({"providers": [{"name": "openai", "enabled": true, "env": env}]});
    let kind = <igw::kinds::gateway::Gateway as igw::kinds::Parent>::INFO;
    for (name, reason, class) in cases {
        world.try_apply(&kind, name, &json!({"case": name}), &spec).await.expect("a Gateway");
        let is = |status: &Value| says(status, "PoliciesApplied", "False", reason);
        let gateway = world.gateway(name, reason, is).await;
        assert_condition(&gateway.data["status"], "Reconciled", ("False", class), &[KEY]);
        world.event(&[class, KEY]).await;
        let said = world.cluster_policy(name, "one held", |status| status["held"] == 1).await;
        let sample = &said["samples"][0];
        assert_eq!((&sample["name"], &sample["reason"]), (&json!(name), &json!(reason)));
        if reason == "GuardViolation" {
            assert_eq!(sample["path"], ".metadata…", "as far as it is not the policy's");
        }
    }
    world.settled().await;
    let everything = ListParams::default();
    let policies = world.cluster_policies().list(&everything).await.expect("a list").items;
    let statuses: Vec<_> = policies.iter().map(|policy| &policy.data["status"]).collect();
    let events: Api<Event> = Api::all(world.client.clone());
    let mut events = events.list(&everything).await.expect("a list").items;
    events.retain(|event| event.metadata.namespace.as_deref() != Some(&world.namespace));
    let metrics = world.operator().context.metrics.text();
    let log = log.text();
    assert!(log.contains("loaded a policy") && log.contains("GuardViolation"), "it was heard: {log}");
    for (place, text) in [
        ("a status of a policy", json!(statuses).to_string()),
        ("an Event elsewhere", json!(events).to_string()),
        ("the metrics", metrics),
        ("the log", log),
    ] {
        assert!(!text.contains(KEY), "{place} has the key: {text}");
    }
}
