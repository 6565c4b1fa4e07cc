//! What a control plane process and its supervisor tell each other: the plan file, and lines of JSON over two pipes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Names the folder of the instance to a process that is to be its supervisor.
pub(crate) const FOLDER_VARIABLE: &str = "CONTROLPLANE_SUPERVISE";
/// If set, the folder with data, logs and audit log is left behind when the instance ends.
pub(crate) const KEEP_VARIABLE: &str = "CONTROLPLANE_KEEP";
/// Marks a report among what a test binary itself prints on stdout.
pub(crate) const MARK: &str = "@controlplane ";

/// Everything the supervisor may have to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) components: Vec<Component>,
}

/// A program with its arguments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Those with the highest number are stopped first; what needs another one has a higher number than that.
    pub(crate) level: u8,
}

impl Plan {
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::write(folder.join("plan.json"), serde_json::to_vec_pretty(self)?)
            .context("cannot write the plan of the control plane")
    }

    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("plan.json");
        let text = fs::read(&path).with_context(|| {
            format!("cannot read {}: a supervisor is started by the control plane, not by hand", path.display())
        })?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not a plan", path.display()))
    }
}

/// Where the output of a component goes.
pub(crate) fn log_file(folder: &Path, component: &str) -> PathBuf {
    folder.join("logs").join(format!("{component}.log"))
}

/// What the supervisor is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    Start(String),
    Stop(String),
}

/// What the supervisor tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// It runs and reads requests.
    Ready,
    Started {
        name: String,
        pid: u32,
    },
    /// It ended because it was asked to.
    Stopped {
        name: String,
    },
    /// It could not be started, or ended by itself.
    Died {
        name: String,
        why: String,
    },
}
