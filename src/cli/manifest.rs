//! Manifests from files: YAML or JSON, one or many documents, lists taken apart.

use std::{fs, io::Read as _, path::Path};

use serde_json::Value;

use super::Error;

/// Reads every document of every file.
pub(super) fn read(files: &[impl AsRef<Path>]) -> Result<Vec<Value>, Error> {
    let mut documents = Vec::new();
    for file in files.iter().map(AsRef::as_ref) {
        if file.is_dir() {
            let mut inside: Vec<_> =
                fs::read_dir(file)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Error>>()?;
            inside.retain(|path| path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|e| end == *e)));
            inside.sort();
            documents.extend(read(&inside)?);
            continue;
        }
        let text = if file == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        } else {
            fs::read_to_string(file).map_err(|error| format!("failed to read {}: {error}", file.display()))?
        };
        let parsed: Vec<Value> = serde_saphyr::from_multiple(&text)
            .map_err(|error| format!("failed to parse {}: {error}", file.display()))?;
        documents.extend(parsed.into_iter().flat_map(items));
    }
    Ok(documents)
}

fn items(document: Value) -> Vec<Value> {
    match document {
        Value::Null => Vec::new(),
        mut list if list["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => match list["items"].take() {
            Value::Array(list) => list.into_iter().flat_map(items).collect(),
            _ => Vec::new(),
        },
        other => vec![other],
    }
}

/// Writes YAML documents.
pub(super) fn yaml(documents: &[Value]) -> Result<String, Error> {
    let mut text = String::new();
    for document in documents {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(document)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}
