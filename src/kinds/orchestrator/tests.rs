//! What the rest relies on: what a block that is left out means, what is read, what rolls the pod, and the definition.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::EnvVar;
use serde_json::{Value, json};

use super::{Orchestrator, OrchestratorSpec, env};
use crate::{
    kinds::{Desired, Found, Parent, References, Related},
    object::{ChildKind, Identity, digest},
};

fn bot() -> Identity {
    Identity { name: "bot".into(), namespace: "team-a".into(), ..Identity::default() }
}

/// The smallest valid spec with other fields over it.
fn spec(more: Value) -> OrchestratorSpec {
    let mut spec = json!({
        "image": "cli:v0.106.2",
        "channels": {"telegram": {"enabled": true, "tokenSecretRef": {"name": "telegram", "key": "token"}}},
        "gateway": {"url": "http://gw:8080"},
        "agent": {"model": "a/b"},
    });
    for (key, value) in more.as_object().expect("fields") {
        spec[key] = value.clone();
    }
    serde_json::from_value(spec).expect("decodes")
}

fn desired(more: Value, related: &Related) -> Desired {
    Orchestrator::desired(&bot(), &spec(more), related).expect("renders")
}

fn references(more: Value) -> References {
    Orchestrator::references(&bot(), &spec(more)).expect("nothing that makes no sense")
}

fn found(kind: &'static str, entries: &[(&str, &str)]) -> Related {
    let found: Vec<_> = entries.iter().map(|(name, url)| Found { name: (*name).into(), url: (*url).into() }).collect();
    Related { found: [(kind, Arc::from(found))].into(), ..Related::default() }
}

fn variables(more: Value) -> Vec<EnvVar> {
    env::environment(&spec(more)).expect("an environment")
}

fn value(vars: &[EnvVar], name: &str) -> Option<String> {
    vars.iter().find(|var| var.name == name)?.value.clone()
}

/// The content of a file, and the hash of it on the pods.
fn file(desired: &Desired, suffix: &str, name: &str) -> Option<(String, Value)> {
    let map = desired.children.iter().find(|child| *child.id.name == *format!("bot-{suffix}"))?;
    let deployment = desired.children.iter().find(|child| child.id.kind == ChildKind::Deployment)?;
    let hash = deployment.body.pointer("/spec/template/metadata/annotations")?;
    let hash = hash[format!("inference-gateway.com/{suffix}-config-hash")].clone();
    Some((map.body["data"][name].as_str()?.to_owned(), hash))
}

#[test]
fn a_block_left_out_means_the_same_as_switched_off() {
    let nothing = desired(json!({}), &Related::default());
    for (block, off) in [
        ("tools", json!({"enabled": false})),
        ("a2a", json!({"enabled": false})),
        ("a2a", json!({"enabled": false, "agents": [], "serviceDiscovery": {"enabled": false}})),
        ("mcp", json!({"enabled": false})),
        ("telemetry", json!({})),
        ("telemetry", json!({"receiver": {}, "metrics": {}})),
        ("env", json!([])),
    ] {
        assert_eq!(desired(json!({ block: off }), &Related::default()), nothing, "{block}");
    }
}

#[test]
fn what_is_needed_is_asked_for_by_name() {
    for path in [
        "/image",
        "/channels",
        "/channels/telegram",
        "/channels/telegram/enabled",
        "/gateway",
        "/gateway/url",
        "/agent",
        "/agent/model",
    ] {
        let mut whole = serde_json::to_value(spec(json!({}))).expect("serialises");
        let (parent, field) = path.rsplit_once('/').expect("a path");
        let parent = whole.pointer_mut(parent).and_then(Value::as_object_mut).expect("a block");
        parent.remove(field).expect("it was there");
        let error = serde_json::from_value::<OrchestratorSpec>(whole).expect_err(path);
        assert!(error.to_string().contains(field), "{path}: {error}");
    }
}

