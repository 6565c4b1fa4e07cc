//! Any bytes as a policy module: unpacked and read, never run. PURE.

use igw::policy::{
    failure::{Failure, clean},
    limits,
    module::{HOST, inspect, unpack},
};

/// Whatever the bytes are, the answer is a description within bounds or a text that can be shown.
pub(crate) fn run(data: &[u8]) {
    let component = match unpack(data) {
        Ok(component) => component,
        Err(failure) => return shown(&failure),
    };
    assert!(component.len() <= limits::MODULE);
    let inspected = match inspect(&component) {
        Ok(inspected) => inspected,
        Err(failure) => return shown(&failure),
    };
    assert!(inspected.imports.iter().all(|import| import.starts_with(HOST)), "{inspected:?}");
    assert!(inspected.functions <= limits::FUNCTIONS && inspected.largest <= limits::BODY, "{inspected:?}");
    for text in [&inspected.manifest.name, &inspected.manifest.version] {
        assert!(!text.is_empty() && clean(text, 128) == *text, "{inspected:?}");
    }
    // What it says of itself is shown as YAML and JSON.
    let text = serde_json::to_string(&inspected.manifest).expect("JSON");
    assert_eq!(serde_json::from_str(&text).ok(), Some(inspected.manifest), "{text}");
}

fn shown(failure: &Failure) {
    let message = &failure.message;
    assert!(!message.is_empty() && message.len() <= limits::MESSAGE, "{failure}");
    assert_eq!(clean(message, limits::MESSAGE), *message);
}
