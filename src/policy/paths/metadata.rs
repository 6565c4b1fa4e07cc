//! Labels and annotations: everybody's, but for those that steer the operator, Kubernetes or somebody's rights. PURE.

use serde_json::Value;

use super::{Case, Outcome, both, hosts, map, references};
use crate::{object::path::Trail, policy::grants::Grant};

/// Domains whose labels and annotations mean something to the operator or to Kubernetes, with everything below them.
const RESERVED: &[&str] = &["inference-gateway.com", "inference-gateway.dev", "kubernetes.io", "k8s.io"];

/// Labels without a domain that pods are selected by.
const SELECTED_BY: &[&str] = &["app", "pod-template-hash", "controller-revision-hash"];

/// Annotations that would bring in volumes, files or whole containers behind the guard's back.
const BACK_DOORS: &[&str] = &[
    "sidecar.istio.io/userVolume",
    "sidecar.istio.io/userVolumeMount",
    "sidecar.istio.io/bootstrapOverride",
    "proxy.istio.io/overrides",
];

/// Annotations that name an image.
const IMAGES: &[&str] = &["sidecar.istio.io/proxyImage"];

pub(super) fn labels(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let selector = ["/spec/selector/matchLabels", "/spec/selector"];
    pairs(case, trail, old, new, |trail, key, old, new| {
        let selected = SELECTED_BY.contains(&key)
            || selector.iter().any(|path| case.before.pointer(path).is_some_and(|labels| labels.get(key).is_some()));
        if selected || reserved(key) { Err(case.refused(trail, old, new)) } else { Ok(()) }
    })
}

pub(super) fn annotations(case: &Case<'_>, trail: &Trail<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    pairs(case, trail, old, new, |trail, key, old, new| {
        if reserved(key) { Err(case.refused(trail, old, new)) } else { annotation(case, trail, key, old, new) }
    })
}

/// Annotations of a Service or an Ingress: also those by which a load balancer or an ingress controller is set up.
pub(super) fn exposed_annotations(
    case: &Case<'_>,
    trail: &Trail<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Outcome {
    pairs(case, trail, old, new, |trail, key, old, new| {
        let (domain, name) = domain(key);
        if !reserved(key) {
            return annotation(case, trail, key, old, new);
        }
        if domain.starts_with("external-dns.") && matches!(name, "hostname" | "internal-hostname") {
            return hosts::listed(case, trail, old, new);
        }
        let controller = domain == "ingress.kubernetes.io" || domain.ends_with(".ingress.kubernetes.io");
        let balancer = matches!(domain, "service.beta.kubernetes.io" | "service.kubernetes.io");
        // A snippet is configuration of the controller itself, which reads the Secrets of all namespaces.
        if !(controller || balancer) || name.contains("snippet") {
            return Err(case.refused(trail, old, new));
        }
        if name.contains("server-alias") {
            return hosts::listed(case, trail, old, new);
        }
        if name.contains("secret") {
            return references::annotated_secret(case, trail, old, new);
        }
        Ok(())
    })
}

fn annotation(case: &Case<'_>, trail: &Trail<'_>, key: &str, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    if BACK_DOORS.contains(&key) {
        return Err(case.refused(trail, old, new));
    }
    let image = new.and_then(Value::as_str).filter(|_| IMAGES.contains(&key));
    match image {
        Some(image) if !case.grants.image(image) => Err(case.needs(Grant::Images, trail, old, new)),
        _ => Ok(()),
    }
}

/// Asks for every key whose value differs; values are text.
fn pairs(
    case: &Case<'_>,
    trail: &Trail<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    allowed: impl Fn(&Trail<'_>, &str, Option<&Value>, Option<&Value>) -> Outcome,
) -> Outcome {
    for (key, old, new) in both(map(case, trail, old)?, map(case, trail, new)?).filter(|(_, old, new)| old != new) {
        let trail = Trail::Field(trail, key);
        if new.is_some_and(|value| !value.is_string()) {
            return Err(case.wrong_type(&trail));
        }
        allowed(&trail, key, old, new)?;
    }
    Ok(())
}

fn domain(key: &str) -> (&str, &str) {
    key.rsplit_once('/').unwrap_or(("", key))
}

/// Whether a key belongs to us or to Kubernetes.
pub(super) fn reserved(key: &str) -> bool {
    let domain = key.split('/').next().filter(|_| key.contains('/')).unwrap_or_default().to_ascii_lowercase();
    RESERVED
        .iter()
        .any(|reserved| domain.strip_suffix(reserved).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::reserved;

    #[test]
    fn domains_are_reserved_with_what_is_below_them() {
        for key in [
            "inference-gateway.com/intent",
            "policy.inference-gateway.dev/x",
            "app.kubernetes.io/name",
            "k8s.io/x",
            "node.K8S.io/x",
            "kubernetes.io/x/y",
        ] {
            assert!(reserved(key), "{key}");
        }
        for key in
            ["team", "example.com/kubernetes.io", "notkubernetes.io/x", "sidecar.istio.io/inject", "istio.io/rev"]
        {
            assert!(!reserved(key), "{key}");
        }
    }
}
