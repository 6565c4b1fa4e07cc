//! What the driver remembers of a custom resource between two reconciles. All of it may be lost at any time: nothing
//! here decides what is right, only when to try, what to say and what is already said.

use std::{
    collections::{HashMap, HashSet},
    io::Write as _,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use flate2::{
    Compression,
    write::{DeflateDecoder, DeflateEncoder},
};
use serde_json::Value;

use super::{backoff, outcome::Failed, seal::Sealed};
use crate::{
    cluster::Waiting,
    kinds::{KindCondition, References, Related},
    object::{ObjectId, ParentId},
    parent::ParentObject,
    policies::PolicyId,
};

/// How the sentence that says why pods wait begins.
pub const PODS_WAIT: &str = "pods wait: ";

/// The memory of every custom resource.
#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<ParentId, Parent>>);

/// The memory of one custom resource.
#[derive(Debug)]
pub struct Parent {
    uid: String,
    /// Digest of what the custom resource said when it was last looked at.
    pub said: u64,
    /// What the apply stage remembers.
    pub apply: backoff::Memory,
    /// What was found when everything was last as it should be.
    pub converged: Option<Box<Converged>>,
    /// When the workload last began to roll out, as far as this process knows.
    pub rolled_at: Instant,
    /// Whether it was rolling out when it was last looked at.
    pub rolling: bool,
    /// What its pods last said.
    pub pods: Option<PodsSeen>,
    /// When replica counts are to be written.
    pub counts_due: Option<Instant>,
    /// What was last said to be wrong with its spec.
    pub refused: Option<String>,
    /// The deletion that failed, and when it may be tried again.
    pub prune_failed: Option<(Instant, Failed)>,
    /// Deletions that failed in a row.
    pub prune_failures: u32,
    /// Status writes that failed in a row.
    pub status_failures: u32,
    /// Policies that failed in a way that may pass, in a row.
    pub policy_failures: u32,
    /// The objects as they were last admitted, when policies had a say in them.
    kept: Kept,
    /// Whether what a predecessor left in the status has been looked for.
    pub status_cleaned: bool,
    /// The last status this process wrote, until the watch has delivered it.
    written: Option<(u64, Value)>,
    /// The last status that the server did not take as it was sent, and what it made of it: somebody else, a predecessor for
    /// example, may hold a condition that is not ours to remove.
    accepted: Option<(Value, Value)>,
}

/// Admitted objects. Nearly always nobody asks for them, so what they take is memory and not time: as values they would take
/// several times the memory of their text, and the text takes several times that of this.
#[derive(Debug, Default)]
struct Kept {
    objects: Box<[KeptObject]>,
    /// The bodies one after the other, as compressed JSON text.
    bodies: Box<[u8]>,
}

/// A [`Sealed`] without its body.
#[derive(Debug)]
struct KeptObject {
    id: ObjectId,
    intent: Box<str>,
    shared_fields: &'static [&'static str],
    touched: Box<[PolicyId]>,
}

/// Everything was as it should be, and what that was decided from: while none of it changes, nothing has to be rendered
/// and compared again, and only the status is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Converged {
    /// Digest of what the custom resource says: generation, labels and annotations.
    pub said: u64,
    /// [`crate::policies::select::Selection::stamp`].
    pub policies: u64,
    /// What it names, and what was found there.
    pub references: References,
    /// See above.
    pub related: Related,
    /// [`crate::cache::Cache::epoch`] before everything was compared.
    pub epoch: u64,
    /// The fields of the status that follow from the spec.
    pub status: serde_json::Map<String, Value>,
    /// Conditions that only its kind has.
    pub conditions: Vec<KindCondition>,
    /// Sentences for the status message.
    pub notes: Vec<String>,
    /// How many objects there are.
    pub objects: usize,
    /// The Deployment among them.
    pub workload: Option<ObjectId>,
}

/// Why containers of a custom resource wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodsSeen {
    /// When they were asked.
    pub at: Instant,
    /// What is missing.
    pub missing: Option<String>,
    /// Why they wait.
    pub waiting: Option<String>,
}

impl Memories {
    /// Takes the memory of a custom resource out; a new one for a custom resource that was made again.
    pub fn take(&self, id: &ParentId, uid: &str, now: Instant) -> Parent {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        known.filter(|memory| memory.uid == uid).unwrap_or_else(|| Parent {
            uid: uid.to_owned(),
            said: 0,
            apply: backoff::Memory::default(),
            converged: None,
            rolled_at: now,
            rolling: false,
            pods: None,
            counts_due: None,
            refused: None,
            prune_failed: None,
            prune_failures: 0,
            status_failures: 0,
            policy_failures: 0,
            kept: Kept::default(),
            status_cleaned: false,
            written: None,
            accepted: None,
        })
    }

