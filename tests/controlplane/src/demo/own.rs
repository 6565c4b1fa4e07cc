//! The demo on a control plane of its own.

use std::{cell::Cell, time::Duration};

use anyhow::{Result, bail};
use controlplane::{CardServer, ControlPlane, Supervisor, User};

use super::{Demo, examples::Examples, kubectl_cache};
use crate::{
    install::install,
    kinds::Kind,
    kubectl::Kubectl,
    operator::{Operator, cards_from},
    output::{interrupted, say, shell_lines},
};

/// Simulated pods are ready at once; what takes longer does not work.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) async fn run(demo: &Demo) -> Result<()> {
    let plane = tokio::select! {
        plane = ControlPlane::start(Supervisor::own_binary()?) => plane?,
        // Dropping the half-started one stops its parts.
        ended = interrupted() => return ended.and_then(|()| too_early()),
    };
    say(&format!(
        "Control plane ready in {:.1} s: {} with simulated nodes.",
        plane.startup().as_secs_f64(),
        plane.url()
    ));
    let shown = Cell::new(false);
    // Whichever ends first, the operator is dropped here and ends gracefully, before its API server.
    let result = tokio::select! {
        result = show(demo, &plane, &shown) => result,
        error = plane.failure() => Err(error),
        ended = interrupted() => match ended {
            Ok(()) if !shown.get() => too_early(),
            ended => ended,
        },
    };
    say("\nStopping.");
    plane.stop().await?;
    result
}

fn too_early() -> Result<()> {
    bail!("stopped before everything was ready")
}

async fn show(demo: &Demo, plane: &ControlPlane, shown: &Cell<bool>) -> Result<()> {
    let admin = plane.kubeconfig(User::Admin);
    let kubectl = Kubectl::new(plane.kubectl(), &admin, &kubectl_cache(plane.folder()));
    let examples = Examples::all()?;
    let resources = examples.resources();
    // The pods are simulated, so nothing would answer when the operator asks an Agent for its card.
    let cards = match resources.iter().any(|example| example.kind == Kind::Agent) {
        true => Some(CardServer::start().await?),
        false => None,
    };
    let arguments: Vec<String> = cards.iter().map(cards_from).collect();

    install(&kubectl).await?;
    let folder = plane.folder().join("operator");
    let operator = Operator::start(&demo.program, &plane.kubeconfig(User::Operator), &folder, &arguments).await?;
    say("CRDs installed, operator ready.");
    for folder in examples.folders() {
        let folder = folder.to_string_lossy();
        say(kubectl.run(&["apply", "-f", &folder]).await?.trim_end());
    }
    let client = plane.client(User::Admin).await?;
    demo.present(&client, &kubectl, &operator, &resources, PATIENCE).await?;
    shown.set(true);
    if demo.once {
        return operator.stop().await;
    }
    demo.stay(&shell_lines(&admin, kubectl.program())?, &operator, &resources).await
}
