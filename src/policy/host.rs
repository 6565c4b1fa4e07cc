//! The one wrapper around wasmtime: compiles a component, and calls it in a fresh store with every limit set.
//!
//! It is used in children of the operator alone, see [`super::roles`]. The same component, arguments and limits give
//! the same bytes on every run: a guest has no clock and no randomness, NaNs have one form, and fuel decides before
//! time does.

mod store;
mod ticker;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Instant,
};

use wasmparser::WasmFeatures;
use wasmtime::{
    Config, Engine, Store, StoreContextMut, Trap,
    component::{Linker, WasmStr},
};

use self::{store::State, ticker::Ticker};
use super::{
    failure::{Failure, Reason},
    limits::{self, Limits},
    protocol::{Level, Output, Report, Usage},
};

mod bindings {
    //! The contract as Rust, generated.
    wasmtime::component::bindgen!({ path: "wasm-sdk/wit", world: "policy-module" });
}

use bindings::{PolicyModule, PolicyModulePre, inference_gateway::policy::host as imported};

/// What a module may be made of; wasmtime's own default would grow with its releases.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::COMPONENT_MODEL);

/// How often the epoch moves while something runs.
const TICKS: u64 = 8;

/// An engine, and the functions that guests may call.
pub struct Host {
    engine: Engine,
    linker: Linker<State>,
    ticker: Option<Ticker>,
}

/// A component whose imports are linked, ready for a fresh store.
pub struct Policy(PolicyModulePre<State>);

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all().difference(FEATURES), false)
        .wasm_features(FEATURES, true)
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .wasm_backtrace_max_frames(None)
        .memory_reservation(Limits::default().memory)
        // It would map files, and needs system calls that a child does not have.
        .memory_init_cow(false);
    Engine::new(&config)
}

fn unavailable(error: &wasmtime::Error) -> Failure {
    Failure::new(Reason::EngineUnavailable, format!("failed to set up the engine: {error:#}"))
}

impl Host {
    /// An engine that compiles; it runs nothing.
    ///
    /// # Errors
    /// When this machine cannot have one.
    pub fn compiler() -> Result<Self, Failure> {
        let engine = engine().map_err(|error| unavailable(&error))?;
        let linker = linker(&engine).map_err(|error| unavailable(&error))?;
        Ok(Self { engine, linker, ticker: None })
    }

    /// An engine that runs, with the thread that watches the time.
    ///
    /// # Errors
    /// When this machine cannot have one.
    pub fn new() -> Result<Self, Failure> {
        let mut host = Self::compiler()?;
        let tick = limits::EPOCH / u32::try_from(TICKS).unwrap_or(1);
        let ticker = Ticker::start(host.engine.clone(), tick);
        host.ticker = Some(ticker.map_err(|error| unavailable(&wasmtime::Error::new(error)))?);
        Ok(host)
    }

    /// Tells engines apart whose native code is not interchangeable.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    /// Compiles a component to native code.
    ///
    /// # Errors
    /// When it breaks a rule of WebAssembly, or something runs out.
    pub fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Failure> {
        self.engine.precompile_component(component).map_err(|error| {
            let out_of_memory = error.is::<std::io::Error>() || error.is::<wasmtime::error::OutOfMemory>();
            let too_large = error.to_string().contains("Code for function is too large");
            let reason = if out_of_memory || too_large { Reason::CompileLimit } else { Reason::InvalidModule };
            Failure::new(reason, format!("failed to compile the module: {error:#}"))
        })
    }

    /// Takes native code of [`Self::compile`], and links it; runs nothing yet.
    ///
    /// # Errors
    /// When it wants what is not offered, or does not offer what is wanted.
    pub fn link(&self, native: &[u8]) -> Result<Policy, Failure> {
        let component = wasm_host::component(&self.engine, native).map_err(|error| unavailable(&error))?;
        let linked = self.linker.instantiate_pre(&component).and_then(PolicyModulePre::new);
        linked.map(Policy).map_err(|error| interface(&error))
    }

    /// Makes an instance and drops it: types are compared only then.
    #[must_use]
    pub fn try_out(&self, policy: &Policy, limits: Limits) -> Report {
        self.call(policy, limits, |_, _| Ok(Ok(Output::default())))
    }

    /// Asks the policy what it thinks of settings.
    #[must_use]
    pub fn validate_settings(&self, policy: &Policy, settings: &str, limits: Limits) -> Report {
        self.call(policy, limits, |module, store| {
            let answer = module.inference_gateway_policy_policy().call_validate_settings(store, settings)?;
            Ok(match answer {
                Ok(()) => Ok(Output::default()),
                Err(refused) => Err(Failure::new(Reason::SettingsInvalid, refused.message)),
            })
        })
    }

