//! Every path of the schemas is changed, and the guard and the oracle must say the same.
//!
//! `IGW_GUARD_CASES=100000 cargo test --release --test it guard` for many more of them.

use std::cell::Cell;

use igw::{
    object::{ChildKind, DesiredChild, Identity, compare as fields},
    policy::grants::Grants,
    reconcile::guard::{Subject, check},
};
use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::json;

use super::{
    generated, identity,
    mutation::{Choice, Deed, Place, mutate, places},
    of_kind,
    oracle::allows,
};

const PAGES: &[&str] =
    &["gateway/complete.yaml", "agent/complete.yaml", "mcp/complete.yaml", "orchestrator/complete.yaml"];
const DEEDS: &[Deed] =
    &[Deed::Set, Deed::Set, Deed::Set, Deed::Remove, Deed::WrongType, Deed::UnknownField, Deed::Reverse];

/// A set of objects, and the same with what a policy added to it.
struct Ground {
    identity: Identity,
    before: Vec<DesiredChild>,
    after: Vec<DesiredChild>,
    added: bool,
}

fn grounds() -> Vec<Ground> {
    let mut grounds = Vec::new();
    for page in PAGES {
        let before = generated(page);
        let mut after = before.clone();
        let pod = &mut of_kind(&mut after, ChildKind::Deployment)["spec"]["template"]["spec"];
        let mounts = json!([{"name": "scratch", "mountPath": "/scratch"}]);
        let container = |name: &str| json!({"name": name, "image": "granted", "env": [{"name": "A", "value": "b"}], "volumeMounts": mounts});
        pod["containers"].as_array_mut().expect("containers").insert(0, container("sidecar"));
        pod["initContainers"] = json!([container("first")]);
        let volumes = &mut pod["volumes"];
        if volumes.is_null() {
            *volumes = json!([]);
        }
        volumes.as_array_mut().expect("volumes").insert(0, json!({"name": "scratch", "emptyDir": {}}));
        let identity = identity(&before);
        grounds.push(Ground {
            identity: identity.clone(),
            before: before.clone(),
            after: before.clone(),
            added: false,
        });
        grounds.push(Ground { identity, before, after, added: true });
    }
    grounds
}

/// Grants by the bits of a number; everything that is granted by name is called "granted".
fn grants(bits: u8, ground: &Ground) -> Grants {
    let on = |bit: u8| bits & (1 << bit) != 0;
    let named = |bit: u8| if on(bit) { vec!["granted".to_owned()] } else { vec![] };
    let hosts = if on(6) { vec!["granted".to_owned(), "gateway.example.com".into()] } else { vec![] };
    Grants {
        images: if ground.added { vec!["granted".into()] } else { named(0) },
        secrets: named(1),
        config_maps: named(2),
        container_security: on(3),
        command: on(4),
        service_type: on(5),
        ingress_hosts: hosts,
        ..Grants::default()
    }
}

/// One change and whether it is allowed; `None` when there was nothing to change, an error when guard and oracle disagree.
fn compare(
    ground: &Ground,
    kind: ChildKind,
    place: &Place,
    deed: Deed,
    choice: &mut Choice<'_>,
    grants: &Grants,
) -> Result<Option<bool>, String> {
    let place_of = |children: &[DesiredChild]| children.iter().position(|child| child.id.kind == kind);
    let Some(index) = place_of(&ground.after) else { return Ok(None) };
    let mut after = ground.after[index].clone();
    if !mutate(&mut after.body, place, deed, choice) {
        return Ok(None);
    }
    let before = &ground.before[index..=index];
    let wanted = match deed {
        Deed::WrongType | Deed::UnknownField => false,
        _ => allows(kind, &before[0].body, &after.body, grants),
    };
    let subject = Subject { identity: &ground.identity, fixed: &[] };
    let found = check(&subject, before, vec![after.clone()], grants);
    if found.is_ok() == wanted {
        return Ok(Some(wanted));
    }
    let words = found.map(|_| "yes").map_err(|violation| violation.to_string());
    let (steps, id) = (&place.steps, &after.id);
    let made = fields::compare(&after.body, &ground.after[index].body);
    let made: Vec<_> = made.iter().map(|change| change.show(true)).collect();
    Err(format!("{id} {steps:?} {deed:?} {made:?}, {grants:?}: the oracle says {wanted}, the guard {words:?}"))
}