#[test]
fn the_definition_has_the_names_that_users_know() {
    let crd = serde_json::to_value(Orchestrator::crd()).expect("serialises");
    let names = &crd["spec"]["names"];
    assert_eq!(names["plural"], "orchestrators");
    assert_eq!(names["shortNames"], json!(["orch"]));
    assert_eq!(names["categories"], json!(["inference-gateway"]));
    let version = &crd["spec"]["versions"][0];
    let columns: Vec<_> = version["additionalPrinterColumns"].as_array().into_iter().flatten().collect();
    let shown = columns.iter().filter(|column| column["priority"].as_i64().unwrap_or(0) == 0);
    let shown: Vec<_> = shown.map(|column| (column["type"].as_str(), column["jsonPath"].as_str())).collect();
    assert_eq!(
        shown,
        [
            (Some("boolean"), Some(".status.ready")),
            (Some("integer"), Some(".status.discoveredAgentCount")),
            (Some("integer"), Some(".status.discoveredMCPCount")),
            (Some("date"), Some(".metadata.creationTimestamp")),
        ]
    );
    let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(spec["required"], json!(["agent", "channels", "gateway", "image"]));
    for block in ["tools", "a2a", "mcp"] {
        assert_eq!(spec["properties"][block]["required"], json!(["enabled"]), "{block}");
        // It would not be valid, because a field of it is asked for.
        assert_eq!(spec["properties"][block].get("default"), None, "{block}");
    }
    let telegram = &spec["properties"]["channels"]["properties"]["telegram"];
    assert_eq!(telegram["required"], json!(["enabled"]));
    let text = crd.to_string();
    assert!(text.len() < 100_000, "{} bytes", text.len());
    for word in ["\"nullable\"", "$ref", "\"uint"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn references_follow_what_is_switched_on() {
    let telegram = |enabled: bool| {
        json!({"telegram": {
            "enabled": enabled,
            "tokenSecretRef": {"name": "telegram", "key": "token"},
            "allowedUsersSecretRef": {"name": "users", "key": "ids"},
        }})
    };
    let given = |enabled: bool| {
        references(json!({
            "channels": telegram(enabled),
            "gateway": {"url": "http://gw", "apiKeySecretRef": {"name": "gateway", "key": "key"}},
            "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "a"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "b"}}},
            ],
        }))
    };
    let names = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names(given(true).secrets), "gateway mine telegram users");
    assert_eq!(names(given(false).secrets), "gateway mine");
    assert_eq!(names(given(true).config_maps), "map");
    assert_eq!(given(true).claim.as_deref(), Some("Secret telegram key token"));
    assert_eq!(given(false).claim, None);
    for on in [true, false] {
        let listing = Orchestrator::listing(&bot(), &spec(json!({"channels": telegram(on)})), &Value::Null);
        assert_eq!((listing.url, listing.claim), (None, given(on).claim));
    }
}

#[test]
fn discovery_looks_where_it_is_told() {
    let both = |enabled: bool, discovery: Value| {
        let block = json!({"enabled": enabled, "serviceDiscovery": discovery});
        references(json!({"a2a": block, "mcp": block})).discoveries
    };
    assert!(both(false, json!({"enabled": true})).is_empty());
    assert!(both(true, json!({"enabled": false})).is_empty());
    let all = both(true, json!({"enabled": true, "namespace": ""}));
    assert_eq!(all.keys().collect::<Vec<_>>(), [&"Agent", &"MCP"]);
    assert!(all.values().all(|sought| sought.namespace == "team-a" && sought.selector.selects_all()));
    let some = both(true, json!({"enabled": true, "namespace": "b", "selector": {"matchLabels": {"x": "y"}}}));
    assert_eq!((some["MCP"].namespace.as_str(), some["MCP"].selector.to_string().as_str()), ("b", "x=y"));

    let selector = json!({"matchExpressions": [{"key": "x", "operator": "Near"}]});
    let bad = spec(json!({"mcp": {"enabled": true, "serviceDiscovery": {"enabled": true, "selector": selector}}}));
    let error = Orchestrator::references(&bot(), &bad).expect_err("a selector that makes no sense");
    assert_eq!(error.field, "spec.mcp.serviceDiscovery.selector");
}

