//! Probes and lifecycle hooks: free, but for commands in a container that was there and for requests to other hosts. PURE.

use k8s_openapi::api::core::v1::{Lifecycle, Probe};
use serde_json::Value;

use super::{Case, Outcome, typed};
use crate::{object::path::Trail, policy::grants::Grant};

/// A probe of a container that was there.
pub(super) fn generated(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    added(case, trail, old, new)?;
    let (old, new) = (part(old, "exec"), part(new, "exec"));
    if new.is_none() || old == new || case.grants.command {
        return Ok(());
    }
    Err(case.needs(Grant::Command, &Trail::Field(trail, "exec"), old, new))
}

/// A probe of an added container.
pub(super) fn added(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    typed::optional::<Probe>(case, trail, old, new)?;
    own_host(case, trail, old, new)
}

/// Hooks of an added container.
pub(super) fn lifecycle(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    typed::optional::<Lifecycle>(case, trail, old, new)?;
    ["postStart", "preStop"]
        .into_iter()
        .try_for_each(|hook| own_host(case, &Trail::Field(trail, hook), part(old, hook), part(new, hook)))
}

/// The kubelet asks the pod itself, unless a host is named: then it asks whoever that is, from the node.
fn own_host(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    for handler in ["httpGet", "tcpSocket"] {
        let (old, new) = (part(part(old, handler), "host"), part(part(new, handler), "host"));
        if new.is_some() && old != new && !case.grants.container_security {
            let trail = Trail::Field(trail, handler);
            return Err(case.needs(Grant::ContainerSecurity, &Trail::Field(&trail, "host"), old, new));
        }
    }
    Ok(())
}

fn part<'a>(value: Option<&'a Value>, field: &str) -> Option<&'a Value> {
    value?.get(field).filter(|value| !value.is_null())
}
