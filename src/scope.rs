//! Which namespaces the operator looks after: all, or those whose labels match a selector.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use kube::core::{Expression, Selector, SelectorExt};

/// The namespaces the operator looks after.
#[derive(Debug, Default)]
pub struct Scope {
    selector: Option<Selector>,
    matching: RwLock<HashSet<String>>,
    listed: AtomicBool,
}

/// A label selector that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read label selector {selector:?} at {part:?}: write for example team=a,tier in (x,y),!legacy")]
pub struct BadSelector {
    selector: String,
    part: String,
}

impl Scope {
    /// Namespaces that match a selector in the form kubectl takes; all when it is empty.
    ///
    /// # Errors
    /// When the selector cannot be read.
    pub fn new(selector: &str) -> Result<Self, BadSelector> {
        let selector = (!selector.trim().is_empty()).then(|| parse(selector)).transpose()?;
        Ok(Self { selector, ..Self::default() })
    }

    /// Whether namespaces have to be watched at all.
    #[must_use]
    pub const fn is_restricted(&self) -> bool {
        self.selector.is_some()
    }

    /// Whether custom resources of a namespace are looked after.
    #[must_use]
    pub fn contains(&self, namespace: &str) -> bool {
        let matching = || self.matching.read().unwrap_or_else(PoisonError::into_inner);
        !self.is_restricted() || matching().contains(namespace)
    }

    /// Whether the namespaces have been listed.
    #[must_use]
    pub fn listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// The namespaces have been listed. Returns whether that is news.
    pub fn set_listed(&self) -> bool {
        !self.listed.swap(true, Ordering::AcqRel)
    }

    /// Takes in the labels of a namespace, or that it is gone. Returns whether it has begun or ceased to match.
    pub fn saw(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        let matches = self.selector.as_ref().zip(labels).is_some_and(|(selector, labels)| selector.matches(labels));
        let mut matching = self.matching.write().unwrap_or_else(PoisonError::into_inner);
        if matches {
            return matching.insert(namespace.into());
        }
        matching.remove(namespace)
    }
}

/// Reads a label selector: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas.
///
/// # Errors
/// The part that cannot be read.
pub fn parse(text: &str) -> Result<Selector, BadSelector> {
    split(text)
        .into_iter()
        .map(|part| {
            requirement(part.trim())
                .ok_or_else(|| BadSelector { selector: text.to_owned(), part: part.trim().to_owned() })
        })
        .collect::<Result<Vec<_>, _>>()
        .map(Selector::from_iter)
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let mut parts = vec![];
    let mut start = 0;
    for (position, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Option<Expression> {
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Expression::NotEqual(name(key)?, value_of(value)?));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Expression::Equal(name(key)?, value_of(value)?));
    }
    if let Some(key) = part.strip_prefix('!') {
        return Some(Expression::DoesNotExist(name(key)?));
    }
    let Some((words, values)) = part.split_once('(') else { return Some(Expression::Exists(name(part)?)) };
    let values = values.strip_suffix(')')?.split(',').map(value_of).collect::<Option<_>>()?;
    match words.split_whitespace().collect::<Vec<_>>()[..] {
        [key, "in"] => Some(Expression::In(name(key)?, values)),
        [key, "notin"] => Some(Expression::NotIn(name(key)?, values)),
        _ => None,
    }
}

fn is_label_text(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let (prefix, label) = text.rsplit_once('/').map_or((None, text), |(prefix, label)| (Some(prefix), label));
    let prefix_fits = prefix.is_none_or(|prefix| {
        prefix.len() <= 253 && prefix.split('.').all(|part| is_label_text(part) && part == part.to_lowercase())
    });
    (is_label_text(label) && prefix_fits).then(|| text.to_owned())
}

fn value_of(text: &str) -> Option<String> {
    let text = text.trim();
    (text.is_empty() || is_label_text(text)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt;

    use super::{Scope, parse};

    fn check(selector: &str, labels: &[(&str, &str)], wanted: bool) {
        let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let parsed = parse(selector).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(parsed.matches(&labels), wanted, "{selector} on {labels:?}");
    }

    #[test]
    fn selectors_read_as_kubectl_reads_them() {
        check("inference-gateway.com/managed=true", &[("inference-gateway.com/managed", "true")], true);
        check("a==b", &[("a", "b")], true);
        check("a=b, c in (x, y)", &[("a", "b"), ("c", "y")], true);
        check("a=b,c notin (x,y)", &[("a", "b"), ("c", "y")], false);
        check("a!=b", &[], true);
        check("a", &[("a", "")], true);
        check("!a", &[("a", "")], false);
        check("a=", &[("a", "")], true);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for bad in ["=b", "a in x", "a=b=c", "a b", "a,,b", "a in (x", "A_/x=1", "a=b c"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_namespace_may_match_later() {
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        let scope = Scope::new("team=a").unwrap_or_else(|error| panic!("{error}"));
        assert!(!scope.contains("x"));
        assert!(scope.saw("x", Some(&labels)));
        assert!(scope.contains("x"));
        assert!(!scope.saw("x", Some(&labels)), "nothing new");
        assert!(scope.saw("x", None));
        assert!(!scope.saw("x", None), "nothing new");
        assert!(!scope.contains("x"));
    }
}
