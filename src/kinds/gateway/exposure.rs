//! How a Gateway is reached: its Service, its Ingress and its URL. PURE.

use super::{
    GatewaySpec,
    network::{Host, Ingress},
};
use crate::{
    children::{
        ingress::{Exposure, Path, Rule, Tls, each_host_once, ingress},
        metadata::{Family, Pairs},
        service::{Port, service},
    },
    kinds::InvalidSpec,
    object::{DesiredChild, Identity},
};

/// Name of the main port, on the container and on the Service.
pub(super) const HTTP: &str = "http";
/// Name of the port for Prometheus.
pub(super) const METRICS: &str = "metrics";

/// Number of the Service's main port.
pub(super) fn service_port(spec: &GatewaySpec) -> i32 {
    spec.service.port.unwrap_or(spec.server.port)
}

/// The Service.
pub(super) fn gateway_service(family: &Family<'_>, spec: &GatewaySpec) -> Result<DesiredChild, InvalidSpec> {
    let number = service_port(spec);
    let mut ports = vec![Port {
        name: HTTP,
        number,
        // The name stays, because Ingresses and users' objects know the port by it.
        protocol: spec.server.tls_enabled().then_some("https"),
    }];
    if let Some(metrics) = spec.telemetry.metrics_port() {
        if metrics == number {
            return Err(InvalidSpec {
                field: "spec.telemetry.metrics.port".into(),
                message: format!("{metrics} is also the port of the Service"),
            });
        }
        ports.push(Port { name: METRICS, number: metrics, protocol: None });
    }
    let (name, wish) = (&family.parent.name, &spec.service);
    Ok(service(family, name, wish.type_.as_str(), &ports, wish.annotations.clone()))
}

/// The Ingress, when there should be one.
pub(super) fn gateway_ingress(family: &Family<'_>, spec: &GatewaySpec) -> Result<Option<DesiredChild>, InvalidSpec> {
    let wish = &spec.ingress;
    if !wish.enabled {
        return Ok(None);
    }
    let name = &family.parent.name;
    let rules = rules(wish);
    if rules.is_empty() {
        return Err(InvalidSpec {
            field: "spec.ingress".into(),
            message: "an enabled ingress needs host or hosts".into(),
        });
    }
    let class = wish.class_name.clone().filter(|c| !c.is_empty()).unwrap_or_else(|| "nginx".into());
    let exposure = Exposure { annotations: annotations(spec, &class), class, tls: tls(wish, name, &rules), rules };
    Ok(Some(ingress(family, name, exposure, name, HTTP)))
}

/// Where the gateway answers: by the Ingress, else by the Gateway API, else by the Service.
pub(super) fn url(family: &Family<'_>, spec: &GatewaySpec) -> String {
    ingress_url(&spec.ingress).or_else(|| spec.gateway_api().1.url()).unwrap_or_else(|| {
        let Identity { name, namespace, .. } = family.parent;
        format!("{}://{name}.{namespace}.svc.cluster.local:{}", scheme(spec.server.tls_enabled()), service_port(spec))
    })
}

fn ingress_url(wish: &Ingress) -> Option<String> {
    let hosts = rules(wish).into_iter().map(|rule| rule.host);
    let host = hosts.into_iter().find(|host| !host.is_empty() && !host.starts_with('*')).filter(|_| wish.enabled)?;
    Some(format!("{}://{host}", scheme(wish.active_tls().is_some())))
}

const fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

fn simple_host(wish: &Ingress) -> Option<&str> {
    wish.host.as_deref().filter(|host| !host.is_empty())
}

/// Whether hosts were given that nobody uses.
pub(super) fn ignores_hosts(wish: &Ingress) -> bool {
    wish.enabled && simple_host(wish).is_some() && !wish.hosts.is_empty()
}

fn rules(wish: &Ingress) -> Vec<Rule> {
    let everything = || vec![Path { path: "/".into(), type_: "Prefix" }];
    if let Some(host) = simple_host(wish) {
        return vec![Rule { host: host.into(), paths: everything() }];
    }
    let paths = |host: &Host| -> Vec<Path> {
        host.paths.iter().map(|p| Path { path: p.path.clone(), type_: p.path_type.as_str() }).collect()
    };
    wish.hosts
        .iter()
        .map(|host| Rule {
            host: host.host.clone(),
            paths: if host.paths.is_empty() { everything() } else { paths(host) },
        })
        .collect()
}

/// Entries for single hosts come first: who names a host there wants another certificate for it.
fn tls(wish: &Ingress, name: &str, rules: &[Rule]) -> Vec<Tls> {
    let Some(settings) = wish.active_tls() else { return Vec::new() };
    let named = settings.secret_name.clone().filter(|secret| !secret.is_empty());
    let hosts: Vec<_> = rules.iter().map(|rule| rule.host.clone()).filter(|host| !host.is_empty()).collect();
    let mut entries: Vec<_> = settings
        .config
        .iter()
        .map(|entry| Tls { secret: entry.secret_name.clone(), hosts: entry.hosts.clone() })
        .collect();
    if named.is_some() || !hosts.is_empty() {
        entries.push(Tls { secret: named.unwrap_or_else(|| format!("{name}-tls")), hosts });
    }
    each_host_once(entries)
}

/// The user's annotations; what we add never replaces one of them, except for the issuer, which has a field of its own.
fn annotations(spec: &GatewaySpec, class: &str) -> Pairs {
    let wish = &spec.ingress;
    let mut annotations = wish.annotations.clone();
    if let (true, Some(tls)) = (class == "nginx", &spec.server.tls) {
        let ours: &[(&str, &str)] = if tls.enabled {
            &[("backend-protocol", "HTTPS")]
        } else {
            &[("ssl-redirect", "true"), ("force-ssl-redirect", "true"), ("backend-protocol", "HTTP")]
        };
        for (key, value) in ours {
            annotations.entry(format!("nginx.ingress.kubernetes.io/{key}")).or_insert_with(|| (*value).into());
        }
    }
    let issuer = wish.active_tls().and_then(|tls| tls.issuer.clone()).filter(|issuer| !issuer.is_empty());
    if let Some(issuer) = issuer {
        annotations.insert("cert-manager.io/cluster-issuer".into(), issuer);
    }
    annotations
}
