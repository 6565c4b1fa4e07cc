//! The operator's side of policies: loads modules and has them called, in children that hold nothing.
//!
//! One child compiles one module and ends. Another one evaluates, one call at a time, and is started again when it dies;
//! native code goes through this process as bytes and is never mapped in it.

mod compiler;
mod evaluator;
mod memo;
mod process;

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use self::{
    evaluator::Evaluator,
    memo::{Key, Memo},
};
use super::{
    failure::{Failure, Reason},
    limits::{self, Limits},
    module::{self, Inspected},
    protocol::{Report, Request},
};
use crate::object::digest;

/// Failed digests that are remembered.
const FAILED: usize = 256;

/// A module that was read, compiled and tried out.
pub struct Module {
    /// Digest of the bytes as they were given, packed or not.
    pub digest: String,
    /// What it says of itself and what it is made of.
    pub inspected: Inspected,
    /// Bytes as given.
    pub packed: usize,
    /// Bytes, unpacked.
    pub unpacked: usize,
    /// How long compiling took.
    pub compile_time: Duration,
    /// Hash of the engine that its code is for.
    pub engine: u64,
    native: Vec<u8>,
    /// Its calls wait for each other, so that a slow one keeps others waiting for one of its calls and not for all of them.
    turn: tokio::sync::Mutex<()>,
}

/// Without the code, which is long.
impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("digest", &self.digest).field("code", &self.code()).finish_non_exhaustive()
    }
}

impl Module {
    /// Bytes of native code.
    #[must_use]
    pub fn code(&self) -> usize {
        self.native.len()
    }

    fn schema(&self) -> String {
        self.inspected.manifest.settings.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

/// A module that can be called. While anybody holds it, its code stays.
pub type Loaded = Arc<Module>;

/// One call of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Uid and generation of the policy, so that nothing that another one made is ever given out.
    pub policy: &'a str,
    /// What it may use.
    pub limits: Limits,
    /// Which custom resource and which policy, a JSON document.
    pub context: &'a str,
    /// A JSON document.
    pub settings: &'a str,
    /// A JSON document each.
    pub objects: &'a [String],
}

/// How a call went.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// What the child said. What is remembered comes without a log.
    pub report: Report,
    /// Whether it was remembered, and nothing ran.
    pub remembered: bool,
}

/// Figures for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Modules that are kept.
    pub modules: usize,
    /// Their native code in bytes.
    pub code: usize,
    /// Modules that were compiled, well or not.
    pub compiled: u64,
    /// Evaluating children that were started.
    pub started: u64,
    /// Bytes of results that are remembered.
    pub remembered: usize,
}

#[derive(Debug, Default)]
struct Cache {
    modules: HashMap<String, Loaded>,
    failed: HashMap<String, Failure>,
}

/// Loads and calls policies.
#[derive(Debug)]
pub struct Engine {
    program: PathBuf,
    cache: Mutex<Cache>,
    memo: Mutex<Memo>,
    /// One compilation at a time; who waits is served in turn.
    compiling: tokio::sync::Mutex<()>,
    compiled: AtomicU64,
    evaluator: tokio::sync::Mutex<Evaluator>,
    started: Arc<AtomicU64>,
}

impl Default for Engine {
    /// An engine whose children are this very program.
    fn default() -> Self {
        // Not `current_exe`: that is a path, which another version may have taken by now. This is the running program.
        Self::new("/proc/self/exe".into())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// An engine whose children run `program`, which has to be igw.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        let started = Arc::new(AtomicU64::new(0));
        Self {
            evaluator: tokio::sync::Mutex::new(Evaluator::new(program.clone(), Arc::clone(&started))),
            program,
            cache: Mutex::default(),
            memo: Mutex::default(),
            compiling: tokio::sync::Mutex::default(),
            compiled: AtomicU64::new(0),
            started,
        }
    }

    /// Reads a module, compiles it and tries it out. The caller has compared the digest of the bytes before.
    ///
    /// # Errors
    /// Why it cannot be used. The same bytes are not compiled again.
    pub async fn load(&self, bytes: &[u8]) -> Result<Loaded, Failure> {
        self.load_within(bytes, limits::ALL_CODE).await
    }

    /// As [`Engine::load`], when the native code of all modules is no more than `most` after that.
    ///
    /// # Errors
    /// See there.
    pub async fn load_within(&self, bytes: &[u8], most: usize) -> Result<Loaded, Failure> {
        let digest = digest(bytes);
        if let Some(known) = self.known(&digest) {
            return known;
        }
        let _turn = self.compiling.lock().await;
        // Somebody may have done it while this one waited.
        if let Some(known) = self.known(&digest) {
            return known;
        }
        let loaded = self.load_new(digest.clone(), bytes, most).await;
        let mut cache = lock(&self.cache);
        match &loaded {
            Ok(module) => {
                cache.modules.insert(digest, Arc::clone(module));
            }
            Err(failure) if failure.reason == Reason::EngineUnavailable => {}
            Err(failure) => {
                if cache.failed.len() >= FAILED {
                    cache.failed.clear();
                }
                cache.failed.insert(digest, failure.clone());
            }
        }
        loaded
    }

