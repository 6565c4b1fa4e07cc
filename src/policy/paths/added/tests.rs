//! What each kind of added object may and may not say.

use serde_json::{Value, json};

use super::{KINDS, Own, kind, of};
use crate::object::ChildKind;

const OWN: Own<'static> = Own { namespace: "ns", name: "gw", children: &["gw", "gw-hpa"], services: &["gw"] };

fn check(name: &str, mut rest: Value) -> Result<(), String> {
    let known = KINDS.iter().find(|known| known.child.info().kind == name).expect("a known kind");
    rest["apiVersion"] = known.child.info().api_version().into();
    rest["kind"] = name.into();
    if rest["metadata"].is_null() {
        rest["metadata"] = json!({"name": "gw-extra", "namespace": "ns", "labels": {"app": "gw", "team": "a"}});
    }
    known.check(&OWN, &rest).map_err(|refusal| refusal.path)
}

fn refused(name: &str, rest: Value, path: &str) {
    assert_eq!(check(name, rest.clone()), Err(path.to_owned()), "{rest}");
}

#[test]
fn the_list_is_closed() {
    for (group, name) in [("", "Secret"), ("", "Pod"), ("rbac.authorization.k8s.io", "Role"), ("x", "ConfigMap")] {
        assert!(kind(group, name).is_none(), "{group}/{name}");
    }
    assert!(kind("", "ConfigMap").is_some());
    for child in ChildKind::ALL {
        assert_eq!(of(child).is_some(), child.added_only() || child == ChildKind::ConfigMap, "{child}");
    }
}

#[test]
fn metadata_ties_an_added_object_to_the_custom_resource() {
    let with = |metadata: Value| json!({"metadata": metadata});
    assert_eq!(check("ConfigMap", with(json!({"name": "gw", "namespace": "ns"}))), Ok(()));
    refused("ConfigMap", with(json!({"name": "gwx", "namespace": "ns"})), ".metadata.name");
    refused("ConfigMap", with(json!({"name": "gw-", "namespace": "ns"})), ".metadata.name");
    refused("ConfigMap", with(json!({"name": "gw-/../x", "namespace": "ns"})), ".metadata.name");
    refused("ConfigMap", with(json!({"name": "gw-a", "namespace": "other"})), ".metadata.namespace");
    refused("ConfigMap", with(json!({"name": "gw-a"})), ".metadata.namespace");
    for (field, value) in [
        ("labels", json!({"app": "other"})),
        ("labels", json!({"app.kubernetes.io/managed-by": "x"})),
        ("annotations", json!({"inference-gateway.com/owner": "x"})),
        ("labels", json!({"a": 1})),
        ("ownerReferences", json!([])),
        ("finalizers", json!(["x"])),
        ("generateName", json!("x")),
    ] {
        let mut metadata = json!({"name": "gw-a", "namespace": "ns"});
        metadata[field] = value;
        refused("ConfigMap", with(metadata), &format!(".metadata.{field}"));
    }
}

#[test]
fn a_config_map_holds_text() {
    assert_eq!(check("ConfigMap", json!({"data": {"a": "b"}, "immutable": true})), Ok(()));
    refused("ConfigMap", json!({"data": {"a": 1}}), ".data[a]");
    refused("ConfigMap", json!({"spec": {}}), ".spec");
}

#[test]
fn a_network_policy_is_for_the_own_pods() {
    let own = json!({"matchLabels": {"app": "gw"}});
    let spec = json!({"podSelector": own, "policyTypes": ["Ingress"], "ingress": [
        {"from": [{"namespaceSelector": {}}], "ports": [{"port": "http", "protocol": "TCP"}]},
    ]});
    assert_eq!(check("NetworkPolicy", json!({"spec": spec})), Ok(()));
    refused("NetworkPolicy", json!({"spec": {"podSelector": {}}}), ".spec.podSelector.matchLabels");
    refused("NetworkPolicy", json!({"spec": {}}), ".spec.podSelector");
    refused(
        "NetworkPolicy",
        json!({"spec": {"podSelector": {"matchLabels": {"app": "other"}}}}),
        ".spec.podSelector.matchLabels",
    );
}

#[test]
fn a_peer_authentication_hardens_the_own_pods() {
    let spec = |mode: &str| json!({"spec": {"selector": {"matchLabels": {"app": "gw"}}, "mtls": {"mode": mode}}});
    assert_eq!(check("PeerAuthentication", spec("STRICT")), Ok(()));
    refused("PeerAuthentication", spec("DISABLE"), ".spec.mtls.mode");
    refused("PeerAuthentication", json!({"spec": {"mtls": {"mode": "STRICT"}}}), ".spec.selector");
}

#[test]
fn a_destination_rule_is_for_the_own_services_and_names_no_file() {
    let spec = |host: &str, tls: Value| json!({"spec": {"host": host, "trafficPolicy": {"tls": tls}}});
    let mutual = json!({"mode": "ISTIO_MUTUAL"});
    for host in ["gw", "gw.ns", "gw.ns.svc", "gw.ns.svc.cluster.local"] {
        assert_eq!(check("DestinationRule", spec(host, mutual.clone())), Ok(()), "{host}");
    }
    for host in ["*", "gwx", "gw.other", "gw.ns.svc.evil.com", "other", "gw.nsx", ""] {
        refused("DestinationRule", spec(host, mutual.clone()), ".spec.host");
    }
    for field in ["clientCertificate", "privateKey", "caCertificates", "credentialName", "insecureSkipVerify"] {
        let mut tls = mutual.clone();
        tls[field] = "x".into();
        refused("DestinationRule", spec("gw", tls.clone()), &format!(".spec.trafficPolicy.tls.{field}"));
        let port = json!({"spec": {"host": "gw", "subsets": [{"name": "a", "trafficPolicy": {"portLevelSettings": [{"port": {"number": 1}, "tls": tls}]}}]}});
        refused("DestinationRule", port, &format!(".spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.{field}"));
    }
    refused("DestinationRule", spec("gw", json!({"mode": "DISABLE"})), ".spec.trafficPolicy.tls.mode");
    refused(
        "DestinationRule",
        json!({"spec": {"host": "gw", "trafficPolicy": {"tunnel": {"targetHost": "x"}}}}),
        ".spec.trafficPolicy.tunnel",
    );
}

#[test]
fn monitors_scrape_the_own_pods_without_credentials() {
    for (name, list) in [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")] {
        let spec = |extra: (&str, Value)| {
            let mut endpoint = json!({"port": "metrics", "path": "/metrics"});
            endpoint[extra.0] = extra.1;
            json!({"spec": {"selector": {"matchLabels": {"app": "gw"}}, list: [endpoint]}})
        };
        assert_eq!(check(name, spec(("interval", "30s".into()))), Ok(()));
        for field in [
            "tlsConfig",
            "basicAuth",
            "authorization",
            "bearerTokenFile",
            "bearerTokenSecret",
            "proxyUrl",
            "relabelings",
            "oauth2",
        ] {
            refused(name, spec((field, json!({}))), &format!(".spec.{list}[0].{field}"));
        }
        let own = json!({"matchLabels": {"app": "gw"}});
        refused(
            name,
            json!({"spec": {"selector": own, "namespaceSelector": {"any": true}}}),
            ".spec.namespaceSelector.matchNames",
        );
        refused(
            name,
            json!({"spec": {"selector": own, "namespaceSelector": {"matchNames": ["ns", "other"]}}}),
            ".spec.namespaceSelector.matchNames",
        );
        refused(name, json!({"spec": {"selector": {"matchExpressions": []}}}), ".spec.selector.matchLabels");
    }
}
