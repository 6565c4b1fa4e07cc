//! One policy: what its custom resource says, what its ConfigMap holds, how far its module is, and what follows. PURE.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    PolicyId, Source,
    matching::Matcher,
    reason,
    report::Written,
    select::{Chosen, Turn},
    status::{Facts, ModuleFacts, Step},
    tally::Tally,
};
use crate::{
    parent::ParentObject,
    policy::{
        engine::Loaded,
        failure::{Failure, Reason},
        limits::Limits,
        resource::{ConfigMapKey, LoadFailure, Mode, PolicySpec},
    },
};

/// What is called: a module with its settings.
#[derive(Debug)]
pub struct Runnable {
    /// The module.
    pub loaded: Loaded,
    /// What of the spec it was made from.
    pub target: Target,
    /// Uid and generation of the policy that it was made from.
    pub key: String,
}

impl PartialEq for Runnable {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target && self.key == other.key
    }
}

/// The parts of a spec that take effect when they are loaded; everything else of it does at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Digest, 64 hexadecimal digits.
    pub sha256: String,
    /// A JSON document.
    pub settings: String,
    /// What a call may use.
    pub limits: Limits,
}

/// Where loading came to its end, in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// The spec, or a limit on policies.
    Accepted,
    /// A flag of the operator.
    Switched,
    /// The bytes.
    Verified,
    /// The module.
    Compiled,
    /// The settings.
    SettingsValid,
}

/// Why a policy cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Where it came to its end.
    pub at: At,
    /// A fixed word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Broken {
    pub(super) fn new(at: At, reason: &'static str, message: impl Into<String>) -> Self {
        Self { at, reason, message: message.into() }
    }

    pub(super) fn of(at: At, failure: &Failure) -> Self {
        Self::new(at, failure.reason.as_str(), failure.message.clone())
    }
}

/// How far the newest spec is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// The ConfigMap has not been read.
    Reading,
    /// It waits to be loaded, or is being loaded.
    Loading,
    /// It runs.
    Ready,
    /// It cannot be loaded.
    Broken(Broken),
}

/// What there is to load.
#[derive(Debug, Clone)]
pub enum Bytes {
    /// A module that has been loaded: only the settings are new.
    Loaded(Loaded),
    /// A module as it lies in the ConfigMap.
    Raw(Arc<[u8]>),
}

#[derive(Debug)]
struct Tried {
    target: Target,
    broken: Broken,
    /// When trying again may help.
    again: Option<Instant>,
    times: u32,
}

/// One policy.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: PolicyId,
    pub(super) object: Arc<ParentObject>,
    /// The generation whose spec was read.
    pub(super) read: Option<i64>,
    /// As it counts: with the namespace of its ConfigMap filled in, and without what its kind cannot have.
    pub(super) spec: Option<Arc<PolicySpec>>,
    /// What of it is loaded.
    pub(super) target: Option<Target>,
    pub(super) matcher: Arc<Matcher>,
    /// Why it is not even looked at.
    pub(super) refused: Option<Broken>,
    pub(super) source: Source,
    /// Another one asks for the bytes again.
    pub(super) reads: u64,
    pub(super) stage: Stage,
    pub(super) running: Option<Arc<Runnable>>,
    tried: Option<Tried>,
    /// What it did to a custom resource when it was last asked, and what its status was made from.
    pub(super) turn_before: Option<Turn>,
    /// See above.
    pub(super) facts_before: Option<(Stage, Option<Broken>, Source)>,
    /// Changes whenever what the policy does to a custom resource may change.
    pub(super) stamp: u64,
    pub(super) tally: Tally,
    pub(super) written: Written,
    /// How many Events may still tell of it, and since when.
    pub(super) events: Option<(u64, Instant)>,
}

impl Entry {
    pub(super) fn new(id: PolicyId, object: Arc<ParentObject>) -> Self {
        let matcher = Arc::new(Matcher::everything(id.within()));
        Self {
            id,
            object,
            read: None,
            spec: None,
            target: None,
            matcher,
            refused: None,
            source: Source::Unread,
            reads: 0,
            stage: Stage::Reading,
            running: None,
            tried: None,
            turn_before: None,
            facts_before: None,
            stamp: 0,
            tally: Tally::default(),
            written: Written::default(),
            events: None,
        }
    }

