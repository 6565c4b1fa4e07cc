//! The one unsafe call of the workspace: native code of a policy becomes a component that can be called.
//!
//! It is a crate of its own because everything else forbids unsafe code, and stays this small so that it can be read
//! in a minute.

use wasmtime::{Engine, component::Component};

/// Takes native code that [`Engine::precompile_component`] made, in a process that holds nothing worth taking.
///
/// Wasmtime checks version, target and settings of the engine that made the code, but not the code itself: whoever can
/// choose these bytes runs what they like in this process. Why that is no hole here:
///
/// - The bytes come from a child of the operator that runs this very program (`igw policy-compile`), over a pipe, and
///   are kept in the memory of the operator under the digest of the module and the hash of the engine. They never
///   lie in a file, a ConfigMap or a cache that anybody else could write.
/// - The child that made them might itself have been taken over through a bug of the compiler. So this function is
///   called in `igw policy-evaluate` alone, behind the same limits and system-call filter, never in the operator.
///
/// # Errors
/// When the bytes are not of this engine.
pub fn component(engine: &Engine, native: &[u8]) -> wasmtime::Result<Component> {
    #[allow(unsafe_code, reason = "there is no other way to use code that another process compiled")]
    // SAFETY: see above; the caller hands in what our own compiling child wrote, and runs in the sandbox.
    unsafe {
        Component::deserialize(engine, native)
    }
}
