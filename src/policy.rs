//! Policies: WebAssembly modules that rewrite what the operator generates, and everything that keeps them harmless.
//!
//! ```text
//! operator:  module (reads, PURE) --> engine (children, caches) <== pipe ==> roles: sandbox, then host (wasmtime)
//! ```
//!
//! Guest code is compiled and run by children of the operator only, see [`sandbox`] and [`roles`].

pub mod context;
pub mod engine;
pub mod failure;
pub mod grants;
pub mod host;
pub mod limits;
pub mod module;
pub mod paths;
pub mod protocol;
pub mod resource;
pub mod roles;
pub mod sandbox;
pub mod settings;
