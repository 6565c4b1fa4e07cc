//! The card that an agent serves, read into the form of `status.card`. PURE.
//!
//! Anybody can write what comes in here. It is cut to a size that a status can hold, and what is said when it cannot be
//! read never quotes it, so that the same failure always has the same words.

use core::net::IpAddr;

use http::Uri;
use serde_json::{Map, Value};

use super::status::{AgentCard, Capabilities, Skill};

/// Longest text that is kept, in bytes.
const MAX_TEXT: usize = 4096;
/// Longest entry of a list of texts that is kept, in bytes.
const MAX_ENTRY: usize = 1024;
/// Most entries of a list of texts that are kept.
const MAX_ENTRIES: usize = 32;
/// Most skills that are kept.
const MAX_SKILLS: usize = 100;
/// Most bytes that the kept skills have as JSON.
const MAX_SKILLS_SIZE: usize = 256 * 1024;

/// Why something is not a card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotACard {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// Something else, for example a page for people.
    #[error("it is not JSON")]
    NotJson,
    /// Some other JSON.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// An agent without a name.
    #[error("name is missing or empty")]
    Nameless,
    /// A field that cannot be read.
    #[error("{0} has the wrong type")]
    WrongType(String),
}

/// Reads what an agent serves. Fields that the status does not have are dropped.
///
/// # Errors
/// When it is not the card of an agent.
///
/// # Panics
/// Never in practice: a card always serialises to JSON.
pub fn read(bytes: &[u8]) -> Result<Value, NotACard> {
    if bytes.trim_ascii().is_empty() {
        return Err(NotACard::Empty);
    }
    let served: Value = serde_json::from_slice(bytes).map_err(|_| NotACard::NotJson)?;
    let fields = served.as_object().ok_or(NotACard::NotAnObject)?;
    let fields = Fields { path: "", fields };
    let name = fields.text("name")?;
    if name.trim().is_empty() {
        return Err(NotACard::Nameless);
    }
    let skills = skills(&fields)?;
    let card = AgentCard {
        name,
        version: fields.text("version")?,
        description: fields.text("description")?,
        url: some(fields.text("url")?),
        documentation_url: some(fields.text("documentationUrl")?),
        default_input_modes: fields.texts("defaultInputModes")?,
        default_output_modes: fields.texts("defaultOutputModes")?,
        capabilities: capabilities(&fields)?,
        skills_names: skills_names(&skills),
        skills,
    };
    Ok(serde_json::to_value(card).expect("a card serialises to JSON"))
}

/// The URL of a card, when others can use it: agents that do not know their own address name one that only they can
/// reach.
#[must_use]
pub fn reachable_url(card: &Value) -> Option<&str> {
    let url = card["url"].as_str()?;
    let parsed: Uri = url.parse().ok()?;
    let scheme = parsed.scheme_str()?;
    let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    (known && !is_local(parsed.host()?)).then_some(url)
}

fn is_local(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host.is_empty() || host == "localhost" || host.ends_with(".localhost"),
    }
}

fn capabilities(card: &Fields<'_>) -> Result<Capabilities, NotACard> {
    let Some(given) = card.get("capabilities") else { return Ok(Capabilities::default()) };
    let fields = given.as_object().ok_or_else(|| card.wrong("capabilities"))?;
    let fields = Fields { path: "capabilities.", fields };
    Ok(Capabilities {
        streaming: fields.flag("streaming")?,
        push_notifications: fields.flag("pushNotifications")?,
        state_transition_history: fields.flag("stateTransitionHistory")?,
    })
}

/// Some agents with one skill serve it without a list around it.
fn skills(card: &Fields<'_>) -> Result<Vec<Skill>, NotACard> {
    let given = match card.get("skills") {
        None => &[],
        Some(Value::Array(list)) => list.as_slice(),
        Some(single) => core::slice::from_ref(single),
    };
    let mut skills = Vec::new();
    let mut size = 0;
    for skill in given.iter().take(MAX_SKILLS) {
        let fields = skill.as_object().ok_or_else(|| card.wrong("skills"))?;
        let fields = Fields { path: "skills[].", fields };
        let skill = Skill {
            id: fields.text("id")?,
            name: fields.text("name")?,
            description: fields.text("description")?,
            examples: fields.texts("examples")?,
            input_modes: fields.texts("inputModes")?,
            output_modes: fields.texts("outputModes")?,
            tags: fields.texts("tags")?,
        };
        size += serde_json::to_string(&skill).map_or(0, |text| text.len());
        if size > MAX_SKILLS_SIZE {
            break;
        }
        skills.push(skill);
    }
    Ok(skills)
}

fn skills_names(skills: &[Skill]) -> Option<String> {
    let names: Vec<_> = skills.iter().map(|skill| skill.name.as_str()).filter(|name| !name.is_empty()).collect();
    some(cut(&names.join(", "), MAX_TEXT))
}

/// The fields of one object of a card. Null is the same as none.
struct Fields<'a> {
    /// What the names of its fields have before them.
    path: &'static str,
    fields: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str) -> NotACard {
        NotACard::WrongType(format!("{}{key}", self.path))
    }

    fn text(&self, key: &str) -> Result<String, NotACard> {
        match self.get(key) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(cut(text, MAX_TEXT)),
            Some(_) => Err(self.wrong(key)),
        }
    }

    fn flag(&self, key: &str) -> Result<bool, NotACard> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(key)),
        }
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, NotACard> {
        let given = match self.get(key) {
            None => &[],
            Some(Value::Array(list)) => list.as_slice(),
            Some(_) => return Err(self.wrong(key)),
        };
        let entries = given.iter().take(MAX_ENTRIES);
        entries.map(|entry| Ok(cut(entry.as_str().ok_or_else(|| self.wrong(key))?, MAX_ENTRY))).collect()
    }
}

fn cut(text: &str, longest: usize) -> String {
    text[..text.floor_char_boundary(longest)].to_owned()
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