    /// Takes in another spec.
    pub(super) fn set(&mut self, spec: Option<PolicySpec>) {
        self.target = spec.as_ref().map(|spec| Target {
            sha256: spec.module.sha256.clone(),
            settings: Value::Object(spec.settings.clone()).to_string(),
            limits: spec.limits.clamped(),
        });
        self.spec = spec.map(Arc::new);
    }

    /// The ConfigMap with the module.
    pub(super) fn config_map(&self) -> Option<&ConfigMapKey> {
        self.refused.is_none().then(|| self.spec.as_ref().map(|spec| &spec.module.config_map)).flatten()
    }

    fn has_loaded(&self, sha256: &str) -> Option<&Loaded> {
        let loaded = self.running.as_ref().map(|running| &running.loaded)?;
        (loaded.digest.strip_prefix("sha256:") == Some(sha256)).then_some(loaded)
    }

    /// Finds out how far it is, after anything has changed.
    pub(super) fn advance(&mut self, now: Instant) {
        self.stage = self.next(now);
        if self.stage == Stage::Ready
            && let Source::There { bytes, .. } = &mut self.source
        {
            // The engine has what it needs of them.
            *bytes = None;
        }
    }

    fn next(&mut self, now: Instant) -> Stage {
        if let Some(refused) = &self.refused {
            return Stage::Broken(refused.clone());
        }
        let Some(target) = self.target.clone() else { return Stage::Reading };
        if self.running.as_ref().is_some_and(|running| running.target == target) {
            return Stage::Ready;
        }
        if let Some(tried) = self.tried.as_ref().filter(|tried| tried.target == target)
            && tried.again.is_none_or(|again| again > now)
        {
            return Stage::Broken(tried.broken.clone());
        }
        if self.has_loaded(&target.sha256).is_some() {
            return Stage::Loading;
        }
        let wrong = |reason, message| Stage::Broken(Broken::new(At::Verified, reason, message));
        match &self.source {
            Source::Unread => Stage::Reading,
            Source::Missing(what) => wrong(reason::SOURCE_MISSING, what.clone()),
            Source::Unreadable(why) => wrong(reason::SOURCE_UNREADABLE, why.clone()),
            Source::There { digest, .. } if *digest != target.sha256 => wrong(
                reason::DIGEST_MISMATCH,
                format!("spec.module.sha256 is {}, and the ConfigMap holds {digest}", target.sha256),
            ),
            Source::There { bytes: Some(_), .. } => Stage::Loading,
            Source::There { bytes: None, .. } => {
                self.reads += 1;
                self.source = Source::Unread;
                Stage::Reading
            }
        }
    }

    /// What there is to load, when there is.
    pub(super) fn bytes(&self) -> Option<(Bytes, Target)> {
        let target = self.target.clone().filter(|_| self.stage == Stage::Loading)?;
        if let Some(loaded) = self.has_loaded(&target.sha256) {
            return Some((Bytes::Loaded(Arc::clone(loaded)), target));
        }
        match &self.source {
            Source::There { bytes: Some(bytes), .. } => Some((Bytes::Raw(Arc::clone(bytes)), target)),
            _ => None,
        }
    }

    /// Takes in how loading a target has ended.
    pub(super) fn loaded(&mut self, target: Target, key: String, ended: Result<Loaded, (At, Failure)>, now: Instant) {
        if self.target.as_ref() != Some(&target) {
            return;
        }
        match ended {
            Ok(loaded) => {
                self.running = Some(Arc::new(Runnable { loaded, target, key }));
                self.tried = None;
            }
            Err((at, failure)) => {
                let before = self.tried.take().filter(|tried| tried.target == target);
                let times = before.map_or(0, |tried| tried.times.saturating_add(1));
                let again = (!failure.reason.is_lasting()).then(|| now + Duration::from_secs(5 << times.min(5)));
                self.tried = Some(Tried { broken: Broken::of(at, &failure), target, again, times });
            }
        }
    }

    /// When trying again may help.
    pub(super) fn again(&self) -> Option<Instant> {
        let tried = self.tried.as_ref()?;
        tried.again.filter(|_| matches!(&self.stage, Stage::Broken(broken) if *broken == tried.broken))
    }

