//! How long a policy takes from its bytes to the moment it can be called: unpacked, read, compiled in a child of its own, tried
//! out in the evaluating one, its settings checked. Both children are started for it.

use std::{path::Path, time::Instant};

use anyhow::Result;
use igw::policy::{engine::Engine, limits::Limits};
use serde_json::Value;

use crate::{
    samples::{POLICIES, Sample},
    times::{Times, row},
};

/// How often each is loaded.
const TIMES: usize = 9;
/// The most that it should take, in milliseconds.
const MOST: f64 = 300.0;

pub(crate) async fn measure(program: &Path) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for name in POLICIES {
        let sample = Sample::read(name)?;
        let (mut times, mut code) = (Times::default(), 0);
        for _ in 0..TIMES {
            let engine = Engine::new(program.to_owned());
            let start = Instant::now();
            let loaded = engine.load(&sample.bytes).await?;
            engine.validate_settings(&loaded, &sample.settings(), Limits::default()).await?;
            times.push(start.elapsed());
            code = loaded.code();
        }
        let section = "Loading a policy, without a cluster (median of 9)";
        rows.push(row(section, name, times.median().as_secs_f64() * 1e3, "ms", Some(MOST)));
        rows.push(row(section, &format!("{name}: native code"), code as f64 / f64::from(1 << 20), "MiB", None));
    }
    Ok(rows)
}
