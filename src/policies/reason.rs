//! The one table of what the conditions of a policy say, and of how a call of one can end. PURE.
//!
//! The reference of conditions is printed from [`CONDITIONS`] and [`CALLS`].

use crate::policy::failure::Reason;

/// Condition, and its reason while it is true: the spec makes sense here.
pub const ACCEPTED: &str = "Accepted";
/// Condition, and its reason while it is true: the bytes are those of the digest.
pub const VERIFIED: &str = "Verified";
/// Condition, and its reason while it is true: there is native code.
pub const COMPILED: &str = "Compiled";
/// Condition, and its reason while it is true: the settings suit the module.
pub const SETTINGS_VALID: &str = "SettingsValid";
/// Condition, and its reason while it is true: the policy runs as its spec says.
pub const ACTIVE: &str = "Active";
/// The conditions, in the order of the steps.
pub const STEPS: [&str; 5] = [ACCEPTED, VERIFIED, COMPILED, SETTINGS_VALID, ACTIVE];

/// Reason: a step before has failed or is not done.
pub const NOT_REACHED: &str = "NotReached";
/// Reason: the spec makes no sense.
pub const INVALID_SPEC: &str = "InvalidSpec";
/// Reason: there are too many.
pub const TOO_MANY_POLICIES: &str = "TooManyPolicies";
/// Reason: the ConfigMap lies where none may.
pub const NAMESPACE_NOT_ALLOWED: &str = "NamespaceNotAllowed";
/// Reason: a kind that is granted is not there, or not switched on.
pub const KIND_NOT_AVAILABLE: &str = "KindNotAvailable";
/// Reason: WasmPolicies are not switched on.
pub const NAMESPACED_POLICIES_OFF: &str = "NamespacedPoliciesOff";
/// Reason: the bytes are others.
pub const DIGEST_MISMATCH: &str = "DigestMismatch";
/// Reason: there are no bytes.
pub const SOURCE_MISSING: &str = "SourceMissing";
/// Reason: the bytes are no longer those that run.
pub const SOURCE_CHANGED: &str = "SourceChanged";
/// Reason: the ConfigMap cannot be read.
pub const SOURCE_UNREADABLE: &str = "SourceUnreadable";
/// Reason: it is being loaded.
pub const LOADING: &str = "Loading";
/// Reason: the user has stopped it.
pub const SUSPENDED: &str = "Suspended";
/// Reason: the version before goes on.
pub const LAST_GOOD: &str = "LastGood";
/// Reason: the version before should go on and is not known any more.
pub const LAST_GOOD_LOST: &str = "LastGoodLost";
/// Reason: the operator holds what policies match.
pub const HELD: &str = "Held";
/// Reason: the operator runs no policies.
pub const OFF: &str = "Off";
/// Reason of a call: the guard has refused what the policy made.
pub const GUARD_VIOLATION: &str = "GuardViolation";

/// Every condition of a policy: type, reason, and what it means.
pub const CONDITIONS: &[(&str, &str, &str)] = &[
    (ACCEPTED, ACCEPTED, "True: the operator takes the policy."),
    (ACCEPTED, INVALID_SPEC, "False: a field of the spec makes no sense; the message names it."),
    (ACCEPTED, TOO_MANY_POLICIES, "False: there are 8 policies in the namespace, or 64 in all; the oldest count."),
    (
        ACCEPTED,
        NAMESPACE_NOT_ALLOWED,
        "False: the ConfigMap lies in a namespace that `--policy-module-namespaces` does not name.",
    ),
    (
        ACCEPTED,
        KIND_NOT_AVAILABLE,
        "False: a kind of `grants.addKinds` is not one of `--policy-added-kinds`, or the cluster is without it.",
    ),
    (ACCEPTED, NAMESPACED_POLICIES_OFF, "False: the operator runs without `--namespaced-policies`."),
    (VERIFIED, VERIFIED, "True: the value in the ConfigMap has the digest of the spec."),
    (VERIFIED, DIGEST_MISMATCH, "False: the value in the ConfigMap has another digest; nothing of it was read."),
    (VERIFIED, SOURCE_MISSING, "False: the ConfigMap or its key is not there. What is loaded goes on."),
    (VERIFIED, SOURCE_CHANGED, "False: the value has changed since it was loaded. What is loaded goes on."),
    (VERIFIED, SOURCE_UNREADABLE, "False: the operator may not read the ConfigMap. What is loaded goes on."),
    (VERIFIED, LOADING, "Unknown: the ConfigMap has not been read yet."),
    (COMPILED, COMPILED, "True: the module is compiled, and a trial of it has begun well."),
    (COMPILED, LOADING, "Unknown: it is being compiled, or waits for others."),
    (COMPILED, Reason::NotAComponent.as_str(), "False: the bytes are no component; `igw policy build` makes one."),
    (COMPILED, Reason::InvalidModule.as_str(), "False: the module breaks the rules, or uses what is switched off."),
    (COMPILED, Reason::InvalidManifest.as_str(), "False: what the module says of itself misses or cannot be read."),
    (COMPILED, Reason::ForbiddenImport.as_str(), "False: the module wants something that policies do not get."),
    (COMPILED, Reason::WrongInterface.as_str(), "False: the module does not offer what the operator calls."),
    (COMPILED, Reason::CompileLimit.as_str(), "False: compiling it takes more time, memory or code than it may."),
    (COMPILED, Reason::EngineCrashed.as_str(), "False: the process that compiled it has ended by itself."),
    (COMPILED, Reason::EngineUnavailable.as_str(), "Unknown: the process that compiles could not be started."),
    (SETTINGS_VALID, SETTINGS_VALID, "True: the module takes the settings."),
    (SETTINGS_VALID, LOADING, "Unknown: they are being checked."),
    (
        SETTINGS_VALID,
        Reason::SettingsInvalid.as_str(),
        "False: the settings do not fit the schema of the module, or the module does not like them.",
    ),
    (SETTINGS_VALID, "(of a call)", "False: the module has failed while it looked at them; see the reasons of calls."),
    (ACTIVE, ACTIVE, "True: the policy runs as its spec says."),
    (
        ACTIVE,
        LOADING,
        "True while the module and settings from before go on until the new ones are loaded; Unknown when there are none, and what \
         matches waits.",
    ),
    (ACTIVE, LAST_GOOD, "True: the newest spec cannot be loaded; the module and settings from before go on."),
    (
        ACTIVE,
        LAST_GOOD_LOST,
        "False: the newest spec cannot be loaded, and what ran before the operator was started is not known: what matches is held.",
    ),
    (ACTIVE, SUSPENDED, "False: `spec.mode` is Suspended. What the policy has changed stays as it is."),
    (ACTIVE, HELD, "False: the operator runs with `--policies=hold`. What matches is held."),
    (ACTIVE, OFF, "False: the operator runs with `--policies=off`. What the policy has changed is taken back."),
    (
        ACTIVE,
        "(of a step)",
        "False: the reason of the condition that does not hold; what follows is up to `failurePolicy`.",
    ),
    ("(each)", NOT_REACHED, "Unknown: a condition before it does not hold."),
];

