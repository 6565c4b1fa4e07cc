//! The part without a cluster: `policy-bench`, which knows the operator's own types, measures it; here it is built and run.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    bench::table::{Table, Unit},
    igw,
};

/// What it prints for each value.
#[derive(Deserialize)]
struct Row {
    section: String,
    name: String,
    value: f64,
    unit: String,
    most: Option<f64>,
}

/// Measures, with children that run `program`.
pub(super) fn measure(program: &Path, table: &mut Table) -> Result<()> {
    let bench = igw::program("policy-bench", true)?;
    let output = Command::new(bench).arg(program).output().context("cannot run policy-bench")?;
    if !output.status.success() {
        bail!("policy-bench failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let rows: Vec<Row> = serde_json::from_slice(&output.stdout).context("policy-bench printed no rows")?;
    for Row { section, name, value, unit, most } in rows {
        let unit = match unit.as_str() {
            "us" => Unit::Microseconds,
            "ms" => Unit::Milliseconds,
            "MiB" => Unit::Mebibytes,
            other => bail!("policy-bench printed the unit {other}, which is not known here"),
        };
        table.section(&section);
        match most {
            Some(most) => table.at_most(&name, value, unit, most),
            None => table.row(&name, value, unit),
        }
    }
    Ok(())
}
