//! Policies that hand over other objects than they may, from the module to what the guard says of it: the text of the
//! violation is the one that the file of the policy promises.

use std::{collections::BTreeSet, path::Path, process::Command};

use crate::guests;

/// The custom resource whose objects the policies get.
const CUSTOM_RESOURCE: &str = "
apiVersion: core.inference-gateway.com/v1alpha1
kind: Gateway
metadata: {name: shop, namespace: team}
spec: {replicas: 2}
";

/// Runs a policy; gives the exit code, standard output and standard error.
fn run(folder: &Path, bytes: &[u8], grants: &str) -> (Option<i32>, String, String) {
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let (module, given) = (file("policy.wasm", bytes), file("given.yaml", CUSTOM_RESOURCE.as_bytes()));
    let grants = file("grants.yaml", grants.as_bytes());
    let mut command = Command::new(env!("CARGO_BIN_EXE_igw"));
    command.args(["policy", "run"]).arg(module).arg("-f").arg(given).arg("--grants").arg(grants);
    let output = command.output().expect("igw");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_is_forged_is_refused_with_the_words_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for guest in guests::all() {
        let Some(words) = guest.says.get("guard") else { continue };
        // What is granted does not make it right; `added-config-map` lacks just this.
        let grants = if guest.name.starts_with("added") { "{}" } else { "addKinds: [{kind: ConfigMap}]" };
        let (code, out, said) = run(folder.path(), &guest.bytes, grants);
        let said = said.lines().last().unwrap_or_default();
        if said.strip_prefix("igw: failed to admit what the policy made: ") != Some(words) {
            wrong.push(format!("{}: {said}", guest.name));
        }
        assert!(code == Some(2) && out.is_empty(), "{}: {code:?}, and nothing is printed: {out}", guest.name);
        seen.insert(words.split(' ').skip(2).take(3).collect::<Vec<_>>().join(" "));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.len() > 5, "every kind of violation that an identity can make: {seen:?}");
}

#[test]
fn what_is_honest_and_what_is_granted_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, honest, said) = run(folder.path(), &guests::guest("honest").bytes, "{}");
    assert!(code == Some(0) && honest.contains("kind: Deployment"), "{said}");
    let added = guests::guest("added-config-map").bytes;
    let (code, out, said) = run(folder.path(), &added, "addKinds: [{kind: ConfigMap}]");
    assert!(code == Some(0) && said.contains("+ ConfigMap team/shop-extra"), "{said}");
    assert_eq!(out.matches("kind: ").count(), honest.matches("kind: ").count() + 1, "{out}");
}
