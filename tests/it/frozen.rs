//! A policy of the first release runs as it ran then: the module is kept as it was built, and never built again.

use igw::{
    object::digest,
    policy::{
        engine::{Call, Engine, Loaded},
        failure::Reason,
        limits::Limits,
        protocol::{Level, Report},
    },
};

use crate::guests::engine;

/// The module, packed.
pub(crate) const MODULE: &[u8] = include_bytes!("../frozen/first.wasm.gz");
/// Of the bytes that were built with the first release.
const DIGEST: &str = "sha256:09641bd486c6af6b150dc139648ba2a0955b793945d0d070962ac139ef0d736e";

const CONTEXT: &str = r#"{"parent":{"apiVersion":"core.inference-gateway.com/v1alpha1","kind":"Gateway","metadata":{"name":"gw","namespace":"team","labels":{"a":"b"},"annotations":{}},"spec":{"replicas":2}},"policy":{"name":"first","namespace":"team"}}"#;
const DEPLOYMENT: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"gw","namespace":"team"},"spec":{"template":{"metadata":{"labels":{"app":"gw"}},"spec":{"containers":[{"env":[{"name":"A","value":"1"}],"image":"x","name":"main"},{"image":"y","name":"beside"}]}}}}"#;
const SERVICE: &str = r#"{"apiVersion":"v1","kind":"Service","metadata":{"annotations":{"a":"ä"},"name":"gw","namespace":"team"},"spec":{"ports":[{"port":80}]}}"#;

async fn loaded(engine: &Engine) -> Loaded {
    let loaded = engine.load(MODULE).await.expect("a policy of the first release is loaded for ever");
    assert_eq!(loaded.digest, DIGEST);
    loaded
}

async fn rewrite(engine: &Engine, loaded: &Loaded, context: &str, settings: &str) -> Report {
    let objects = [DEPLOYMENT.to_owned(), SERVICE.to_owned()];
    let limits = Limits::default();
    engine.rewrite(loaded, Call { policy: "p", limits, context, settings, objects: &objects }).await.report
}

#[test]
fn nobody_built_it_again() {
    assert_eq!(digest(MODULE), DIGEST, "see tests/frozen/README.md");
}

#[tokio::test]
async fn what_it_says_of_itself_is_read() {
    let engine = engine();
    let manifest = loaded(&engine).await.inspected.manifest.clone();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("first", "1.0.0"));
    assert_eq!(manifest.description, "A policy of the first release, kept to run for ever");
    let names = |kinds: &[igw::policy::module::GroupKind]| {
        kinds.iter().map(|kind| format!("{}/{}", kind.group, kind.kind)).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&manifest.kinds), names(&manifest.adds)),
        (vec!["apps/Deployment".into(), "/Service".into()], vec!["/ConfigMap".to_owned()])
    );
}

#[tokio::test]
async fn its_schema_and_then_the_policy_itself_check_settings() {
    let engine = engine();
    let loaded = loaded(&engine).await;
    let limits = Limits::default();
    let good = r#"{"label":"a","env":[{"name":"B","value":"2"}]}"#;
    assert_eq!(engine.validate_settings(&loaded, good, limits).await, Ok(()));
    for (settings, words) in [
        ("{}", "spec.settings: \"label\" is a required property"),
        (r#"{"label":"A"}"#, "spec.settings.label: "),
        (r#"{"label":"a","env":[{"name":"B"}]}"#, "spec.settings.env.0: \"value\" is a required property"),
        (r#"{"label":""}"#, "settings.label is empty"),
    ] {
        let refused = engine.validate_settings(&loaded, settings, limits).await.expect_err(settings);
        assert_eq!(refused.reason, Reason::SettingsInvalid, "{refused}");
        assert!(refused.message.starts_with(words), "{settings}: {refused}");
    }
}

#[tokio::test]
async fn it_gives_the_bytes_that_it_gave() {
    let engine = engine();
    let loaded = loaded(&engine).await;
    let settings = r#"{"label":"l","env":[{"name":"A","value":"2"},{"name":"B","value":"\"ä\""}],"configMap":"gw-more","warn":"look\nhere"}"#;
    // What is told may grow; what a policy does not know it does not see.
    let more = CONTEXT.replacen("{\"parent\":{", "{\"later\":[1],\"parent\":{\"later\":{},", 1);
    for context in [CONTEXT, &more] {
        let report = rewrite(&engine, &loaded, context, settings).await;
        let output = report.result.expect("a result");
        assert_eq!(
            output.objects,
            [
                r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{"example.com/spec":"{\"replicas\":2}"},"labels":{"example.com/first":"l"},"name":"gw","namespace":"team"},"spec":{"template":{"metadata":{"labels":{"app":"gw","example.com/first":"l"}},"spec":{"containers":[{"env":[{"name":"A","value":"2"},{"name":"B","value":"\"ä\""}],"image":"x","name":"main"},{"env":[{"name":"A","value":"2"},{"name":"B","value":"\"ä\""}],"image":"y","name":"beside"}]}}}}"#,
                r#"{"apiVersion":"v1","kind":"Service","metadata":{"annotations":{"a":"ä","example.com/spec":"{\"replicas\":2}"},"labels":{"example.com/first":"l"},"name":"gw","namespace":"team"},"spec":{"ports":[{"port":80}]}}"#,
                r#"{"apiVersion":"v1","data":{"a":"b"},"kind":"ConfigMap","metadata":{"name":"gw-more","namespace":"team"}}"#,
            ]
        );
        assert_eq!(output.details, "{}");
        let log: Vec<_> = report.log.iter().map(|line| (line.level, line.text.as_str())).collect();
        let lines =
            [(Level::Debug, "Gateway team/gw"), (Level::Info, "2 objects as first"), (Level::Warn, r"look\nhere")];
        assert_eq!(log, lines);
        assert!(report.usage.fuel < 1_000_000 && report.log_dropped == 0, "{:?}", report.usage);
    }
}

#[tokio::test]
async fn its_failure_and_its_panic_are_told() {
    let engine = engine();
    let loaded = loaded(&engine).await;
    let report = rewrite(&engine, &loaded, CONTEXT, r#"{"label":"l","fail":"no way"}"#).await;
    let failure = report.result.expect_err("it fails");
    assert_eq!((failure.reason, failure.message.as_str()), (Reason::PolicyFailed, "no way"));
    assert_eq!(report.log.last().map(|line| (line.level, line.text.as_str())), Some((Level::Error, "failing")));
    let report = rewrite(&engine, &loaded, CONTEXT, r#"{"label":"l","panic":"oh"}"#).await;
    let failure = report.result.expect_err("it panics");
    assert_eq!((failure.reason, failure.message.as_str()), (Reason::Panicked, r"panicked at src/lib.rs:48:9:\noh"));
    let report = rewrite(&engine, &loaded, "{}", r#"{"label":"l"}"#).await;
    let failure = report.result.expect_err("no custom resource");
    assert_eq!(failure.reason, Reason::PolicyFailed);
    assert!(failure.message.starts_with("failed to read the context: missing field `parent`"), "{failure}");
}
