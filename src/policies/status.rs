//! The status of a policy. PURE.

use crate::object::ParentId;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// A fixed word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFacts {
    /// Digest.
    pub sha256: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Native code.
    pub code_bytes: u64,
    /// Time it took to compile.
    pub compile_millis: u64,
}

/// How many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Custom resources that it matches.
    pub matched: u64,
    /// That are as it wants them.
    pub up_to_date: u64,
    /// That are held because of it.
    pub held: u64,
    /// That go on without it.
    pub failed: u64,
}

/// One that does not fare well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Which.
    pub parent: ParentId,
    /// Why.
    pub reason: &'static str,
    /// Where.
    pub path: Option<String>,
}

/// What it is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Of the spec.
    pub generation: i64,
    /// The conditions.
    pub steps: [(&'static str, Option<Step>); 5],
    /// What runs now.
    pub module: Option<ModuleFacts>,
    /// How many.
    pub counts: Counts,
    /// Those with which it does not fare well.
    pub samples: Vec<Sample>,
}

/// A stub until the real one is there.
#[must_use]
pub fn status(_facts: &Facts, _before: &serde_json::Value, _now: &str) -> Option<serde_json::Value> {
    None
}