    /// Has the policy rewrite objects.
    #[must_use]
    pub fn rewrite(
        &self,
        policy: &Policy,
        context: &str,
        settings: &str,
        objects: &[String],
        limits: Limits,
    ) -> Report {
        self.call(policy, limits, |module, store| {
            let answer = module.inference_gateway_policy_policy().call_rewrite(store, context, settings, objects)?;
            Ok(match answer {
                Ok(output) if output.objects.len() > limits::OBJECTS => {
                    let words = format!("it handed over more than {} objects", limits::OBJECTS);
                    Err(Failure::new(Reason::OutputLimit, words))
                }
                Ok(output) => Ok(Output { objects: output.objects, details: output.details }),
                Err(failed) => Err(Failure::new(Reason::PolicyFailed, failed.message)),
            })
        })
    }

    fn call(
        &self,
        policy: &Policy,
        limits: Limits,
        run: impl FnOnce(&PolicyModule, &mut Store<State>) -> wasmtime::Result<Result<Output, Failure>>,
    ) -> Report {
        let start = Instant::now();
        let _running = self.ticker.as_ref().map(Ticker::run);
        let mut store = Store::new(&self.engine, State::new(limits));
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits::HANDED_OVER);
        store.epoch_deadline_trap();
        store.set_epoch_deadline(TICKS + 1);
        let result = store.set_fuel(limits.fuel).map_err(|error| unavailable(&error)).and_then(|()| {
            let module = match policy.0.instantiate(&mut store) {
                Ok(module) => module,
                Err(error) => return Err(explain(&error, store.data(), interface)),
            };
            match run(&module, &mut store) {
                Ok(answer) => answer,
                Err(error) => Err(explain(&error, store.data(), unreadable)),
            }
        });
        let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or_default());
        let state = store.into_data();
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let usage = Usage { fuel, memory: state.memory_used(), micros };
        let (log, log_dropped) = state.into_log();
        Report { result, usage, log, log_dropped }
    }
}

/// What an error that is no trap and no limit means depends on when it comes.
fn explain(error: &wasmtime::Error, state: &State, otherwise: fn(&wasmtime::Error) -> Failure) -> Failure {
    // The guest's own words say more than the `unreachable` that follows them.
    if let Some(words) = state.panic() {
        return Failure::new(Reason::Panicked, words);
    }
    if let Some(refused) = state.refused() {
        return Failure::new(Reason::MemoryLimit, refused);
    }
    let Some(trap) = error.downcast_ref::<Trap>() else { return otherwise(error) };
    let (reason, words) = match trap {
        Trap::OutOfFuel => (Reason::FuelExhausted, "it used up its fuel: it loops, or has too much to do".to_owned()),
        Trap::Interrupt => (Reason::Timeout, format!("it was still running after {:?}", limits::EPOCH)),
        Trap::StackOverflow => (Reason::StackLimit, "it called itself too deep".to_owned()),
        Trap::UnreachableCodeReached => (Reason::Trapped, "it ended itself without saying why".to_owned()),
        other => (Reason::Trapped, other.to_string()),
    };
    Failure::new(reason, words)
}

fn interface(error: &wasmtime::Error) -> Failure {
    let said = format!("{error:#}");
    // More memories, tables or instances than there may be.
    if said.contains("resource limit exceeded") || said.contains("count too high") {
        return Failure::new(Reason::MemoryLimit, said);
    }
    Failure::new(
        Reason::WrongInterface,
        format!("the module and the operator do not agree: {said}; build it with the wasm-sdk of this operator"),
    )
}

fn unreadable(error: &wasmtime::Error) -> Failure {
    let said = format!("{error:#}");
    // The type of this error is not public; a test holds the words.
    if said.contains("fuel allocated for hostcalls has been exhausted") {
        let most = limits::HANDED_OVER >> 20;
        return Failure::new(Reason::OutputLimit, format!("it handed over more than {most} MiB in one call"));
    }
    Failure::new(Reason::BadOutput, format!("what it handed over cannot be read: {said}"))
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let mut host = linker.instance("inference-gateway:policy/host@1.0.0")?;
    host.func_wrap("log", |mut store: StoreContextMut<'_, State>, (level, text): (imported::Level, WasmStr)| {
        if !store.data().has_room() {
            pay(&mut store, 0)?;
            store.data_mut().drop_line();
            return Ok(());
        }
        let text = text.to_str(&store)?.into_owned();
        pay(&mut store, text.len())?;
        let level = match level {
            imported::Level::Debug => Level::Debug,
            imported::Level::Info => Level::Info,
            imported::Level::Warn => Level::Warn,
            imported::Level::Error => Level::Error,
        };
        store.data_mut().line(level, &text);
        Ok(())
    })?;
    host.func_wrap("report-panic", |mut store: StoreContextMut<'_, State>, (text,): (WasmStr,)| {
        let text = text.to_str(&store)?.into_owned();
        pay(&mut store, text.len())?;
        store.data_mut().panicked(&text);
        Ok(())
    })?;
    Ok(linker)
}

/// Host functions cost fuel too, so that a guest that only calls them runs out of it.
fn pay(store: &mut StoreContextMut<'_, State>, bytes: usize) -> wasmtime::Result<()> {
    let cost = limits::HOST_CALL_FUEL.saturating_add(bytes as u64);
    let left = store.get_fuel()?;
    store.set_fuel(left.saturating_sub(cost))?;
    if left < cost { Err(Trap::OutOfFuel.into()) } else { Ok(()) }
}
