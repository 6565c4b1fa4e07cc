//! The status of a policy, from what is known of it and the status that is there. PURE.
//!
//! Only what a person can act on is in it, and nothing that differs from one start of the operator to the next, so that a
//! restart writes nothing. Words of a guest are cut and escaped, and no value of any object is among them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::reason::NOT_REACHED;
use crate::{
    object::ParentId,
    parent::Condition,
    policy::{failure::clean, limits, resource::status::FailedSample},
};

/// Bytes of a status.
pub const MOST: usize = 16 << 10;
/// How many samples are shown.
pub const SAMPLES: usize = 10;
/// Bytes of a word that somebody else has chosen: a name, a version.
const WORD: usize = 253;
/// Digits of a digest that tell one module from another, for people.
const SHORT: usize = 12;

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// One of the reasons of [`super::reason`].
    pub reason: &'static str,
    /// For people; parts may be a guest's own words.
    pub message: String,
}

/// All that a status is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Generation of the spec that was looked at.
    pub generation: i64,
    /// The conditions, in the order of the steps; `None` is not reached.
    pub steps: [(&'static str, Option<Step>); 5],
    /// What runs now.
    pub module: Option<ModuleFacts>,
    /// How many custom resources.
    pub counts: Counts,
    /// Custom resources that are held or that the policy failed on, in any order.
    pub samples: Vec<Sample>,
}

/// The module that runs now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleFacts {
    /// Digest of its bytes as they lay in the ConfigMap, in hexadecimal digits.
    pub sha256: String,
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Bytes of native code.
    pub code_bytes: u64,
    /// How long compiling it took. Kept from the status that is there while the digest is the same.
    pub compile_millis: u64,
}

/// How many custom resources a policy matches, and how they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that match.
    pub matched: u64,
    /// Those whose objects are what this version of the policy makes of them.
    pub up_to_date: u64,
    /// Those that are held because of the policy.
    pub held: u64,
    /// Those that the policy failed on.
    pub failed: u64,
}

/// A custom resource that is held, or that the policy failed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Which.
    pub parent: ParentId,
    /// Why: one of the reasons of [`super::reason::CALLS`].
    pub reason: &'static str,
    /// Where in its objects, without any value.
    pub path: Option<String>,
}

/// The new status; `None` when it says what the one before says, whatever the time.
#[must_use]
pub fn status(facts: &Facts, before: &Value, now: &str) -> Option<Value> {
    let samples = samples(&facts.samples);
    // Without samples it always fits: five messages and the names of a module are bounded, escaped or not.
    let shown = (0..=SAMPLES.min(samples.len())).rev();
    let mut made = shown.map(|shown| whole(facts, &samples, shown, before, now));
    let status = made.find(|status| status.to_string().len() <= MOST)?;
    let types = facts.steps.iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
    (timeless(before, &types) != timeless(&status, &types)).then_some(status)
}

/// Sorted, so that the same ones are shown whenever they are the same; each once.
fn samples(given: &[Sample]) -> Vec<FailedSample> {
    let word = |text: &str| clean(text, WORD);
    let mut samples: Vec<_> = given
        .iter()
        .map(|Sample { parent, reason, path }| FailedSample {
            kind: parent.kind.into(),
            namespace: word(&parent.namespace),
            name: word(&parent.name),
            reason: (*reason).into(),
            path: path.as_deref().map(|path| clean(path, limits::MESSAGE)),
        })
        .collect();
    samples.sort_unstable();
    samples.dedup();
    samples
}

fn whole(facts: &Facts, samples: &[FailedSample], shown: usize, before: &Value, now: &str) -> Value {
    let Counts { matched, up_to_date, held, failed } = facts.counts;
    let mut status = json!({
        "observedGeneration": facts.generation,
        "matched": matched,
        "upToDate": up_to_date,
        "held": held,
        "failed": failed,
        "conditions": conditions(facts, before, now),
    });
    if let Some(module) = &facts.module {
        status["module"] = running(module, &before["module"]);
    }
    if shown > 0 {
        status["samples"] = json!(samples.get(..shown));
    }
    let more = samples.len().saturating_sub(shown);
    if more > 0 {
        status["moreSamples"] = more.into();
    }
    status
}

fn running(module: &ModuleFacts, before: &Value) -> Value {
    let sha256 = clean(&module.sha256, WORD);
    let known = before["compileMillis"].as_u64().filter(|_| before["sha256"] == *sha256);
    json!({
        "name": clean(&module.name, WORD),
        "version": clean(&module.version, WORD),
        "digest": format!("sha256:{}", sha256.get(..SHORT).unwrap_or(&sha256)),
        "sha256": sha256,
        "codeBytes": module.code_bytes,
        "compileMillis": known.unwrap_or(module.compile_millis),
    })
}