    fn known(&self, digest: &str) -> Option<Result<Loaded, Failure>> {
        let cache = lock(&self.cache);
        let loaded = cache.modules.get(digest).map(|module| Ok(Arc::clone(module)));
        loaded.or_else(|| cache.failed.get(digest).map(|failure| Err(failure.clone())))
    }

    async fn load_new(&self, digest: String, bytes: &[u8], most: usize) -> Result<Loaded, Failure> {
        let packed = bytes.len();
        let bytes = bytes.to_vec();
        // Reading a large module takes tens of milliseconds.
        let read = tokio::task::spawn_blocking(move || {
            let component = module::unpack(&bytes)?.into_owned();
            let inspected = module::inspect(&component)?;
            Ok((component, inspected))
        });
        let (component, inspected) = read
            .await
            .map_err(|error| Failure::new(Reason::InvalidModule, format!("failed to read the module: {error}")))??;
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        let (engine, native) = compiler::compile(&self.program, &component).await?;
        let compile_time = start.elapsed();
        self.make_room(native.len(), most)?;
        let unpacked = component.len();
        let module = Arc::new(Module {
            digest,
            inspected,
            packed,
            unpacked,
            compile_time,
            engine,
            native,
            turn: <_>::default(),
        });
        let tried = self.evaluator.lock().await.load(&module, &self.in_use()).await;
        // A child that was killed may have been killed for another one's sake.
        let report = tried.map_err(|failure| match failure.reason.is_lasting() {
            true => failure,
            false => Failure::new(Reason::EngineUnavailable, failure.to_string()),
        })?;
        report.result.map(|_| module)
    }

    /// Forgets code that nobody holds, when there is too much.
    fn make_room(&self, wanted: usize, most: usize) -> Result<(), Failure> {
        let mut cache = lock(&self.cache);
        let total = |cache: &Cache| cache.modules.values().map(|module| module.code()).sum::<usize>();
        if total(&cache) + wanted > most {
            cache.modules.retain(|_, module| Arc::strong_count(module) > 1);
        }
        let total = total(&cache);
        if total + wanted <= most {
            return Ok(());
        }
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        let words = format!(
            "its native code has {} MiB, and the other policies have {} of {} MiB",
            mib(wanted),
            mib(total),
            mib(most)
        );
        // Another time there may be room, so this is not the module's fault.
        Err(Failure::new(Reason::EngineUnavailable, words))
    }

    fn in_use(&self) -> Vec<String> {
        lock(&self.cache).modules.keys().cloned().collect()
    }

    /// Checks settings: by the schema of the policy, then by the policy itself.
    ///
    /// # Errors
    /// Why they will not do, or why that could not be found out.
    pub async fn validate_settings(&self, loaded: &Loaded, settings: &str, limits: Limits) -> Result<(), Failure> {
        let (key, settings) = (loaded.digest.clone(), settings.to_owned());
        let request = Request::ValidateSettings { key, settings, limits };
        self.evaluator.lock().await.ask(loaded, &request, &self.in_use()).await?.result.map(drop)
    }

    /// Has a policy rewrite objects, or remembers what it made of them. The result is not to be trusted.
    pub async fn rewrite(&self, loaded: &Loaded, call: Call<'_>) -> Evaluated {
        let key = Key::new(&loaded.digest, loaded.engine, &call);
        if let Some(report) = lock(&self.memo).get(&key) {
            return Evaluated { report, remembered: true };
        }
        let request = Request::Rewrite {
            key: loaded.digest.clone(),
            context: call.context.to_owned(),
            settings: call.settings.to_owned(),
            objects: call.objects.to_owned(),
            limits: call.limits,
        };
        let asked = match tokio::time::timeout(limits::EVALUATE_WALL, loaded.turn.lock()).await {
            Ok(_turn) => self.evaluator.lock().await.ask(loaded, &request, &self.in_use()).await,
            Err(_) => Err(Failure::new(Reason::EngineUnavailable, "earlier calls of it take too long")),
        };
        let report = asked.unwrap_or_else(|failure| Report::of(Err(failure)));
        if report.result.as_ref().err().is_none_or(|failure| failure.reason.is_lasting()) {
            lock(&self.memo).put(key, &report);
        }
        Evaluated { report, remembered: false }
    }

    /// Figures for metrics.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let cache = lock(&self.cache);
        Figures {
            modules: cache.modules.len(),
            code: cache.modules.values().map(|module| module.code()).sum(),
            compiled: self.compiled.load(Ordering::Relaxed),
            started: self.started.load(Ordering::Relaxed),
            remembered: lock(&self.memo).bytes(),
        }
    }

    /// Has the evaluating child do what it must not; for the test of its cage.
    ///
    /// # Errors
    /// How the child ended.
    #[cfg(debug_assertions)]
    pub async fn misbehave(&self, how: &str) -> Result<Report, Failure> {
        self.evaluator.lock().await.misbehave(how).await
    }

    /// Process of the evaluating child, while there is one; for tests that look at it.
    #[cfg(debug_assertions)]
    pub async fn evaluator(&self) -> Option<u32> {
        self.evaluator.lock().await.process()
    }
}
