//! Added objects of a mesh: how the own Pods are spoken to, and how clients speak to the own Services. PURE.

use serde_json::Value;

use super::{
    LABELS_ONLY, Own,
    Shape::{self, By, Fields, Flag, List, Map, Number, Text},
    own_service,
};

pub(super) static PEER_AUTHENTICATION: Shape = Fields(
    &[(
        "spec",
        Fields(&[("mtls", MTLS), ("portLevelMtls", Map(&MTLS_OF_A_PORT)), ("selector", LABELS_ONLY)], &["selector"]),
    )],
    &["spec"],
);

const MTLS: Shape = Fields(&[("mode", By(encrypted))], &[]);
static MTLS_OF_A_PORT: Shape = MTLS;

/// A policy hardens: what the mesh encrypts stays so.
fn encrypted(_: &Own<'_>, mode: &Value) -> Result<(), &'static str> {
    match mode.as_str() {
        Some("STRICT" | "PERMISSIVE" | "UNSET") => Ok(()),
        _ => Err("must be STRICT, PERMISSIVE or UNSET"),
    }
}

pub(super) static DESTINATION_RULE: Shape = Fields(
    &[(
        "spec",
        Fields(
            &[
                ("exportTo", List(&Text)),
                ("host", By(own_service)),
                (
                    "subsets",
                    List(&Fields(&[("labels", Map(&Text)), ("name", Text), ("trafficPolicy", TRAFFIC)], &["name"])),
                ),
                ("trafficPolicy", TRAFFIC),
                ("workloadSelector", LABELS_ONLY),
            ],
            &["host"],
        ),
    )],
    &["spec"],
);

const TRAFFIC: Shape = Fields(
    &[
        ("connectionPool", CONNECTIONS),
        ("loadBalancer", BALANCER),
        ("outlierDetection", OUTLIERS),
        (
            "portLevelSettings",
            List(&Fields(
                &[
                    ("connectionPool", CONNECTIONS),
                    ("loadBalancer", BALANCER),
                    ("outlierDetection", OUTLIERS),
                    ("port", Fields(&[("number", Number)], &["number"])),
                    ("tls", TLS),
                ],
                &["port"],
            )),
        ),
        ("tls", TLS),
    ],
    &[],
);

/// Without certificates, keys and Secrets of the client's own, and with every check of the server.
const TLS: Shape = Fields(&[("mode", By(client_mode)), ("sni", Text), ("subjectAltNames", List(&Text))], &["mode"]);

fn client_mode(_: &Own<'_>, mode: &Value) -> Result<(), &'static str> {
    match mode.as_str() {
        Some("ISTIO_MUTUAL" | "SIMPLE") => Ok(()),
        _ => Err("must be ISTIO_MUTUAL or SIMPLE"),
    }
}

const BALANCER: Shape = Fields(&[("simple", Text), ("warmupDurationSecs", Text)], &[]);

const CONNECTIONS: Shape = Fields(
    &[
        (
            "http",
            Fields(
                &[
                    ("h2UpgradePolicy", Text),
                    ("http1MaxPendingRequests", Number),
                    ("http2MaxRequests", Number),
                    ("idleTimeout", Text),
                    ("maxConcurrentStreams", Number),
                    ("maxRequestsPerConnection", Number),
                    ("maxRetries", Number),
                    ("useClientProtocol", Flag),
                ],
                &[],
            ),
        ),
        (
            "tcp",
            Fields(
                &[
                    ("connectTimeout", Text),
                    ("idleTimeout", Text),
                    ("maxConnectionDuration", Text),
                    ("maxConnections", Number),
                    ("tcpKeepalive", Fields(&[("interval", Text), ("probes", Number), ("time", Text)], &[])),
                ],
                &[],
            ),
        ),
    ],
    &[],
);

const OUTLIERS: Shape = Fields(
    &[
        ("baseEjectionTime", Text),
        ("consecutive5xxErrors", Number),
        ("consecutiveGatewayErrors", Number),
        ("consecutiveLocalOriginFailures", Number),
        ("interval", Text),
        ("maxEjectionPercent", Number),
        ("minHealthPercent", Number),
        ("splitExternalLocalOriginErrors", Flag),
    ],
    &[],
);
