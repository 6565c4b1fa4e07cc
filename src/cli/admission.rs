//! The admission rule: who may write policies. `igw install` prints it, and an operator that runs the policies of
//! namespaces asks for it when it starts.
//!
//! A policy acts with the operator's rights, so its author needs the rights to do the same by hand; and what no policy
//! may do without a grant, nobody may have one do without the verb `grant` on it.

use std::fmt;

use k8s_openapi::{
    api::admissionregistration::v1::{
        MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
        ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec,
        Validation, Variable,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::generate;
use crate::policy::resource::{CLUSTER_WASM_POLICY, GROUP, WASM_POLICY};

/// Name of the rule and of its binding.
pub(super) const NAME: &str = "authors.policy.inference-gateway.dev";

/// What the author of a policy must be allowed to create: every kind that a policy changes without a grant.
const RIGHTS: [(&str, &str); 5] = [
    ("apps", "deployments"),
    ("", "services"),
    ("", "configmaps"),
    ("networking.k8s.io", "ingresses"),
    ("autoscaling", "horizontalpodautoscalers"),
];

/// Why an operator that runs the policies of namespaces cannot count on the rule.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to find the rule for authors of WasmPolicies: the {kind} {NAME} {problem}; apply what `igw install` of this \
     version prints, or start without the rule by --without-admission-rule"
)]
pub struct NotInstalled {
    kind: &'static str,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Missing,
    Other,
    Toothless,
    Unknown(kube::Error),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Other => f.write_str("is not the one of this version"),
            Self::Toothless => f.write_str("does not deny what the rule refuses, in every namespace"),
            Self::Unknown(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

/// Whether the API server has the rule of this version, and follows it.
///
/// The whole spec is compared, not the parts that seem to matter: one more exception in it is enough to let everything
/// through. The rule has every default written out, so what the server stores is what was sent.
///
/// # Errors
/// When it has not, when it only warns, or when that cannot be found out.
pub async fn installed(client: &Client) -> Result<(), NotInstalled> {
    const RULE: &str = "ValidatingAdmissionPolicy";
    const BINDING: &str = "ValidatingAdmissionPolicyBinding";
    let because = |kind| move |problem| NotInstalled { kind, problem };
    let unknown = |kind| move |error| NotInstalled { kind, problem: Problem::Unknown(error) };

    let rules: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let found = rules.get_opt(NAME).await.map_err(unknown(RULE))?;
    let found = found.ok_or(Problem::Missing).map_err(because(RULE))?;
    if found.spec != rule().spec {
        return Err(because(RULE)(Problem::Other));
    }
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let found = bindings.get_opt(NAME).await.map_err(unknown(BINDING))?;
    let mut found = found.ok_or(Problem::Missing).map_err(because(BINDING))?.spec;
    // To be told of a refusal in the audit log as well takes nothing from it.
    found.validation_actions.retain(|action| action != "Audit");
    if found != binding().spec {
        return Err(because(BINDING)(Problem::Toothless));
    }
    Ok(())
}

/// The rule and its binding, to be installed.
pub(super) fn objects() -> [Value; 2] {
    [json!(rule()), json!(binding())]
}

fn metadata() -> ObjectMeta {
    let labels = serde_json::from_value(generate::labels()).unwrap_or_default();
    ObjectMeta { name: Some(NAME.into()), labels, ..ObjectMeta::default() }
}

fn binding() -> ValidatingAdmissionPolicyBinding {
    ValidatingAdmissionPolicyBinding {
        metadata: metadata(),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: NAME.into(),
            validation_actions: vec!["Deny".into()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    }
}

fn rule() -> ValidatingAdmissionPolicy {
    let list = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect());
    let variable = |name: &str, expression: String| Variable { name: name.into(), expression };
    let matched = NamedRuleWithOperations {
        api_groups: list(&[GROUP]),
        api_versions: list(&["*"]),
        operations: list(&["CREATE", "UPDATE"]),
        // Without the subresource: whoever may write the status of a policy changes nothing that it does.
        resources: list(&[WASM_POLICY.plural, CLUSTER_WASM_POLICY.plural]),
        scope: Some("*".into()),
        ..NamedRuleWithOperations::default()
    };
    let mut validations: Vec<_> = RIGHTS.iter().map(|(group, plural)| right(group, plural)).collect();
    validations.push(grant());
    ValidatingAdmissionPolicy {
        metadata: metadata(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".into()),
            match_constraints: Some(MatchResources {
                match_policy: Some("Equivalent".into()),
                namespace_selector: Some(LabelSelector::default()),
                object_selector: Some(LabelSelector::default()),
                resource_rules: Some(vec![matched]),
                ..MatchResources::default()
            }),
            match_conditions: Some(vec![MatchCondition {
                name: "spec-changed".into(),
                expression: "oldObject == null || object.spec != oldObject.spec".into(),
            }]),
            variables: Some(vec![
                // A check in the namespace "" is one in all namespaces.
                variable("home", "has(request.namespace) ? request.namespace : ''".into()),
                variable(
                    "where",
                    "variables.home == '' ? 'in all namespaces' : 'in namespace ' + variables.home".into(),
                ),
                // Also what was granted before: whoever may not grant neither puts another module under somebody's grants
                // nor takes away what somebody relies on.
                variable(
                    "granted",
                    format!("{} || (oldObject != null && {})", has_grants("object"), has_grants("oldObject")),
                ),
            ]),
            validations: Some(validations),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        ..ValidatingAdmissionPolicy::default()
    }
}

/// One check a validation: each costs a third of what an expression may, and what is over that refuses everything.
fn right(group: &str, plural: &str) -> Validation {
    let name = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    refusal(
        format!("authorizer.group('{group}').resource('{plural}').namespace(variables.home).check('create').allowed()"),
        format!("who writes a policy needs the right to create {name} there"),
        format!(
            "'user ' + request.userInfo.username + ' needs the right to create {name} ' + variables.where + ' to write this \
             policy'"
        ),
    )
}

/// The server asks for the policy itself: its kind, its namespace, its name.
fn grant() -> Validation {
    refusal(
        "!variables.granted || authorizer.requestResource.check('grant').allowed()".into(),
        "who writes a policy that has grants needs the verb grant on it".into(),
        format!(
            "'user ' + request.userInfo.username + ' needs the verb grant on ' + request.resource.resource + '.{GROUP} ' + \
             object.metadata.name + ' ' + variables.where + ' to write a policy that has grants, or had them'"
        ),
    )
}

/// `message` is said when `message_expression` fails.
fn refusal(expression: String, message: String, message_expression: String) -> Validation {
    Validation {
        expression,
        message: Some(message),
        message_expression: Some(message_expression),
        reason: Some("Forbidden".into()),
    }
}

/// Whether something is granted; empty lists and what is switched off are nothing. Through `dyn()`, because by its schema
/// it is an object, and one goes only through maps field by field.
fn has_grants(object: &str) -> String {
    let grants = format!("dyn({object}.spec.grants)");
    format!("(has({object}.spec.grants) && {grants}.exists(name, !({grants}[name] in [dyn([]), dyn(false)])))")
}
