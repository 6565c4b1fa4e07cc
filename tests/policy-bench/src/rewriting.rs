//! How long generated objects take until they are admitted: through each policy in the child, past the guard after each, with
//! the paths that it has changed, and past the guard over all of it. Nothing is remembered from an earlier call.

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use igw::{
    kinds::{Parent as _, gateway::Gateway},
    object::{DesiredChild, compare::compare},
    policy::{
        context::context,
        engine::{Call, Engine, Loaded},
        limits::Limits,
    },
    reconcile::{
        guard::{self, Rewritten, Subject as Guarded},
        rewrite::{About, Rewrite, rewrite},
        seal,
    },
};
use serde_json::Value;

use crate::{
    samples::{POLICIES, Sample, Shown, Subject},
    times::{CALLS, RUNS, Times, micros},
};

/// The most for five objects, in microseconds.
const FIVE: f64 = 250.0;
/// The most for a large Deployment, in microseconds.
const LARGE: f64 = 1000.0;
/// Bytes of a large Deployment.
const LARGE_BYTES: usize = 18 << 10;

pub(crate) async fn measure(program: &Path) -> Result<Vec<Value>> {
    let engine = Engine::new(program.to_owned());
    let mut policies = Vec::new();
    for name in POLICIES {
        let sample = Sample::read(name)?;
        let loaded = engine.load(&sample.bytes).await?;
        policies.push((sample, loaded));
    }
    let (complete, large) = (Subject::complete()?, Subject::large(LARGE_BYTES)?);
    let bench = |subject| Bench { engine: &engine, subject };

    let mut rows = Vec::new();
    let five = format!("Five objects of a Gateway to admitted, without a cluster (quietest of {RUNS} runs of {CALLS})");
    let all: Vec<_> = policies.iter().map(|(sample, loaded)| (sample, loaded)).collect();
    for (shown, words) in [(Shown::Deployment, "shown the Deployment"), (Shown::Everything, "shown all five")] {
        let bench = bench(&complete);
        for one in &all {
            let name = format!("{}, {words}", one.0.name);
            rows.push(micros(&five, &name, bench.whole(&[*one], shown, false).await?.quietest(), Some(FIVE)));
        }
        let three = bench.whole(&all, shown, false).await?.quietest();
        rows.push(micros(&five, &format!("all three, {words}"), three, None));
    }
    let remembered = bench(&complete).whole(&all, Shown::Everything, true).await?.quietest();
    rows.push(micros(&five, "all three, shown all five, remembered", remembered, None));
    let (sample, loaded) = all.first().context("no policy")?;
    let of = format!("of {}, shown all five", sample.name);
    bench(&complete).parts(sample, loaded).await?.rows(&of, &five, &mut rows);

    let (sample, loaded) = all.get(1).context("no second policy")?;
    let section =
        format!("One Deployment of 18 KB to admitted, without a cluster (quietest of {RUNS} runs of {CALLS})");
    let whole = bench(&large).whole(&[(sample, loaded)], Shown::Deployment, false).await?;
    rows.push(micros(&section, sample.name, whole.quietest(), Some(LARGE)));
    bench(&large).parts(sample, loaded).await?.rows(&format!("of {}", sample.name), &section, &mut rows);
    Ok(rows)
}

struct Bench<'a> {
    engine: &'a Engine,
    subject: &'a Subject,
}

/// What one policy takes, part by part: each is measured alone, on the same objects.
#[derive(Default)]
struct Parts {
    /// In the child: a fresh store and instance, the call, what it hands over.
    guest: Times,
    /// The rest of the call: key of the memo, frames, pipes, waking up twice.
    hop: Times,
    /// Writing context and objects as text, reading what is new.
    json: Times,
    /// The guard after the policy and over all.
    guard: Times,
    /// Which paths it has changed.
    diff: Times,
    /// Not a part of it: what is sealed after that, with or without policies.
    seal: Times,
}

