//! An added NetworkPolicy: for the own Pods; whom they may talk to is the policy's to say. PURE.

use super::{
    EXPRESSION, SELECTOR,
    Shape::{self, Fields, List, Map, Number, Text, TextOrNumber},
};

pub(super) static NETWORK_POLICY: Shape = Fields(
    &[(
        "spec",
        Fields(
            &[
                ("egress", List(&Fields(&[("ports", List(&PORT)), ("to", List(&PEER))], &[]))),
                ("ingress", List(&Fields(&[("from", List(&PEER)), ("ports", List(&PORT))], &[]))),
                ("podSelector", SELECTOR),
                ("policyTypes", List(&Text)),
            ],
            &["podSelector"],
        ),
    )],
    &["spec"],
);

static PORT: Shape = Fields(&[("endPort", Number), ("port", TextOrNumber), ("protocol", Text)], &[]);

static PEER: Shape = Fields(
    &[
        ("ipBlock", Fields(&[("cidr", Text), ("except", List(&Text))], &["cidr"])),
        ("namespaceSelector", ANY_SELECTOR),
        ("podSelector", ANY_SELECTOR),
    ],
    &[],
);

const ANY_SELECTOR: Shape =
    Fields(&[("matchExpressions", List(&EXPRESSION_OF_A_PEER)), ("matchLabels", Map(&Text))], &[]);

static EXPRESSION_OF_A_PEER: Shape = EXPRESSION;
