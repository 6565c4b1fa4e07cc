//! Stage: the policies that match a custom resource rewrite its generated objects, one after the other, in the engine's child.
//!
//! What a policy hands back is not trusted: the guard looks at it before the next policy sees it, and once more over all
//! of it. A policy that fails changes nothing.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::guard::{self, Subject};
use crate::{
    kinds::ParentInfo,
    object::{ChildKind, DesiredChild, Identity, ObjectId, compare::compare, path::Path},
    policies::{
        PolicyId,
        entry::{At, Broken, Runnable},
        reason::{GUARD_VIOLATION, SUSPENDED},
        select::{Chosen, Turn},
        tally::{Blame, Fare},
    },
    policy::{
        context::context,
        engine::{Call, Engine},
        failure,
        grants::{Grants, GroupKind},
        limits,
        protocol::Usage,
        resource::{EvaluationFailure, PolicySpec},
    },
};

/// Which custom resource, as policies are told.
#[derive(Debug)]
pub struct About<'a> {
    /// Its kind.
    pub kind: &'a ParentInfo,
    /// It.
    pub identity: &'a Identity,
    /// Its spec as it was written.
    pub spec: &'a Value,
    /// What the guard has to know of it.
    pub subject: Subject<'a>,
}

/// What the policies made of the generated objects.
#[derive(Debug, Default)]
pub struct Rewrite {
    /// The objects, checked policy by policy.
    pub children: Vec<DesiredChild>,
    /// What all of the policies that ran are granted.
    pub grants: Grants,
    /// Who has changed which objects, and where.
    pub touched: Touched,
    /// The policies that ran, each with the digest of its module.
    pub ran: Vec<(PolicyId, String)>,
    /// Policies without which it goes on: what they have changed before is left as it is.
    pub left: Vec<(PolicyId, Broken)>,
    /// Whether what one of these failed of may pass.
    pub again: bool,
    /// Why nothing may be written.
    pub stop: Option<Stop>,
    /// How each policy fares, as far as it is known now.
    pub fares: Vec<(PolicyId, u64, Fare)>,
    /// What was called.
    pub calls: Vec<Called>,
}

/// For each object, the policies that have changed it, in their order, with the paths; none for an added object.
pub type Touched = BTreeMap<ObjectId, Vec<(PolicyId, Vec<Path>)>>;

/// Why nothing may be written for a custom resource.
#[derive(Debug)]
pub enum Stop {
    /// A policy is being loaded.
    Wait,
    /// A policy cannot do its work.
    Held {
        /// Whose fault it is.
        policy: PolicyId,
        /// A fixed word.
        reason: &'static str,
        /// For people.
        message: String,
        /// Whether the guard refused what it made.
        violation: bool,
        /// Whether trying again may help.
        again: bool,
    },
}

/// One call, for metrics.
#[derive(Debug)]
pub struct Called {
    /// Of which policy.
    pub policy: PolicyId,
    /// How it ended: `ok` or a fixed word.
    pub result: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What it used; `None` when its result was remembered.
    pub usage: Option<Usage>,
}

/// Why a policy's turn came to nothing.
struct Fault {
    reason: &'static str,
    message: String,
    place: Option<(ObjectId, Path)>,
    violation: bool,
    again: bool,
}

/// Has the objects go through the policies.
pub async fn rewrite(engine: &Engine, about: &About<'_>, chosen: &[Chosen], generated: &[DesiredChild]) -> Rewrite {
    let mut done = Rewrite { children: generated.to_vec(), ..Rewrite::default() };
    let mut granted = Vec::new();
    for policy in chosen {
        let id = &policy.id;
        let fare = |fare| (id.clone(), policy.stamp, fare);
        let blame = |reason, place: Option<(ObjectId, Path)>| {
            let path = place.and_then(|(object, path)| {
                let known = generated.iter().find(|child| child.id == object)?;
                // What a policy has put in may be a value in the clothes of a field.
                Some(path.known_in(&known.body))
            });
            Blame { reason, path }
        };
        match (&policy.turn, &policy.spec) {
            // After the first that stops it, the others only wait.
            _ if done.stop.is_some() => done.fares.push(fare(Fare::Pending)),
            (Turn::Run(running), Some(spec)) => match one(engine, about, id, spec, running, &mut done).await {
                Ok(()) => {
                    granted.push(&spec.grants);
                    done.ran.push((id.clone(), running.target.sha256.clone()));
                    done.fares.push(fare(Fare::UpToDate));
                }
                Err(fault) if spec.failure_policy.evaluation == EvaluationFailure::Ignore => {
                    done.fares.push(fare(Fare::Failed(blame(fault.reason, fault.place))));
                    done.again |= fault.again;
                    let at = At::SettingsValid;
                    done.left.push((id.clone(), Broken { at, reason: fault.reason, message: fault.message }));
                }
                Err(Fault { reason, message, place, violation, again }) => {
                    done.fares.push(fare(Fare::Held(blame(reason, place))));
                    done.stop = Some(Stop::Held { policy: id.clone(), reason, message, violation, again });
                }
            },
            (Turn::Run(_) | Turn::Wait, _) => {
                done.fares.push(fare(Fare::Pending));
                done.stop = Some(Stop::Wait);
            }
            (Turn::Hold(broken), _) => {
                done.fares.push(fare(Fare::Held(blame(broken.reason, None))));
                let message = format!("{}: {}", broken.reason, broken.message);
                let (policy, reason) = (id.clone(), broken.reason);
                done.stop = Some(Stop::Held { policy, reason, message, violation: false, again: false });
            }
            (Turn::Leave(broken), _) => {
                done.fares.push(fare(match broken.reason {
                    SUSPENDED => Fare::Spared,
                    reason => Fare::Failed(blame(reason, None)),
                }));
                done.left.push((id.clone(), broken.clone()));
            }
        }
    }
    done.grants = Grants::union(granted);
    done
}

