//! The registry of policies with a module from the engine: what a spec that cannot be read does, and when statuses are due.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use igw::{
    kinds::{Parent as _, gateway::Gateway},
    object::{Identity, ParentId, digest},
    parent::ParentObject,
    policies::{
        Options, Policies, PolicyId, Source,
        entry::At,
        load::Job,
        select::{Selection, Turn},
        tally::Fare,
    },
    policy::{
        failure::{Failure, Reason},
        resource::{CLUSTER_WASM_POLICY, WASM_POLICY},
    },
};
use serde_json::{Value, json};

use crate::{
    guests::{engine, guest},
    policed::lay,
};

/// A policy as it is watched; in a namespace, or of the cluster.
fn policy(namespace: &str, name: &str, generation: i64, more: Value) -> Arc<ParentObject> {
    let module = guest("honest").bytes;
    let mut document = json!({
        "metadata": {
            "namespace": (!namespace.is_empty()).then_some(namespace),
            "name": name,
            "uid": format!("{namespace}/{name}"),
            "generation": generation,
            "resourceVersion": generation.to_string(),
        },
        "spec": {
            "module": {
                "configMap": {"name": "m", "key": "policy.wasm"},
                "sha256": digest(&module).trim_start_matches("sha256:"),
            },
            "match": {
                "parents": [{"group": "core.inference-gateway.com", "kind": "Gateway"}],
                "children": [{"group": "apps", "kind": "Deployment"}],
            },
        },
    });
    lay(&mut document, more);
    Arc::new(ParentObject::from_manifest(&document).expect("a policy"))
}

/// Both kinds, listed and empty.
fn listed(options: Options) -> Policies {
    let policies = Policies::new(options);
    for kind in [CLUSTER_WASM_POLICY, WASM_POLICY] {
        let _ = policies.listed(&kind, &HashSet::new(), Instant::now());
    }
    policies
}

/// The ConfigMaps hold what the policies want.
fn read(policies: &Policies, now: Instant) {
    let bytes = guest("honest").bytes;
    let there = Source::There {
        digest: digest(&bytes).trim_start_matches("sha256:").into(),
        bytes: Some(bytes.as_slice().into()),
    };
    for key in policies.sources().into_keys() {
        let _ = policies.source(&key, |_| there.clone(), now);
    }
}

fn fail(policies: &Policies, job: Job, reason: Reason, now: Instant) {
    let _ = policies.finished(job, Err((At::Compiled, Failure::new(reason, "no"))), now);
}

fn gateway() -> Identity {
    Identity { namespace: "a".into(), name: "x".into(), ..Identity::default() }
}

fn turn(policies: &Policies) -> Turn {
    match policies.select(&Gateway::INFO, &gateway()) {
        Selection::Chosen(chosen) => chosen[0].turn.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_spec_that_cannot_be_read_holds_also_when_there_was_a_better_one() {
    let policies = listed(Options::default());
    let now = Instant::now();
    let _ = policies.saw(&policy("", "p", 1, json!({})), now);
    assert_eq!(turn(&policies), Turn::Wait);
    read(&policies, now);
    let job = policies.next_job(now).expect("a job");
    let loaded = engine().load(&guest("honest").bytes).await;
    let _ = policies.finished(job, loaded.map_err(|failure| (At::Compiled, failure)), now);
    assert!(matches!(turn(&policies), Turn::Run(_)));
    let _ = policies.saw(&policy("", "p", 2, json!({"spec": {"settings": {"a": 1}}})), now);
    assert!(matches!(turn(&policies), Turn::Run(_)), "while the new settings are looked at");
    let _ = policies.saw(&policy("", "p", 3, json!({"spec": {"order": "first"}})), now);
    let Turn::Hold(broken) = turn(&policies) else { panic!("it is not held") };
    assert!(broken.reason == "InvalidSpec" && broken.message.contains("spec.order"), "{broken:?}");
    let _ = policies.saw(&policy("", "p", 4, json!({})), now);
    assert!(matches!(turn(&policies), Turn::Run(_)), "what was loaded was not lost");
}

#[test]
fn a_status_is_due_at_most_once_in_its_time() {
    let policies = listed(Options::default());
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let due = |now| policies.statuses(true, now).0.len();
    let one = policy("", "p", 1, json!({}));
    let id = PolicyId::of(&one);
    let _ = policies.saw(&one, start);
    assert_eq!(due(at(0)), 0, "it is on its way");
    assert_eq!(policies.statuses(true, at(0)).1, Some(at(3)));
    let absent = |_: &str| Source::Missing("no ConfigMap".into());
    for key in policies.sources().into_keys() {
        let _ = policies.source(&key, absent, at(1));
    }
    assert_eq!(due(at(1)), 1, "it has come to its end");
    policies.wrote(&id, Some((2, json!({}))), at(1));
    // A thousand custom resources fare badly, one after the other.
    let Selection::Chosen(chosen) = policies.select(&Gateway::INFO, &gateway()) else { panic!("known") };
    for number in 0..1000_u64 {
        let parent = ParentId { kind: "Gateway", namespace: "a".into(), name: number.to_string().into() };
        let now = at(1) + Duration::from_millis(number);
        policies.fared(&parent, vec![(id.clone(), chosen[0].stamp, Fare::UpToDate)], now);
        assert_eq!(due(now), 0, "too soon");
    }
    assert_eq!(policies.statuses(true, at(2)).1, Some(at(11)));
    assert_eq!((due(at(10)), due(at(11)), due(at(11))), (0, 1, 0));
    policies.wrote(&id, None, at(11));
    assert_eq!((due(at(12)), due(at(21))), (0, 1), "what could not be written is tried again, not at once");
}

#[test]
fn after_a_start_the_status_of_before_stands_until_everything_is_loaded() {
    let policies = listed(Options::default());
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let due = |now| -> Vec<_> { policies.statuses(true, now).0.iter().map(|job| job.id.short()).collect() };
    let _ = policies.saw(&policy("", "old", 7, json!({"status": {"observedGeneration": 7}})), start);
    let _ = policies.saw(&policy("", "new", 8, json!({"status": {"observedGeneration": 7}})), start);
    read(&policies, at(1));
    assert_eq!(due(at(2)), [""; 0]);
    assert_eq!(due(at(4)), ["new"], "who has just written a spec is told that it is being loaded");
    while let Some(job) = policies.next_job(at(20)) {
        fail(&policies, job, Reason::NotAComponent, at(20));
    }
    assert_eq!(due(at(20)), ["new", "old"]);
}
