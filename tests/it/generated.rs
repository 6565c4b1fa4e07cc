//! Generated files are what the code generates. `UPDATE_GENERATED=1` writes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use igw::{
    args::{IMAGE, NAMESPACE},
    object::ChildKind,
};
use serde_json::Value;

#[test]
fn generated_files_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::from([
        ("manifests/install.yaml".to_owned(), install()),
        ("manifests/crds.yaml".to_owned(), igw::cli::crds().expect("definitions")),
        ("manifests/rbac.yaml".to_owned(), rbac()),
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
    igw::cli::install(IMAGE, NAMESPACE, &BTreeSet::new()).expect("manifests")
}

fn rbac() -> String {
    igw::cli::rbac(&BTreeSet::new()).expect("a role")
}

/// The texts of the documents.
fn documents(text: &str) -> Vec<String> {
    text.split("---\n").filter(|document| !document.is_empty()).map(str::to_owned).collect()
}

/// Who points at the folder gets some objects from two files: they must be the same ones.
#[test]
fn what_is_in_two_manifests_is_the_same_in_both() {
    let all = documents(&install());
    let parts = [igw::cli::crds().expect("definitions"), rbac()];
    for document in parts.iter().flat_map(|part| documents(part)) {
        assert!(all.contains(&document), "install.yaml has no such document:\n{document}");
    }
    assert!(all[0].contains("kind: Namespace\n"), "what is in the namespace comes after it");
}

/// The operator gets rights to what policies may add, and is told so, only when somebody asks for it.
#[test]
fn kinds_that_policies_may_add_are_in_the_role_when_they_are_switched_on() {
    let plain = rbac();
    for kind in ChildKind::ALL.into_iter().filter(|kind| kind.added_only()) {
        let (plural, added) = (kind.info().plural, BTreeSet::from([kind]));
        assert!(!plain.contains(plural), "{plain}");
        let role: Value = serde_saphyr::from_str(&igw::cli::rbac(&added).expect("a role")).expect("YAML");
        let rules = role["rules"].as_array().expect("rules");
        let of_kind: Vec<_> = rules.iter().filter(|rule| rule["resources"].to_string().contains(plural)).collect();
        assert_eq!((of_kind.len(), of_kind[0]["apiGroups"][0].as_str()), (1, Some(kind.info().group)), "{role:#}");
        assert!(of_kind[0]["verbs"].as_array().is_some_and(|verbs| verbs.len() == 6), "{role:#}");
        let text = igw::cli::install(IMAGE, NAMESPACE, &added).expect("manifests");
        let all = documents(&text);
        assert!(all.contains(&documents(&igw::cli::rbac(&added).expect("a role"))[0]), "{text}");
        let flag = format!("--policy-added-kinds={}", kind.info().group_kind());
        assert!(text.contains(&flag) && !install().contains("--policy-added-kinds="), "{text}");
    }
    let map = BTreeSet::from([ChildKind::ConfigMap]);
    assert_eq!(igw::cli::rbac(&map).expect("a role"), plain, "the operator makes ConfigMaps anyway");
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