impl Bench<'_> {
    fn about(&self) -> About<'_> {
        let Subject { identity, spec, .. } = self.subject;
        About { kind: &Gateway::INFO, identity, spec, subject: Guarded::of::<Gateway>(identity) }
    }

    /// From generated to admitted, in one go.
    async fn whole(&self, policies: &[(&Sample, &Loaded)], shown: Shown, remembered: bool) -> Result<Times> {
        let (about, generated) = (self.about(), &self.subject.generated);
        let mut times = Times::default();
        for number in 0..CALLS * (RUNS + 1) {
            let key = if remembered { "remembered".to_owned() } else { format!("{number}") };
            let chosen: Vec<_> = policies.iter().map(|(sample, loaded)| sample.chosen(loaded, &key, shown)).collect();
            let start = Instant::now();
            let Rewrite { children, grants, ran, stop, .. } = rewrite(self.engine, &about, &chosen, generated).await;
            let admitted = guard::guard(&about.subject, generated, Rewritten(children), &grants)?;
            let took = start.elapsed();
            ensure!(stop.is_none() && ran.len() == policies.len(), "it was held: {stop:?}");
            black_box(admitted);
            // The first run warms up.
            if number >= CALLS {
                times.push(took);
            }
        }
        Ok(times)
    }

    async fn parts(&self, sample: &Sample, loaded: &Loaded) -> Result<Parts> {
        let (about, generated) = (self.about(), &self.subject.generated);
        let settings = sample.settings();
        let mut parts = Parts::default();
        for number in 0..CALLS * (RUNS + 1) {
            let key = format!("part {number}");
            let start = Instant::now();
            let told = context(about.kind, about.identity, about.spec, sample.name, "");
            let objects: Vec<String> =
                generated.iter().map(|child| serde_json::to_string(&child.body)).collect::<Result<_, _>>()?;
            let mut json = start.elapsed();

            let limits = Limits::default();
            let call = Call { policy: &key, limits, context: &told, settings: &settings, objects: &objects };
            let start = Instant::now();
            let report = self.engine.rewrite(loaded, call).await.report;
            let hop = start.elapsed();
            let guest = Duration::from_micros(report.usage.micros);
            let made = report.result?.objects;

            let start = Instant::now();
            let new: Vec<Option<Value>> = made
                .iter()
                .map(|text| if objects.contains(text) { Ok(None) } else { serde_json::from_str(text).map(Some) })
                .collect::<Result<_, _>>()?;
            json += start.elapsed();

            // As the stage has them, whose own reading is not to be had alone.
            let chosen = [sample.chosen(loaded, &key, Shown::Everything)];
            let Rewrite { children, grants, touched, stop, .. } =
                rewrite(self.engine, &about, &chosen, generated).await;
            ensure!(stop.is_none(), "it was held: {stop:?}");
            let after = children.clone();
            let start = Instant::now();
            let checked = guard::check(&about.subject, generated, after, &grants)?;
            let admitted = guard::guard(&about.subject, generated, Rewritten(checked), &grants)?;
            let guard = start.elapsed();
            let start = Instant::now();
            black_box(changes(generated, &children));
            let diff = start.elapsed();
            let start = Instant::now();
            black_box(seal::seal(&Gateway::INFO, about.identity, admitted, &touched));
            let seal = start.elapsed();
            black_box(new);
            if number >= CALLS {
                parts.guest.push(guest);
                parts.hop.push(hop.saturating_sub(guest));
                parts.json.push(json);
                parts.guard.push(guard);
                parts.diff.push(diff);
                parts.seal.push(seal);
            }
        }
        Ok(parts)
    }
}

/// As the stage looks for the paths that a policy has changed.
fn changes(before: &[DesiredChild], after: &[DesiredChild]) -> usize {
    let changed = after.iter().filter_map(|new| {
        let old = before.iter().find(|old| old.id == new.id && old.body != new.body)?;
        Some(compare(&new.body, &old.body).len() + compare(&old.body, &new.body).len())
    });
    changed.sum()
}

impl Parts {
    fn rows(&self, of: &str, section: &str, rows: &mut Vec<Value>) {
        let Self { guest, hop, json, guard, diff, seal } = self;
        for (name, times) in [
            ("guest, with its store and instance", guest),
            ("hop to the child and back, and the memo", hop),
            ("context and objects as JSON", json),
            ("guard, twice", guard),
            ("diff, both ways", diff),
            ("not in it: seal", seal),
        ] {
            rows.push(micros(section, &format!("{of}: {name}"), times.quietest(), None));
        }
    }
}
