//! `igw policy run`: a module on the objects that custom resources become.

use std::{
    fmt::{Display, Write as _},
    fs,
    path::PathBuf,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Error, Printed, load};
use crate::{
    args::policy::Run,
    cli::{
        manifest,
        render::{Given, Known, given},
    },
    object::{ChildKind, DesiredChild, compare::compare},
    policy::{
        context::context,
        engine::{Call, Engine, Loaded},
        grants::Grants,
        limits::Limits,
    },
    reconcile::{
        diff::Field,
        guard::{self, Subject},
        rewrite,
    },
};

/// Name of the policy that the module is told.
const POLICY: &str = "policy";

pub(super) async fn run(args: &Run) -> Result<Printed, Error> {
    let settings = match &args.settings {
        Some(file) => read::<Value>(file)?.to_string(),
        None => "{}".into(),
    };
    let grants = args.grants.as_ref().map(read::<Grants>).transpose()?.unwrap_or_default();
    let engine = Engine::default();
    let module = load(&engine, &args.module).await?;
    engine
        .validate_settings(&module, &settings, Limits::default())
        .await
        .map_err(|failure| format!("failed to validate the settings: {failure}"))?;
    let documents = manifest::read(&args.files)?;
    let known = Known::in_documents(&documents, &args.namespace);
    let mut printed = Printed { text: String::new(), notes: String::new() };
    let mut any = false;
    for mut document in documents {
        let Some(given) = given(&mut document, &args.namespace, &known)? else { continue };
        any = true;
        let after = one(&engine, &module, &settings, &grants, &document, &given, &mut printed.notes).await?;
        printed.notes.push_str(&changes(&given.generated, &after, args.show_values));
        printed.text.push_str(&manifest::yaml(&after)?);
    }
    if !any {
        return Err("failed to find a custom resource in the files: give at least one with -f".into());
    }
    Ok(printed)
}

fn read<T: DeserializeOwned>(file: &PathBuf) -> Result<T, Error> {
    let text = fs::read_to_string(file).map_err(|error| format!("failed to read {}: {error}", file.display()))?;
    serde_saphyr::from_str(&text).map_err(|error| format!("failed to parse {}: {error}", file.display()).into())
}

/// The objects with what the policy made of those it wants to see, as the guard admits them.
async fn one(
    engine: &Engine,
    module: &Loaded,
    settings: &str,
    grants: &Grants,
    document: &Value,
    given: &Given,
    notes: &mut String,
) -> Result<Vec<Value>, Error> {
    let wants = |kind: ChildKind| {
        let info = kind.info();
        module.inspected.manifest.kinds.iter().any(|wanted| wanted.group == info.group && wanted.kind == info.kind)
    };
    let (seen, unseen): (Vec<_>, Vec<_>) = given.generated.iter().partition(|child| wants(child.id.kind));
    let id = given.object.id(&given.info);
    let call = Call {
        policy: POLICY,
        limits: Limits::default(),
        context: &context(&given.info, &given.identity, &document["spec"], POLICY, ""),
        settings,
        objects: &seen.iter().map(|child| child.body.to_string()).collect::<Vec<_>>(),
    };
    let evaluated = engine.rewrite(module, call).await.report;
    let usage = evaluated.usage;
    // Writing to a String cannot fail.
    let _ = writeln!(notes, "{id}: {} of {} units of fuel, {} KiB", usage.fuel, call.limits.fuel, usage.memory >> 10);
    for line in &evaluated.log {
        let _ = writeln!(notes, "  {:?}: {}", line.level, line.text);
    }
    if evaluated.log_dropped > 0 {
        let _ = writeln!(notes, "  and {} lines more", evaluated.log_dropped);
    }
    let output = evaluated.result.map_err(|failure| format!("failed to rewrite the objects of {id}: {failure}"))?;
    let refused = |why: &dyn Display| format!("failed to admit what the policy made: {why}");
    let mut after: Vec<DesiredChild> = unseen.into_iter().cloned().collect();
    for text in &output.objects {
        after.push(rewrite::read(text).map_err(|error| refused(&error))?);
    }
    let subject = Subject { identity: &given.identity, fixed: given.fixed };
    let admitted = guard::check(&subject, &given.generated, after, grants).map_err(|violation| refused(&violation))?;
    Ok(admitted.into_iter().map(|child| child.body).collect())
}

fn key(object: &Value) -> [&str; 4] {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    [text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name")]
}

/// What is different, object by object and field by field.
fn changes(before: &[DesiredChild], after: &[Value], show_values: bool) -> String {
    let mut text = String::new();
    for object in after {
        let key = key(object);
        let name = format!("{} {}/{}", key[1], key[2], key[3]);
        let Some(old) = before.iter().find(|child| self::key(&child.body) == key) else {
            text.push_str(&format!("+ {name}\n"));
            continue;
        };
        let added = compare(object, &old.body);
        // The same asked the other way round: what is not there any more.
        let gone = compare(&old.body, object).into_iter().filter(|change| change.old.is_none()).map(|mut change| {
            std::mem::swap(&mut change.old, &mut change.new);
            change
        });
        let fields: Vec<_> = added.into_iter().chain(gone).map(|change| Field { opponent: None, change }).collect();
        if !fields.is_empty() {
            text.push_str(&format!("~ {name}\n"));
        }
        for field in fields {
            text.push_str(&format!("    {}\n", field.show(show_values)));
        }
    }
    text
}
