//! Containers: those that were there keep what makes them what they are, and others may stand beside them. PURE.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::{ContainerPort, ResourceRequirements, TopologySpreadConstraint};
use serde_json::Value;

use super::{
    ADDED, Case, GENERATED, Outcome, POD,
    difference::given,
    keyed::{NAME, pair},
    typed::{self, readable},
    unchanged, walk,
};
use crate::{object::path::Trail, policy::grants::Grant};

/// What the parts of a pod must know of each other.
pub(super) struct Pod<'a> {
    /// How many containers have a name, init containers among them.
    names: HashMap<&'a str, usize>,
    /// Names and numbers of the ports of the containers that were there before: Services and probes lead to them.
    ports: HashSet<Port<'a>>,
    /// Volumes, by name.
    pub(super) volumes: HashMap<&'a str, &'a Value>,
}

#[derive(PartialEq, Eq, Hash)]
enum Port<'a> {
    Name(&'a str),
    Number(i64),
}

fn items<'a>(pod: Option<&'a Value>, lists: &'static [&'static str]) -> impl Iterator<Item = &'a Value> {
    let lists = lists.iter().filter_map(move |list| pod?.get(*list)?.as_array());
    lists.flatten()
}

const LISTS: &[&str] = &["containers", "initContainers"];

pub(super) fn pod(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let mut pod = Pod { names: HashMap::new(), ports: HashSet::new(), volumes: HashMap::new() };
    for name in items(new, LISTS).filter_map(|container| container.get("name")?.as_str()) {
        *pod.names.entry(name).or_default() += 1;
    }
    for port in items(old, LISTS).filter_map(|container| container.get("ports")?.as_array()).flatten() {
        pod.ports.extend(port.get("name").and_then(Value::as_str).map(Port::Name));
        pod.ports.extend(port.get("containerPort").and_then(Value::as_i64).map(Port::Number));
    }
    pod.volumes.extend(items(new, &["volumes"]).filter_map(|volume| Some((volume.get("name")?.as_str()?, volume))));
    walk(&Case { pod: Some(&pod), ..*case }, &POD, trail, old, new)
}

pub(super) fn containers(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let paired = pair(case, trail, NAME, old, new)?;
    if let Some(dropped) = paired.dropped.first() {
        return Err(case.refused(&Trail::Element(trail, dropped, NAME), Some(dropped), None));
    }
    for (old, new) in &paired.new {
        let trail = Trail::Element(trail, new, NAME);
        let name = new.get("name").and_then(Value::as_str).unwrap_or_default();
        if case.pod.and_then(|pod| pod.names.get(name)).is_some_and(|count| *count > 1) {
            return Err(case.duplicate(trail.path()));
        }
        match old {
            Some((_, old)) => walk(case, &GENERATED, &trail, Some(old), Some(new))?,
            None if given("image", new.get("image")).is_none() => {
                return Err(case.needs(Grant::Images, &trail, None, Some(new)));
            }
            None => walk(case, &ADDED, &trail, None, Some(new))?,
        }
    }
    // Init containers run one after the other, and the first container is the one that is talked to.
    if paired.new.iter().filter_map(|(old, _)| Some(old.as_ref()?.0)).is_sorted() {
        Ok(())
    } else {
        Err(case.refused(trail, old, new))
    }
}

pub(super) fn image(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    match new {
        Some(Value::String(image)) if case.grants.image(image) => Ok(()),
        Some(Value::String(_)) | None => Err(case.needs(Grant::Images, trail, old, new)),
        Some(_) => Err(case.wrong_type(trail)),
    }
}

/// `command` and `args` of a container that was there.
pub(super) fn command(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    typed::optional::<Vec<String>>(case, trail, old, new)?;
    if case.grants.command { Ok(()) } else { Err(case.needs(Grant::Command, trail, old, new)) }
}

pub(super) fn resources(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    typed::optional::<ResourceRequirements>(case, trail, old, new)?;
    // A claim names a device of the pod, and those no policy gives.
    let claims = |value: Option<&Value>| given("claims", value.and_then(|value| value.get("claims"))).cloned();
    unchanged(case, &Trail::Field(trail, "claims"), claims(old).as_ref(), claims(new).as_ref())
}

/// Ports of an added container. A Service that leads to a port by name takes the first container that has it.
pub(super) fn ports(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    const KEYS: &[&str] = &["containerPort", "protocol"];
    for (_, port) in pair(case, trail, KEYS, old, new)?.new {
        let trail = Trail::Element(trail, port, KEYS);
        readable::<ContainerPort>(case, &trail, port)?;
        for host in ["hostIP", "hostPort"] {
            unchanged(case, &Trail::Field(&trail, host), None, port.get(host).filter(|v| !v.is_null()))?;
        }
        let name = port.get("name").and_then(Value::as_str).map(Port::Name);
        let number = port.get("containerPort").and_then(Value::as_i64).map(Port::Number);
        let taken = |port: Port<'_>| case.pod.is_some_and(|pod| pod.ports.contains(&port));
        if name.is_some_and(taken) || number.is_some_and(taken) {
            return Err(case.refused(&trail, None, Some(port)));
        }
    }
    Ok(())
}

/// An init container may stay, beside the others, as long as the pod runs.
pub(super) fn restart(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    match new {
        Some(Value::String(always)) if always == "Always" && trail.last_fields().1 == Some("initContainers") => Ok(()),
        Some(Value::String(_)) | None => Err(case.refused(trail, old, new)),
        Some(_) => Err(case.wrong_type(trail)),
    }
}

pub(super) fn topology_spread(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    pair(case, trail, &["topologyKey", "whenUnsatisfiable"], old, new)?;
    typed::optional::<Vec<TopologySpreadConstraint>>(case, trail, old, new)
}
