//! The Ingress that exposes a Service, and the entries of its TLS section. PURE.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};

use super::metadata::{Family, Pairs};
use crate::object::{ChildKind, DesiredChild};

/// One path of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Path of the request.
    pub path: String,
    /// How it is compared: `Exact`, `Prefix` or `ImplementationSpecific`.
    pub type_: &'static str,
}

/// One host with its paths. An empty host means every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Host name.
    pub host: String,
    /// Paths, at least one.
    pub paths: Vec<Path>,
}

/// One TLS entry: a Secret and the hosts that its certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Name of the Secret.
    pub secret: String,
    /// Hosts; none means that the ingress controller reads them from the certificate.
    pub hosts: Vec<String>,
}

/// What an Ingress says.
#[derive(Debug, Clone, Default)]
pub struct Exposure {
    /// Name of the IngressClass.
    pub class: String,
    /// Annotations.
    pub annotations: Pairs,
    /// Hosts and paths.
    pub rules: Vec<Rule>,
    /// TLS entries.
    pub tls: Vec<Tls>,
}

/// An Ingress whose every path leads to the port of this name of the Service of this name. By name, because a number
/// would have to follow the Service.
#[must_use]
pub fn ingress(family: &Family<'_>, name: &str, exposure: Exposure, service: &str, port: &str) -> DesiredChild {
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: service.into(),
            port: Some(ServiceBackendPort { name: Some(port.into()), number: None }),
        }),
        resource: None,
    };
    let rules = exposure.rules.into_iter().map(|rule| IngressRule {
        host: Some(rule.host).filter(|host| !host.is_empty()),
        http: Some(HTTPIngressRuleValue {
            paths: rule
                .paths
                .into_iter()
                .map(|path| HTTPIngressPath {
                    backend: backend.clone(),
                    path: Some(path.path),
                    path_type: path.type_.into(),
                })
                .collect(),
        }),
    });
    let tls: Vec<_> = exposure
        .tls
        .into_iter()
        .map(|entry| IngressTLS {
            hosts: Some(entry.hosts).filter(|hosts| !hosts.is_empty()),
            secret_name: Some(entry.secret),
        })
        .collect();
    let object = Ingress {
        metadata: family.metadata(name, exposure.annotations),
        spec: Some(IngressSpec {
            ingress_class_name: Some(exposure.class),
            rules: Some(rules.collect()),
            tls: Some(tls).filter(|tls| !tls.is_empty()),
            default_backend: None,
        }),
        status: None,
    };
    family.child(ChildKind::Ingress, name, &object)
}

/// Leaves every host in one entry only, the first that names it; an entry that loses all its hosts goes. Two
/// certificates for one host make the answer depend on the ingress controller.
#[must_use]
pub fn each_host_once(entries: Vec<Tls>) -> Vec<Tls> {
    let mut seen = BTreeSet::new();
    entries
        .into_iter()
        .filter_map(|mut entry| {
            let named = !entry.hosts.is_empty();
            entry.hosts.retain(|host| seen.insert(host.clone()));
            (!named || !entry.hosts.is_empty()).then_some(entry)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Tls, each_host_once};

    fn entry(secret: &str, hosts: &[&str]) -> Tls {
        Tls { secret: secret.into(), hosts: hosts.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_host_stays_in_the_first_entry() {
        let given = vec![entry("a", &["x", "x", "y"]), entry("b", &["y", "z"]), entry("c", &["x"]), entry("d", &[])];
        assert_eq!(each_host_once(given), [entry("a", &["x", "y"]), entry("b", &["z"]), entry("d", &[])]);
    }
}
