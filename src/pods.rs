//! Asks why pods wait: one list a namespace answers for every custom resource in it that is due.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use crate::cluster::{Cluster, Waiting};

/// Lists a namespace gets at once before they are rationed.
const BURST: u32 = 3;
/// One more list is allowed each time this passes.
const REFILL: Duration = Duration::from_secs(30);

/// An answer counts for whoever would have asked this much later: many become due within seconds of each other.
const WINDOW: Duration = Duration::from_secs(5);

/// The last answers, by namespace.
#[derive(Debug, Default)]
pub struct Pods(Mutex<HashMap<String, Arc<Mutex<Namespace>>>>);

#[derive(Debug)]
struct Namespace {
    left: u32,
    refilled: Instant,
    answer: Option<(Instant, Arc<[Waiting]>)>,
}

impl Pods {
    /// Why containers in a namespace wait, asked no earlier than shortly before `since`. `None` when it may not be asked now, or the
    /// server does not say.
    pub async fn waiting<C: Cluster>(&self, cluster: &C, namespace: &str, since: Instant) -> Option<Arc<[Waiting]>> {
        let here = {
            let mut all = self.0.lock().await;
            let new = || Arc::new(Mutex::new(Namespace { left: BURST, refilled: Instant::now(), answer: None }));
            Arc::clone(all.entry(namespace.to_owned()).or_insert_with(new))
        };
        // Held over the call, so that everybody who is due waits for the one answer.
        let mut here = here.lock().await;
        if let Some((at, answer)) = &here.answer
            && *at + WINDOW >= since
        {
            return Some(Arc::clone(answer));
        }
        let now = Instant::now();
        while now.duration_since(here.refilled) >= REFILL {
            here.refilled += REFILL;
            here.left = (here.left + 1).min(BURST);
        }
        here.left = here.left.checked_sub(1)?;
        match cluster.waiting_containers(namespace).await {
            Ok(waiting) => {
                let answer: Arc<[Waiting]> = waiting.into();
                here.answer = Some((now, Arc::clone(&answer)));
                Some(answer)
            }
            Err(refusal) => {
                tracing::warn!(namespace, %refusal, "failed to list pods");
                None
            }
        }
    }
}
