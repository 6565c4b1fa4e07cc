//! Generated files are what the code generates. `UPDATE_GENERATED=1` writes them.

use std::{env, fs, path::Path};

#[test]
fn generated_files_are_current() {
    let files = [
        ("crds/gateways.core.inference-gateway.com.yaml", igw::cli::crds().expect("definitions")),
        ("manifests/rbac.yaml", igw::cli::rbac().expect("a role")),
        ("docs/conditions.md", igw::reconcile::reason::reference()),
    ];
    for (name, wanted) in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&path, &wanted).expect("a writable file");
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == wanted, "{name} is stale: run UPDATE_GENERATED=1 cargo test --test it generated");
    }
}
