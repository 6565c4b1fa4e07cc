//! Moves the epoch of an engine while something runs in it, and sleeps otherwise.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use wasmtime::Engine;

#[derive(Debug, Default)]
struct Calls {
    running: bool,
    /// Whether anything ran since the last tick: waking the thread for every call would cost more than the call.
    recent: bool,
    awake: bool,
}

#[derive(Debug, Default)]
struct Shared {
    calls: Mutex<Calls>,
    wake: Condvar,
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that ends with the process.
#[derive(Debug)]
pub(super) struct Ticker(Arc<Shared>);

/// While this lives, the epoch moves.
#[derive(Debug)]
pub(super) struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.calls().running = false;
    }
}

impl Ticker {
    pub(super) fn start(engine: Engine, tick: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        let (up, wait_for_it) = mpsc::sync_channel(1);
        thread::Builder::new().name("epoch".into()).stack_size(64 << 10).spawn(move || {
            let _ = up.send(());
            loop {
                let mut calls = ours.calls();
                while !calls.awake {
                    calls = ours.wake.wait(calls).unwrap_or_else(PoisonError::into_inner);
                }
                let wait = ours.wake.wait_timeout(calls, tick);
                let (mut calls, _) = wait.unwrap_or_else(PoisonError::into_inner);
                calls.awake = calls.running || calls.recent;
                calls.recent = false;
                drop(calls);
                engine.increment_epoch();
            }
        })?;
        // A thread that is still starting makes system calls that are forbidden in a moment.
        let _ = wait_for_it.recv();
        Ok(Self(shared))
    }

    pub(super) fn run(&self) -> Running {
        let mut calls = self.0.calls();
        (calls.running, calls.recent) = (true, true);
        if !calls.awake {
            calls.awake = true;
            self.0.wake.notify_one();
        }
        Running(Arc::clone(&self.0))
    }
}