/// Names are keys for server-side apply, and the user's value is the one that counts.
#[test]
fn every_variable_is_there_once_and_the_users_counts() {
    let mine = json!([
        {"name": "INFER_GATEWAY_RUN", "value": "true"},
        {"name": "MINE", "value": "1"},
        {"name": "INFER_A2A_ENABLED", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "a2a"}}},
        {"name": "MINE", "value": "2"},
    ]);
    let vars = variables(json!({"env": mine}));
    let names: BTreeSet<_> = vars.iter().map(|var| &var.name).collect();
    assert_eq!(names.len(), vars.len());
    assert_eq!(value(&vars, "INFER_GATEWAY_RUN").as_deref(), Some("true"));
    assert_eq!(value(&vars, "MINE").as_deref(), Some("2"));
    let a2a = vars.iter().find(|var| var.name == "INFER_A2A_ENABLED").expect("it is there");
    assert!(a2a.value.is_none() && a2a.value_from.is_some());
    assert!(
        vars.iter().all(|var| var.value_from.is_some() || var.value.as_ref().is_some_and(|value| !value.is_empty()))
    );
}

#[test]
fn without_telegram_nothing_of_it_is_needed() {
    let off = json!({"telegram": {
        "enabled": false,
        "tokenSecretRef": {"name": "not-there", "key": "token"},
        "allowedUsersSecretRef": {"name": "not-there", "key": "users"},
    }});
    let vars = variables(json!({"channels": off}));
    let named: Vec<_> = vars.iter().filter(|var| var.name.contains("TELEGRAM")).collect();
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(value(&vars, "INFER_CHANNELS_TELEGRAM_ENABLED").as_deref(), Some("false"));
    // With channels on and none of them there, the program ends.
    assert_eq!(value(&vars, "INFER_CHANNELS_ENABLED").as_deref(), Some("false"));
}

#[test]
fn the_system_prompt_has_the_names_of_every_version() {
    let names =
        ["INFER_PROMPTS_AGENT_SYSTEM_PROMPT", "INFER_PROMPTS_AGENT_SYSTEM_PROMPT_REMOTE", "INFER_AGENT_SYSTEM_PROMPT"];
    let given = variables(json!({"agent": {"model": "a/b", "systemPrompt": "Be brief, not $(HOME)."}}));
    let empty = variables(json!({"agent": {"model": "a/b", "systemPrompt": ""}}));
    for name in names {
        assert_eq!(value(&given, name).as_deref(), Some("Be brief, not $$(HOME)."), "{name}");
        assert_eq!(value(&empty, name), None, "{name}");
    }
}

#[test]
fn poll_timeouts_are_whole_seconds_and_never_too_short() {
    let of = |text: &str| {
        let token = json!({"name": "telegram", "key": "token"});
        let spec =
            spec(json!({"channels": {"telegram": {"enabled": true, "tokenSecretRef": token, "pollTimeout": text}}}));
        env::environment(&spec).map(|vars| value(&vars, "INFER_CHANNELS_TELEGRAM_POLL_TIMEOUT"))
    };
    for (text, seconds) in [("30s", "30"), ("1m30s", "90"), ("500ms", "1"), ("1001ms", "2"), ("0", "0")] {
        assert_eq!(of(text), Ok(Some(seconds.to_owned())), "{text}");
    }
    let error = of("abc").expect_err("no duration");
    assert_eq!(error.field, "spec.channels.telegram.pollTimeout");
}

