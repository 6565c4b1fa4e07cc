//! The table of traps names every trap once; that table and the one of threats name only tests that exist.

use std::{fs, path::Path};

#[test]
fn every_trap_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/traps.md")).expect("text");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| T-"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<_> = rows.iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(numbers, (1..=62).map(|number| format!("T-{number}")).collect::<Vec<_>>());
    let mut missing = Vec::new();
    for row in &rows {
        assert_eq!(row.len(), 4, "number, trap, solution, test: {row:?}");
        // What stands between backquotes: a golden page, or a test as `module::name`.
        let names: Vec<_> = row[3].split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || !row[3].is_empty(), "{row:?}");
        missing.extend(names.into_iter().filter(|name| !exists(root, name)).map(|name| format!("{}: {name}", row[0])));
    }
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}

#[test]
fn every_defence_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/threat-model.md")).expect("text");
    let table = text.split("\n## ").find(|part| part.starts_with("Threats")).expect("a table of threats");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Threat"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() > 20, "the rows were found: {}", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        assert_eq!(row.len(), 3, "threat, defence, test: {row:?}");
        let names: Vec<_> = row[2].split('`').skip(1).step_by(2).collect();
        if names.is_empty() || names.iter().any(|name| !exists(root, name)) {
            wrong.push(format!("{}: {names:?}", row[0]));
        }
    }
    assert!(wrong.is_empty(), "no such test: {wrong:#?}");
}

fn exists(root: &Path, name: &str) -> bool {
    let Some((module, function)) = name.rsplit_once("::") else {
        return root.join("tests/golden").join(name).is_file();
    };
    let path = module.replace("::", "/");
    let files = [format!("tests/it/{path}.rs"), format!("src/{path}.rs")];
    let defines =
        |file: &String| fs::read_to_string(root.join(file)).is_ok_and(|text| text.contains(&format!("fn {function}(")));
    files.iter().any(defines)
}
