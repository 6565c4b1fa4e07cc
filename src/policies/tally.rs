//! How policies fare with the custom resources that they match: counts, and a few samples for a status. PURE.

use std::collections::{BTreeMap, HashSet};

use super::status::{Counts, Sample};
use crate::object::ParentId;

/// How a policy fares with one custom resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fare {
    /// Its objects are as the policy wants them.
    UpToDate,
    /// It is on its way there, or something that is not the policy's fault is in its way.
    Pending,
    /// The policy is suspended, and what it has changed stays.
    Spared,
    /// Nothing of it is changed, because of this policy.
    Held(Blame),
    /// It goes on without this policy, or the API server refuses what the policy made.
    Failed(Blame),
}

/// What went wrong, without any value of the custom resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blame {
    /// A fixed word.
    pub reason: &'static str,
    /// The path that it is about.
    pub path: Option<String>,
}

/// How a policy fares with all of them.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<ParentId, (u64, Fare)>);

impl Tally {
    /// Takes in how it fares with one of them, at this stamp of the policy. Returns whether that is news.
    pub fn put(&mut self, parent: &ParentId, stamp: u64, fare: Fare) -> bool {
        let new = (stamp, fare);
        if self.0.get(parent) == Some(&new) {
            return false;
        }
        self.0.insert(parent.clone(), new);
        true
    }

    /// The policy does not match it any more. Returns whether that is news.
    pub fn remove(&mut self, parent: &ParentId) -> bool {
        self.0.remove(parent).is_some()
    }

    /// Of a kind, only these are there. Returns whether that is news.
    pub fn retain(&mut self, kind: &str, there: &HashSet<ParentId>) -> bool {
        let before = self.0.len();
        self.0.retain(|parent, _| parent.kind != kind || there.contains(parent));
        self.0.len() != before
    }

    /// The numbers at a stamp: what was seen at an earlier one is on its way.
    #[must_use]
    pub fn counts(&self, stamp: u64) -> Counts {
        let mut counts = Counts { matched: self.0.len() as u64, ..Counts::default() };
        for (_, fare) in self.0.values().filter(|(seen, _)| *seen == stamp) {
            match fare {
                Fare::UpToDate => counts.up_to_date += 1,
                Fare::Pending | Fare::Spared => {}
                Fare::Held(_) => counts.held += 1,
                Fare::Failed(_) => counts.failed += 1,
            }
        }
        counts
    }

    /// Those with which it does not fare well.
    #[must_use]
    pub fn samples(&self, stamp: u64) -> Vec<Sample> {
        let current = self.0.iter().filter(|(_, (seen, _))| *seen == stamp);
        let sample = |(parent, (_, fare)): (&ParentId, &(u64, Fare))| match fare {
            Fare::UpToDate | Fare::Pending | Fare::Spared => None,
            Fare::Held(blame) | Fare::Failed(blame) => {
                Some(Sample { parent: parent.clone(), reason: blame.reason, path: blame.path.clone() })
            }
        };
        current.filter_map(sample).collect()
    }

    /// Whether all that it matches have been looked at, at this stamp.
    #[must_use]
    pub fn complete(&self, stamp: u64) -> bool {
        self.0.values().all(|(seen, fare)| *seen == stamp && *fare != Fare::Pending)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Blame, Fare, Tally};
    use crate::object::ParentId;

    #[test]
    fn only_what_was_seen_at_this_stamp_counts() {
        let id = |name: &str| ParentId { kind: "Gateway", namespace: "ns".into(), name: name.into() };
        let mut tally = Tally::default();
        assert!(tally.put(&id("a"), 1, Fare::UpToDate) && !tally.put(&id("a"), 1, Fare::UpToDate));
        let blame = Blame { reason: "Trapped", path: None };
        tally.put(&id("b"), 1, Fare::Held(blame.clone()));
        tally.put(&id("c"), 0, Fare::Failed(blame));
        let counts = tally.counts(1);
        assert_eq!((counts.matched, counts.up_to_date, counts.held, counts.failed), (3, 1, 1, 0));
        assert_eq!(tally.samples(1).len(), 1);
        assert!(!tally.complete(1));
        assert!(tally.remove(&id("c")) && tally.complete(1));
        assert!(tally.retain("Gateway", &HashSet::from([id("a")])) && tally.counts(1).matched == 1);
    }
}