#[test]
fn the_program_is_told_of_agents_in_one_way_only() {
    let a2a = |enabled: bool, discovery: bool| {
        let discovery = json!({"enabled": discovery});
        json!({"a2a": {"enabled": enabled, "agents": ["http://a", "http://b"], "serviceDiscovery": discovery}})
    };
    let agents = |more: Value| value(&variables(more), "INFER_A2A_AGENTS");
    assert_eq!(agents(a2a(true, false)).as_deref(), Some("http://a,http://b"));
    // It would hide agents.yaml.
    assert_eq!(agents(a2a(true, true)), None);
    assert_eq!(agents(a2a(false, false)), None);
    assert_eq!(value(&variables(a2a(false, false)), "INFER_A2A_ENABLED").as_deref(), Some("false"));
    let with = desired(a2a(true, true), &found("Agent", &[("c", "http://c")]));
    let (content, _) = file(&with, "agents", "agents.yaml").expect("a file");
    let read: Value = serde_saphyr::from_str(&content).expect("YAML");
    let names: Vec<_> = read["agents"].as_array().into_iter().flatten().map(|agent| &agent["name"]).collect();
    assert_eq!(names, ["static-agent-0", "static-agent-1", "c"]);
}

#[test]
fn files_are_read_as_they_were_meant() {
    let names = ["null", "on", "1e3", "0x1", "~", "true", "a: b", "- c", "#d", "e\"f'", "2026-08-12"];
    let entries: Vec<_> = names.iter().map(|name| (*name, format!("http://h/{name}"))).collect();
    let entries: Vec<_> = entries.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let a2a = json!({"a2a": {"enabled": true, "agents": ["http://long/".to_owned() + &"x".repeat(500)],
        "serviceDiscovery": {"enabled": true}}});
    let with = desired(a2a, &found("Agent", &entries));
    let (content, hash) = file(&with, "agents", "agents.yaml").expect("a file");
    assert_eq!(format!("sha256:{}", hash.as_str().expect("text")), digest(content.as_bytes()));
    let read: Value = serde_saphyr::from_str(&content).expect("YAML");
    for (index, (name, url)) in entries.iter().enumerate() {
        let entry = json!({"name": name, "url": url, "enabled": true, "run": false});
        assert_eq!(read["agents"][index + 1], entry);
    }
    assert_eq!(read["agents"][0]["url"].as_str().map(str::len), Some(512));
    let (content, _) = file(
        &desired(json!({"a2a": {"enabled": true, "serviceDiscovery": {"enabled": true}}}), &Related::default()),
        "agents",
        "agents.yaml",
    )
    .expect("a file");
    assert_eq!(content, "agents: []\n");
}

