//! `igw run`: the operator itself.

use tokio::signal::unix::{SignalKind, signal};

use super::{Error, admission, connect};
use crate::{
    args::{
        Run,
        policy::{self, Policies},
    },
    cards::fetch,
    controller::{Operator, Options},
    policies::{self, Switch},
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
    if relies_on_the_rule(&args.policies) {
        admission::installed(&client).await?;
    }
    let authorities = args.agent_ca_file.as_ref().map(|file| {
        std::fs::read(file)
            .map_err(|error| format!("failed to read {}, given by --agent-ca-file: {error}", file.display()))
    });
    let agents = fetch::Options {
        connect_to: args.agent_connect_to.clone(),
        authorities: authorities.transpose()?,
        ..fetch::Options::default()
    };
    let flags = &args.policies;
    let policies = policies::Options {
        switch: match flags.policies {
            Policies::Enforce => Switch::Enforce,
            Policies::Hold => Switch::Hold,
            Policies::Off => Switch::Off,
        },
        namespaced: flags.namespaced_policies,
        added_kinds: flags.added.kinds(),
        module_namespaces: flags.module_namespaces.iter().cloned().collect(),
        operator_name: flags.operator_name.clone(),
        operator_namespace: flags.operator_namespace.clone(),
        ..policies::Options::default()
    };
    let options = Options { scope, workers: args.workers, agents, policies, ..Options::default() };
    let operator = Operator::new(client, options)?;
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

/// Whether strangers' policies are to run on the word of the admission rule. In an emergency, when none are to run, the
/// operator starts whatever is installed.
fn relies_on_the_rule(flags: &policy::Operator) -> bool {
    flags.policies == Policies::Enforce && flags.namespaced_policies && !flags.without_admission_rule
}
