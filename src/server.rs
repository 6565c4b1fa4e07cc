//! Metrics and probes over HTTP.

use std::sync::Arc;

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{args::Bind, controller::Shared};

/// Listens where it is asked to. The servers end when the result is dropped.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn listen(metrics: &Bind, probes: &Bind, shared: Arc<Shared>) -> Result<JoinSet<()>, String> {
    let mut servers = JoinSet::new();
    let metric_routes = Router::new().route("/metrics", get(text)).with_state(Arc::clone(&shared));
    let probe_routes =
        Router::new().route("/healthz", get(|| async { "ok" })).route("/readyz", get(ready)).with_state(shared);
    for (flag, bind, routes) in
        [("--metrics-bind-address", metrics, metric_routes), ("--health-probe-bind-address", probes, probe_routes)]
    {
        let Some(address) = &bind.0 else { continue };
        let listener = bind_to(address).await.map_err(|error| {
            format!("failed to listen on {address}: {error}; choose another with {flag}, or 0 to switch it off")
        })?;
        servers.spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "a server has ended");
            }
        });
    }
    Ok(servers)
}

/// No host means every address of both families, as Go reads it; IPv4 alone where there is no IPv6.
async fn bind_to(address: &str) -> std::io::Result<TcpListener> {
    match address.strip_prefix(':') {
        None => TcpListener::bind(address).await,
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
                TcpListener::bind(format!("0.0.0.0:{port}")).await
            }
            bound => bound,
        },
    }
}

async fn text(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], shared.context.metrics.text())
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    if shared.ready() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "a watch has not had its first list")
    }
}
