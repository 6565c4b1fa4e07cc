//! The registry of policies without a server: what it lets go on, wait, hold and load, in the order of what is said to it.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Options, Policies, PolicyId, Source,
    entry::At,
    reason,
    select::{Selection, Turn},
};
use crate::{
    kinds::{Parent as _, gateway::Gateway},
    object::Identity,
    parent::ParentObject,
    policy::{
        failure::{Failure, Reason},
        resource::{CLUSTER_WASM_POLICY, WASM_POLICY},
    },
};

const SHA: &str = "aa";

fn policy(namespace: &str, name: &str, more: Value) -> Arc<ParentObject> {
    let mut spec = json!({
        "module": {"configMap": {"name": "m", "key": "policy.wasm"}, "sha256": SHA},
        "match": {
            "parents": [{"group": "core.inference-gateway.com", "kind": "Gateway"}],
            "children": [{"group": "apps", "kind": "Deployment"}],
        },
    });
    for (key, value) in more["spec"].as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let mut metadata = json!({"name": name, "uid": "u", "generation": 1, "resourceVersion": "1"});
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    for (key, value) in more["metadata"].as_object().into_iter().flatten() {
        metadata[key] = value.clone();
    }
    Arc::new(
        ParentObject::from_manifest(&json!({"metadata": metadata, "spec": spec, "status": more["status"]}))
            .expect("a policy"),
    )
}

fn policies() -> Policies {
    let policies = Policies::new(Options { namespaced: true, ..Options::default() });
    for kind in [CLUSTER_WASM_POLICY, WASM_POLICY] {
        policies.listed(&kind, &HashSet::new(), Instant::now());
    }
    policies
}

/// What the only policy does to a Gateway of a namespace.
fn turn(policies: &Policies, namespace: &str) -> Turn {
    let gateway = Identity { namespace: namespace.into(), name: "x".into(), ..Identity::default() };
    match policies.select(&Gateway::INFO, &gateway) {
        Selection::Chosen(mut chosen) => chosen.pop().expect("one matches").turn,
        other => panic!("{other:?}"),
    }
}

fn holds(policies: &Policies, namespace: &str) -> Option<&'static str> {
    match turn(policies, namespace) {
        Turn::Hold(broken) => Some(broken.reason),
        _ => None,
    }
}

/// The ConfigMap of a namespace holds the right bytes, or others.
fn ship(policies: &Policies, namespace: &str, digest: &str, now: Instant) {
    let there = Source::There { digest: digest.into(), bytes: Some(b"x".as_slice().into()) };
    policies.source(&(namespace.into(), "m".into()), |_| there.clone(), now);
}

#[test]
fn namespaces_take_turns_and_nobody_waits_for_a_whole_queue() {
    let (policies, now) = (policies(), Instant::now());
    for number in 0..8 {
        policies.saw(&policy("a", &number.to_string(), json!({})), now);
    }
    policies.saw(&policy("b", "one", json!({})), now);
    policies.saw(&policy("", "cluster", json!({})), now);
    for namespace in ["a", "b", "inference-gateway-system"] {
        ship(&policies, namespace, SHA, now);
    }
    let jobs = std::iter::from_fn(|| policies.next_job(now)).map(|job| (*job.id.namespace).to_owned());
    let turns: Vec<String> = jobs.collect();
    assert_eq!(turns.len(), 10);
    for namespace in ["", "a", "b"] {
        assert!(turns[..3].contains(&namespace.into()), "{turns:?}");
    }
}

#[test]
fn after_a_start_a_status_waits_for_what_it_said_before() {
    let now = Instant::now();
    for (status, seconds) in [(Value::Null, 3), (json!({"observedGeneration": 1}), 60)] {
        let policies = policies();
        policies.saw(&policy("ns", "p", json!({"status": status})), now);
        let due = |seconds| policies.statuses(true, now + Duration::from_secs(seconds)).0.len();
        assert_eq!((due(seconds - 1), due(seconds)), (0, 1), "it is not loaded");
    }
}

