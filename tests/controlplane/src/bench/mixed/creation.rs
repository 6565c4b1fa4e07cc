//! The main part: as many of each kind are created while the operator runs, until all are Ready.

use std::time::Duration;

use anyhow::{Context, Result};
use controlplane::AuditEntry;
use k8s_openapi::jiff::Timestamp;

use super::{
    Stage,
    workload::{self, children, owner, status_writes},
};
use crate::{
    bench::{
        calls::{Calls, by_operator, is_call},
        creation::memory,
        table::{Table, Unit},
    },
    kinds::Kind,
};

/// Creates, waits until all is quiet, and says what it took.
pub(super) async fn measure(stage: &mut Stage<'_>, table: &mut Table) -> Result<()> {
    let count = stage.count;
    table.section("Start with an empty cluster");
    table.row("calls", Calls::of(&stage.observer.settled().await?).total() as f64, Unit::Count);

    eprintln!("bench: creating {count} of each kind");
    // Controllers at their default limits take most of it.
    let patience = Duration::from_secs(120) + Duration::from_secs(3) * u32::try_from(count)?;
    workload::create(stage.site.admin.clone(), count).await?;
    let entries = stage.settle(0, patience).await?;
    let usage = stage.operator.usage()?;
    let times = Times::of(&entries)?;
    eprintln!("bench: all Ready and quiet after {:.1} s", times.quiet.as_secs_f64());

    for kind in Kind::ALL {
        rows(kind, count, &entries, table);
    }
    table.section("All of them");
    let calls = Calls::of(&entries);
    table.row("calls", calls.total() as f64, Unit::Count);
    table.row_unless_zero("of them for no custom resource", calls_for(None, &entries).total() as f64);
    table.at_most("answered with 409", calls.conflicts as f64, Unit::Count, 0.0);
    table.row("Events", calls.events as f64, Unit::Count);
    table.row_unless_zero("watches ended", calls.watches as f64);
    table.row_unless_zero("leases", calls.leases as f64);
    table.row("requests for cards", stage.cards.requests() as f64, Unit::Count);
    table.row("until all children are there", times.children.as_secs_f64(), Unit::Seconds);
    table.row("until all are Ready and the operator is quiet", times.quiet.as_secs_f64(), Unit::Seconds);
    table.row("processor until then", usage.cpu.as_secs_f64(), Unit::Seconds);
    memory(table, "with everything Ready", usage, None);
    Ok(())
}

/// What one kind cost.
fn rows(kind: Kind, count: usize, entries: &[AuditEntry], table: &mut Table) {
    let (calls, children) = (calls_for(Some(kind), entries), children(kind));
    table.section(&format!("{}s: calls until all are Ready and the operator is quiet", kind.name()));
    for (name, number) in calls.named() {
        table.row_unless_zero(name, number as f64);
    }
    table.exactly("children made", entries.iter().filter(|entry| makes(kind, entry)).count(), count * children);
    let target = (children + status_writes(kind)) as f64 + 0.05;
    table.at_most(&format!("calls per {}", kind.name()), calls.total() as f64 / count as f64, Unit::PerObject, target);
}

/// The calls for custom resources of one kind, or for none.
pub(super) fn calls_for(kind: Option<Kind>, entries: &[AuditEntry]) -> Calls {
    Calls::of(entries.iter().filter(|entry| about(entry).map(|(kind, _)| kind) == kind))
}

/// The custom resource that a request was for: its kind and its name.
pub(super) fn about(entry: &AuditEntry) -> Option<(Kind, &str)> {
    owner(&entry.object_ref.as_ref()?.name)
}

/// Whether the operator made a child with this request.
fn makes(kind: Kind, entry: &AuditEntry) -> bool {
    let made = by_operator(entry) && entry.code() == 201 && entry.resource() != "events";
    made && about(entry).is_some_and(|(of, _)| of == kind)
}

/// When something was reached, counted from the first custom resource.
struct Times {
    children: Duration,
    quiet: Duration,
}

impl Times {
    fn of(entries: &[AuditEntry]) -> Result<Self> {
        let created =
            |entry: &&AuditEntry| !by_operator(entry) && entry.code() == 201 && Kind::of_request(entry).is_some();
        let first = entries.iter().filter(created).map(|entry| entry.request_received_timestamp.0).min();
        let first = first.context("nothing was created")?;
        let since = |end: Timestamp| end.duration_since(first).unsigned_abs();
        let answered = |entry: &AuditEntry| entry.stage_timestamp.0;
        let made = entries.iter().filter(|entry| Kind::ALL.into_iter().any(|kind| makes(kind, entry))).map(answered);
        let called = entries.iter().filter(|entry| by_operator(entry) && is_call(entry)).map(answered);
        let children = since(made.max().context("the operator made no children")?);
        Ok(Self { children, quiet: since(called.max().context("the operator called nothing")?) })
    }
}

#[cfg(test)]
mod tests {
    use super::{AuditEntry, Kind, Times, Timestamp, calls_for, makes};
    use crate::bench::calls::tests::entry;

    #[test]
    fn calls_belong_to_the_kind_that_the_name_says() {
        let entries = [
            entry("operator", "patch", "services", "mcp-00000-service", 201),
            entry("operator", "patch", "deployments", "mcp-00000", 201),
            entry("operator", "patch", "mcps/status", "mcp-00000", 200),
            entry("operator", "create", "events", "mcp-00000.17f3", 201),
            entry("operator", "patch", "configmaps", "orch-00000-agents", 201),
            entry("operator", "list", "pods", "", 200),
            entry("admin", "create", "mcps", "mcp-00000", 201),
        ];
        let calls = calls_for(Some(Kind::Mcp), &entries);
        assert_eq!((calls.total(), calls.apply_status, calls.events), (3, 1, 1));
        assert_eq!(calls_for(Some(Kind::Orchestrator), &entries).total(), 1);
        assert_eq!((calls_for(Some(Kind::Agent), &entries).total(), calls_for(None, &entries).total()), (0, 1));
        assert_eq!(entries.iter().filter(|entry| makes(Kind::Mcp, entry)).count(), 2);
    }

    #[test]
    fn times_begin_with_the_first_custom_resource() {
        let at = |second: i64, mut entry: AuditEntry| {
            let time = Timestamp::from_second(second).expect("a time");
            (entry.request_received_timestamp.0, entry.stage_timestamp.0) = (time, time);
            entry
        };
        let mut entries = vec![
            at(10, entry("operator", "get", "services", "mcp-00000", 200)),
            at(20, entry("admin", "create", "mcps", "mcp-00000", 201)),
            at(22, entry("admin", "create", "agents", "agent-00000", 201)),
            at(25, entry("operator", "patch", "deployments", "mcp-00000", 201)),
            at(27, entry("operator", "patch", "mcps/status", "mcp-00000", 200)),
            at(29, entry("operator", "watch", "services", "", 200)),
        ];
        let times = Times::of(&entries).expect("all of it");
        assert_eq!((times.children.as_secs(), times.quiet.as_secs()), (5, 7));
        entries.remove(3);
        assert!(Times::of(&entries).is_err(), "no child was made");
    }
}