/// Has them go through one policy.
async fn one(
    engine: &Engine,
    about: &About<'_>,
    id: &PolicyId,
    spec: &PolicySpec,
    running: &Runnable,
    done: &mut Rewrite,
) -> Result<(), Fault> {
    let seen: Vec<usize> = (0..done.children.len()).filter(|i| sees(spec, done.children[*i].id.kind)).collect();
    let objects: Vec<String> = seen.iter().map(|i| text(&done.children[*i].body)).collect();
    let told = context(about.kind, about.identity, about.spec, &id.name, &id.namespace);
    let started = Instant::now();
    let call = Call {
        policy: &running.key,
        limits: running.target.limits,
        context: &told,
        settings: &running.target.settings,
        objects: &objects,
    };
    let evaluated = engine.rewrite(&running.loaded, call).await;
    let usage = (!evaluated.remembered).then_some(evaluated.report.usage);
    let result = match evaluated.report.result {
        Ok(output) => {
            // Most objects come back as they went, and need not be read again.
            let given: HashMap<&str, usize> = objects.iter().map(String::as_str).zip(seen.iter().copied()).collect();
            admit(about, id, spec, &given, &seen, &output.objects, done)
        }
        Err(failure) => Err(Fault {
            reason: failure.reason.as_str(),
            message: format!("failed on it: {}: {}", failure.reason, failure.message),
            place: None,
            violation: false,
            again: !failure.reason.is_lasting(),
        }),
    };
    let word = result.as_ref().map_or_else(|fault| fault.reason, |()| "ok");
    done.calls.push(Called { policy: id.clone(), result: word, took: started.elapsed(), usage });
    result
}

/// As `to_string`, which goes through the machinery of formatting and takes longer.
fn text(body: &Value) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

fn sees(spec: &PolicySpec, kind: ChildKind) -> bool {
    let info = kind.info();
    spec.matches.children.iter().any(|GroupKind { group, kind }| *group == info.group && *kind == info.kind)
}

/// Looks at what a policy made, and takes it over when all of it is allowed.
fn admit(
    about: &About<'_>,
    id: &PolicyId,
    spec: &PolicySpec,
    given: &HashMap<&str, usize>,
    seen: &[usize],
    made: &[String],
    done: &mut Rewrite,
) -> Result<(), Fault> {
    let before = &done.children;
    let mut after: Vec<DesiredChild> =
        (0..before.len()).filter(|i| !seen.contains(i)).map(|i| before[i].clone()).collect();
    for text in made {
        after.push(match given.get(text.as_str()) {
            Some(same) => before[*same].clone(),
            None => read(text).map_err(|error| refused(&error, None))?,
        });
    }
    let after = guard::check(&about.subject, before, after, &spec.grants).map_err(|violation| {
        let place = violation.path().map(|path| (violation.object().clone(), path.clone()));
        refused(&violation, place)
    })?;
    let known: HashMap<&ObjectId, &DesiredChild> = before.iter().map(|child| (&child.id, child)).collect();
    for child in &after {
        let paths: Vec<Path> = match known.get(&child.id) {
            Some(old) if old.body == child.body => continue,
            // Both ways: what it has taken away counts too.
            Some(old) => {
                let changes = [compare(&child.body, &old.body), compare(&old.body, &child.body)];
                changes.into_iter().flatten().map(|change| change.path).collect()
            }
            None => Vec::new(),
        };
        done.touched.entry(child.id.clone()).or_default().push((id.clone(), paths));
    }
    done.children = after;
    Ok(())
}

fn refused(why: &dyn fmt::Display, place: Option<(ObjectId, Path)>) -> Fault {
    let message = format!("it may not do this: {why}");
    Fault { reason: GUARD_VIOLATION, message, place, violation: true, again: false }
}

/// A text that a policy handed over and that is no object the operator could make.
#[derive(Debug, thiserror::Error)]
pub enum NoObject {
    /// It is no JSON.
    #[error("it handed over what is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It does not say which object it is.
    #[error("it handed over an object without kind or name")]
    Nameless,
    /// Of its kind there are none that the operator makes or a policy may add.
    #[error("{0} may not be added by any policy")]
    Kind(String),
}

/// Reads an object that a policy handed over.
///
/// # Errors
/// When it is none that the operator could make.
pub fn read(text: &str) -> Result<DesiredChild, NoObject> {
    let body: Value = serde_json::from_str(text)?;
    let says = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (says("/apiVersion"), says("/kind"));
    let (namespace, name) = (says("/metadata/namespace"), says("/metadata/name"));
    if kind.is_empty() || name.is_empty() {
        return Err(NoObject::Nameless);
    }
    let known = |known: &ChildKind| known.info().kind == kind && known.info().api_version() == version;
    let Some(found) = ChildKind::ALL.into_iter().find(known) else {
        let shown = format!("{kind} {namespace}/{name} ({version})");
        return Err(NoObject::Kind(failure::clean(&shown, limits::MESSAGE)));
    };
    Ok(DesiredChild { id: ObjectId::new(found, namespace, name), body, shared_fields: &[] })
}
