//! What a policy is allowed beyond what every policy may change: `spec.grants`. PURE.
//!
//! Nothing is granted by being left out. What no grant covers is in `policy/paths.rs`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a policy may do beyond what every policy may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Grants {
    /// Images that the policy may use, by their beginning: `registry.example.com/team/` covers everything below it and
    /// `registry.example.com/team/proxy` that image in every version. Every image that differs from the generated one
    /// needs it, also those of added containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub images: Vec<String>,
    /// Names of Secrets that the policy may hand to containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")))]
    pub secrets: Vec<String>,
    /// Names of ConfigMaps that the policy may hand to containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")))]
    pub config_maps: Vec<String>,
    /// Kinds of objects that the policy may add. The operator adds only those that its flag --policy-added-kinds names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub add_kinds: Vec<GroupKind>,
    /// Whether the policy may say how a container is confined: `securityContext` of any container, and the host of a probe.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub container_security: bool,
    /// Whether the policy may change what a generated container runs: its `command`, its `args` and `exec` probes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub command: bool,
    /// Whether the policy may make a Service a ClusterIP, NodePort or LoadBalancer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub service_type: bool,
    /// Hosts that the policy may add to an Ingress or take from it: `a.example.com`, `*.example.com` for everything below
    /// that, or `*` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(max = 253), regex(pattern = r"^(\*|(\*\.)?[a-z0-9]([-.a-z0-9]*[a-z0-9])?)$"))
    )]
    pub ingress_hosts: Vec<String>,
}

/// A kind of object, whatever its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct GroupKind {
    /// API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind, as in a manifest.
    #[schemars(length(max = 63))]
    pub kind: String,
}

impl fmt::Display for GroupKind {
    /// As kubectl writes it: `Deployment.apps`, and `Service` for the core group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// One of the [`Grants`], by its name in `spec.grants`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// [`Grants::images`].
    Images,
    /// [`Grants::secrets`].
    Secrets,
    /// [`Grants::config_maps`].
    ConfigMaps,
    /// [`Grants::add_kinds`].
    AddKinds,
    /// [`Grants::container_security`].
    ContainerSecurity,
    /// [`Grants::command`].
    Command,
    /// [`Grants::service_type`].
    ServiceType,
    /// [`Grants::ingress_hosts`].
    IngressHosts,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Images => "images",
            Self::Secrets => "secrets",
            Self::ConfigMaps => "configMaps",
            Self::AddKinds => "addKinds",
            Self::ContainerSecurity => "containerSecurity",
            Self::Command => "command",
            Self::ServiceType => "serviceType",
            Self::IngressHosts => "ingressHosts",
        })
    }
}

impl Grants {
    /// Everything that at least one of them allows.
    #[must_use]
    pub fn union<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for grants in all {
            sum.images.extend_from_slice(&grants.images);
            sum.secrets.extend_from_slice(&grants.secrets);
            sum.config_maps.extend_from_slice(&grants.config_maps);
            sum.add_kinds.extend_from_slice(&grants.add_kinds);
            sum.ingress_hosts.extend_from_slice(&grants.ingress_hosts);
            sum.container_security |= grants.container_security;
            sum.command |= grants.command;
            sum.service_type |= grants.service_type;
        }
        sum
    }

    /// What of it a policy of one namespace can have; the rest is for policies of the whole cluster.
    #[must_use]
    pub fn of_a_namespace(&self) -> Self {
        Self {
            images: self.images.clone(),
            secrets: self.secrets.clone(),
            config_maps: self.config_maps.clone(),
            ..Self::default()
        }
    }

    /// Whether an image may be used.
    #[must_use]
    pub fn image(&self, image: &str) -> bool {
        self.images.iter().any(|prefix| begins(image, prefix))
    }

    /// Whether a Secret may be handed to a container.
    #[must_use]
    pub fn secret(&self, name: &str) -> bool {
        !name.is_empty() && self.secrets.iter().any(|granted| granted == name)
    }

    /// Whether a ConfigMap may be handed to a container.
    #[must_use]
    pub fn config_map(&self, name: &str) -> bool {
        !name.is_empty() && self.config_maps.iter().any(|granted| granted == name)
    }

    /// Whether objects of a kind may be added.
    #[must_use]
    pub fn adds(&self, group: &str, kind: &str) -> bool {
        self.add_kinds.iter().any(|granted| granted.group == group && granted.kind == kind)
    }

    /// Whether a host may be added to an Ingress or taken from it; an empty one stands for every host.
    #[must_use]
    pub fn host(&self, host: &str) -> bool {
        self.ingress_hosts.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => suffix.starts_with('.') && host.len() > suffix.len() && host.ends_with(suffix),
            None => !host.is_empty() && pattern == host,
        })
    }
}