/// How a call of a policy can fail: reasons of samples, and of conditions of the custom resources that it fails on.
pub const CALLS: &[(&str, &str)] = &[
    (Reason::FuelExhausted.as_str(), "The policy used up its fuel: it loops, or has too much to do."),
    (Reason::Timeout.as_str(), "The policy was still running when its time was over."),
    (Reason::MemoryLimit.as_str(), "The policy wanted more memory than it may have."),
    (Reason::StackLimit.as_str(), "The policy called itself too deep."),
    (Reason::Panicked.as_str(), "The policy ended itself and said why."),
    (Reason::Trapped.as_str(), "The policy did what WebAssembly does not allow."),
    (Reason::BadOutput.as_str(), "What the policy handed over cannot be read."),
    (Reason::OutputLimit.as_str(), "The policy handed over more than it may."),
    (Reason::PolicyFailed.as_str(), "The policy said that it cannot do it."),
    (Reason::EngineCrashed.as_str(), "The process that ran the policy has ended by itself."),
    (Reason::EngineUnavailable.as_str(), "The process that runs policies could not be started or spoken to."),
    (GUARD_VIOLATION, "The policy changed what it may not; the path says where."),
];

/// The section of the reference of conditions, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "\n## Policies\n\nConditions of a WasmPolicy and of a ClusterWasmPolicy, in the order of the steps that lead to a policy that \
         runs.\n\n| Type | Reason | Meaning |\n|---|---|---|\n",
    );
    for (kind, reason, meaning) in CONDITIONS {
        text.push_str(&format!("| {kind} | `{reason}` | {meaning} |\n"));
    }
    text.push_str(
        "\nHow a call of a policy can fail, as the samples in its status say it:\n\n| Reason | Meaning |\n|---|---|\n",
    );
    for (reason, meaning) in CALLS {
        text.push_str(&format!("| `{reason}` | {meaning} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ACTIVE, CALLS, CONDITIONS, STEPS};
    use crate::policy::failure::Reason;

    #[test]
    fn every_row_is_there_once() {
        let rows: BTreeSet<_> = CONDITIONS.iter().map(|(kind, reason, _)| (kind, reason)).collect();
        assert_eq!(rows.len(), CONDITIONS.len());
        let calls: BTreeSet<_> = CALLS.iter().map(|(reason, _)| reason).collect();
        assert_eq!(calls.len(), CALLS.len());
        let meanings: BTreeSet<_> = CONDITIONS.iter().map(|(.., meaning)| meaning).collect();
        assert_eq!(meanings.len(), CONDITIONS.len());
    }

    #[test]
    fn every_step_and_every_failure_has_its_row() {
        for step in STEPS {
            let good = CONDITIONS.iter().find(|(kind, reason, _)| *kind == step && *reason == step);
            assert!(good.is_some_and(|(.., meaning)| meaning.starts_with("True: ")), "{step}");
        }
        for (kind, reason, meaning) in CONDITIONS.iter().filter(|(kind, reason, _)| kind != reason) {
            // What goes on while another spec is loaded, or cannot be, is active.
            let goes_on = *kind == ACTIVE && meaning.starts_with("True");
            assert!(goes_on || meaning.starts_with("False: ") || meaning.starts_with("Unknown: "), "{kind} {reason}");
        }
        for reason in Reason::ALL {
            let named = CONDITIONS.iter().map(|(_, name, _)| name).chain(CALLS.iter().map(|(name, _)| name));
            assert!(named.into_iter().any(|name| *name == reason.as_str()), "{reason}");
        }
    }
}
