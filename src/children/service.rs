//! The Service in front of the pods. PURE.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::metadata::{Family, Pairs};
use crate::object::{ChildKind, DesiredChild};

/// One port of a Service. It leads to the container port of the same name, whatever its number.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    /// Name, here and on the container.
    pub name: &'static str,
    /// Number that clients use.
    pub number: i32,
    /// What is spoken there, when the name would mislead.
    pub protocol: Option<&'static str>,
}

/// A Service of a type (`ClusterIP`, ...) in front of the family's pods.
#[must_use]
pub fn service(family: &Family<'_>, name: &str, type_: &str, ports: &[Port], annotations: Pairs) -> DesiredChild {
    let ports = ports
        .iter()
        .map(|port| ServicePort {
            name: Some(port.name.into()),
            port: port.number,
            target_port: Some(IntOrString::String(port.name.into())),
            // Part of the merge key: said here, because what is left out is compared as if it were another port.
            protocol: Some("TCP".into()),
            app_protocol: port.protocol.map(Into::into),
            node_port: None,
        })
        .collect();
    let object = Service {
        metadata: family.metadata(name, annotations),
        spec: Some(ServiceSpec {
            type_: Some(type_.into()),
            selector: Some(family.selector()),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    family.child(ChildKind::Service, name, &object)
}
