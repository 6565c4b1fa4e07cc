//! Added monitors: which ports of the own Pods are scraped, and how often. PURE.
//!
//! No relabelling of targets: it can send the monitoring system anywhere. No credentials, proxies or files.

use serde_json::Value;

use super::{
    Own, SELECTOR,
    Shape::{self, By, Fields, Flag, List, Map, Number, Text, TextOrNumber},
};

macro_rules! monitor {
    ($endpoints:literal) => {
        Fields(
            &[(
                "spec",
                Fields(
                    &[
                        ("jobLabel", Text),
                        ("labelLimit", Number),
                        ("labelNameLengthLimit", Number),
                        ("labelValueLengthLimit", Number),
                        ("namespaceSelector", Fields(&[("matchNames", By(own_namespaces))], &["matchNames"])),
                        ($endpoints, List(&ENDPOINT)),
                        ("podTargetLabels", List(&Text)),
                        ("sampleLimit", Number),
                        ("scrapeProtocols", List(&Text)),
                        ("selector", SELECTOR),
                        ("targetLabels", List(&Text)),
                        ("targetLimit", Number),
                    ],
                    &["selector"],
                ),
            )],
            &["spec"],
        )
    };
}

pub(super) static SERVICE_MONITOR: Shape = monitor!("endpoints");
pub(super) static POD_MONITOR: Shape = monitor!("podMetricsEndpoints");

static ENDPOINT: Shape = Fields(
    &[
        ("honorLabels", Flag),
        ("honorTimestamps", Flag),
        ("interval", Text),
        ("metricRelabelings", List(&RELABELLING)),
        ("params", Map(&List(&Text))),
        ("path", Text),
        ("port", Text),
        ("portNumber", Number),
        ("scheme", Text),
        ("scrapeTimeout", Text),
        ("targetPort", TextOrNumber),
        ("trackTimestampsStaleness", Flag),
    ],
    &[],
);

/// Of samples, when they are there: it reaches no target.
static RELABELLING: Shape = Fields(
    &[
        ("action", Text),
        ("modulus", Number),
        ("regex", Text),
        ("replacement", Text),
        ("separator", Text),
        ("sourceLabels", List(&Text)),
        ("targetLabel", Text),
    ],
    &[],
);

fn own_namespaces(own: &Own<'_>, names: &Value) -> Result<(), &'static str> {
    let names = names.as_array().filter(|names| !names.is_empty()).ok_or("must be a list of names")?;
    if names.iter().all(|name| name == own.namespace) { Ok(()) } else { Err("must name the own namespace only") }
}
