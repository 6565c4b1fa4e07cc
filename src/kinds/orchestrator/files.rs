//! `agents.yaml` and `mcp.yaml`: what the program reads at start about agents and MCP servers. PURE.
//!
//! The pod is replaced when one of the files changes, so nothing goes into them that may change without a reason.

use serde::Serialize;

use super::{A2a, Mcp};
use crate::kinds::{InvalidSpec, Related};

/// A file in the folder that the program reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigFile {
    /// What its ConfigMap has behind the name of the Orchestrator.
    pub(super) suffix: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// YAML.
    pub(super) content: String,
}

#[derive(Serialize)]
struct AgentsFile {
    agents: Vec<AgentEntry>,
}

#[derive(Serialize)]
struct AgentEntry {
    name: String,
    url: String,
    enabled: bool,
    run: bool,
}

#[derive(Serialize)]
struct McpFile {
    enabled: bool,
    servers: Vec<ServerEntry>,
}

#[derive(Serialize)]
struct ServerEntry {
    name: String,
    enabled: bool,
    #[serde(flatten)]
    address: Address,
}

/// The parts of a URL, as the program puts them together again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Address {
    scheme: String,
    host: String,
    port: u16,
    path: String,
}

/// `agents.yaml`, while somebody looks for agents. Without, the agents that are given are in the environment.
pub(super) fn agents(a2a: &A2a, related: &Related) -> Option<ConfigFile> {
    let found = a2a.found(related)?;
    let given =
        a2a.agents.iter().enumerate().map(|(index, url)| (format!("static-agent-{index}"), url.trim().to_owned()));
    let entries = merged(
        given.filter(|(_, url)| !url.is_empty()),
        found.iter().map(|found| (found.name.to_string(), found.url.to_string())),
        |url| url.trim_end_matches('/').to_owned(),
    );
    let agents = entries.into_iter().map(|(name, url)| AgentEntry { name, url, enabled: true, run: false }).collect();
    Some(ConfigFile { suffix: "agents", name: "agents.yaml", content: yaml(&AgentsFile { agents }) })
}

/// `mcp.yaml`, while MCP servers are used: the program knows no other way to name them.
pub(super) fn mcps(mcp: &Mcp, related: &Related) -> Result<Option<ConfigFile>, InvalidSpec> {
    if !mcp.enabled {
        return Ok(None);
    }
    let mut given = Vec::new();
    for (index, url) in mcp.servers.iter().enumerate() {
        let address = Address::parse(url).ok_or_else(|| InvalidSpec {
            field: format!("spec.mcp.servers[{index}]"),
            message: format!("{url:?} is not a URL such as http://search.tools:8080/mcp"),
        })?;
        given.push((format!("static-mcp-{index}"), address));
    }
    let found = mcp.found(related).unwrap_or_default().iter();
    // The operator makes the URLs of what is found, so all of them can be read.
    let found = found.filter_map(|found| Some((found.name.to_string(), Address::parse(&found.url)?)));
    let entries = merged(given, found, Address::clone);
    let servers = entries.into_iter().map(|(name, address)| ServerEntry { name, enabled: true, address }).collect();
    Ok(Some(ConfigFile { suffix: "mcps", name: "mcp.yaml", content: yaml(&McpFile { enabled: true, servers }) }))
}

/// What is given in its order, then what was found in its order. Of two with one key the first stays, and what was found
/// comes before what is given: it has the better name.
fn merged<T, K: PartialEq>(
    given: impl IntoIterator<Item = (String, T)>,
    found: impl IntoIterator<Item = (String, T)>,
    key: impl Fn(&T) -> K,
) -> Vec<(String, T)> {
    let mut keys = Vec::new();
    let mut first = |entry: &(String, T)| {
        let key = key(&entry.1);
        let new = !keys.contains(&key);
        if new {
            keys.push(key);
        }
        new
    };
    let found: Vec<_> = found.into_iter().filter(|entry| first(entry)).collect();
    let given = given.into_iter().filter(|entry| first(entry));
    given.chain(found).collect()
}

impl Address {
    /// The parts of a URL; what it leaves out is as the program has it. `None` when its port is no number.
    fn parse(url: &str) -> Option<Self> {
        let url = url.trim();
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = scheme.to_ascii_lowercase();
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        // The colons inside the brackets of an IPv6 address are not the one before the port.
        let end = authority.rfind(']').unwrap_or(0);
        let (host, port) = match authority[end..].find(':') {
            Some(colon) => (&authority[..end + colon], &authority[end + colon + 1..]),
            None => (authority, ""),
        };
        let port = match (port, scheme.as_str(), host) {
            ("", _, "") => 8080,
            ("", "https", _) => 443,
            ("", ..) => 80,
            (port, ..) => port.parse().ok().filter(|port| *port != 0)?,
        };
        let host = if host.is_empty() { "localhost".into() } else { host.to_ascii_lowercase() };
        let path = if path.starts_with('/') { path.into() } else { format!("/mcp{path}") };
        Some(Self { scheme, host, port, path })
    }
}

/// # Panics
/// Never in practice: text, numbers and lists always serialise to YAML.
fn yaml(file: &impl Serialize) -> String {
    serde_saphyr::to_string(file).expect("plain values serialise to YAML")
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn parts(url: &str) -> Option<String> {
        Address::parse(url).map(|a| format!("{} {} {} {}", a.scheme, a.host, a.port, a.path))
    }

    #[test]
    fn urls_come_apart() {
        for (url, wanted) in [
            ("http://search.tools:3000/mcp", "http search.tools 3000 /mcp"),
            ("https://search.example.com", "https search.example.com 443 /mcp"),
            ("http://search.tools", "http search.tools 80 /mcp"),
            ("http://search.tools/", "http search.tools 80 /"),
            ("HTTPS://Search.Example.com/Sse/v1", "https search.example.com 443 /Sse/v1"),
            ("search.tools:8080", "http search.tools 8080 /mcp"),
            ("search.tools/x", "http search.tools 80 /x"),
            ("http://user:word@search.tools:81/x?a=b@c#d", "http search.tools 81 /x?a=b@c"),
            ("http://search.tools?a=b", "http search.tools 80 /mcp?a=b"),
            ("http://[fd00::1]/x", "http [fd00::1] 80 /x"),
            ("https://[fd00::1]:8443", "https [fd00::1] 8443 /mcp"),
            (" http://search.tools ", "http search.tools 80 /mcp"),
            ("", "http localhost 8080 /mcp"),
            (":9000", "http localhost 9000 /mcp"),
        ] {
            assert_eq!(parts(url).as_deref(), Some(wanted), "{url:?}");
        }
        for url in ["http://a:port/mcp", "http://a:0", "http://a:70000", "http://a:1:2"] {
            assert_eq!(parts(url), None, "{url}");
        }
    }
}
