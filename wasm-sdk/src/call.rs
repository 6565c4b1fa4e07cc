//! One call of a policy as the operator makes it: JSON texts in, JSON texts out. PURE.
//!
//! The sandbox and the tests of a policy come through here, so that both see the same words.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Context, Error, Objects, Policy};

/// Whether settings make sense.
///
/// # Errors
///
/// When they cannot be read, or when the policy says no.
pub fn validate_settings<P: Policy>(settings: &str) -> Result<(), Error> {
    P::validate(&read("settings", settings)?)
}

/// Rewrites objects.
///
/// # Errors
///
/// When an argument cannot be read, or when the policy has no result.
pub fn rewrite<P: Policy>(context: &str, settings: &str, objects: &[String]) -> Result<Vec<String>, Error> {
    let context: Context = read("the context", context)?;
    let settings = read("settings", settings)?;
    let documents = objects.iter().map(|object| read::<Value>("an object", object));
    let mut objects = Objects::new(documents.collect::<Result<Vec<_>, _>>()?);
    P::rewrite(&context, &settings, &mut objects)?;
    Ok(objects.into_documents().iter().map(Value::to_string).collect())
}

fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| format!("failed to read {what}: {error}").into())
}
