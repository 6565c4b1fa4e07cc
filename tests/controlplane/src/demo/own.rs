//! The demo on a control plane of its own.

use std::{cell::Cell, fs, time::Duration};

use anyhow::{Context, Result, bail};
use controlplane::{CardServer, ControlPlane, Supervisor, User};

use super::{
    Demo,
    examples::Examples,
    kubectl_cache,
    policies::{self, WITH_POLICIES},
};
use crate::{
    install::install_as_printed,
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
    let added = vec![format!("--policy-added-kinds={}", policies::ADDED)];
    let definition = plane.folder().join("peerauthentications.yaml");
    fs::write(&definition, peer_authentications().await?)?;
    install_as_printed(&kubectl, &demo.program, &added, &definition, plane.folder()).await?;
    let arguments: Vec<String> = cards.iter().map(cards_from).chain(added).collect();
    let folder = plane.folder().join("operator");
    let operator = Operator::start(&demo.program, &plane.kubeconfig(User::Operator), &folder, &arguments).await?;
    say("CRDs installed, operator ready.");
    for folder in examples.folders() {
        let folder = folder.to_string_lossy();
        say(kubectl.run(&["apply", "-f", &folder]).await?.trim_end());
    }
    let client = plane.client(User::Admin).await?;
    demo.present(&client, &kubectl, &operator, &resources, PATIENCE).await?;
    let policies = policies::Show {
        program: &demo.program,
        client: &client,
        kubectl: &kubectl,
        operator: &operator,
        patience: PATIENCE,
    };
    policies.run(&Examples::policies()?).await?;
    demo.done();
    shown.set(true);
    if demo.once {
        return operator.stop().await;
    }
    demo.stay(&shell_lines(&admin, kubectl.program())?, &operator, &resources, WITH_POLICIES).await
}

/// The definition of the one kind of Istio's that the policies add; Istio itself is not needed to look at them.
async fn peer_authentications() -> Result<String> {
    let file = tokio::task::spawn_blocking(controlplane::istio).await??;
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = "\n  name: peerauthentications.security.istio.io\n";
    let document = text.split("\n---\n").find(|document| document.contains(name));
    Ok(document.with_context(|| format!("{} has no PeerAuthentication", file.display()))?.to_owned())
}