fn conditions(facts: &Facts, before: &Value, now: &str) -> Vec<Condition> {
    let before: BTreeMap<String, Condition> = serde_json::from_value::<Vec<Condition>>(before["conditions"].clone())
        .unwrap_or_default()
        .into_iter()
        .map(|condition| (condition.kind.clone(), condition))
        .collect();
    let condition = |(kind, step): &(&'static str, Option<Step>)| {
        let (status, reason, message) = match step {
            Some(Step { status, reason, message }) => (*status, *reason, clean(message, limits::MESSAGE)),
            None => ("Unknown", NOT_REACHED, "a condition before this one does not hold".into()),
        };
        let since = before.get(*kind).filter(|before| before.status == status);
        let since = since.map(|before| before.last_transition_time.as_str()).filter(|time| !time.is_empty());
        Condition {
            kind: (*kind).into(),
            status: status.into(),
            reason: reason.into(),
            message,
            last_transition_time: since.unwrap_or(now).into(),
            observed_generation: facts.generation,
        }
    };
    facts.steps.iter().map(condition).collect()
}

/// A status without times, and without the conditions that others have put beside ours.
fn timeless(status: &Value, types: &[&str]) -> Map<String, Value> {
    let mut map = status.as_object().cloned().unwrap_or_default();
    let conditions = map.remove("conditions").unwrap_or_default();
    let ours = types.iter().filter_map(|kind| {
        let mut found = conditions.as_array()?.iter().find(|condition| condition["type"] == **kind)?.clone();
        found.as_object_mut()?.remove("lastTransitionTime");
        Some(found)
    });
    map.insert("conditions".into(), ours.collect());
    map
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};
    use serde_json::{Value, json};

    use super::{
        super::reason::{ACCEPTED, ACTIVE, COMPILED, GUARD_VIOLATION, SETTINGS_VALID, SOURCE_MISSING, STEPS, VERIFIED},
        Counts, Facts, MOST, ModuleFacts, SAMPLES, Sample, Step, status,
    };
    use crate::{object::ParentId, policy::resource::status::PolicyStatus};

    const FIRST: &str = "2026-01-01T00:00:00Z";
    const LATER: &str = "2026-01-02T00:00:00Z";

    fn step(status: &'static str, reason: &'static str, message: &str) -> Option<Step> {
        Some(Step { status, reason, message: message.into() })
    }

    fn good() -> Facts {
        Facts {
            generation: 3,
            steps: STEPS.map(|kind| (kind, step("True", kind, "it is"))),
            module: Some(ModuleFacts {
                sha256: "5e7467006c4dafe986bdffa2f8a89a4b5382fe4490f03cd68474577ca2c5ea3b".into(),
                name: "extra-env".into(),
                version: "1.0.0".into(),
                code_bytes: 500_000,
                compile_millis: 140,
            }),
            counts: Counts { matched: 3, up_to_date: 3, held: 0, failed: 0 },
            samples: Vec::new(),
        }
    }

    fn sample(name: &str) -> Sample {
        let parent = ParentId { kind: "Gateway", namespace: "ns".into(), name: name.into() };
        Sample { parent, reason: GUARD_VIOLATION, path: Some(".spec.replicas".into()) }
    }

    fn time_of(status: &Value, kind: &str) -> String {
        let conditions = status["conditions"].as_array().expect("conditions");
        let condition = conditions.iter().find(|condition| condition["type"] == kind).expect("a condition");
        condition["lastTransitionTime"].as_str().expect("a time").into()
    }

    #[test]
    fn every_field_is_one_of_the_schema() {
        let mut facts = good();
        facts.samples = (0..12).map(|number| sample(&format!("gw-{number:02}"))).collect();
        let made = status(&facts, &Value::Null, FIRST).expect("a status");
        let read: PolicyStatus = serde_json::from_value(made.clone()).expect("a status of the schema");
        assert_eq!(json!(read), made);
        assert_eq!(made["module"]["digest"], "sha256:5e7467006c4d");
    }

    #[test]
    fn time_alone_writes_nothing() {
        let made = status(&good(), &Value::Null, FIRST).expect("a status");
        assert_eq!(status(&good(), &made, LATER), None);
        let mut elsewhere = made;
        let conditions = elsewhere["conditions"].as_array_mut().expect("conditions");
        conditions.reverse();
        conditions.push(json!({"type": "Mine", "status": "True"}));
        assert_eq!(status(&good(), &elsewhere, LATER), None, "order and conditions of others do not matter");
    }

    #[test]
    fn a_restart_compiles_again_and_writes_nothing() {
        let made = status(&good(), &Value::Null, FIRST).expect("a status");
        let mut restarted = good();
        let mut of = restarted.module.take().expect("a module");
        of.compile_millis = 999;
        restarted.module = Some(of.clone());
        assert_eq!(status(&restarted, &made, LATER), None);
        of.sha256 = "ab".repeat(32);
        restarted.module = Some(of);
        let other = status(&restarted, &made, LATER).expect("another module");
        assert_eq!(other["module"]["compileMillis"], 999);
    }

    #[test]
    fn a_transition_is_a_change_of_status() {
        let made = status(&good(), &Value::Null, FIRST).expect("a status");
        let mut facts = good();
        facts.steps[1].1 = step("False", SOURCE_MISSING, "ConfigMap ns/m is not there");
        facts.steps[2].1 = step("True", COMPILED, "in other words");
        let made = status(&facts, &made, LATER).expect("another status");
        assert_eq!(time_of(&made, VERIFIED), LATER);
        assert_eq!(time_of(&made, COMPILED), FIRST);
        assert_eq!(time_of(&made, ACTIVE), FIRST);
    }

    #[test]
    fn a_new_generation_is_written_and_moves_no_time() {
        let made = status(&good(), &Value::Null, FIRST).expect("a status");
        let next = status(&Facts { generation: 4, ..good() }, &made, LATER).expect("another generation");
        assert_eq!(next["observedGeneration"], 4);
        assert_eq!(next["conditions"][4]["observedGeneration"], 4);
        assert_eq!(time_of(&next, ACTIVE), FIRST);
    }

    #[test]
    fn what_was_not_reached_is_unknown() {
        let mut facts = good();
        facts.steps[0].1 = step("False", "InvalidSpec", "spec.match.labelSelector: no");
        facts.steps[3].1 = None;
        facts.module = None;
        let made = status(&facts, &Value::Null, FIRST).expect("a status");
        let types: Vec<_> = made["conditions"].as_array().into_iter().flatten().map(|c| c["type"].clone()).collect();
        assert_eq!(types, [ACCEPTED, VERIFIED, COMPILED, SETTINGS_VALID, ACTIVE]);
        assert_eq!(made["conditions"][3]["status"], "Unknown");
        assert_eq!(made["conditions"][3]["reason"], "NotReached");
        assert!(made.get("module").is_none() && made.get("samples").is_none() && made.get("moreSamples").is_none());
    }

    #[test]
    fn samples_are_the_first_by_name_and_counted() {
        let mut facts = good();
        facts.samples = (0..25).rev().map(|number| sample(&format!("gw-{number:02}"))).collect();
        facts.samples.push(sample("gw-00"));
        let made = status(&facts, &Value::Null, FIRST).expect("a status");
        assert_eq!(made["samples"].as_array().map(Vec::len), Some(SAMPLES));
        assert_eq!((&made["samples"][0]["name"], &made["samples"][9]["name"]), (&json!("gw-00"), &json!("gw-09")));
        assert_eq!(made["moreSamples"], 15);
        facts.samples.reverse();
        assert_eq!(status(&facts, &made, LATER), None, "the order in which they come says nothing");
        facts.samples.clear();
        let none = status(&facts, &made, LATER).expect("fewer samples");
        assert!(none.get("samples").is_none() && none.get("moreSamples").is_none());
    }

    #[test]
    fn a_guest_cannot_act_through_a_message() {
        let mut facts = good();
        facts.steps[4].1 = step("False", "Panicked", &format!("\u{1b}[31m\n\u{202e}{}", "x".repeat(4096)));
        let made = status(&facts, &Value::Null, FIRST).expect("a status");
        let message = made["conditions"][4]["message"].as_str().expect("a message");
        assert!(message.len() <= 512 && message.starts_with(r"\u{1b}[31m\n\u{202e}x"), "{message}");
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![".{0,64}", "[\"\\\\]{0,2000}", ".{0,2000}"]
    }

    fn facts() -> impl Strategy<Value = Facts> {
        let step = proptest::option::of((select(vec!["True", "False", "Unknown"]), select(STEPS.to_vec()), text()));
        let steps = proptest::collection::vec(step, STEPS.len());
        let module = proptest::option::of((text(), text(), text(), any::<u64>(), any::<u64>()));
        let sample = (text(), text(), proptest::option::of(text()));
        let samples = proptest::collection::vec(sample, 0..24);
        (any::<i64>(), steps, module, any::<[u64; 4]>(), samples).prop_map(
            |(generation, steps, module, counts, samples)| {
                let mut steps = steps.into_iter();
                let step = |(status, reason, message)| Step { status, reason, message };
                let [matched, up_to_date, held, failed] = counts;
                Facts {
                    generation,
                    steps: STEPS.map(|kind| (kind, steps.next().flatten().map(step))),
                    module: module.map(|(sha256, name, version, code_bytes, compile_millis)| ModuleFacts {
                        sha256,
                        name,
                        version,
                        code_bytes,
                        compile_millis,
                    }),
                    counts: Counts { matched, up_to_date, held, failed },
                    samples: samples
                        .into_iter()
                        .map(|(namespace, name, path)| Sample {
                            parent: ParentId { kind: "Orchestrator", namespace: namespace.into(), name: name.into() },
                            reason: GUARD_VIOLATION,
                            path,
                        })
                        .collect(),
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_status_has_its_size_and_is_written_once(facts in facts()) {
            let made = status(&facts, &Value::Null, FIRST).expect("a first status is always written");
            let length = made.to_string().len();
            prop_assert!(length <= MOST, "{length} bytes");
            prop_assert_eq!(status(&facts, &made, LATER), None);
            let shown = made["samples"].as_array().map_or(0, Vec::len);
            prop_assert!(shown <= SAMPLES);
            for condition in made["conditions"].as_array().into_iter().flatten() {
                let message = condition["message"].as_str().unwrap_or_default();
                prop_assert!(message.len() <= 512 && !message.contains(|c: char| c.is_control()));
            }
        }
    }
}
