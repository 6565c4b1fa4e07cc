//! Who may write policies: the admission rule, asked of the API server by people with a few rights each, and the operator
//! that does not start for strangers' policies without it.

use std::{process::Stdio, time::Duration};

use controlplane::{ControlPlane, User};
use igw::{
    cli,
    kinds::ParentInfo,
    policy::resource::{CLUSTER_WASM_POLICY, GROUP, VERSION, WASM_POLICY},
};
use k8s_openapi::api::{
    authorization::v1::SubjectAccessReview,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::world::{World, breakable_plane, operator_config, within};

/// What an author has to be allowed to create.
const RIGHTS: [(&str, &str); 5] = [
    ("apps", "deployments"),
    ("", "services"),
    ("", "configmaps"),
    ("networking.k8s.io", "ingresses"),
    ("autoscaling", "horizontalpodautoscalers"),
];

/// Rules of a role that lets its owner write policies of a kind, their status too.
fn writing(info: &ParentInfo) -> Vec<Value> {
    let resources = [info.plural.to_owned(), format!("{}/status", info.plural)];
    let verbs = ["create", "get", "patch", "update", "delete"];
    vec![json!({"apiGroups": [GROUP], "resources": resources, "verbs": verbs})]
}

/// Rules with what an author needs, but for one right.
fn rights(without: Option<&str>) -> Vec<Value> {
    let kept = RIGHTS.iter().filter(|(_, plural)| without != Some(*plural));
    kept.map(|(group, plural)| json!({"apiGroups": [group], "resources": [plural], "verbs": ["create"]})).collect()
}

/// A rule with the verb grant on one policy.
fn granting(info: &ParentInfo, name: &str) -> Vec<Value> {
    vec![json!({"apiGroups": [GROUP], "resources": [info.plural], "resourceNames": [name], "verbs": ["grant"]})]
}

/// Somebody who is known by name alone.
async fn somebody(plane: &ControlPlane, user: &str) -> Client {
    let mut config = plane.config(User::Admin).await.expect("config");
    config.auth_info.impersonate = Some(user.to_owned());
    Client::try_from(config).expect("client")
}

/// Gives somebody a role of their own, in the namespace or in all of them.
async fn allow(world: &World, user: &str, everywhere: bool, rules: &[Value]) {
    let name = format!("{user}-{}", if everywhere { "everywhere" } else { "here" });
    let (role, binding) = if everywhere { ("ClusterRole", "ClusterRoleBinding") } else { ("Role", "RoleBinding") };
    bind(world, &name, user, binding, role, &name).await;
    let document = json!({"metadata": {"name": name}, "rules": rules});
    let params = PostParams::default();
    if everywhere {
        let role: ClusterRole = serde_json::from_value(document).expect("a role");
        Api::all(world.client.clone()).create(&params, &role).await.expect("a valid role");
    } else {
        let role: Role = serde_json::from_value(document).expect("a role");
        Api::namespaced(world.client.clone(), &world.namespace).create(&params, &role).await.expect("a valid role");
    }
    for rule in rules {
        let of = |field: &str| rule[field][0].as_str().unwrap_or_default().to_owned();
        reaches(world, user, everywhere, &of("apiGroups"), &of("resources"), &of("verbs"), &of("resourceNames")).await;
    }
}

async fn bind(world: &World, name: &str, user: &str, kind: &str, role_kind: &str, role: &str) {
    let document = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    let params = PostParams::default();
    if kind == "ClusterRoleBinding" {
        let binding: ClusterRoleBinding = serde_json::from_value(document).expect("a binding");
        Api::all(world.client.clone()).create(&params, &binding).await.expect("a valid binding");
    } else {
        let binding: RoleBinding = serde_json::from_value(document).expect("a binding");
        let api = Api::namespaced(world.client.clone(), &world.namespace);
        api.create(&params, &binding).await.expect("a valid binding");
    }
}

/// Waits until the API server knows of a right.
async fn reaches(world: &World, user: &str, everywhere: bool, group: &str, plural: &str, verb: &str, name: &str) {
    let namespace = if everywhere { "" } else { &world.namespace };
    let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
        "user": user,
        "groups": ["system:authenticated"],
        "resourceAttributes":
            {"group": group, "resource": plural, "verb": verb, "namespace": namespace, "name": name},
    }}))
    .expect("a review");
    let api: Api<SubjectAccessReview> = Api::all(world.client.clone());
    let known = async {
        while !api.create(&PostParams::default(), &review).await.expect("an answer").status.is_some_and(|s| s.allowed) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(&format!("{user} to be allowed to {verb} {plural}"), known).await;
}

