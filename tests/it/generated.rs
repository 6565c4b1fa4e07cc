//! Generated files are what the code generates. `UPDATE_GENERATED=1` writes them.

use std::{collections::BTreeMap, env, fs, path::Path};

use serde_json::Value;

#[test]
fn generated_files_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::from([
        ("manifests/rbac.yaml".to_owned(), igw::cli::rbac().expect("a role")),
        ("docs/conditions.md".to_owned(), igw::reconcile::reason::reference()),
    ]);
    for document in igw::cli::crds().expect("definitions").split_inclusive("---\n").filter(|text| *text != "---\n") {
        let document = document.trim_end_matches("---\n");
        let crd: Value = serde_saphyr::from_str(document).expect("YAML");
        let name = crd["metadata"]["name"].as_str().expect("a name");
        files.insert(format!("crds/{name}.yaml"), format!("---\n{document}"));
    }
    for (name, wanted) in &files {
        let path = root.join(name);
        if env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&path, wanted).expect("a writable file");
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == *wanted, "{name} is stale: run UPDATE_GENERATED=1 cargo test --test it generated");
    }
    let crds = fs::read_dir(root.join("crds")).expect("crds").count();
    assert_eq!(crds, files.keys().filter(|name| name.starts_with("crds/")).count(), "one file a definition");
}
