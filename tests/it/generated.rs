//! Generated files are what the code generates. `UPDATE_GENERATED=1` writes them.

use std::{collections::BTreeMap, env, fs, path::Path};

use serde_json::Value;

#[test]
fn generated_files_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::from([
        ("manifests/install.yaml".to_owned(), install()),
        ("manifests/crds.yaml".to_owned(), igw::cli::crds().expect("definitions")),
        ("manifests/rbac.yaml".to_owned(), igw::cli::rbac().expect("a role")),
        ("docs/conditions.md".to_owned(), igw::reconcile::reason::reference()),
        ("docs/reference.md".to_owned(), igw::cli::reference()),
    ]);
    for document in documents(&igw::cli::crds().expect("definitions")) {
        let crd: Value = serde_saphyr::from_str(&document).expect("YAML");
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

fn install() -> String {
    igw::cli::install(igw::args::IMAGE, igw::args::NAMESPACE).expect("manifests")
}

/// The texts of the documents.
fn documents(text: &str) -> Vec<String> {
    text.split("---\n").filter(|document| !document.is_empty()).map(str::to_owned).collect()
}

/// Who points at the folder gets some objects from two files: they must be the same ones.
#[test]
fn what_is_in_two_manifests_is_the_same_in_both() {
    let all = documents(&install());
    let parts = [igw::cli::crds().expect("definitions"), igw::cli::rbac().expect("a role")];
    for document in parts.iter().flat_map(|part| documents(part)) {
        assert!(all.contains(&document), "install.yaml has no such document:\n{document}");
    }
    assert!(all[0].contains("kind: Namespace\n"), "what is in the namespace comes after it");
}

/// kubectl apply keeps a copy of what it applies in an annotation, for which the API server has 262,144 bytes.
#[test]
fn definitions_leave_room_for_a_client_side_apply() {
    for document in documents(&igw::cli::crds().expect("definitions")) {
        let crd: Value = serde_saphyr::from_str(&document).expect("YAML");
        let length = crd.to_string().len();
        assert!(length < 200_000, "{}: {length} bytes", crd["metadata"]["name"]);
    }
}
