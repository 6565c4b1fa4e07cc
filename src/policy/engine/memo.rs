//! Remembers what policies made of what: the same bytes with the same arguments give the same bytes. PURE.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::Call;
use crate::policy::{
    limits,
    protocol::{Report, Usage},
};

/// Everything that a result depends on, as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn new(digest: &str, engine: u64, call: &Call<'_>) -> Self {
        let mut hash = Sha256::new();
        // With their lengths, so that no two lists of texts read the same.
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        [digest, call.policy, call.context, call.settings].into_iter().for_each(&mut text);
        call.objects.iter().for_each(|object| text(object));
        for number in [engine, call.limits.fuel, call.limits.memory, call.objects.len() as u64] {
            hash.update(number.to_le_bytes());
        }
        Self(hash.finalize().into())
    }
}

#[derive(Debug)]
struct Entry {
    report: Report,
    bytes: usize,
    used: u64,
}

/// Results, the ones that were not asked for the longest time go first.
#[derive(Debug, Default)]
pub(super) struct Memo {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    clock: u64,
}

impl Memo {
    pub(super) fn get(&mut self, key: &Key) -> Option<Report> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.report.clone())
    }

    pub(super) fn put(&mut self, key: Key, report: &Report) {
        let content = match &report.result {
            Ok(output) => output.len() + output.objects.len() * size_of::<String>(),
            Err(failure) => failure.message.len(),
        };
        let bytes = content + size_of::<Entry>() + size_of::<Key>();
        // One that would push out most of the others is not worth it.
        if bytes > limits::MEMO / 4 {
            return;
        }
        self.clock += 1;
        let report = Report { usage: Usage::default(), log: Vec::new(), log_dropped: 0, ..report.clone() };
        if let Some(old) = self.entries.insert(key, Entry { report, bytes, used: self.clock }) {
            self.bytes -= old.bytes;
        }
        self.bytes += bytes;
        while self.bytes > limits::MEMO {
            let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key) else {
                break;
            };
            if let Some(old) = self.entries.remove(&oldest) {
                self.bytes -= old.bytes;
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Key, Memo, Report};
    use crate::policy::{
        limits::{self, Limits},
        protocol::Output,
    };

    fn call<'a>(policy: &'a str, context: &'a str, objects: &'a [String]) -> Call<'a> {
        Call { policy, limits: Limits::default(), context, settings: "{}", objects }
    }

    #[test]
    fn everything_counts() {
        let (one, two) = ([String::from("ab")], [String::from("a"), String::from("b")]);
        let base = Key::new("d", 1, &call("p", "c", &one));
        assert_eq!(base, Key::new("d", 1, &call("p", "c", &one)));
        let less = Limits { fuel: 1, ..Limits::default() };
        for other in [
            Key::new("e", 1, &call("p", "c", &one)),
            Key::new("d", 2, &call("p", "c", &one)),
            Key::new("d", 1, &call("q", "c", &one)),
            Key::new("d", 1, &call("p", "x", &one)),
            Key::new("d", 1, &call("p", "c", &two)),
            Key::new("d", 1, &call("pc", "", &one)),
            Key::new("d", 1, &Call { settings: "[]", ..call("p", "c", &one) }),
            Key::new("d", 1, &Call { limits: less, ..call("p", "c", &one) }),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn it_stays_within_its_bytes_and_keeps_what_is_used() {
        let mut memo = Memo::default();
        let key = |number: usize| Key::new(&number.to_string(), 1, &call("p", "c", &[]));
        let report = Report::of(Ok(Output { objects: vec!["x".repeat(100 << 10)], details: String::new() }));
        for number in 0..100 {
            memo.put(key(number), &report);
            assert!(memo.get(&key(0)).is_some(), "it is asked for all the time");
            assert!(memo.bytes() <= limits::MEMO);
        }
        assert!(memo.get(&key(1)).is_none() && memo.get(&key(99)).is_some());
        let large = Report::of(Ok(Output { objects: vec!["x".repeat(2 << 20)], details: String::new() }));
        memo.put(key(200), &large);
        assert!(memo.get(&key(200)).is_none());
    }
}
