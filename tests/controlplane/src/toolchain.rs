//! The programs of the control plane: which there are, where they are cached, and which of them must be built first.

use std::{
    env,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::go_build::{self, Build};

/// Changes whenever the way of building changes, so that binaries built in the old way are not used any more.
const FORMAT: &str = "1";

/// The programs of the control plane, ready to be started.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The database.
    pub etcd: PathBuf,
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// The controllers: Deployments, ReplicaSets, garbage collector and the like.
    pub kube_controller_manager: PathBuf,
    /// The scheduler.
    pub kube_scheduler: PathBuf,
    /// The command line client, of the same version.
    pub kubectl: PathBuf,
    /// The simulator of nodes and pods.
    pub kwok: PathBuf,
}

impl Binaries {
    /// Finds the programs and builds those that are missing, showing progress on stderr.
    ///
    /// `KUBEBUILDER_ASSETS`, if set, names a folder with etcd, kube-apiserver and perhaps kubectl that are used as they are.
    pub fn ensure() -> Result<Self> {
        let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        if let Some(folder) = &assets {
            for program in ["etcd", "kube-apiserver"] {
                if !folder.join(program).is_file() {
                    bail!(
                        "KUBEBUILDER_ASSETS is {} but there is no {program} in it: correct it, or unset it to have {program} built",
                        folder.display()
                    );
                }
            }
        }
        let cache = cache_folder(&go_build::go_version()?)?;
        let place = |program: &str| match &assets {
            Some(folder) if folder.join(program).is_file() => folder.join(program),
            _ => cache.join(program),
        };
        let binaries = Self {
            etcd: place("etcd"),
            kube_apiserver: place("kube-apiserver"),
            kube_controller_manager: place("kube-controller-manager"),
            kube_scheduler: place("kube-scheduler"),
            kubectl: place("kubectl"),
            kwok: place("kwok"),
        };
        if !binaries.missing(&cache).is_empty() {
            fs::create_dir_all(&cache).with_context(|| {
                format!("cannot create the cache folder {}: set XDG_CACHE_HOME to a writable one", cache.display())
            })?;
            let _lock = lock(&cache)?;
            // Asked again, because another process may have built them while this one waited.
            go_build::run(&binaries.missing(&cache), &cache)?;
        }
        Ok(binaries)
    }

    /// A kubectl command that talks to the cluster of `kubeconfig`, whatever the environment says.
    pub fn kubectl(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(kubeconfig);
        command
    }

    fn all(&self) -> [(&'static str, &Path); 6] {
        [
            ("etcd", &self.etcd),
            ("kube-apiserver", &self.kube_apiserver),
            ("kube-controller-manager", &self.kube_controller_manager),
            ("kube-scheduler", &self.kube_scheduler),
            ("kubectl", &self.kubectl),
            ("kwok", &self.kwok),
        ]
    }

    /// The builds whose result is not in the cache. A file there is complete: it is moved in when its build has succeeded.
    fn missing(&self, cache: &Path) -> Vec<Build> {
        let absent: Vec<&str> = self
            .all()
            .into_iter()
            .filter(|(_, path)| path.starts_with(cache) && !path.is_file())
            .map(|(program, _)| program)
            .collect();
        Build::all().into_iter().filter_map(|build| build.only(&absent)).collect()
    }
}

/// One folder per content of the Go modules and version of Go: a changed dependency never meets an old binary.
fn cache_folder(go_version: &str) -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").context(
            "neither XDG_CACHE_HOME nor HOME is set: set one of them, the built control plane is kept there",
        )?)
        .join(".cache"),
    };
    let mut inputs = Vec::new();
    for module in [go_build::KUBERNETES, go_build::KWOK] {
        for file in ["go.mod", "go.sum"] {
            let path = Path::new(module).join(file);
            inputs.push(
                fs::read(&path)
                    .with_context(|| format!("cannot read {}: it belongs to the checkout", path.display()))?,
            );
        }
    }
    Ok(base.join("igw-controlplane").join(cache_key(&inputs, go_version)))
}

fn cache_key(inputs: &[Vec<u8>], go_version: &str) -> String {
    let mut hash = Sha256::new();
    for part in inputs.iter().map(Vec::as_slice).chain([go_version.as_bytes(), FORMAT.as_bytes()]) {
        // The length keeps two neighbouring inputs apart.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// Two processes never build the same thing: the second waits for the first and finds its result.
fn lock(cache: &Path) -> Result<File> {
    let path = cache.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            eprintln!(
                "controlplane: another process is building the control plane, waiting for it (lock file {})",
                path.display()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::cache_key;

    #[test]
    fn the_cache_key_follows_every_input() {
        let inputs = vec![b"module a".to_vec(), b"sum".to_vec()];
        let key = cache_key(&inputs, "go1.26.8");
        assert_eq!(key, cache_key(&inputs, "go1.26.8"));
        assert_eq!(key.len(), 24);
        assert_ne!(key, cache_key(&inputs, "go1.26.9"));
        assert_ne!(key, cache_key(&[b"module a".to_vec(), b"sun".to_vec()], "go1.26.8"));
        assert_ne!(key, cache_key(&[b"module as".to_vec(), b"um".to_vec()], "go1.26.8"));
    }
}
