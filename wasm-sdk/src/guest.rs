//! The side of the contract that is inside the sandbox. Only [`export_policy!`](crate::export_policy) uses it.

use std::sync::Once;

use self::bindings::inference_gateway::policy::host;
pub use self::bindings::{
    export_component,
    exports::inference_gateway::policy::policy::{Failure, Guest, Output},
};
use crate::{Error, Level, Policy, call};

#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, reason = "generated: the canonical ABI is pointers")]
mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "policy-module",
        pub_export_macro: true,
        export_macro_name: "export_component",
    });
}
pub use bindings::exports;

/// The operator gets the text of a panic; the trap that follows has none.
fn report_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(|panic| host::report_panic(&panic.to_string()))));
}

fn failure(error: &Error) -> Failure {
    Failure { message: error.to_string(), details: "{}".into() }
}

/// `validate-settings` of a policy.
///
/// # Errors
///
/// What the policy says of its settings.
pub fn validate_settings<P: Policy>(settings: &str) -> Result<(), Failure> {
    report_panics();
    call::validate_settings::<P>(settings).map_err(|error| failure(&error))
}

/// `rewrite` of a policy.
///
/// # Errors
///
/// Why the policy has no result.
pub fn rewrite<P: Policy>(context: &str, settings: &str, objects: &[String]) -> Result<Output, Failure> {
    report_panics();
    let objects = call::rewrite::<P>(context, settings, objects).map_err(|error| failure(&error))?;
    Ok(Output { objects, details: "{}".into() })
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => host::Level::Debug,
        Level::Info => host::Level::Info,
        Level::Warn => host::Level::Warn,
        Level::Error => host::Level::Error,
    };
    host::log(level, message);
}
