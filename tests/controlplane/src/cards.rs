//! A2A cards for agents whose pods are only simulated: one HTTP server on loopback that answers for every agent, by the host it is
//! asked for.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

/// Where agents serve their card, the newer path first.
const PATHS: [&str; 2] = ["/.well-known/agent-card.json", "/.well-known/agent.json"];

/// A running card server. It listens until this value is dropped.
#[derive(Debug)]
pub struct CardServer {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    unchanged: AtomicUsize,
}

impl CardServer {
    /// Starts one in the calling runtime.
    pub async fn start() -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1, for agent cards")?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let mut routes = Router::new();
        for path in PATHS {
            routes = routes.route(path, get(answer));
        }
        let routes = routes.with_state(Arc::clone(&counts));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                eprintln!("controlplane: the card server has ended: {error}");
            }
        });
        Ok(Self { address, counts, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often a card was asked for.
    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// How many of these requests had the card already, and so got none.
    pub fn unchanged(&self) -> usize {
        self.counts.unchanged.load(Ordering::Relaxed)
    }
}

impl Drop for CardServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(counts): State<Arc<Counts>>, headers: HeaderMap) -> Response {
    counts.requests.fetch_add(1, Ordering::Relaxed);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    let Some(host) = host else {
        return (StatusCode::BAD_REQUEST, "whose card? the request names no host").into_response();
    };
    let body = card(host).to_string();
    let tag = tag(&body);
    let Ok(tag_header) = HeaderValue::from_str(&tag) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    if known.flat_map(|tags| tags.split(',')).any(|known| matches(known, &tag)) {
        counts.unchanged.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag_header)]).into_response();
    }
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json), (header::ETAG, tag_header)], body).into_response()
}

/// The card of the agent that is reached at `host`, which may end in a port.
fn card(host: &str) -> Value {
    let name = host.split(['.', ':']).next().unwrap_or(host);
    json!({
        "protocolVersion": "0.3.0",
        "name": name,
        "version": "1.0.0",
        "description": format!("The agent {name}, whose pods are simulated"),
        "url": format!("http://{host}"),
        "capabilities": {"streaming": true, "pushNotifications": false, "stateTransitionHistory": false},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [
            {"id": "echo", "name": "Echo", "description": "Says what it was told", "tags": ["text"], "examples": ["Say hello"]},
            {"id": "count", "name": "Count", "description": "Counts the words of a text", "tags": ["text"]},
        ],
    })
}

/// Different for every card.
fn tag(body: &str) -> String {
    let digest = Sha256::digest(body);
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Whether one entry of an If-None-Match header means `tag`; weak ones are compared like strong ones there.
fn matches(known: &str, tag: &str) -> bool {
    let known = known.trim();
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}

#[cfg(test)]
mod tests {
    use super::{card, matches, tag};

    #[test]
    fn a_card_is_that_of_the_host() {
        let card = card("weather.team.svc.cluster.local:8080");
        assert_eq!((&card["name"], &card["version"]), (&"weather".into(), &"1.0.0".into()));
        assert_eq!(card["url"], "http://weather.team.svc.cluster.local:8080");
        assert_eq!(card["capabilities"]["pushNotifications"], false);
        assert_eq!(card["skills"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_tag_is_compared_as_the_header_may_write_it() {
        let tag = tag("a");
        assert_ne!(tag, super::tag("b"));
        for known in [tag.clone(), format!(" {tag} "), format!("W/{tag}"), "*".to_owned()] {
            assert!(matches(&known, &tag), "{known}");
        }
        assert!(!matches("\"other\"", &tag));
    }
}
