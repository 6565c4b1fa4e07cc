//! What policies cost the operator, without a cluster: how long the sample policies take to load, and how long the objects of a
//! custom resource take through policies, guard and diff. `controlplane bench --policies` runs it and shows what it prints.

use std::{env, io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

mod loading;
mod rewriting;
mod samples;
mod times;

/// `policy-bench IGW`: the children run this program. Prints a JSON document: rows of the table.
fn main() -> Result<()> {
    let program: PathBuf = env::args_os().nth(1).context("say which igw the children run: policy-bench IGW")?.into();
    let runtime = tokio::runtime::Runtime::new().context("cannot start a runtime")?;
    // On a worker, as in the operator: the main thread would have to be woken for every answer.
    let rows = runtime.block_on(async { tokio::spawn(measure(program)).await })??;
    writeln!(std::io::stdout(), "{}", Value::Array(rows))?;
    Ok(())
}

async fn measure(program: PathBuf) -> Result<Vec<Value>> {
    let mut rows = loading::measure(&program).await?;
    rows.extend(rewriting::measure(&program).await?);
    Ok(rows)
}
