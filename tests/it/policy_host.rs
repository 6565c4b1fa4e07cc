//! Policies as the operator has them run: loading, calling, remembering, and the cage of its children.

use std::time::{Duration, Instant};

use igw::policy::{
    engine::Call,
    failure::Reason,
    limits::Limits,
    module::{GroupKind, inspect},
};
use serde_json::json;

use crate::guests::{call, documents, engine, guest, manifest, run, unchanged, with_manifest, with_section};

/// The honest guest without what it says of itself.
fn bare() -> Vec<u8> {
    let with = guest("honest").bytes;
    let section = with_manifest(&[], &manifest("honest")).len();
    with[..with.len() - section].to_vec()
}

/// A call whose fuel lasts for years.
fn endless<'a>(policy: &'a str, objects: &'a [String]) -> Call<'a> {
    Call { limits: Limits { fuel: 1 << 60, ..Limits::default() }, ..call(policy, objects) }
}

#[tokio::test]
async fn a_policy_is_read_without_running_it() {
    let inspected = inspect(&guest("honest").bytes).expect("a policy");
    assert_eq!((inspected.manifest.name.as_str(), inspected.manifest.version.as_str()), ("honest", "1.0.0"));
    // Only what the outermost component imports: inside there are shims that import more.
    assert_eq!(inspected.imports, ["inference-gateway:policy/host@1.0.0"]);
    assert_eq!(inspected.exports, ["inference-gateway:policy/policy@1.0.0"]);
    let deployment = GroupKind { group: "apps".into(), kind: "Deployment".into() };
    assert_eq!(inspected.manifest.kinds[0], deployment);
    assert!(inspected.functions > 3 && inspected.largest > 10, "{inspected:?}");
}

#[tokio::test]
async fn what_a_policy_says_of_itself_is_checked_first() {
    let engine = engine();
    let long = "x".repeat(65 << 10);
    for (bytes, words) in [
        (bare(), "no section igw:policy"),
        (with_section(&bare(), "igw:policy", b"{"), "failed to read section"),
        (with_manifest(&bare(), &json!({"name": "x"})), "missing field `version`"),
        (with_manifest(&bare(), &json!({"name": "x\u{1b}[2J", "version": "1"})), "without control characters"),
        (with_manifest(&bare(), &json!({"name": "x", "version": "1", "settings": long})), "larger than 64 KiB"),
        (with_manifest(&guest("honest").bytes, &manifest("second")), "two sections"),
    ] {
        let refused = engine.load(&bytes).await.expect_err(words);
        assert_eq!(refused.reason, Reason::InvalidManifest, "{refused}");
        assert!(refused.message.contains(words) && refused.message.contains("igw policy build"), "{refused}");
    }
    assert_eq!(engine.figures().compiled, 0, "nothing was compiled for that");
    for (bytes, words) in [
        (&b""[..], "no WebAssembly"),
        (b"\0asm\x01\0\0\0", "a core module"),
        (b"(component)", "WebAssembly text"),
        (b"apiVersion: v1", "no WebAssembly"),
    ] {
        let refused = engine.load(bytes).await.expect_err(words);
        assert!(refused.reason == Reason::NotAComponent && refused.message.contains(words), "{refused}");
    }
}

#[tokio::test]
async fn a_policy_is_loaded_once_and_what_it_made_is_remembered() {
    let engine = engine();
    let bytes = guest("honest").bytes;
    let loaded = engine.load(&bytes).await.expect("loaded");
    assert!(loaded.code() > 1_000 && loaded.digest.starts_with("sha256:"));
    assert!(std::sync::Arc::ptr_eq(&loaded, &engine.load(&bytes).await.expect("loaded")));
    let documents = documents();
    let first = engine.rewrite(&loaded, call("p", &documents)).await;
    assert_eq!(first.report.result, Ok(unchanged()));
    assert!(!first.remembered && first.report.usage.fuel > 0 && first.report.usage.memory >= 65536);
    let second = engine.rewrite(&loaded, call("p", &documents)).await;
    assert!(second.remembered);
    assert_eq!(second.report.result, Ok(unchanged()));
    let other = engine.rewrite(&loaded, call("other", &documents)).await;
    assert!(!other.remembered, "what one policy made is never given to another");
    let figures = engine.figures();
    assert_eq!((figures.modules, figures.compiled, figures.started), (1, 1, 1));
    assert!(figures.remembered > 0 && figures.code == loaded.code());
}