fn api(client: &Client, info: &ParentInfo, namespace: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(info.group, info.version, info.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, info.plural);
    if *info == WASM_POLICY {
        Api::namespaced_with(client.clone(), namespace, &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

/// A policy that no operator of the other tests runs.
fn policy(info: &ParentInfo, name: &str, grants: Option<Value>) -> DynamicObject {
    let mut document = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": info.kind,
        "metadata": {"name": name},
        "spec": {
            "module": {"configMap": {"name": "absent", "key": "absent.wasm"}, "sha256": "0".repeat(64)},
            "match": {
                "parents": [{"group": "core.inference-gateway.com", "kind": "Gateway"}],
                "children": [{"group": "apps", "kind": "Deployment"}],
            },
            "operator": "of-nobody",
        },
    });
    if let Some(grants) = grants {
        document["spec"]["grants"] = grants;
    }
    serde_json::from_value(document).expect("an object")
}

/// Nothing is stored: the rule answers all the same.
fn asking() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

/// Checks that something was refused as forbidden, and what was said.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: kube::Result<T>, words: &[&str]) {
    match answer {
        Err(kube::Error::Api(status)) => {
            assert_eq!(status.code, 403, "{status:?}");
            for word in words {
                assert!(status.message.contains(word), "{:?} does not say {word:?}", status.message);
            }
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// A namespace in which the rule is followed: the API server takes a moment to begin.
async fn ruled(name: &str) -> World {
    let world = World::without_operator(name).await;
    let user = format!("canary-of-{}", world.namespace);
    allow(&world, &user, false, &writing(&WASM_POLICY)).await;
    let policies = api(&somebody(world.plane, &user).await, &WASM_POLICY, &world.namespace);
    let begun = async {
        while policies.create(&asking(), &policy(&WASM_POLICY, "canary", None)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("the rule to be followed", begun).await;
    world
}

#[tokio::test]
async fn an_author_needs_every_right_in_the_namespace() {
    let world = ruled("authors").await;
    for (group, plural) in RIGHTS {
        let user = format!("{}-without-{plural}", world.namespace);
        allow(&world, &user, false, &[writing(&WASM_POLICY), rights(Some(plural))].concat()).await;
        let policies = api(&somebody(world.plane, &user).await, &WASM_POLICY, &world.namespace);
        let name = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let words = [
            format!("user {user} needs the right to create {name} in namespace {} to write", world.namespace),
            "ValidatingAdmissionPolicy".into(),
        ];
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        refused(policies.create(&asking(), &policy(&WASM_POLICY, "new", None)).await, &words);
    }
    let user = format!("{}-complete", world.namespace);
    allow(&world, &user, false, &[writing(&WASM_POLICY), rights(None)].concat()).await;
    let policies = api(&somebody(world.plane, &user).await, &WASM_POLICY, &world.namespace);
    policies.create(&PostParams::default(), &policy(&WASM_POLICY, "new", None)).await.expect("everything is there");
    let order = Patch::Merge(json!({"spec": {"order": 7}}));
    policies.patch("new", &PatchParams::default(), &order).await.expect("may be changed, too");

    // Another author's policy is no way around.
    let user = format!("canary-of-{}", world.namespace);
    let policies = api(&somebody(world.plane, &user).await, &WASM_POLICY, &world.namespace);
    let order = Patch::Merge(json!({"spec": {"order": 8}}));
    refused(
        policies.patch("new", &PatchParams::default(), &order).await,
        &["needs the right to create deployments.apps"],
    );
    let label = Patch::Merge(json!({"metadata": {"labels": {"team": "a"}}}));
    policies.patch("new", &PatchParams::default(), &label).await.expect("no part of what the policy does");
    policies.delete("new", &DeleteParams::default()).await.expect("deleting is a right like every other");
}

#[tokio::test]
async fn grants_need_the_verb_grant_on_that_policy() {
    let world = ruled("grants").await;
    let author = format!("{}-author", world.namespace);
    allow(&world, &author, false, &[writing(&WASM_POLICY), rights(None)].concat()).await;
    let granter = format!("{}-granter", world.namespace);
    let rules = [writing(&WASM_POLICY), rights(None), granting(&WASM_POLICY, "granted")].concat();
    allow(&world, &granter, false, &rules).await;
    let by = async |user: &str| api(&somebody(world.plane, user).await, &WASM_POLICY, &world.namespace);
    let (author, granter, author_name) = (by(&author).await, by(&granter).await, author);

    let images = || Some(json!({"images": ["registry.example.com/team/"]}));
    let granted = policy(&WASM_POLICY, "granted", images());
    let words = [
        format!("user {author_name} needs the verb grant on wasmpolicies.{GROUP} granted"),
        format!("in namespace {}", world.namespace),
    ];
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    refused(author.create(&asking(), &granted).await, &words);
    let refusal = ["needs the verb grant"];
    refused(granter.create(&asking(), &policy(&WASM_POLICY, "another", images())).await, &refusal);
    for nothing in [json!({}), json!({"images": []}), json!({"secrets": [], "configMaps": []})] {
        let policy = policy(&WASM_POLICY, "granted", Some(nothing.clone()));
        author.create(&asking(), &policy).await.unwrap_or_else(|error| panic!("{nothing} grants nothing: {error}"));
    }

    granter.create(&PostParams::default(), &granted).await.expect("the verb is there");
    let change = async |by: &Api<DynamicObject>, patch: Value| {
        by.patch("granted", &PatchParams::default(), &Patch::Merge(patch)).await
    };
    for patch in [
        json!({"spec": {"module": {"sha256": "1".repeat(64)}}}),
        json!({"spec": {"mode": "Suspended"}}),
        json!({"spec": {"grants": {"images": ["registry.example.com/team/", "other/"]}}}),
        json!({"spec": {"grants": {"images": null, "secrets": ["token"]}}}),
        // Nor may somebody take the grants away, and with them what others rely on.
        json!({"spec": {"grants": null}}),
        json!({"spec": {"grants": {"images": []}}}),
    ] {
        refused(change(&author, patch.clone()).await, &refusal);
    }
    change(&author, json!({"metadata": {"annotations": {"note": "mine"}}})).await.expect("no part of the spec");
    let status = Patch::Merge(json!({"status": {"observedGeneration": 1}}));
    author.patch_status("granted", &PatchParams::default(), &status).await.expect("the status is not concerned");
    change(&granter, json!({"spec": {"order": 3}})).await.expect("the verb is there");
    change(&granter, json!({"spec": {"grants": {"images": []}}})).await.expect("the verb is there");
    change(&author, json!({"spec": {"order": 4}})).await.expect("nothing is granted any more");
    let admin = api(&world.client, &WASM_POLICY, &world.namespace);
    change(&admin, json!({"spec": {"grants": {"secrets": ["token"]}}})).await.expect("may everything");
}

#[tokio::test]
async fn a_policy_of_the_cluster_needs_the_rights_everywhere() {
    let world = ruled("cluster-authors").await;
    let kind = &CLUSTER_WASM_POLICY;
    let user = format!("{}-author", world.namespace);
    allow(&world, &user, true, &writing(kind)).await;
    allow(&world, &user, false, &rights(None)).await;
    let policies = api(&somebody(world.plane, &user).await, kind, "");
    let words = format!("user {user} needs the right to create deployments.apps in all namespaces");
    refused(policies.create(&asking(), &policy(kind, "new", None)).await, &[&words]);

    let user = format!("{}-everywhere", world.namespace);
    allow(&world, &user, true, &[writing(kind), rights(None), granting(kind, "granted")].concat()).await;
    let policies = api(&somebody(world.plane, &user).await, kind, "");
    policies.create(&asking(), &policy(kind, "new", None)).await.expect("everything is there");
    let off = json!({"containerSecurity": false, "addKinds": []});
    policies.create(&asking(), &policy(kind, "new", Some(off))).await.expect("what is off is no grant");
    for grants in [
        json!({"containerSecurity": true}),
        json!({"command": true}),
        json!({"addKinds": [{"group": "networking.k8s.io", "kind": "NetworkPolicy"}]}),
    ] {
        let words = format!("user {user} needs the verb grant on clusterwasmpolicies.{GROUP} new in all namespaces");
        refused(policies.create(&asking(), &policy(kind, "new", Some(grants.clone()))).await, &[&words]);
        policies.create(&asking(), &policy(kind, "granted", Some(grants))).await.expect("the verb is there");
    }
    let on = json!({"command": true});
    api(&world.client, kind, "").create(&asking(), &policy(kind, "new", Some(on))).await.expect("may everything");
}

/// The roles of the cluster: `edit` reads policies, `admin` writes them, and nobody gives himself the verb `grant`.
#[tokio::test]
async fn an_admin_of_a_namespace_writes_policies_and_cannot_grant() {
    let world = ruled("roles").await;
    let mut clients = Vec::new();
    for role in ["edit", "admin"] {
        let user = format!("{}-{role}", world.namespace);
        bind(&world, role, &user, "RoleBinding", "ClusterRole", role).await;
        // The rules of the operator's roles are added to the cluster's own by a controller.
        let verb = if role == "admin" { "create" } else { "get" };
        reaches(&world, &user, false, GROUP, WASM_POLICY.plural, verb, "").await;
        reaches(&world, &user, false, "apps", "deployments", "create", "").await;
        clients.push(somebody(world.plane, &user).await);
    }
    let [editor, admin] = &clients[..] else { panic!("two") };
    let new = policy(&WASM_POLICY, "new", None);
    refused(api(editor, &WASM_POLICY, &world.namespace).create(&asking(), &new).await, &["cannot create resource"]);
    let policies = api(admin, &WASM_POLICY, &world.namespace);
    policies.create(&asking(), &new).await.expect("an admin may");
    let granted = policy(&WASM_POLICY, "new", Some(json!({"secrets": ["token"]})));
    refused(policies.create(&asking(), &granted).await, &["needs the verb grant"]);
    let words = ["cannot create resource"];
    refused(
        api(admin, &CLUSTER_WASM_POLICY, "").create(&asking(), &policy(&CLUSTER_WASM_POLICY, "new", None)).await,
        &words,
    );
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": "granter"},
        "rules": granting(&WASM_POLICY, "new"),
    }))
    .expect("a role");
    let roles: Api<Role> = Api::namespaced(admin.clone(), &world.namespace);
    refused(roles.create(&asking(), &role).await, &["attempting to grant RBAC permissions not currently held"]);
}

/// The rule or its binding, taken back to what it was.
struct Installed {
    api: Api<DynamicObject>,
    original: DynamicObject,
}

impl Installed {
    const NAME: &str = "authors.policy.inference-gateway.dev";

    async fn read(client: &Client, kind: &str, plural: &str) -> Self {
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&gvk, plural));
        let mut original = api.get(Self::NAME).await.expect("installed");
        original.metadata.resource_version = None;
        original.metadata.managed_fields = None;
        original.metadata.uid = None;
        Self { api, original }
    }

    async fn change(&self, patch: Value) {
        let patch: Patch<Value> = match patch {
            Value::Array(_) => Patch::Json(serde_json::from_value(patch).expect("a patch")),
            patch => Patch::Merge(patch),
        };
        self.api.patch(Self::NAME, &PatchParams::default(), &patch).await.expect("a valid change");
    }

    async fn remove(&self) {
        self.api.delete(Self::NAME, &DeleteParams::default()).await.expect("deleted");
    }

    async fn create(&self) {
        self.api.create(&PostParams::default(), &self.original).await.expect("created");
    }

    async fn restore(&self) {
        self.remove().await;
        self.create().await;
    }
}