#[test]
fn what_may_pass_is_tried_again_and_what_has_another_reason_is_not() {
    let (policies, now) = (policies(), Instant::now());
    policies.saw(&policy("ns", "p", json!({"spec": {"failurePolicy": {"load": "Ignore"}}})), now);
    assert!(matches!(turn(&policies, "ns"), Turn::Wait));
    ship(&policies, "ns", SHA, now);
    let job = policies.next_job(now).expect("something to load");
    assert!(policies.next_job(now).is_none(), "it is being loaded");
    policies.finished(job, Err((At::SettingsValid, Failure::new(Reason::Timeout, "late"))), now);
    assert_eq!(holds(&policies, "ns"), Some("Timeout"), "not ignored while it may pass");
    let again = policies.next_try().expect("another try");
    assert!(again > now && policies.next_job(now).is_none());
    let job = policies.next_job(again).expect("its time has come");
    policies.finished(job, Err((At::SettingsValid, Failure::new(Reason::Timeout, "late"))), again);
    policies.source(&("ns".into(), "m".into()), |_| Source::Missing("gone".into()), again);
    let later = again + Duration::from_secs(3600);
    assert!(policies.next_job(later).is_none());
    assert_eq!(policies.next_try(), None, "there is nothing to try");
    assert!(matches!(turn(&policies, "ns"), Turn::Leave(broken) if broken.reason == reason::SOURCE_MISSING));
}

#[test]
fn what_failed_for_good_is_not_loaded_again() {
    let (policies, now) = (policies(), Instant::now());
    policies.saw(&policy("ns", "p", json!({})), now);
    ship(&policies, "ns", SHA, now);
    let job = policies.next_job(now).expect("something to load");
    policies.finished(job, Err((At::Compiled, Failure::new(Reason::CompileLimit, "large"))), now);
    assert_eq!(holds(&policies, "ns"), Some("CompileLimit"));
    ship(&policies, "ns", SHA, now);
    assert!(policies.next_job(now + Duration::from_secs(3600)).is_none() && policies.next_try().is_none());
}

#[test]
fn a_policy_that_was_made_again_reads_its_module_again() {
    let (policies, now) = (policies(), Instant::now());
    policies.saw(&policy("ns", "p", json!({})), now);
    let before = policies.sources();
    let made_again = policy("ns", "p", json!({"metadata": {"uid": "v"}}));
    policies.gone(&PolicyId::of(&made_again), now);
    policies.saw(&made_again, now);
    assert!(before.keys().eq(policies.sources().keys()) && before != policies.sources());
}

#[test]
fn a_missing_definition_is_news_once_and_a_refused_list_is_never_empty() {
    let policies = Policies::new(Options::default());
    let now = Instant::now();
    let gateway = Identity { namespace: "ns".into(), ..Identity::default() };
    let select = || policies.select(&Gateway::INFO, &gateway);
    assert!(!policies.settled() && matches!(select(), Selection::NotYet));
    assert!(!policies.refused(&CLUSTER_WASM_POLICY, "no".into()).is_empty());
    assert!(policies.settled() && matches!(select(), Selection::Unreadable(_)));
    assert!(!policies.absent(&CLUSTER_WASM_POLICY, now).is_empty());
    assert!(policies.absent(&CLUSTER_WASM_POLICY, now).is_empty(), "known");
    assert!(matches!(select(), Selection::Chosen(chosen) if chosen.is_empty()));
}

#[test]
fn a_grant_that_is_not_switched_on_is_none() {
    let (policies, now) = (policies(), Instant::now());
    let grants = json!({"spec": {"grants": {"addKinds": [{"group": "", "kind": "ConfigMap"}]}}});
    policies.saw(&policy("", "p", grants), now);
    assert_eq!(holds(&policies, "ns"), Some(reason::KIND_NOT_AVAILABLE));
    let gateway = Identity { namespace: "ns".into(), ..Identity::default() };
    let Selection::Chosen(chosen) = policies.select(&Gateway::INFO, &gateway) else { panic!("known") };
    assert!(chosen[0].spec.as_ref().is_some_and(|spec| spec.grants.add_kinds.is_empty()));
}

#[test]
fn the_oldest_policies_count() {
    let (policies, now) = (policies(), Instant::now());
    for number in 0..9 {
        let at = format!("2026-01-01T00:00:0{}Z", 9 - number);
        policies.saw(&policy("ns", &format!("p{number}"), json!({"metadata": {"creationTimestamp": at}})), now);
    }
    let gateway = Identity { namespace: "ns".into(), ..Identity::default() };
    let Selection::Chosen(chosen) = policies.select(&Gateway::INFO, &gateway) else { panic!("known") };
    let held: Vec<_> = chosen.iter().filter(|policy| matches!(policy.turn, Turn::Hold(_))).collect();
    assert_eq!(held.len(), 1);
    assert_eq!(&*held[0].id.name, "p0", "the youngest");
}