#[tokio::test]
async fn fuel_decides_and_what_it_decided_is_remembered() {
    let engine = engine();
    let loaded = engine.load(&guest("endless-loop").bytes).await.expect("loaded");
    let documents = documents();
    for remembered in [false, true] {
        let evaluated = engine.rewrite(&loaded, call("p", &documents)).await;
        assert_eq!(evaluated.report.result.expect_err("no fuel left").reason, Reason::FuelExhausted);
        assert_eq!(evaluated.remembered, remembered);
    }
    // What time decided may end otherwise on another day.
    for _ in 0..2 {
        let start = Instant::now();
        let evaluated = engine.rewrite(&loaded, endless("p", &documents)).await;
        assert_eq!(evaluated.report.result.expect_err("no time left").reason, Reason::Timeout);
        assert!(start.elapsed() > Duration::from_millis(1_900) && start.elapsed() < Duration::from_secs(4));
        assert!(!evaluated.remembered);
    }
    // Less fuel is another question.
    let honest = engine.load(&guest("honest").bytes).await.expect("loaded");
    let little = Limits { fuel: 10, ..Limits::default() };
    let evaluated = engine.rewrite(&honest, Call { limits: little, ..call("p", &documents) }).await;
    assert_eq!(evaluated.report.result.expect_err("no fuel").reason, Reason::FuelExhausted);
}