#[tokio::test]
async fn the_start_check_sees_whatever_weakens_the_rule() {
    let (plane, _turn) = breakable_plane().await;
    let admin = plane.client(User::Admin).await.expect("client");
    let rule = Installed::read(&admin, "ValidatingAdmissionPolicy", "validatingadmissionpolicies").await;
    let binding =
        Installed::read(&admin, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings").await;
    // As the operator: it has the right to look, and no other.
    let operator = Client::try_from(operator_config(plane).await).expect("client");
    let says = async || cli::installed(&operator).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(says().await, "");

    let some = json!({"matchLabels": {"guarded": "yes"}});
    for (object, patch, words) in [
        (&rule, json!({"spec": {"failurePolicy": "Ignore"}}), "not the one of this version"),
        (&rule, json!([{"op": "remove", "path": "/spec/validations/5"}]), "not the one of this version"),
        (&rule, json!({"spec": {"matchConstraints": {"namespaceSelector": some}}}), "not the one of this version"),
        (
            &rule,
            json!([{"op": "add", "path": "/spec/matchConditions/-", "value": {"name": "never", "expression": "false"}}]),
            "not the one of this version",
        ),
        (
            &rule,
            json!([{"op": "replace", "path": "/spec/matchConstraints/resourceRules/0/resources", "value": ["wasmpolicies"]}]),
            "not the one of this version",
        ),
        (&binding, json!({"spec": {"validationActions": ["Warn"]}}), "does not deny"),
        (&binding, json!({"spec": {"validationActions": ["Audit"]}}), "does not deny"),
        (&binding, json!({"spec": {"policyName": "another.example.com"}}), "does not deny"),
        (&binding, json!({"spec": {"matchResources": {"namespaceSelector": some}}}), "does not deny"),
    ] {
        object.change(patch.clone()).await;
        let said = says().await;
        assert!(said.contains(words) && said.contains("igw install"), "{patch}: {said:?}");
        object.restore().await;
        assert_eq!(says().await, "", "after {patch}");
    }
    for object in [&rule, &binding] {
        object.remove().await;
        let said = says().await;
        assert!(said.contains("is missing") && said.contains("--without-admission-rule"), "{said:?}");
        object.create().await;
    }
    binding.change(json!({"spec": {"validationActions": ["Audit", "Deny"]}})).await;
    assert_eq!(says().await, "", "to be told as well weakens nothing");
    binding.restore().await;
    let nobody = plane.client(User::Nobody).await.expect("client");
    let said = cli::installed(&nobody).await.expect_err("no right to look").to_string();
    assert!(said.contains("cannot be read"), "{said}");
}

/// Starts the program as the operator's ServiceAccount, and ends it when it has started; what it said if it has not.
async fn start(kubeconfig: &str, flags: &[&str]) -> Result<(), String> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_igw"));
    command.args(["run", "--kubeconfig", kubeconfig, "--watch-namespace-selector=of=nobody"]);
    command.args(["--metrics-bind-address=0", "--health-probe-bind-address=0"]).args(flags);
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("igw");
    let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
    let mut said = String::new();
    let heard = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.contains("started") {
                return true;
            }
            said += &line;
        }
        false
    };
    if within("igw to start or to end", heard).await {
        return Ok(());
    }
    let status = within("igw to end", child.wait()).await.expect("a status");
    Err(format!("{}: {said}", status.code().unwrap_or(-1)))
}

#[tokio::test]
async fn strangers_policies_are_run_only_under_the_rule() {
    let (plane, _turn) = breakable_plane().await;
    let token = plane.service_account_token(igw::args::NAMESPACE, cli::ACCOUNT).await.expect("a token");
    let file = plane.kubeconfig_for_token("start-check", &token).expect("a kubeconfig");
    let file = file.to_string_lossy();
    let admin = plane.client(User::Admin).await.expect("client");
    let binding =
        Installed::read(&admin, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings").await;
    start(&file, &["--namespaced-policies"]).await.expect("the rule is installed");
    binding.remove().await;
    let said = start(&file, &["--namespaced-policies"]).await.expect_err("the rule is not whole");
    assert!(said.starts_with("2: igw: failed to find the rule for authors of WasmPolicies"), "{said}");
    assert!(said.contains("igw install") && said.contains("--without-admission-rule"), "{said}");
    for flags in [
        &[][..],
        &["--namespaced-policies", "--without-admission-rule"],
        &["--namespaced-policies", "--policies=hold"],
        &["--namespaced-policies", "--policies=off"],
    ] {
        start(&file, flags).await.unwrap_or_else(|said| panic!("{flags:?}: {said}"));
    }
    binding.create().await;
}
