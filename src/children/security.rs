//! Security settings that the Pod Security level `restricted` asks for. PURE.

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext};

/// Settings of the pod. `user`: the numeric user to run as, for images that do not name one themselves; without it
/// nothing is said about the user, because an image that needs root would not start.
#[must_use]
pub fn pod(user: Option<i64>) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: user.map(|_| true),
        run_as_user: user,
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Settings of a container: no capabilities and no way to get more rights. The file system stays writable, because the
/// images make no promise to live without.
#[must_use]
pub fn container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        ..SecurityContext::default()
    }
}