#[tokio::test]
async fn settings_are_checked_by_schema_and_then_by_the_policy() {
    let engine = engine();
    let mut manifest = manifest("settings");
    manifest["settings"] =
        json!({"type": "object", "required": ["image"], "properties": {"image": {"type": "string"}}});
    let loaded = engine.load(&with_manifest(&bare(), &manifest)).await.expect("loaded");
    let limits = Limits::default();
    assert_eq!(engine.validate_settings(&loaded, r#"{"image":"a"}"#, limits).await, Ok(()));
    let refused = engine.validate_settings(&loaded, r#"{"image":1}"#, limits).await.expect_err("no text");
    assert_eq!(refused.reason, Reason::SettingsInvalid);
    assert!(refused.message.contains("spec.settings.image"), "{refused}");
    // Whatever a schema uses of the library, the library must not need what the child may not do.
    for draft in ["http://json-schema.org/draft-04/schema#", "https://json-schema.org/draft/2020-12/schema"] {
        manifest["settings"] = json!({
            "$schema": draft,
            "patternProperties": {"^x-[a-z]+$": {"anyOf": [{"pattern": "^(a|b)+[^c]{2,5}$"}, {"type": "null"}]}},
            "properties": {
                "a": {"type": "array", "uniqueItems": true, "items": {"format": "date-time"}, "contains": {"const": 1}},
                "b": {"format": "email", "minLength": 3}, "c": {"format": "uri"}, "d": {"format": "ipv6"},
                "e": {"multipleOf": 0.1}, "f": {"enum": ["x", 1, {}]}, "g": {"contentEncoding": "base64"},
                "h": {"format": "idn-hostname"}, "i": {"format": "regex"}, "j": {"format": "duration"},
            },
            "if": {"required": ["k"]}, "then": {"not": {"required": ["l"]}}, "unevaluatedProperties": false,
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_.-]*$"},
            "dependentSchemas": {"k": {"minProperties": 2}},
        });
        let loaded = engine.load(&with_manifest(&bare(), &manifest)).await.expect(draft);
        let settings = json!({
            "x-y": "aabcd", "a": ["2026-01-01T00:00:00Z", 1, 1], "b": "a@b", "c": "http://a/b", "d": "::1", "e": 0.3, "f": {},
            "g": "AA==", "h": "ä.de", "i": "(a", "j": "P1D", "k": 1, "l": 2, "z": 1,
        });
        let refused = engine.validate_settings(&loaded, &settings.to_string(), limits).await.expect_err("wrong");
        assert_eq!(refused.reason, Reason::SettingsInvalid, "{draft}: {refused}");
    }
    manifest["settings"] = json!({"$ref": "https://example.com/schema"});
    let refused = engine.load(&with_manifest(&bare(), &manifest)).await.expect_err("it points outside");
    assert_eq!(refused.reason, Reason::InvalidManifest, "{refused}");
}

// What it asks of the engine is not in a release.
#[cfg(debug_assertions)]
#[tokio::test]
async fn a_child_that_reaches_out_dies_of_sigsys() {
    let engine = engine();
    let bytes = guest("honest").bytes;
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let own = format!("/proc/{}/environ", std::process::id());
    for how in [&format!("open {token}"), &format!("open {own}"), "open /proc/self/environ", "socket", "exec", "kill"] {
        let died = engine.misbehave(how).await.expect_err(how);
        assert_eq!(died.reason, Reason::EngineCrashed, "{how}: {died}");
        assert!(died.message.contains("SIGSYS"), "{how}: {died}");
        assert_eq!(run(&engine, &bytes).await.expect("loaded").result, Ok(unchanged()), "after {how}");
    }
    let died = engine.misbehave("memory").await.expect_err("more than it may have");
    assert!(died.message.contains("SIGABRT"), "{died}");
}

// What it asks of the engine is not in a release.
#[cfg(debug_assertions)]
#[tokio::test]
async fn a_child_is_caged_and_holds_nothing() {
    let engine = engine();
    let loaded = engine.load(&guest("honest").bytes).await.expect("loaded");
    let process = engine.evaluator().await.expect("a child");
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("status");
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).expect("limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.trim_start_matches(name).split_whitespace().next().unwrap_or_default().to_owned()
    };
    assert_eq!(limit("Max address space"), (512 << 20).to_string());
    assert_eq!((limit("Max open files"), limit("Max core file size")), ("0".into(), "0".into()));
    // Tests run as root, which may look; nobody else may, because the child is not dumpable.
    if let Ok(environment) = std::fs::read(format!("/proc/{process}/environ")) {
        assert!(environment.is_empty());
    }
    if let Ok(open) = std::fs::read_dir(format!("/proc/{process}/fd")) {
        let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let others: Vec<_> = links
            .filter(|link| !link.starts_with("/dev/null") && !link.to_string_lossy().starts_with("pipe:"))
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }
    drop(loaded);
}

// What it asks of the engine is not in a release.
#[cfg(debug_assertions)]
#[tokio::test]
async fn a_child_that_was_killed_is_started_again() {
    let engine = engine();
    let bytes = guest("honest").bytes;
    let loaded = engine.load(&bytes).await.expect("loaded");
    let process = engine.evaluator().await.expect("a child").cast_signed();
    let pid = rustix::process::Pid::from_raw(process).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    // Until all its threads are gone; what dies between two calls is nobody's fault.
    let threads = || std::fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count);
    let dead = || std::fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(" Z "));
    while threads() > 1 || !dead() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let documents = documents();
    let evaluated = engine.rewrite(&loaded, call("p", &documents)).await;
    assert_eq!(evaluated.report.result, Ok(unchanged()));
    assert_eq!(
        (engine.figures().started, engine.figures().compiled),
        (2, 1),
        "its code did not have to be compiled again"
    );
}

