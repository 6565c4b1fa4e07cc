//! Makes a component of what the compiler wrote, and checks it as the operator does. PURE.

use wit_component::ComponentEncoder;

use super::super::Error;
use crate::policy::module::{self, SECTION};

/// A component with a description, from a core module.
pub(super) fn component(core: &[u8], description: &[u8]) -> Result<Vec<u8>, Error> {
    let encoded = ComponentEncoder::default().validate(true).module(core).and_then(|mut encoder| encoder.encode());
    let mut component = encoded.map_err(|error| {
        format!("failed to make a component: {error:#}; the crate needs the line wasm_sdk::export_policy!(TYPE)")
    })?;
    append(&mut component, SECTION, description);
    // What the operator would refuse is said here, where it can be mended.
    module::inspect(&component)?;
    Ok(component)
}

/// Writes a custom section at the end: a zero, its length, and its name with a length before it.
fn append(module: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut section = Vec::with_capacity(content.len() + name.len() + 5);
    length(&mut section, name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    module.push(0);
    length(module, section.len());
    module.extend_from_slice(&section);
}

/// Seven bits a byte, lowest first (LEB128).
fn length(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::{SECTION, append, component};
    use crate::cli::policy::describe::Description;

    /// A component with nothing in it.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_section_is_read_back() -> Result<(), Box<dyn std::error::Error>> {
        let mut module = EMPTY.to_vec();
        append(&mut module, "other", b"");
        let long = "x".repeat(20_000);
        let section = format!(r#"{{"name": "a", "version": "1", "description": "{long}", "later": 1}}"#);
        append(&mut module, SECTION, section.as_bytes());
        let read = Description::of(&module).map_err(|error| error.to_string())?;
        assert_eq!((read.name.as_str(), read.description.len()), ("a", 20_000));
        assert!(Description::of(EMPTY).is_err());
        Ok(())
    }

    #[test]
    fn what_is_no_policy_is_refused_with_what_to_do() {
        let said = |core: &[u8]| {
            component(core, br#"{"name": "a", "version": "1"}"#)
                .map_or_else(|error| error.to_string(), |_| String::new())
        };
        for wrong in [EMPTY, b"text"] {
            assert!(said(wrong).contains("export_policy!"), "{}", said(wrong));
        }
        // A module that nobody exports a policy from.
        let said = said(b"\0asm\x01\0\0\0");
        assert!(said.contains("export") && said.contains("policy"), "{said}");
    }
}