/// Whether an image begins with a prefix that ends where a part of it ends. `a.example` is not the beginning of
/// `a.example.evil/x`, and what follows a colon is a version only when no slash comes after it: else it is a port, and
/// what stands before it is another registry.
fn begins(image: &str, prefix: &str) -> bool {
    let Some(rest) = image.strip_prefix(prefix).filter(|_| !prefix.is_empty()) else { return false };
    if image.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return false;
    }
    let version = |text: &str| !text.is_empty() && !text.contains('/');
    match prefix.chars().next_back() {
        Some('/') => !rest.is_empty(),
        Some(':' | '@') => version(rest),
        _ => match rest.chars().next() {
            None => true,
            Some('/') => rest.len() > 1,
            Some(':' | '@') => version(&rest[1..]),
            Some(_) => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Grants, GroupKind, begins};

    #[test]
    fn a_prefix_of_an_image_ends_where_a_part_ends() {
        for (image, prefix) in [
            ("ghcr.io/team/proxy:1", "ghcr.io"),
            ("ghcr.io/team/proxy:1", "ghcr.io/"),
            ("ghcr.io/team/proxy:1", "ghcr.io/team/proxy"),
            ("ghcr.io/team/proxy:1", "ghcr.io/team/proxy:"),
            ("ghcr.io/team/proxy@sha256:ab", "ghcr.io/team/proxy"),
            ("busybox", "busybox"),
            ("busybox:1.36", "busybox"),
        ] {
            assert!(begins(image, prefix), "{image} {prefix}");
        }
        for (image, prefix) in [
            ("ghcr.io.evil.com/x", "ghcr.io"),
            ("ghcr.io/team-evil/x", "ghcr.io/team"),
            ("registry:5000/x", "registry"),
            ("registry:5000/x", "registry:"),
            ("busybox/evil@x/y", "busybox@"),
            ("ghcr.io/", "ghcr.io/"),
            ("ghcr.io/team/x\n", "ghcr.io/team"),
            ("anything", ""),
        ] {
            assert!(!begins(image, prefix), "{image} {prefix}");
        }
    }

    #[test]
    fn hosts_are_granted_one_by_one_below_a_name_or_all() {
        let grants = |hosts: &[&str]| Grants {
            ingress_hosts: hosts.iter().map(ToString::to_string).collect(),
            ..Grants::default()
        };
        assert!(grants(&["a.example.com"]).host("a.example.com") && !grants(&["a.example.com"]).host(""));
        let below = grants(&["*.example.com"]);
        assert!(below.host("a.example.com") && below.host("*.example.com"));
        assert!(
            !below.host("example.com") && !below.host("aexample.com") && !below.host("") && !below.host(".example.com")
        );
        assert!(grants(&["*"]).host("") && grants(&["*"]).host("x"));
        assert!(!grants(&["*x"]).host("ax"), "a star stands for whole labels");
    }

    #[test]
    fn grants_are_read_as_they_are_written() {
        let text =
            json!({"images": ["a/"], "configMaps": ["c"], "addKinds": [{"kind": "ConfigMap"}], "serviceType": true});
        let grants: Grants = serde_json::from_value(text).expect("grants");
        assert!(grants.image("a/b") && grants.config_map("c") && grants.adds("", "ConfigMap") && grants.service_type);
        assert!(!grants.secret("") && !grants.adds("x", "ConfigMap") && !grants.command);
        assert_eq!(
            serde_json::to_value(grants.of_a_namespace()).expect("JSON"),
            json!({"images": ["a/"], "configMaps": ["c"]})
        );
        let kind = GroupKind { group: String::new(), kind: "ConfigMap".into() };
        assert_eq!(Grants::union([&grants, &Grants::default()]).add_kinds, [kind]);
    }
}
