//! Cards as agents serve them, and what is none.

use serde_json::{Value, json};

use super::{MAX_ENTRIES, MAX_SKILLS, MAX_SKILLS_SIZE, MAX_TEXT, NotACard, reachable_url, read};

fn of(card: &Value) -> Value {
    read(card.to_string().as_bytes()).expect("a card")
}

fn error(card: &Value) -> String {
    read(card.to_string().as_bytes()).expect_err("no card").to_string()
}

#[test]
fn a_card_of_an_early_protocol() {
    let served = json!({
        "name": "google-calendar-agent",
        "description": "Manages a calendar",
        "url": "http://google-calendar-agent.agents.svc.cluster.local:8080",
        "provider": { "organization": "Example", "url": "https://example.com" },
        "version": "0.2.1",
        "documentationUrl": "https://example.com/docs",
        "capabilities": { "streaming": true, "pushNotifications": false, "extensions": [] },
        "securitySchemes": { "oidc": { "type": "openIdConnect" } },
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain", "application/json"],
        "skills": [
            {
                "id": "list", "name": "List events", "description": "Lists events", "tags": ["calendar"],
                "examples": ["What is on today?"], "inputModes": ["text/plain"], "outputModes": ["text/plain"],
            },
            { "id": "create", "name": "Create event", "description": "Creates an event", "tags": [], "examples": null },
        ],
        "supportsAuthenticatedExtendedCard": false,
    });
    let wanted = json!({
        "name": "google-calendar-agent",
        "description": "Manages a calendar",
        "url": "http://google-calendar-agent.agents.svc.cluster.local:8080",
        "version": "0.2.1",
        "documentationUrl": "https://example.com/docs",
        "capabilities": { "streaming": true, "pushNotifications": false, "stateTransitionHistory": false },
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain", "application/json"],
        "skills": [
            {
                "id": "list", "name": "List events", "description": "Lists events", "tags": ["calendar"],
                "examples": ["What is on today?"], "inputModes": ["text/plain"], "outputModes": ["text/plain"],
            },
            { "id": "create", "name": "Create event", "description": "Creates an event" },
        ],
        "skillsNames": "List events, Create event",
    });
    assert_eq!(of(&served), wanted);
}

#[test]
fn a_single_skill_without_a_list() {
    let card = of(&json!({ "name": "a", "skills": { "id": "sing", "name": "Sing", "description": "Sings" } }));
    assert_eq!(card["skills"], json!([{ "id": "sing", "name": "Sing", "description": "Sings" }]));
    assert_eq!(card["skillsNames"], "Sing");
}

#[test]
fn little_is_enough() {
    let least = json!({
        "name": "a", "version": "", "description": "",
        "capabilities": { "streaming": false, "pushNotifications": false, "stateTransitionHistory": false },
    });
    assert_eq!(of(&json!({ "name": "a" })), least);
    let nulls = json!({ "name": "a", "version": null, "url": "", "capabilities": null, "skills": null });
    assert_eq!(of(&nulls), least);
    let skill = of(&json!({ "name": "a", "skills": [{}] }));
    assert_eq!(skill["skills"], json!([{ "id": "", "name": "", "description": "" }]));
    assert_eq!(skill.get("skillsNames"), None);
}

#[test]
fn what_is_no_card() {
    for (served, why) in [
        ("", NotACard::Empty),
        (" \n", NotACard::Empty),
        ("<!doctype html><html><body>404 page not found</body></html>", NotACard::NotJson),
        ("{\"name\": \"cut of", NotACard::NotJson),
        ("{\"name\": \"a\"} and more", NotACard::NotJson),
        ("[{\"name\": \"a\"}]", NotACard::NotAnObject),
        ("\"a\"", NotACard::NotAnObject),
        ("{}", NotACard::Nameless),
        ("{\"name\": \"  \"}", NotACard::Nameless),
        ("{\"error\": {\"code\": 404}}", NotACard::Nameless),
    ] {
        assert_eq!(read(served.as_bytes()), Err(why), "{served}");
    }
    assert_eq!(read(b"\xff\xfe{}"), Err(NotACard::NotJson));
}

#[test]
fn a_field_of_the_wrong_type_is_named_and_not_quoted() {
    for (path, leaf, why) in [
        ("name", json!(7), "name has the wrong type"),
        ("version", json!(1.5), "version has the wrong type"),
        ("capabilities", json!([true]), "capabilities has the wrong type"),
        ("capabilities.streaming", json!("yes"), "capabilities.streaming has the wrong type"),
        ("skills", json!("sing"), "skills has the wrong type"),
        ("skills", json!([["sing"]]), "skills has the wrong type"),
        ("skills.tags", json!("music"), "skills[].tags has the wrong type"),
        ("defaultInputModes", json!([1]), "defaultInputModes has the wrong type"),
    ] {
        let mut card = path.rsplit('.').fold(leaf, |inside, field| json!({ field: inside }));
        if path != "name" {
            card["name"] = "a".into();
        }
        assert_eq!(error(&card), why);
    }
}

#[test]
fn a_huge_card_is_cut_to_what_a_status_holds() {
    let long = "ü".repeat(3_000);
    let skill = json!({ "id": long, "name": long, "description": long, "tags": vec![long.as_str(); 40] });
    let card = of(&json!({ "name": long, "description": long, "skills": vec![skill; 20] }));
    assert_eq!(card["name"].as_str().map(str::len), Some(MAX_TEXT));
    let skills = card["skills"].as_array().expect("skills");
    assert!(!skills.is_empty());
    assert_eq!(skills[0]["tags"].as_array().map(Vec::len), Some(MAX_ENTRIES));
    assert!(card.to_string().len() < MAX_SKILLS_SIZE + 64 * 1024, "{} bytes", card.to_string().len());

    let small: Vec<_> = (0..500).map(|number| json!({ "id": number.to_string(), "name": "n" })).collect();
    let card = of(&json!({ "name": "a", "skills": small }));
    assert_eq!(card["skills"].as_array().map(Vec::len), Some(MAX_SKILLS));
    assert_eq!(card["skills"][99]["id"], "99");

    let deep = "[".repeat(100_000);
    assert_eq!(read(format!("{{\"name\": {deep}").as_bytes()), Err(NotACard::NotJson));
}

#[test]
fn an_address_that_only_the_agent_can_reach_is_none() {
    let of = |url: &str| reachable_url(&json!({ "url": url })).is_some();
    for good in [
        "http://calendar.agents.svc.cluster.local:8080",
        "https://calendar.example.com/a2a?x=1",
        "HTTPS://Calendar.Example.com",
        "http://10.1.2.3:8080",
        "http://[fd00::1]:8080/",
        "http://localhost.example.com",
    ] {
        assert!(of(good), "{good}");
    }
    for bad in [
        "",
        "/a2a",
        "calendar:8080",
        "calendar.example.com",
        "ftp://calendar.example.com",
        "grpc://calendar.example.com",
        "http://",
        "http:///path",
        "http://localhost:8080",
        "http://LocalHost.",
        "http://agent.localhost:1",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://0.0.0.0:8080",
        "http://[::]:8080",
        "http://[::1]:8080",
        "http://[::ffff:127.0.0.1]:8080",
        "http://with space",
        "http://line\nbreak",
    ] {
        assert!(!of(bad), "{bad}");
    }
    for nothing in [Value::Null, json!({}), json!({ "url": 1 })] {
        assert_eq!(reachable_url(&nothing), None);
    }
}