#[test]
fn every_path_of_every_schema_is_allowed_or_not_as_the_table_says() {
    let grounds = grounds();
    let (mut paths, mut cases, mut wrong) = (0, 0, Vec::new());
    for kind in ChildKind::ALL {
        for place in places(kind) {
            paths += 1;
            for ground in [&grounds[0], &grounds[1], &grounds[7]] {
                for deed in [Deed::Set, Deed::Remove, Deed::WrongType, Deed::UnknownField] {
                    match compare(ground, kind, &place, deed, &mut Choice(&[0], 0), &grants(0, ground)) {
                        Ok(done) => cases += usize::from(done.is_some()),
                        Err(error) => wrong.push(error),
                    }
                }
            }
        }
    }
    eprintln!("{paths} paths, {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases}: {}", wrong.len(), wrong[..wrong.len().min(5)].join("\n\n"));
    assert!(paths > 1_500, "the schemas were read: {paths}");
}

#[test]
fn whatever_is_changed_the_guard_says_what_the_oracle_says() {
    let cases = std::env::var("IGW_GUARD_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let grounds = grounds();
    let tables: Vec<_> = ChildKind::ALL.map(|kind| (kind, places(kind))).into();
    let total: usize = tables.iter().map(|(_, places)| places.len()).sum();
    let config = Config { cases, failure_persistence: None, max_global_rejects: u32::MAX, ..Config::default() };
    // Half of the cases go where something is allowed: most paths are not.
    let strategy = (any::<usize>(), any::<usize>(), any::<bool>(), any::<usize>(), vec(any::<u8>(), 24), any::<u8>());
    let of_interest: Vec<_> = tables
        .iter()
        .flat_map(|(kind, places)| places.iter().map(move |place| (*kind, place)))
        .filter(|(kind, place)| interesting(*kind, place))
        .collect();
    let all: Vec<_> = tables.iter().flat_map(|(kind, places)| places.iter().map(move |place| (*kind, place))).collect();
    let allowed = Cell::new(0_u32);
    let done = TestRunner::new(config).run(&strategy, |(ground, place, anywhere, deed, numbers, bits)| {
        let ground = &grounds[ground % grounds.len()];
        let list = if anywhere { &all } else { &of_interest };
        let (kind, place) = list[place % list.len()];
        let (grants, deed) = (grants(bits, ground), DEEDS[deed % DEEDS.len()]);
        match compare(ground, kind, place, deed, &mut Choice(&numbers, 0), &grants) {
            Ok(Some(wanted)) => allowed.set(allowed.get() + u32::from(wanted)),
            Ok(None) => return Err(TestCaseError::reject("nothing to change")),
            Err(error) => return Err(TestCaseError::fail(error)),
        }
        Ok(())
    });
    eprintln!("{cases} changes over {total} paths, {} of them allowed", allowed.get());
    if let Err(error) = done {
        panic!("{error}");
    }
    assert!(allowed.get() > cases / 10, "too few are allowed to mean anything: {}", allowed.get());
}

fn interesting(kind: ChildKind, place: &Place) -> bool {
    let text = format!("{:?}", place.steps);
    match kind {
        ChildKind::Deployment => {
            text.contains("containers")
                || text.contains("initContainers")
                || text.contains("volumes")
                || text.contains("template\"), Field(\"metadata")
        }
        ChildKind::HorizontalPodAutoscaler | ChildKind::Service | ChildKind::Ingress => !text.contains("status"),
        _ => text.contains("labels") || text.contains("annotations"),
    }
}
