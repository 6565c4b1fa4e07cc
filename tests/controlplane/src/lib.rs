//! A real Kubernetes control plane that anyone can start: for the demo, the tests and the benchmark.
//!
//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler are built from their Go sources once and cached; the nodes
//! are simulated by kwok, so pods become Running and Ready without containers. Each instance has its own folder, ports and CA.
//!
//! In a test binary:
//!
//! ```no_run
//! use controlplane::{ControlPlane, Supervisor, User};
//!
//! // The test binary starts itself again with this test as the supervisor; in a normal run it does nothing.
//! #[test]
//! fn supervise() {
//!     controlplane::supervise_if_asked();
//! }
//!
//! # async fn example() -> anyhow::Result<()> {
//! let plane = ControlPlane::shared(Supervisor::libtest("supervise")?).await?;
//! let namespace = plane.create_namespace("example").await?;
//! let client = plane.client(User::Admin).await?;
//! # Ok(())
//! # }
//! ```

use std::{env, path::PathBuf, process};

mod access;
mod audit;
mod cards;
mod components;
mod credentials;
mod definitions;
mod go_build;
mod handle;
mod instance;
mod plan;
mod ports;
mod simulated;
mod supervised;
mod supervisor;
mod toolchain;

pub use audit::{Audit, AuditEntry, AuditObject, AuditResponse, AuditUser};
pub use cards::CardServer;
pub use credentials::User;
pub use definitions::{gateway_api, istio, prometheus_operator};
pub use handle::Supervisor;
pub use instance::{ControlPlane, Options};
pub use ports::free_port;
pub use supervised::Supervised;
pub use toolchain::Binaries;

/// Label of a pod template: the container state in which its pods get stuck, one of `CreateContainerConfigError`,
/// `ImagePullBackOff` and `CrashLoopBackOff`. Without it pods run.
pub const POD_LABEL: &str = "controlplane.test/pod";

/// Annotation of a pod template: the message of the state that [`POD_LABEL`] asks for.
pub const MESSAGE_ANNOTATION: &str = "controlplane.test/message";

/// Becomes the supervisor, and ends the process after that, if this process was started to be one; returns at once otherwise.
pub fn supervise_if_asked() {
    let Some(folder) = env::var_os(plan::FOLDER_VARIABLE) else {
        return;
    };
    let code = match supervisor::run(&PathBuf::from(folder)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("the supervisor failed: {error:#}");
            1
        }
    };
    process::exit(code);
}