    /// Puts it back.
    pub fn put(&self, id: ParentId, memory: Parent) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, memory);
    }

    /// Forgets the custom resources of a kind that are not among those that are there.
    pub fn retain(&self, kind: &str, there: &HashSet<ParentId>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|id, _| id.kind != kind || there.contains(id));
    }

    /// Forgets a custom resource that is gone.
    pub fn forget(&self, id: &ParentId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

impl Parent {
    /// Keeps the objects as they were admitted.
    pub fn keep(&mut self, sealed: &[Sealed]) {
        let same = |(kept, new): (&KeptObject, &Sealed)| kept.id == new.id && *kept.intent == *new.intent;
        if self.kept.objects.len() != sealed.len() || !self.kept.objects.iter().zip(sealed).all(same) {
            self.kept = Kept::new(sealed);
        }
    }

    /// The objects as they were last admitted in this process; none when no policy had a say in them.
    #[must_use]
    pub fn kept(&self) -> Vec<Sealed> {
        self.kept.sealed()
    }

    /// The status as it is: what came of what this process wrote last, until the watch has delivered that or something newer.
    pub fn status_before(&mut self, object: &ParentObject) -> Value {
        match &self.written {
            Some((version, status)) if *version > object.version() => status.clone(),
            _ => {
                self.written = None;
                object.status()
            }
        }
    }

    /// Remembers a written status, and what the server made of it.
    pub fn wrote_status(&mut self, version: u64, sent: Value, became: Value) {
        self.accepted = (sent != became).then(|| (sent, became.clone()));
        self.written = Some((version, became));
    }

    /// Whether writing `new` over `before` is known to change nothing.
    #[must_use]
    pub fn is_accepted(&self, new: &Value, before: &Value) -> bool {
        self.accepted.as_ref().is_some_and(|(sent, became)| sent == new && became == before)
    }
}

impl Kept {
    fn new(sealed: &[Sealed]) -> Self {
        let object = |sealed: &Sealed| KeptObject {
            id: sealed.id.clone(),
            intent: sealed.intent.as_str().into(),
            shared_fields: sealed.shared_fields,
            touched: sealed.touched.iter().map(|(policy, _)| policy.clone()).collect(),
        };
        let mut text = DeflateEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory cannot fail.
        sealed.iter().for_each(|sealed| drop(serde_json::to_writer(&mut text, &sealed.body)));
        let bodies = if sealed.is_empty() { Vec::new() } else { text.finish().unwrap_or_default() };
        Self { objects: sealed.iter().map(object).collect(), bodies: bodies.into() }
    }

    fn sealed(&self) -> Vec<Sealed> {
        let mut text = DeflateDecoder::new(Vec::new());
        let text = text.write_all(&self.bodies).and_then(|()| text.finish()).unwrap_or_default();
        let bodies = serde_json::Deserializer::from_slice(&text).into_iter().map_while(Result::ok);
        let sealed = |(kept, body): (&KeptObject, Value)| Sealed {
            id: kept.id.clone(),
            body,
            intent: (*kept.intent).into(),
            shared_fields: kept.shared_fields,
            touched: kept.touched.iter().map(|policy| (policy.clone(), Vec::new())).collect(),
        };
        self.objects.iter().zip(bodies).map(sealed).collect()
    }
}

impl PodsSeen {
    /// Picks the pods of one workload and says why they wait, in words that stay the same while the reason does.
    #[must_use]
    pub fn new(app: &str, waiting: &[Waiting], at: Instant) -> Self {
        let mut own: Vec<_> = waiting.iter().filter(|waiting| waiting.app == app).collect();
        own.sort_by(|a, b| (&a.reason, &a.message).cmp(&(&b.reason, &b.message)));
        let missing = own.iter().find(|w| w.reason == "CreateContainerConfigError").map(|w| w.message.clone());
        let waiting = own.first().map(|first| match first.reason.as_str() {
            // The other messages carry pod names and growing waits.
            "CreateContainerConfigError" | "ImagePullBackOff" | "InvalidImageName" if !first.message.is_empty() => {
                format!("{PODS_WAIT}{}: {}", first.reason, first.message)
            }
            reason => format!("{PODS_WAIT}{reason}"),
        });
        Self { at, missing, waiting }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::{Memories, Sealed};
    use crate::{
        object::{ChildKind, ObjectId, ParentId},
        parent::ParentObject,
        policies::PolicyId,
    };

    #[test]
    fn admitted_objects_are_kept_small_and_whole() {
        let id = ParentId { kind: "Gateway", namespace: "ns".into(), name: "x".into() };
        let mut memory = Memories::default().take(&id, "u", Instant::now());
        assert!(memory.kept().is_empty());
        let policy = PolicyId { namespace: "".into(), name: "p".into() };
        let sealed = |number: usize| Sealed {
            id: ObjectId::new(ChildKind::ConfigMap, "ns", &format!("x{number}")),
            body: json!({"data": {"a": "the same in all of them ".repeat(40), "number": number}}),
            intent: format!("sha256:{number}"),
            shared_fields: &["/data/a"],
            touched: vec![(policy.clone(), Vec::new())],
        };
        let all: Vec<_> = (0..5).map(sealed).collect();
        memory.keep(&all);
        assert_eq!(format!("{:?}", memory.kept()), format!("{all:?}"));
        assert!(memory.kept.bodies.len() < 500, "{}", memory.kept.bodies.len());
        memory.keep(&all[..2]);
        assert_eq!(memory.kept().len(), 2);
        memory.keep(&[]);
        assert!(memory.kept().is_empty() && memory.kept.bodies.is_empty());
    }

    #[test]
    fn a_status_that_somebody_else_adds_to_is_written_once() {
        let id = ParentId { kind: "Agent", namespace: "ns".into(), name: "x".into() };
        let mut memory = Memories::default().take(&id, "u", Instant::now());
        let (sent, became) = (json!({"ready": true}), json!({"ready": true, "theirs": 1}));
        assert!(!memory.is_accepted(&sent, &became));
        memory.wrote_status(2, sent.clone(), became.clone());
        for version in ["1", "2"] {
            let watched = json!({"metadata": {"resourceVersion": version}, "status": became});
            let watched = ParentObject::from_manifest(&watched).expect("an object");
            let before = memory.status_before(&watched);
            assert!(memory.is_accepted(&sent, &before), "{version}");
        }
        assert!(!memory.is_accepted(&json!({"ready": false}), &became), "another wish");
        assert!(!memory.is_accepted(&sent, &json!({"ready": false, "theirs": 1})), "another state");
        memory.wrote_status(3, sent.clone(), sent.clone());
        assert!(!memory.is_accepted(&sent, &became));
    }
}
