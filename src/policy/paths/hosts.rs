//! Where a Service and an Ingress can be reached: by grant alone. PURE.

use std::collections::HashSet;

use serde_json::Value;

use super::{Case, Outcome, list, typed};
use crate::{object::path::Trail, policy::grants::Grant};
use k8s_openapi::api::networking::v1::{IngressRule, IngressTLS};

pub(super) fn service_type(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    typed::required::<String>(case, trail, old, new)?;
    // ExternalName would lead the clients of the Service out of the cluster.
    if !new.is_some_and(|type_| type_ == "ClusterIP" || type_ == "NodePort" || type_ == "LoadBalancer") {
        return Err(case.refused(trail, old, new));
    }
    if case.grants.service_type { Ok(()) } else { Err(case.needs(Grant::ServiceType, trail, old, new)) }
}

/// Rules of an Ingress: a host may come, go or change when it is granted; what it leads to is what another led to.
pub(super) fn rules(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    typed::optional::<Vec<IngressRule>>(case, trail, old, new)?;
    let (before, after) = (list(case, trail, old)?, list(case, trail, new)?);
    if after.is_empty() {
        return Err(case.refused(trail, old, new));
    }
    let host = |rule: &Value| rule.get("host").and_then(Value::as_str).unwrap_or_default().to_owned();
    for rule in after.iter().filter(|rule| !before.contains(rule)) {
        if !before.iter().any(|known| known.get("http") == rule.get("http")) {
            return Err(case.refused(trail, old, new));
        }
        if !case.grants.host(&host(rule)) {
            return Err(case.needs(Grant::IngressHosts, trail, old, new));
        }
    }
    let mut gone = before.iter().filter(|rule| !after.contains(rule));
    if gone.any(|rule| !case.grants.host(&host(rule))) {
        return Err(case.needs(Grant::IngressHosts, trail, old, new));
    }
    same_order(case, trail, old, new)
}

/// TLS entries of an Ingress: their hosts follow the rules, their Secrets were there or are granted.
pub(super) fn tls(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    typed::optional::<Vec<IngressTLS>>(case, trail, old, new)?;
    let (before, after) = (list(case, trail, old)?, list(case, trail, new)?);
    let secret = |entry: &Value| entry.get("secretName").and_then(Value::as_str).unwrap_or_default().to_owned();
    let hosts = |entries: &[Value], name: &str| -> HashSet<String> {
        let of_secret = entries.iter().filter(|entry| secret(entry) == name);
        let hosts = of_secret.flat_map(|entry| {
            let listed = entry.get("hosts").and_then(Value::as_array).filter(|hosts| !hosts.is_empty());
            // None at all: whatever the certificate is for.
            listed.map_or_else(|| vec![Value::from("")], Clone::clone)
        });
        hosts.filter_map(|host| host.as_str().map(str::to_owned)).collect()
    };
    let known: HashSet<_> = before.iter().map(secret).collect();
    let named: HashSet<_> = after.iter().map(secret).collect();
    for name in &named {
        if !known.contains(name) && !case.grants.secret(name) {
            return Err(case.needs(Grant::Secrets, trail, old, new));
        }
    }
    for name in known.union(&named) {
        let (old_hosts, new_hosts) = (hosts(before, name), hosts(after, name));
        if old_hosts.symmetric_difference(&new_hosts).any(|host| !case.grants.host(host)) {
            return Err(case.needs(Grant::IngressHosts, trail, old, new));
        }
    }
    same_order(case, trail, old, new)
}

/// Of two entries for one host the first counts: with nothing granted not even the order changes.
fn same_order(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    if case.grants.ingress_hosts.is_empty() { Err(case.needs(Grant::IngressHosts, trail, old, new)) } else { Ok(()) }
}

/// An annotation that lists hosts, separated by commas: every one that comes or goes.
pub(super) fn listed(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let hosts = |value: Option<&Value>| -> HashSet<String> {
        let text = value.and_then(Value::as_str).unwrap_or_default();
        text.split([',', ' ']).map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect()
    };
    if hosts(old).symmetric_difference(&hosts(new)).any(|host| !case.grants.host(host)) {
        return Err(case.needs(Grant::IngressHosts, trail, old, new));
    }
    Ok(())
}
