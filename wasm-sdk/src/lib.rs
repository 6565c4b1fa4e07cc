//! What a policy is written with: a function from the objects that the operator generated to the objects that there
//! should be.
//!
//! A policy is a type with settings and two functions, and one line that makes a WebAssembly module of it:
//!
//! ```
//! use serde::Deserialize;
//! use wasm_sdk::{Context, Error, Objects, Policy, export_policy};
//!
//! struct Team;
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "camelCase", deny_unknown_fields)]
//! struct Settings {
//!     label: String,
//! }
//!
//! impl Policy for Team {
//!     type Settings = Settings;
//!
//!     fn rewrite(context: &Context, settings: &Settings, objects: &mut Objects) -> Result<(), Error> {
//!         for mut template in objects.pod_templates() {
//!             template.set_label(&settings.label, &context.parent.metadata.namespace);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_policy!(Team);
//! ```
//!
//! It is a plain function on a developer's machine, so it is tested there: see [`testing`]. In the operator it runs in a
//! sandbox without clock, randomness, files and network, once for each custom resource that it matches, in a fresh
//! instance each time. The same arguments must give the same result: iterate over sorted maps, not hash maps. A panic is
//! reported to the operator with its text.
//!
//! What comes out is not trusted: the operator compares it with what went in, and refuses what a policy may not change.

pub mod call;
mod context;
mod error;
#[cfg(target_family = "wasm")]
pub mod guest;
mod log;
mod objects;
mod pod;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

use serde::de::DeserializeOwned;

pub use context::{Context, Metadata, Parent, PolicyName};
pub use error::Error;
pub use log::{Level, log};
pub use objects::{Object, Objects};
pub use pod::{Container, PodTemplate};
/// The crate that settings are read with.
pub use serde;
/// The crate that objects are made of.
pub use serde_json;

/// What a policy does.
pub trait Policy {
    /// The settings, as `spec.settings` of the policy's custom resource has them. They fit `settings.schema.json` before
    /// they come here. Derive `Deserialize` with `deny_unknown_fields`, so that both refuse the same words.
    type Settings: DeserializeOwned;

    /// Whether the settings make sense, as far as their schema cannot say. Asked once, before the first custom resource.
    ///
    /// # Errors
    ///
    /// When they make none: say which field, as `settings.env[0].name`.
    fn validate(settings: &Self::Settings) -> Result<(), Error> {
        let _ = settings;
        Ok(())
    }

    /// Rewrites the generated objects of one custom resource. Only objects of the kinds that the policy asked for in its
    /// `policy.yaml`, and that its custom resource matches, are there.
    ///
    /// # Errors
    ///
    /// When there is no right result. The custom resource then stays as it is, and says why.
    fn rewrite(context: &Context, settings: &Self::Settings, objects: &mut Objects) -> Result<(), Error>;
}

/// Makes a WebAssembly module of a [`Policy`]. Once in a crate of type `cdylib`; nothing on any other machine.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Module;
            impl $crate::guest::Guest for Module {
                fn validate_settings(settings: String) -> Result<(), $crate::guest::Failure> {
                    $crate::guest::validate_settings::<$policy>(&settings)
                }
                fn rewrite(
                    context: String,
                    settings: String,
                    objects: Vec<String>,
                ) -> Result<$crate::guest::Output, $crate::guest::Failure> {
                    $crate::guest::rewrite::<$policy>(&context, &settings, &objects)
                }
            }
    $crate::guest::export_component!(Module with_types_in $crate::guest);
        };
    };
}
