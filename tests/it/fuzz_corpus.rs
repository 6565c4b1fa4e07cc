//! What fuzzing found worth keeping goes through the bodies of the fuzz targets once more. See `tests/fuzz/README.md`.

#[path = "../fuzz/src/guard.rs"]
mod guard;
#[path = "../fuzz/src/module.rs"]
mod module;
#[path = "../fuzz/src/pipe.rs"]
mod pipe;
#[path = "../fuzz/src/settings.rs"]
mod settings;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use igw::policy::{
    limits::Limits,
    protocol::{Level, Line, Output, Report, Request, Usage},
};

use crate::{guard::oracle, guests};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

/// The saved inputs of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder("corpus").join(target)).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() > 20 && paths.len() <= 120, "{target} has {} inputs", paths.len());
    paths.iter().map(|path| fs::read(path).expect("bytes")).collect()
}

#[test]
fn saved_modules_are_read_or_refused() {
    corpus("module").iter().for_each(|input| module::run(input));
}

#[test]
fn saved_frames_are_read_or_refused() {
    corpus("pipe").iter().for_each(|input| pipe::run(input));
}

#[test]
fn saved_schemas_and_settings_are_read_or_refused() {
    corpus("settings").iter().for_each(|input| settings::run(input));
}

#[test]
fn saved_edits_are_judged_as_the_oracle_judges_them() {
    let inputs = corpus("guard");
    let admitted = inputs.iter().filter(|input| guard::run(input)).count();
    assert!(admitted > 3 && admitted < inputs.len(), "{admitted} of {} are admitted", inputs.len());
}

#[test]
fn the_corpus_is_small_and_the_readme_names_every_target() {
    let readme = fs::read_to_string(folder("README.md")).expect("a README");
    let mut bytes = 0;
    for entry in fs::read_dir(folder("targets")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in tests/fuzz/README.md");
        bytes += corpus(&name).iter().map(Vec::len).sum::<usize>();
    }
    assert!(bytes < 300 << 10, "{bytes} bytes");
}

/// `IGW_FUZZ_SEEDS=FOLDER cargo test --test it fuzz_corpus` writes what a target that needs it starts from.
#[test]
fn seeds() {
    let Some(to) = std::env::var_os("IGW_FUZZ_SEEDS").map(PathBuf::from) else { return };
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(to.join(target)).expect("a folder");
        fs::write(to.join(target).join(name), bytes).expect("written");
    };
    for name in ["honest", "nan", "forbidden-import", "missing-export", "core-module", "multi-memory"] {
        let bytes = guests::guest(name).bytes;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&bytes).expect("packed");
        write("module", name, &bytes);
        write("module", &format!("{name}.gz"), &packer.finish().expect("packed"));
    }
    let (key, limits) = (String::from("k"), Limits::default());
    let requests = [
        Request::Load { key: key.clone(), schema: "{}".into(), native: vec![1, 2], limits },
        Request::Unload { key: key.clone() },
        Request::ValidateSettings { key: key.clone(), settings: "{}".into(), limits },
        Request::Rewrite {
            key,
            context: "{}".into(),
            settings: "{}".into(),
            objects: vec!["a".into(), "b".into()],
            limits,
        },
    ];
    for (number, request) in requests.iter().enumerate() {
        write("pipe", &format!("request-{number}"), &[&[0], &request.frame()[4..]].concat());
    }
    let failed = igw::policy::failure::Failure::new(igw::policy::failure::Reason::Trapped, "it did");
    let log = vec![Line { level: Level::Warn, text: "hm".into() }, Line { level: Level::Debug, text: "x".into() }];
    let output = Output { objects: vec!["{}".into()], details: "{}".into() };
    let reports =
        [Report::of(Err(failed)), Report { result: Ok(output), usage: Usage::default(), log, log_dropped: 1 }];
    for (number, report) in reports.iter().enumerate() {
        write("pipe", &format!("report-{number}"), &[&[1], &report.frame()[4..]].concat());
    }
    for policy in ["add-sidecar", "extra-env", "istio-mtls"] {
        let read = |file: &str| fs::read_to_string(folder("../../policies").join(policy).join(file)).expect("text");
        let settings: serde_json::Value = serde_saphyr::from_str(&read("settings.example.yaml")).expect("YAML");
        write("settings", policy, format!("{}\0{settings}", read("settings.schema.json")).as_bytes());
    }
}