    /// What it does to a custom resource that it matches.
    pub(super) fn turn(&self, hold: bool) -> Turn {
        let has_a_say = self.refused.as_ref().is_none_or(|refused| refused.reason != reason::NAMESPACED_POLICIES_OFF);
        if hold && has_a_say {
            return Turn::Hold(Broken::new(At::Accepted, reason::HELD, "the operator runs with --policies=hold"));
        }
        let (mode, on_failure) =
            self.spec.as_ref().map_or_else(Default::default, |spec| (spec.mode, spec.failure_policy.load));
        if mode == Mode::Suspended {
            return Turn::Leave(Broken::new(At::Accepted, reason::SUSPENDED, "spec.mode is Suspended"));
        }
        match (&self.stage, &self.running, on_failure) {
            // What it may and when it runs are the newest spec's: without one, nothing of it can go on.
            (Stage::Broken(broken), ..) if self.spec.is_none() => Turn::Hold(broken.clone()),
            (Stage::Ready | Stage::Reading | Stage::Loading, Some(running), _)
            | (Stage::Broken(_), Some(running), LoadFailure::LastGood) => Turn::Run(Arc::clone(running)),
            (Stage::Ready | Stage::Reading | Stage::Loading, None, _) => Turn::Wait,
            // What may pass is no reason to go on without it.
            (Stage::Broken(broken), _, LoadFailure::Ignore)
                if self.again().is_none() && broken.reason != reason::SOURCE_UNREADABLE =>
            {
                Turn::Leave(broken.clone())
            }
            (Stage::Broken(broken), ..) => Turn::Hold(broken.clone()),
        }
    }

    /// It as a custom resource that it matches sees it.
    pub(super) fn chosen(&self, hold: bool) -> Chosen {
        Chosen { id: self.id.clone(), spec: self.spec.clone(), turn: self.turn(hold), stamp: self.stamp }
    }

    /// What its status is made from, without the numbers.
    pub(super) fn facts_of_stage(&self) -> (Stage, Option<Broken>, Source) {
        let source = match &self.source {
            Source::There { digest, .. } => Source::There { digest: digest.clone(), bytes: None },
            other => other.clone(),
        };
        (self.stage.clone(), self.refused.clone(), source)
    }

    /// What its status is made from.
    pub(super) fn facts(&self, hold: bool) -> Facts {
        let broken = match &self.stage {
            Stage::Broken(broken) => Some(broken),
            _ => None,
        };
        let step = |status, reason, message: String| Some(Step { status, reason, message });
        let (yes, loading) = (
            |reason, message: &str| step("True", reason, message.into()),
            |message: &str| step("Unknown", reason::LOADING, message.into()),
        );
        // In their order; the first that ended badly, and what comes after it.
        let stage = |at: At, good: &dyn Fn() -> Option<Step>| match broken {
            Some(broken) if broken.at == at => {
                let unknown = broken.reason == Reason::EngineUnavailable.as_str();
                step(if unknown { "Unknown" } else { "False" }, broken.reason, broken.message.clone())
            }
            Some(broken) if broken.at < at => None,
            _ => good(),
        };
        let same_module = self.target.as_ref().is_some_and(|target| self.has_loaded(&target.sha256).is_some());
        let accepted = stage(At::Accepted, &|| yes(reason::ACCEPTED, "the spec makes sense"));
        let verified = stage(At::Verified, &|| match self.stage {
            Stage::Reading => loading("the ConfigMap has not been read"),
            _ => Some(self.verified()),
        });
        let compiled = stage(At::Compiled, &|| match self.stage {
            Stage::Reading => None,
            Stage::Loading if !same_module => loading("the module is being compiled, or waits for others"),
            _ => yes(reason::COMPILED, "the module is compiled"),
        });
        let settings = stage(At::SettingsValid, &|| match self.stage {
            Stage::Reading => None,
            Stage::Loading if same_module => loading("the settings are being checked"),
            Stage::Loading => None,
            _ => yes(reason::SETTINGS_VALID, "the policy takes its settings"),
        });
        let module = self.running.as_ref().map(|running| {
            let manifest = &running.loaded.inspected.manifest;
            ModuleFacts {
                sha256: running.target.sha256.clone(),
                name: manifest.name.clone(),
                version: manifest.version.clone(),
                code_bytes: running.loaded.code() as u64,
                compile_millis: u64::try_from(running.loaded.compile_time.as_millis()).unwrap_or(u64::MAX),
            }
        });
        Facts {
            generation: self.object.metadata.generation.unwrap_or_default(),
            steps: [
                (reason::ACCEPTED, accepted),
                (reason::VERIFIED, verified),
                (reason::COMPILED, compiled),
                (reason::SETTINGS_VALID, settings),
                (reason::ACTIVE, Some(self.active(hold))),
            ],
            module,
            counts: self.tally.counts(self.stamp),
            samples: self.tally.samples(self.stamp),
        }
    }

