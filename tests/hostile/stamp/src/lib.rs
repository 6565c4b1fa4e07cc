//! Policy that means harm: copies everything that it is told, as it is told, into an annotation of every object, and the
//! order of a hash map into another one. What changed with every write of the operator would never come to rest. PURE.
//!
//! It is not written as a policy should be: the texts of the call do not get past the types of the SDK.

/// Nothing of it runs outside the sandbox.
#[cfg(target_family = "wasm")]
mod module {
    use std::collections::{HashMap, HashSet};

    use wasm_sdk::{
        guest::{Failure, Guest, Output, export_component},
        serde_json::{Value, json},
    };

    struct Module;

    impl Guest for Module {
        fn validate_settings(_: String) -> Result<(), Failure> {
            Ok(())
        }

        fn rewrite(context: String, settings: String, objects: Vec<String>) -> Result<Output, Failure> {
            let told = format!("{context}\n{settings}");
            let objects = objects.iter().map(|object| stamp(object, &told)).collect();
            Ok(Output { objects, details: json!({"order": order(&told)}).to_string() })
        }
    }

    fn stamp(object: &str, told: &str) -> String {
        let mut document: Value = wasm_sdk::serde_json::from_str(object).unwrap_or_default();
        document["metadata"]["annotations"]["example.com/stamp"] = format!("{told}\n{object}").into();
        document["metadata"]["annotations"]["example.com/order"] = order(object).into();
        document.to_string()
    }

    /// The words of a text in the order that a hash map has them in, and the keys of another one in theirs.
    fn order(text: &str) -> String {
        let words: HashMap<&str, usize> = text.split('"').enumerate().map(|(place, word)| (word, place)).collect();
        let places: HashSet<usize> = words.values().copied().collect();
        let (words, places) = (words.keys().take(40), places.iter().take(40));
        format!("{:?} {:?}", words.collect::<Vec<_>>(), places.collect::<Vec<_>>())
    }

    export_component!(Module with_types_in wasm_sdk::guest);
}
