//! The house rules that a compiler does not hold: imports point down, every file says what it is for, pure files are
//! pure.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The layers, lowest first. A module may use its own layer and those below it; the stages of a reconcile may use only
/// stages that stand before them. A name that is longer than another one counts for what is below it.
const LAYERS: &[&[&str]] = &[
    &["object"],
    // What a kind is, the builders that kinds share, and what may be asked of the server.
    &["kinds", "children", "parent", "cluster"],
    // What a policy may change; what carries one out stands further up.
    &["policy::grants", "policy::limits"],
    &["policy::paths", "policy::failure"],
    &["cache", "cards", "config_maps", "directory", "pods", "policy", "policy::resource", "policies::reason"],
    &["policies"],
    &["reconcile::related", "reconcile::managers"],
    &["reconcile::guard"],
    &["reconcile::rewrite"],
    &["reconcile::seal"],
    &["reconcile::render", "reconcile::diff"],
    &["reconcile::reason", "reconcile::repair"],
    &["reconcile::outcome"],
    &["reconcile::backoff"],
    &["reconcile::apply"],
    &["reconcile::prune", "reconcile::status"],
    &["reconcile::memory"],
    &["telemetry"],
    // The driver; its report is a part of it.
    &["reconcile", "reconcile::report", "reconcile::verdict"],
    &["cluster::kube", "cards::fetch"],
    &["activity", "scope"],
    &["controller"],
    &["args"],
    &["server"],
    &["cli"],
    &["lib", "main"],
];

/// Words of impurity in files that say they are pure.
const IMPURE: &[&str] = &[
    "kube::Client",
    "kube::Api",
    "Api<",
    "tokio",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "rand",
    "wasmtime",
];

fn sources() -> Vec<(String, PathBuf)> {
    fn walk(folder: &Path, module: &str, found: &mut Vec<(String, PathBuf)>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("entry").path();
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let name = if module.is_empty() { stem } else { format!("{module}::{stem}") };
            if path.is_dir() {
                walk(&path, &name, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((name, path));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    found.sort();
    found
}

fn layer(module: &str) -> Option<usize> {
    let within = |name: &str| module.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let named = LAYERS.iter().enumerate().flat_map(|(level, names)| names.iter().map(move |name| (level, *name)));
    named.filter(|(_, name)| within(name)).max_by_key(|(_, name)| name.len()).map(|(level, _)| level)
}

/// The code of a file: no comments, and no tests of its own.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every module that `use crate::...` and `use super::...` name, written out.
fn imports(module: &str, code: &str, known: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = code;
    while let Some(start) = rest.find("use ") {
        let whole_word = rest[..start].chars().next_back().is_none_or(char::is_whitespace);
        rest = &rest[start + 4..];
        let Some(end) = rest.find(';').filter(|_| whole_word) else { continue };
        let mut paths = Vec::new();
        write_out("", &rest[..end].split_whitespace().collect::<Vec<_>>().join(" "), &mut paths);
        for path in paths {
            let path = match (path.strip_prefix("crate::"), path.strip_prefix("super::"), path.strip_prefix("self::")) {
                (Some(path), ..) => path.to_owned(),
                (_, Some(path), _) => match module.rsplit_once("::") {
                    Some((parent, _)) => format!("{parent}::{path}"),
                    None => path.to_owned(),
                },
                // A module may use what is inside it.
                _ => continue,
            };
            let of =
                |name: &&String| path.strip_prefix(name.as_str()).is_some_and(|r| r.is_empty() || r.starts_with("::"));
            found.extend(known.iter().filter(of).max_by_key(|name| name.len()).cloned());
        }
    }
    found
}

/// `a::{b, c::{d}}` as `a::b` and `a::c::d`.
fn write_out(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim_end_matches("::self");
        if !path.is_empty() {
            paths.push(if path == "self" { prefix.trim_end_matches("::").into() } else { format!("{prefix}{path}") });
        }
        return;
    };
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let prefix = format!("{prefix}{}", &tree[..open]);
    let (mut depth, mut start) = (0, 0);
    for (position, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                write_out(&prefix, &inner[start..position], paths);
                start = position + 1;
            }
            _ => {}
        }
    }
    write_out(&prefix, &inner[start..], paths);
}

#[test]
fn imports_point_down() {
    let sources = sources();
    let known: BTreeSet<String> = sources.iter().map(|(module, _)| module.clone()).collect();
    let mut wrong = Vec::new();
    let mut edges = 0;
    for (module, path) in &sources {
        let Some(own) = layer(module) else {
            wrong.push(format!("{module} has no place in the table of layers"));
            continue;
        };
        let code = code(&fs::read_to_string(path).expect("text"));
        for used in imports(module, &code, &known) {
            edges += 1;
            // What is inside a module belongs to it.
            let inside = used.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with("::"));
            if !inside && layer(&used).is_none_or(|level| level > own) {
                wrong.push(format!("{module} uses {used}, which stands above it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(edges > 50, "the imports were read: {edges}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, path)| !fs::read_to_string(path).expect("text").starts_with("//! "))
        .map(|(module, _)| module)
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top of {silent:?}");
}

#[test]
fn pure_files_are_pure() {
    let mut pure = 0;
    let mut wrong = Vec::new();
    for (module, path) in sources() {
        let text = fs::read_to_string(path).expect("text");
        let about: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        if !about.contains("PURE") {
            continue;
        }
        pure += 1;
        let code = code(&text);
        let word = |word: &str| {
            code.match_indices(word).any(|(at, _)| {
                let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
                let end = code[at + word.len()..].chars().next();
                outside(code[..at].chars().next_back()) && (!word.ends_with(char::is_alphanumeric) || outside(end))
            })
        };
        wrong.extend(IMPURE.iter().filter(|name| word(name)).map(|name| format!("{module} says PURE and has {name}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(pure > 15, "the files were found: {pure}");
}

#[test]
fn the_readers_of_this_file_read_right() {
    let known: BTreeSet<String> = ["a", "a::b", "c", "d::e"].map(String::from).into();
    let code = "use std::fs;\npub use crate::{a::{self, b::{X, Y}}, c::Z as W};\nuse super::e::Q;\nlet reuse = 1;";
    let found = imports("d::f", code, &known);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "a::b", "c", "d::e"]);
    assert!(layer("cluster::kube") > layer("reconcile") && layer("cluster") < layer("cache"));
}
