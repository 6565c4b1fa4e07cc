//! `igw run`: the operator itself.

use tokio::signal::unix::{SignalKind, signal};

use super::{Error, connect};
use crate::{
    args::Run,
    cards::fetch,
    controller::{Operator, Options},
    scope::Scope,
    server, telemetry,
};

/// Runs until the process is asked to stop.
pub(super) async fn run(args: &Run) -> Result<(), Error> {
    telemetry::logs(&args.log_filter(), args.log_json()).map_err(|error| {
        format!("failed to set up logging: {error}; --log takes a level or a filter such as info,igw=debug")
    })?;
    if args.go.metrics_secure {
        tracing::warn!(
            "--metrics-secure has no effect: metrics are served without TLS; guard them with a network policy"
        );
    }
    if args.go.leader_elect {
        tracing::warn!("--leader-elect has no effect: run one replica, with strategy Recreate");
    }
    let scope = Scope::new(&args.watch_namespace_selector)?;
    let client = connect(&args.connection).await?;
    let authorities = args.agent_ca_file.as_ref().map(|file| {
        std::fs::read(file)
            .map_err(|error| format!("failed to read {}, given by --agent-ca-file: {error}", file.display()))
    });
    let agents = fetch::Options {
        connect_to: args.agent_connect_to.clone(),
        authorities: authorities.transpose()?,
        ..fetch::Options::default()
    };
    let added_kinds = args.policies.added.kinds();
    let operator =
        Operator::new(client, Options { scope, workers: args.workers, agents, added_kinds, ..Options::default() })?;
    let shared = operator.shared();
    let mut stop = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let servers = server::listen(&args.metrics_bind_address, &args.health_probe_bind_address, shared).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    operator
        .run(async move {
            tokio::select! {
                _ = stop.0.recv() => {}
                _ = stop.1.recv() => {}
            }
            tracing::info!("stopping");
        })
        .await?;
    drop(servers);
    Ok(())
}