#[tokio::test]
async fn a_call_that_is_given_up_does_not_answer_the_next_one() {
    let engine = engine();
    let slow = engine.load(&guest("endless-loop").bytes).await.expect("loaded");
    let honest = engine.load(&guest("honest").bytes).await.expect("loaded");
    let documents = documents();
    let given_up =
        tokio::time::timeout(Duration::from_millis(100), engine.rewrite(&slow, endless("p", &documents))).await;
    assert!(given_up.is_err());
    let evaluated = engine.rewrite(&honest, call("p", &documents)).await;
    assert_eq!(evaluated.report.result, Ok(unchanged()));
}

#[tokio::test]
async fn an_engine_that_cannot_be_started_says_so() {
    let engine = igw::policy::engine::Engine::new("/does/not/exist".into());
    let bytes = guest("honest").bytes;
    for _ in 0..2 {
        let failed = engine.load(&bytes).await.expect_err("no program");
        assert_eq!(failed.reason, Reason::EngineUnavailable, "{failed}");
    }
    assert_eq!(engine.figures().compiled, 2, "which is not the module's fault, so it is tried again");
}

#[tokio::test]
async fn hops_are_short() {
    let engine = engine();
    let loaded = engine.load(&guest("honest").bytes).await.expect("loaded");
    let objects = vec!["x".repeat(4_000); 5];
    let mut times: Vec<Duration> = Vec::new();
    for number in 0..500 {
        let policy = number.to_string();
        let start = Instant::now();
        let evaluated = engine.rewrite(&loaded, call(&policy, &objects)).await;
        times.push(start.elapsed());
        assert!(evaluated.report.result.is_ok());
    }
    times.sort();
    eprintln!("20 KB there and back: median {:?}, 99 % {:?}", times[250], times[495]);
    // Loose: a debug build on a busy machine.
    assert!(times[250] < Duration::from_millis(20), "{:?}", times[250]);
}

/// Runs the program; returns its exit status, what it printed, and what it said.
async fn igw(args: &[&str]) -> (i32, String, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_igw")).args(args).output().await.expect("igw");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn authors_look_at_a_policy_and_run_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, guest(name).bytes).expect("written");
        path.to_string_lossy().into_owned()
    };
    let honest = file("honest");
    let (code, out, said) = igw(&["policy", "inspect", &honest]).await;
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    let shown: serde_json::Value = serde_saphyr::from_str(&out).expect("YAML");
    assert_eq!((&shown["name"], &shown["kinds"][0]["kind"]), (&json!("honest"), &json!("Deployment")));
    let digest = igw::object::digest(&guest("honest").bytes);
    assert_eq!(shown["sha256"], digest.trim_start_matches("sha256:"));
    assert!(shown["codeBytes"].as_u64() > Some(1_000), "{out}");

    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gateway-complete");
    let (code, out, said) = igw(&["policy", "run", &honest, "-f", example]).await;
    assert_eq!(code, 0, "{said}");
    let objects: Vec<serde_json::Value> = serde_saphyr::from_multiple(&out).expect("YAML");
    assert!(objects.iter().any(|object| object["kind"] == "Deployment"), "{out}");
    assert!(said.contains("units of fuel") && !said.contains("~ "), "nothing was changed: {said}");

    let settings = folder.path().join("settings.yaml");
    std::fs::write(&settings, "a: 1").expect("written");
    let settings = settings.to_string_lossy().into_owned();
    let (code, _, said) = igw(&["policy", "run", &honest, "-f", example, "--settings", &settings]).await;
    assert_eq!(code, 0, "{said}");
    for (name, words) in [
        ("endless-loop", "FuelExhausted"),
        ("nan", "it handed over what is no JSON"),
        ("core-module", "build it with `igw policy build`"),
    ] {
        let (code, out, said) = igw(&["policy", "run", &file(name), "-f", example]).await;
        assert!(code == 2 && out.is_empty() && said.contains(words), "{name}: {said}");
    }
    let (_, help, _) = igw(&["--help"]).await;
    assert!(
        help.contains("policy ") && !help.contains("policy-compile") && !help.contains("policy-evaluate"),
        "{help}"
    );
}
