//! Following the audit log: what the operator has called, and when it has stopped calling.

use std::time::Duration;

use anyhow::{Result, bail};
use controlplane::{Audit, AuditEntry};
use kube::Client;
use tokio::time::{Instant, sleep};

use super::{
    calls::{by_operator, is_call},
    site::Site,
};

/// How often the log is looked at. Times come from the log itself.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Reads the audit log from one phase to the next.
pub(super) struct Observer {
    audit: Audit,
    admin: Client,
}

impl Observer {
    pub(super) fn new(site: &Site) -> Self {
        Self { audit: site.plane.audit(), admin: site.admin.clone() }
    }

    /// Everything that was logged since the last call of this or the next functions.
    pub(super) fn read(&mut self) -> Result<Vec<AuditEntry>> {
        self.audit.read()
    }

    /// The same, and certainly every request that was answered before.
    pub(super) async fn settled(&mut self) -> Result<Vec<AuditEntry>> {
        self.audit.read_settled(&self.admin).await
    }

    /// Waits until the operator has called nothing for `pause`; returns what was logged meanwhile.
    pub(super) async fn quiet(&mut self, pause: Duration, patience: Duration) -> Result<Vec<AuditEntry>> {
        let deadline = Instant::now() + patience;
        let mut entries = Vec::new();
        let mut last = Instant::now();
        while last.elapsed() < pause {
            if Instant::now() > deadline {
                bail!("the operator still calls the API server after {} s", patience.as_secs());
            }
            let new = self.read()?;
            if new.iter().any(|entry| by_operator(entry) && is_call(entry)) {
                last = Instant::now();
            }
            entries.extend(new);
            sleep(TICK).await;
        }
        entries.extend(self.settled().await?);
        Ok(entries)
    }
}