    /// What is to be said of the ConfigMap, of which the right bytes were read once: no others ever run.
    fn verified(&self) -> Step {
        let digest = self.target.as_ref().map(|target| target.sha256.as_str()).unwrap_or_default();
        let no = |reason, what: &str| Step {
            status: "False",
            reason,
            message: format!("{what}; what was loaded before runs on"),
        };
        match &self.source {
            Source::Missing(what) => no(reason::SOURCE_MISSING, what),
            Source::Unreadable(why) => no(reason::SOURCE_UNREADABLE, why),
            Source::There { digest: now, .. } if now != digest => {
                no(reason::SOURCE_CHANGED, &format!("the ConfigMap holds {now} now"))
            }
            Source::Unread | Source::There { .. } => {
                Step { status: "True", reason: reason::VERIFIED, message: format!("the ConfigMap holds {digest}") }
            }
        }
    }

    fn active(&self, hold: bool) -> Step {
        let no = |reason, message: String| Step { status: "False", reason, message };
        match (self.turn(hold), &self.stage) {
            (Turn::Run(_), Stage::Ready) => Step {
                status: "True",
                reason: reason::ACTIVE,
                message: "every matching custom resource goes through it".into(),
            },
            (Turn::Run(_), Stage::Broken(broken)) => {
                let message = format!("the module and settings of before go on: {}", broken.message);
                Step { status: "True", reason: reason::LAST_GOOD, message }
            }
            (Turn::Run(_), _) => Step {
                status: "True",
                reason: reason::LOADING,
                message: "the module and settings of before go on until the new ones are loaded".into(),
            },
            (Turn::Wait, _) => {
                let message = "matching custom resources wait until it is loaded".into();
                Step { status: "Unknown", reason: reason::LOADING, message }
            }
            (Turn::Leave(broken), _) => {
                let message =
                    format!("what it has changed stays as it is, and the rest goes on without it: {}", broken.message);
                no(broken.reason, message)
            }
            (Turn::Hold(broken), _)
                if broken.reason == reason::OFF || broken.reason == reason::NAMESPACED_POLICIES_OFF =>
            {
                no(broken.reason, format!("custom resources go on as if it were not there: {}", broken.message))
            }
            (Turn::Hold(broken), stage) => {
                let lost = matches!(stage, Stage::Broken(_))
                    && self.spec.as_ref().is_some_and(|spec| spec.failure_policy.load == LoadFailure::LastGood)
                    && self.has_run();
                let message = format!("matching custom resources are held: {}", broken.message);
                if lost {
                    no(
                        reason::LAST_GOOD_LOST,
                        format!("{message}; what ran before the operator was started is not known any more"),
                    )
                } else {
                    no(broken.reason, message)
                }
            }
        }
    }

    /// Whether it has ever run, as its status says: only words depend on it.
    fn has_run(&self) -> bool {
        let stored = self.stored();
        let active =
            stored["conditions"].as_array().into_iter().flatten().find(|known| known["type"] == reason::ACTIVE);
        stored.pointer("/module/sha256").is_some()
            || active.is_some_and(|known| known["reason"] == reason::LAST_GOOD_LOST)
    }

    /// Whether its status is of the spec as it is now.
    pub(super) fn has_said(&self) -> bool {
        let said = self.stored()["observedGeneration"].as_i64();
        said.is_some() && said == self.object.metadata.generation
    }

    /// Its status as it is.
    pub(super) fn stored(&self) -> Value {
        match &self.written.status {
            Some((version, status)) if *version > self.object.version() => status.clone(),
            _ => self.object.status(),
        }
    }
}
