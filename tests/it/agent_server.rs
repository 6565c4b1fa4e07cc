//! Agents that answer: one real HTTP server on loopback for all of them, told apart by the host they are asked as. What is
//! not told otherwise serves a good card.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, mpsc},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use igw::cards::fetch::ConnectTo;
use serde_json::{Value, json};

/// How an agent answers.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// A card, where today's agents serve it.
    Card(Value),
    /// A card, where agents served it before.
    OldPath(Value),
    /// Not at all.
    Silent,
    /// A body that is too large.
    Huge,
    /// A redirect to another agent, which has a good card.
    Redirect(String),
    /// Some text.
    Text(&'static str),
    /// An error.
    Status(u16),
}

/// The agents.
pub(crate) struct Agents {
    port: u16,
    state: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    behaviours: HashMap<String, Behaviour>,
    /// Host, path and whether the question was conditional.
    asked: Vec<(String, String, bool)>,
}

/// The agents of this process.
pub(crate) fn agents() -> &'static Agents {
    static AGENTS: LazyLock<Agents> = LazyLock::new(Agents::start);
    &AGENTS
}

/// How an Agent is asked: the name of its Service with its port.
pub(crate) fn host(namespace: &str, name: &str) -> String {
    format!("{name}.{namespace}.svc.cluster.local:8080")
}

/// A good card.
pub(crate) fn card(name: &str, version: &str) -> Value {
    json!({
        "name": name,
        "version": version,
        "description": "does what tests need",
        "url": "http://localhost:8080",
        "capabilities": {"streaming": true, "pushNotifications": false},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "a", "name": "add", "description": "adds", "tags": ["math"]}],
    })
}

impl Agents {
    /// In a thread of its own, because every test has a runtime of its own.
    fn start() -> Self {
        let state = Arc::new(Mutex::new(Inner::default()));
        let (port, started) = mpsc::channel();
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                port.send(listener.local_addr().expect("an address").port()).expect("somebody waits");
                let routes = Router::new().fallback(answer).with_state(served);
                axum::serve(listener, routes).await.expect("a server");
            });
        });
        Self { port: started.recv().expect("a port"), state }
    }

    /// Leads every question here.
    pub(crate) fn detour(&self) -> ConnectTo {
        format!("::127.0.0.1:{}", self.port).parse().expect("a detour")
    }

    /// From now on an agent behaves so.
    pub(crate) fn behave(&self, host: &str, behaviour: Behaviour) {
        self.state.lock().expect("no panic").behaviours.insert(host.into(), behaviour);
    }

    /// What an agent was asked: paths, with ` if changed` behind those that were asked conditionally.
    pub(crate) fn asked(&self, host: &str) -> Vec<String> {
        let state = self.state.lock().expect("no panic");
        let of_host = state.asked.iter().filter(|(asked, ..)| asked == host);
        of_host
            .map(|(_, path, conditional)| format!("{path}{}", if *conditional { " if changed" } else { "" }))
            .collect()
    }
}

async fn answer(State(state): State<Arc<Mutex<Inner>>>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let text = |name| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (host, path, known) = (text(header::HOST), request.uri.path().to_owned(), text(header::IF_NONE_MATCH));
    let behaviour = {
        let mut state = state.lock().expect("no panic");
        state.asked.push((host.clone(), path.clone(), !known.is_empty()));
        state.behaviours.get(&host).cloned()
    };
    let name = host.split('.').next().unwrap_or_default();
    let new = path == "/.well-known/agent-card.json";
    let (card, here) = match behaviour {
        None => (card(name, "1.0.0"), new),
        Some(Behaviour::Card(card)) => (card, new),
        Some(Behaviour::OldPath(card)) => (card, path == "/.well-known/agent.json"),
        Some(Behaviour::Silent) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return StatusCode::OK.into_response();
        }
        Some(Behaviour::Huge) => return Body::from(vec![b' '; 2 << 20]).into_response(),
        Some(Behaviour::Redirect(to)) => {
            return (StatusCode::FOUND, [(header::LOCATION, format!("http://{to}{path}"))]).into_response();
        }
        Some(Behaviour::Text(text)) => return text.into_response(),
        Some(Behaviour::Status(code)) => return StatusCode::from_u16(code).expect("a status").into_response(),
    };
    let etag = format!("\"{}\"", igw::object::digest(card.to_string().as_bytes()));
    match (here, etag == known) {
        (false, _) => StatusCode::NOT_FOUND.into_response(),
        (true, true) => StatusCode::NOT_MODIFIED.into_response(),
        (true, false) => ([(header::ETAG, etag)], card.to_string()).into_response(),
    }
}
