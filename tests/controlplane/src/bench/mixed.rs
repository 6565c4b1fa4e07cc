//! All four kinds together: what a custom resource of each costs, and what new Agents cost the Orchestrators that look for them.

use std::{path::Path, time::Duration};

use anyhow::{Result, bail};
use controlplane::{AuditEntry, CardServer, User};
use tokio::time::Instant;

mod arrivals;
mod creation;
mod standing;
mod workload;

use super::{
    Arguments, Part,
    creation::MEMORY,
    observer::Observer,
    site::Site,
    steady,
    table::{Table, Unit},
};
use crate::operator::{Operator, cards_from};

/// Without a call for so long, nothing is going on any more. The operator holds changes back that discovery sees, ten seconds at most.
const QUIET: Duration = Duration::from_secs(12);

/// What is measured, and with what.
struct Stage<'a> {
    site: &'a Site,
    observer: &'a mut Observer,
    operator: &'a Operator,
    cards: &'a CardServer,
    /// How many there are of each kind.
    count: usize,
}

/// Measures everything that was not left out.
pub(super) async fn measure(arguments: &Arguments, program: &Path) -> Result<Table> {
    let count = arguments.count()?;
    let cards = CardServer::start().await?;
    let site = Site::start(arguments.fast_controllers).await?;
    site.finish(async |site| {
        let folder = site.plane.folder().join("operator");
        let mut observer = Observer::new(site);
        let kubeconfig = site.plane.kubeconfig(User::Operator);
        let operator = Operator::start(program, &kubeconfig, &folder, &[cards_from(&cards)]).await?;
        let mut stage = Stage { site, observer: &mut observer, operator: &operator, cards: &cards, count };
        let table = tokio::select! {
            table = stage.measure(arguments) => table,
            error = operator.failure() => Err(error),
        };
        operator.stop().await?;
        table
    })
    .await
}

impl Stage<'_> {
    async fn measure(&mut self, arguments: &Arguments) -> Result<Table> {
        let mut table = Table::default();
        creation::measure(self, &mut table).await?;
        if arguments.wants(Part::Idle) {
            let before = (self.cards.requests(), self.cards.unchanged());
            steady::idle(self.observer, &mut table).await?;
            table.row("requests for cards", (self.cards.requests() - before.0) as f64, Unit::Count);
            table.row("of them for an unchanged one", (self.cards.unchanged() - before.1) as f64, Unit::Count);
        }
        if arguments.wants(Part::Arrivals) {
            arrivals::measure(self, &mut table).await?;
        }
        if arguments.wants(Part::Restart) {
            steady::restart(self.observer, self.operator, QUIET, Some(MEMORY), &mut table).await?;
        }
        Ok(table)
    }

    /// Waits until everything is Ready, every Orchestrator has found its Agents (`arrived` of them have the label of the late ones), and
    /// the operator calls nothing any more. Returns what was logged since the last phase.
    async fn settle(&mut self, arrived: usize, patience: Duration) -> Result<Vec<AuditEntry>> {
        let deadline = Instant::now() + patience;
        let mut entries = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(2 * QUIET);
            entries.append(&mut self.observer.quiet(QUIET, left).await?);
            let problems = standing::problems(&self.site.admin, self.count, arrived).await?;
            if problems.is_empty() {
                return Ok(entries);
            }
            if Instant::now() > deadline {
                bail!("after {} s not everything is Ready:\n{}", patience.as_secs(), listed(&problems));
            }
        }
    }
}

/// For a person: the first few, which are most often all of the same sort.
fn listed(problems: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text: String = problems.iter().take(SHOWN).map(|problem| format!("- {problem}\n")).collect();
    if problems.len() > SHOWN {
        text.push_str(&format!("and {} more", problems.len() - SHOWN));
    }
    text
}