#[test]
fn what_was_found_comes_before_what_is_given() {
    let block = |given: &[&str], key: &str| json!({"enabled": true, key: given, "serviceDiscovery": {"enabled": true}});
    let a2a = json!({"a2a": block(&["http://x:8080/", "http://y", "http://y"], "agents")});
    let with = desired(a2a, &found("Agent", &[("x", "http://x:8080"), ("z", "http://z")]));
    let (content, _) = file(&with, "agents", "agents.yaml").expect("a file");
    let read: Value = serde_saphyr::from_str(&content).expect("YAML");
    let entries = read["agents"].as_array().into_iter().flatten();
    let names: Vec<_> = entries.map(|agent| agent["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["static-agent-1", "x", "z"]);

    let mcp = json!({"mcp": block(&["http://x/mcp", "http://y", "https://x/mcp"], "servers")});
    let with = desired(mcp, &found("MCP", &[("x", "http://x:80/mcp")]));
    let (content, _) = file(&with, "mcps", "mcp.yaml").expect("a file");
    let read: Value = serde_saphyr::from_str(&content).expect("YAML");
    let entries = read["servers"].as_array().into_iter().flatten();
    let names: Vec<_> = entries.map(|server| server["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["static-mcp-1", "static-mcp-2", "x"]);
}

#[test]
fn the_pod_is_replaced_when_the_set_changes_and_only_then() {
    let on = json!({"a2a": {"enabled": true, "serviceDiscovery": {"enabled": true}}});
    let pod = |related: &Related| {
        let desired = desired(on.clone(), related);
        desired.children.iter().find(|child| child.id.kind == ChildKind::Deployment).expect("a Deployment").body.clone()
    };
    let one = found("Agent", &[("x", "http://x")]);
    assert_eq!(pod(&one), pod(&Related { rival: Some("other".into()), ..one.clone() }));
    assert_eq!(
        pod(&one),
        pod(&Related {
            found: [one.found.clone(), found("MCP", &[("m", "http://m")]).found].into_iter().flatten().collect(),
            ..Related::default()
        })
    );
    for other in [&[][..], &[("x", "http://x:1")], &[("y", "http://x")], &[("x", "http://x"), ("y", "http://y")]] {
        assert_ne!(pod(&one), pod(&found("Agent", other)), "{other:?}");
    }
}

#[test]
fn nothing_of_discovery_stays_when_it_is_switched_off() {
    let seen = found("Agent", &[("x", "http://x")]);
    let with = |a2a: Value| desired(json!({"a2a": a2a}), &seen);
    let on = with(json!({"enabled": true, "serviceDiscovery": {"enabled": true}}));
    assert_eq!(on.status["discoveredAgents"], json!(["http://x"]));
    assert_eq!(on.status["discoveredAgentCount"], 1);
    assert_eq!(on.conditions.iter().map(|condition| condition.kind).collect::<Vec<_>>(), ["Discovered"]);
    for off in [json!({"enabled": true}), json!({"enabled": false, "serviceDiscovery": {"enabled": true}})] {
        let off = with(off);
        assert_eq!(off.children.len(), 1, "the Deployment alone");
        assert!(off.conditions.is_empty());
        assert_eq!(off.status.get("discoveredAgents"), None);
        assert_eq!(off.status["discoveredAgentCount"], 0);
        assert_eq!(off.status["discoveredMCPCount"], 0);
    }
}

#[test]
fn a_shared_token_and_idleness_are_said() {
    let kinds = |more: Value, related: &Related| {
        let desired = desired(more, related);
        desired.conditions.into_iter().map(|c| (c.kind, c.status.to_string(), c.needed)).collect::<Vec<_>>()
    };
    let rival = Related { rival: Some("first".into()), ..Related::default() };
    assert_eq!(kinds(json!({}), &rival), [("TokenExclusive", "False".to_owned(), true)]);
    assert_eq!(kinds(json!({}), &Related::default()), []);
    let off = json!({"telegram": {"enabled": false}});
    let idle = [("ChannelsReady", "False".to_owned(), true)];
    assert_eq!(kinds(json!({"channels": off}), &Related::default()), idle);
    let scheduled = json!({"channels": off, "tools": {"enabled": true, "schedule": true}});
    assert_eq!(kinds(scheduled, &Related::default()), []);
    for (value, works) in [("true", true), ("1", true), ("false", false), ("no", false)] {
        let env = json!([{"name": "INFER_HEARTBEAT_ENABLED", "value": value}]);
        assert_eq!(kinds(json!({"channels": off, "env": env}), &Related::default()).is_empty(), works, "{value}");
    }
}

#[test]
fn only_the_receiver_shortens_names() {
    let of = |name: &str, receiver: bool| {
        let identity = Identity { name: name.into(), ..bot() };
        let telemetry = json!({"enabled": true, "receiver": {"enabled": receiver}});
        Orchestrator::desired(&identity, &spec(json!({"telemetry": telemetry})), &Related::default())
    };
    for name in [&"x".repeat(63), "with.dot"] {
        assert!(of(name, false).is_ok(), "{name}");
        assert_eq!(of(name, true).expect_err(name).field, "metadata.name");
    }
    assert!(of(&"x".repeat(54), true).is_ok());
    assert!(of(&"x".repeat(55), true).is_err());
    assert!(of(&"x".repeat(64), false).is_err());
}

#[test]
fn one_pod_at_a_time_with_the_fewest_rights() {
    let desired = desired(json!({}), &Related::default());
    let [deployment] = desired.children.as_slice() else { panic!("{:?}", desired.children) };
    let spec = &deployment.body["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]), (&json!(1), &json!({"type": "Recreate"})));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsUser"], 1000);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe", "resources"] {
        assert_eq!(container.get(probe), None, "{probe}");
    }
}
