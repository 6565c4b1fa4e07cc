//! What the tests share: one control plane a process, and for each test a namespace with an operator of its own that
//! looks after that namespace only, as the ServiceAccount of `igw install` and with its rights alone. Whatever a test is
//! about, it fails when the operator asked for something that it has no right to.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use controlplane::{Audit, AuditEntry, ControlPlane, Supervisor, User};
use igw::{
    args::{IMAGE, NAMESPACE},
    cards::fetch,
    cli::ACCOUNT,
    cluster,
    controller::{Operator, Options, Shared},
    kinds::{Parent as _, ParentInfo, gateway::Gateway},
    object::{ChildKind, MANAGED_BY, MANAGED_BY_LABEL},
    policies,
    scope::Scope,
};
use k8s_openapi::{
    api::{
        authorization::v1::SubjectAccessReview,
        rbac::v1::{ClusterRole, ClusterRoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    discovery::{Scope as Reach, pinned_kind},
    runtime::wait::{Condition, await_condition, conditions},
};
use serde_json::{Value, json};
use tokio::{
    sync::{OnceCell, oneshot},
    task::JoinHandle,
};

use crate::agent_server;

/// Longest wait for anything: a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Events are sent at once, one after the other.
const EVENT_PATIENCE: Duration = Duration::from_secs(10);

/// The ServiceAccount of an operator with other rights than the others have.
const OWN_ACCOUNT: &str = "operator";

/// Becomes the supervisor of the control plane when this binary was started to be one.
#[test]
fn supervise() {
    controlplane::supervise_if_asked();
}

/// A namespace, and the operator that looks after it.
pub(crate) struct World {
    pub(crate) plane: &'static ControlPlane,
    /// Whether nobody damages the plane.
    steady: bool,
    /// Administrator.
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// How often an operator that is started after this asks for a kind that is missing.
    pub(crate) look_again: Duration,
    /// How agents are asked for their cards.
    pub(crate) agents: fetch::Options,
    /// How policies are looked after.
    pub(crate) policies: policies::Options,
    /// The program whose children run policies.
    pub(crate) engine: PathBuf,
    /// Kinds that policies may be granted to add, for an operator that is started after this: it is then a ServiceAccount of
    /// its own, with the role that `igw rbac` prints for them.
    pub(crate) added_kinds: BTreeSet<ChildKind>,
    /// Whether the operator may do less than the role says.
    restricted: bool,
    running: Option<Running>,
}

struct Running {
    shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), igw::controller::Broken>>,
}

/// Who the operator is for the API server.
pub(crate) fn operator_user() -> String {
    format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}")
}

/// The control plane, with everything installed that the operator needs.
pub(crate) async fn plane() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let supervisor = Supervisor::libtest("world::supervise").expect("the test binary has a path");
    let plane = ControlPlane::shared(supervisor).await.expect("the control plane starts");
    let install = || async {
        let client = plane.client(User::Admin).await.expect("client");
        install(&client).await;
    };
    INSTALLED.get_or_init(install).await;
    plane
}

/// A control plane that tests may damage: its API server goes away, its definitions are changed. Those who use it
/// take turns.
pub(crate) async fn breakable_plane() -> (&'static ControlPlane, tokio::sync::MutexGuard<'static, ()>) {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
    let turn = TURN.lock().await;
    let start = || async {
        let supervisor = Supervisor::libtest("world::supervise").expect("the test binary has a path");
        let plane = ControlPlane::start(supervisor).await.expect("the control plane starts");
        install(&plane.client(User::Admin).await.expect("client")).await;
        plane
    };
    (PLANE.get_or_init(start).await, turn)
}

/// Applies what `igw install` prints, without the Deployment: the operator runs in the test.
async fn install(client: &Client) {
    let text = igw::cli::install(IMAGE, NAMESPACE, &BTreeSet::new()).expect("manifests");
    let objects: Vec<DynamicObject> = serde_saphyr::from_multiple(&text).expect("YAML");
    for object in objects {
        let types = object.types.clone().expect("apiVersion and kind");
        let name = object.name_any();
        if types.kind == "Deployment" {
            continue;
        }
        let gvk = GroupVersionKind::try_from(&types).expect("apiVersion and kind");
        let (resource, served) = pinned_kind(client, &gvk).await.expect("a kind of the API server");
        let api: Api<DynamicObject> = match (served.scope, object.namespace()) {
            (Reach::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), &namespace, &resource),
            _ => Api::all_with(client.clone(), &resource),
        };
        let params = PatchParams::apply("install");
        api.patch(&name, &params, &Patch::Apply(&object)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        if types.kind == "CustomResourceDefinition" {
            let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
            await_condition(definitions, &name, conditions::is_crd_established()).await.expect("established");
        }
    }
}

/// The configuration of a client that is the operator's ServiceAccount.
pub(crate) async fn operator_config(plane: &ControlPlane) -> Config {
    let token = plane.service_account_token(NAMESPACE, ACCOUNT).await.expect("a token");
    let mut config = plane.config(User::Nobody).await.expect("config");
    config.auth_info.token = Some(token.into());
    config
}

/// Runs kubectl on a control plane as the administrator; returns all it said, and whether it succeeded.
pub(crate) async fn kubectl(plane: &ControlPlane, args: &[&str]) -> (String, bool) {
    let kubeconfig = plane.kubeconfig(User::Admin);
    let mut command: tokio::process::Command = plane.binaries().kubectl(Path::new(&kubeconfig)).into();
    // It waits itself, for example for a namespace to go, which the controllers of a busy machine retry with growing pauses.
    let output = tokio::time::timeout(3 * PATIENCE, command.args(args).output()).await;
    let output = output.unwrap_or_else(|_| panic!("waited in vain for kubectl {args:?}")).expect("kubectl");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (text, output.status.success())
}

/// Fails a test whose operator asked for something that it has no right to.
impl Drop for World {
    fn drop(&mut self) {
        // Some operators are to be refused something. An API server that has just been started may refuse what is allowed, so the
        // planes that tests damage are left out.
        if std::thread::panicking() || self.restricted || !self.steady {
            return;
        }
        let denied = self.plane.audit().read_denied().expect("an audit log");
        let user = self.user();
        let ours = |entry: &&AuditEntry| {
            let namespace = entry.object_ref.as_ref().map_or("", |object| object.namespace.as_str());
            entry.user.username == user && (namespace.is_empty() || namespace == self.namespace)
        };
        let ours: Vec<_> =
            denied.iter().filter(ours).map(|entry| format!("{} {}", entry.verb, entry.request_uri)).collect();
        assert!(ours.is_empty(), "the operator was denied {ours:#?}");
    }
}

impl World {
    /// A new namespace with a running operator.
    pub(crate) async fn new(name: &str) -> Self {
        let mut world = Self::without_operator(name).await;
        world.start().await;
        world
    }

    /// A new namespace.
    pub(crate) async fn without_operator(name: &str) -> Self {
        let mut world = Self::on(plane().await, name).await;
        world.steady = true;
        world
    }

    /// A new namespace on a certain control plane.
    pub(crate) async fn on(plane: &'static ControlPlane, name: &str) -> Self {
        let namespace = plane.create_namespace(name).await.expect("a namespace");
        let client = plane.client(User::Admin).await.expect("client");
        let look_again = Options::default().look_again;
        let agents = fetch::Options { connect_to: vec![agent_server::agents().detour()], ..fetch::Options::default() };
        // Policies of other tests are other operators'.
        let policies = policies::Options {
            operator_name: namespace.clone(),
            status_every: Duration::from_millis(500),
            ..policies::Options::default()
        };
        let engine = env!("CARGO_BIN_EXE_igw").into();
        Self {
            plane,
            steady: false,
            client,
            namespace,
            look_again,
            agents,
            policies,
            engine,
            added_kinds: BTreeSet::new(),
            restricted: false,
            running: None,
        }
    }

    /// Starts the operator for this namespace, and waits until it has nothing to do.
    pub(crate) async fn start(&mut self) {
        let selector = format!("kubernetes.io/metadata.name={}", self.namespace);
        self.start_with(&selector).await;
    }

    /// Starts the operator for the namespaces that a selector matches.
    pub(crate) async fn start_with(&mut self, selector: &str) {
        let config = self.config().await;
        self.launch(config, selector);
        self.settled().await;
    }

    /// Starts the operator for this namespace as a user who may do less: a ServiceAccount bound to the generated role
    /// without what `keep` refuses (group, plural, verb). Waits for nothing.
    pub(crate) async fn start_restricted(&mut self, keep: impl Fn(&str, &str, &str) -> bool) {
        self.restricted = true;
        let config = self.own_account(keep).await;
        self.launch(config, &format!("kubernetes.io/metadata.name={}", self.namespace));
    }

    /// Who the operator is for the API server.
    pub(crate) fn user(&self) -> String {
        if self.restricted || !self.added_kinds.is_empty() {
            format!("system:serviceaccount:{}:{OWN_ACCOUNT}", self.namespace)
        } else {
            operator_user()
        }
    }

    /// The configuration of a client that is the operator of this world, with exactly the rights that it needs.
    pub(crate) async fn config(&self) -> Config {
        if self.added_kinds.is_empty() {
            return operator_config(self.plane).await;
        }
        let config = self.own_account(|_, _, _| true).await;
        within("the operator to have its rights", self.until_allowed()).await;
        config
    }

    /// Waits until the API server knows of the operator's own account what it was just told.
    async fn until_allowed(&self) {
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        for kind in &self.added_kinds {
            let info = kind.info();
            let resource = json!({"group": info.group, "resource": info.plural, "verb": "list"});
            let review = json!({"metadata": {}, "spec": {"user": self.user(), "resourceAttributes": resource}});
            let review: SubjectAccessReview = serde_json::from_value(review).expect("a review");
            loop {
                let answer = reviews.create(&PostParams::default(), &review).await.expect("an answer");
                if answer.status.is_some_and(|status| status.allowed) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Makes the operator a ServiceAccount of the namespace, bound to what `keep` leaves of the generated role.
    async fn own_account(&self, keep: impl Fn(&str, &str, &str) -> bool) -> Config {
        self.restrict(keep).await;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OWN_ACCOUNT}});
        let params = PatchParams::apply("test");
        self.api(ChildKind::ServiceAccount)
            .patch(OWN_ACCOUNT, &params, &Patch::Apply(&account))
            .await
            .expect("an account");
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": self.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.namespace},
            "subjects": [{"kind": "ServiceAccount", "namespace": self.namespace, "name": OWN_ACCOUNT}],
        });
        let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        bindings.patch(&self.namespace, &params, &Patch::Apply(&binding)).await.expect("a valid binding");
        let token = self.plane.service_account_token(&self.namespace, OWN_ACCOUNT).await.expect("a token");
        let path = self.plane.kubeconfig_for_token(&self.user(), &token).expect("a kubeconfig");
        let kubeconfig = Kubeconfig::read_from(path).expect("a kubeconfig");
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("config")
    }

    /// Gives the operator's own account exactly what `keep` leaves of the generated role.
    pub(crate) async fn restrict(&self, keep: impl Fn(&str, &str, &str) -> bool) {
        let mut role: ClusterRole =
            serde_saphyr::from_str(&igw::cli::rbac(&self.added_kinds).expect("role")).expect("YAML");
        let mut rules = Vec::new();
        for rule in role.rules.take().into_iter().flatten() {
            let group = rule.api_groups.iter().flatten().next().cloned().unwrap_or_default();
            for resource in rule.resources.iter().flatten() {
                let mut verbs = rule.verbs.clone();
                verbs.retain(|verb| keep(&group, resource, verb));
                if !verbs.is_empty() {
                    rules.push(json!({"apiGroups": [group], "resources": [resource], "verbs": verbs}));
                }
            }
        }
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": self.namespace},
            "rules": rules,
        });
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        roles.patch(&self.namespace, &PatchParams::apply("test").force(), &Patch::Apply(&role)).await.expect("a role");
    }

    fn launch(&mut self, config: Config, selector: &str) {
        let client = cluster::kube::client(config).expect("client");
        let scope = Scope::new(selector).expect("selector");
        let (look_again, agents) = (self.look_again, self.agents.clone());
        let policies = policies::Options { added_kinds: self.added_kinds.clone(), ..self.policies.clone() };
        let engine = Some(self.engine.clone());
        let options = Options { scope, look_again, agents, policies, engine, ..Options::default() };
        let operator = Operator::new(client, options).expect("operator");
        let shared = operator.shared();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(operator.run(async move { drop(stopped.await) }));
        self.running = Some(Running { shared, stop, ended });
    }

    /// Stops the operator as a signal does.
    pub(crate) async fn stop(&mut self) {
        let Running { stop, ended, .. } = self.running.take().expect("a running operator");
        drop(stop);
        within("the operator to end", ended).await.expect("no panic").expect("every part ran to the end");
    }

    pub(crate) fn operator(&self) -> &Shared {
        &self.running.as_ref().expect("a running operator").shared
    }

    /// Waits until the operator has nothing to do.
    pub(crate) async fn settled(&self) {
        within("the operator to settle", self.operator().settled()).await;
    }

    /// Waits until the operator has seen a state of a child and has nothing to do.
    pub(crate) async fn seen(&self, object: &DynamicObject) {
        let types = object.types.clone().unwrap_or_default();
        let is = |kind: &ChildKind| kind.info().kind == types.kind && kind.info().api_version() == types.api_version;
        let kind = ChildKind::ALL.into_iter().find(is).expect("a child kind");
        self.seen_version(kind, version(object)).await;
    }

    pub(crate) async fn seen_version(&self, kind: ChildKind, version: u64) {
        let cache = &self.operator().context.cache;
        within(&format!("{kind} version {version} to be seen"), cache.reached(kind, version)).await;
        self.settled().await;
    }

    /// Objects of a kind in the namespace.
    pub(crate) fn api(&self, kind: ChildKind) -> Api<DynamicObject> {
        let info = kind.info();
        let gvk = GroupVersionKind::gvk(info.group, info.version, info.kind);
        Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &ApiResource::from_gvk_with_plural(&gvk, info.plural),
        )
    }

    /// Custom resources of a kind in the namespace.
    pub(crate) fn parents(&self, kind: &ParentInfo) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.kind);
        Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &ApiResource::from_gvk_with_plural(&gvk, kind.plural),
        )
    }

    /// Gateways in the namespace.
    pub(crate) fn gateways(&self) -> Api<DynamicObject> {
        self.parents(&Gateway::INFO)
    }

    /// Applies a custom resource as a user does; errors are the server's.
    pub(crate) async fn try_apply(
        &self,
        kind: &ParentInfo,
        name: &str,
        labels: &Value,
        spec: &Value,
    ) -> kube::Result<DynamicObject> {
        let document = json!({
            "apiVersion": format!("{}/{}", kind.group, kind.version),
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": self.namespace, "labels": labels},
            "spec": spec,
        });
        self.parents(kind).patch(name, &PatchParams::apply("user").force(), &Patch::Apply(&document)).await
    }

    /// Applies a custom resource as a user does.
    pub(crate) async fn apply(&self, kind: &ParentInfo, name: &str, spec: Value) -> DynamicObject {
        self.try_apply(kind, name, &json!({}), &spec).await.expect("a valid custom resource")
    }

    /// Applies a Gateway as a user does.
    pub(crate) async fn apply_gateway(&self, name: &str, spec: Value) -> DynamicObject {
        self.apply(&Gateway::INFO, name, spec).await
    }

    /// Changes a Gateway by a JSON merge patch.
    pub(crate) async fn edit_parent(&self, name: &str, patch: Value) -> DynamicObject {
        self.gateways().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("a valid edit")
    }

    /// Waits until a Gateway says what `holds` wants of it, at its newest generation.
    pub(crate) async fn gateway(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool + Send) -> DynamicObject {
        self.parent(&Gateway::INFO, name, what, holds).await
    }

    /// Waits until a custom resource is Ready, and the operator has nothing to do.
    pub(crate) async fn ready(&self, kind: &ParentInfo, name: &str) -> DynamicObject {
        let ready = |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["status"] == "True");
        let object = self.parent(kind, name, "Ready", ready).await;
        self.settled().await;
        object
    }

    /// Waits until a custom resource says what `holds` wants of it, at its newest generation.
    pub(crate) async fn parent(
        &self,
        kind: &ParentInfo,
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool + Send,
    ) -> DynamicObject {
        let current = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| {
                let status = &object.data["status"];
                status["observedGeneration"].as_i64() == object.metadata.generation && holds(status)
            })
        };
        self.wait(self.parents(kind), name, what, current).await.expect("it exists")
    }

    /// Waits until a Gateway runs, and the operator has nothing to do.
    pub(crate) async fn running(&self, name: &str) -> DynamicObject {
        let object = self.gateway(name, "phase Running", |status| status["phase"] == "Running").await;
        self.settled().await;
        object
    }

    /// Applies a Gateway and waits until it runs.
    pub(crate) async fn run_gateway(&self, name: &str, spec: Value) -> DynamicObject {
        self.apply_gateway(name, spec).await;
        self.running(name).await
    }

    /// Waits until an object is as it should be; shows its last state when that does not come.
    pub(crate) async fn wait(
        &self,
        api: Api<DynamicObject>,
        name: &str,
        what: &str,
        condition: impl Condition<DynamicObject>,
    ) -> Option<DynamicObject> {
        match tokio::time::timeout(PATIENCE, await_condition(api.clone(), name, condition)).await {
            Ok(done) => done.expect("a watch"),
            Err(_) => {
                let mut last = api.get_opt(name).await.expect("a read");
                if let Some(object) = &mut last {
                    object.metadata.managed_fields = None;
                }
                panic!("{name} did not get to: {what}; it is {:#}", json!(last));
            }
        }
    }

    pub(crate) async fn get(&self, kind: ChildKind, name: &str) -> DynamicObject {
        self.api(kind).get(name).await.unwrap_or_else(|error| panic!("{kind} {name}: {error}"))
    }

    pub(crate) async fn find(&self, kind: ChildKind, name: &str) -> Option<DynamicObject> {
        match self.api(kind).get_opt(name).await {
            Err(error) if is_without(kind, &error) => None,
            found => found.expect("a read"),
        }
    }

    pub(crate) async fn create(&self, kind: ChildKind, document: Value) -> DynamicObject {
        let object: DynamicObject = serde_json::from_value(document).expect("an object");
        self.api(kind).create(&PostParams::default(), &object).await.expect("a valid object")
    }

    /// Changes a child as somebody else: a JSON merge patch by kubectl edit.
    pub(crate) async fn edit(&self, kind: ChildKind, name: &str, patch: Value) -> DynamicObject {
        self.edit_by(kind, name, Patch::Merge(patch)).await
    }

    /// As [`edit`](Self::edit), by any kind of patch.
    pub(crate) async fn edit_by(&self, kind: ChildKind, name: &str, patch: Patch<Value>) -> DynamicObject {
        let params = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
        self.api(kind).patch(name, &params, &patch).await.expect("a valid edit")
    }

    /// Everything in the namespace that carries the operator's label, as `Kind/name`, in the order of applying.
    pub(crate) async fn children(&self) -> Vec<String> {
        let mut all = Vec::new();
        let labelled = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
        for kind in ChildKind::ALL {
            let list = match self.api(kind).list(&labelled).await {
                Err(error) if is_without(kind, &error) => continue,
                list => list.expect("a list"),
            };
            all.extend(list.items.iter().map(|object| format!("{kind}/{}", object.name_any())));
        }
        all
    }

    /// Deletes an object and waits until it is gone.
    pub(crate) async fn delete(&self, api: Api<DynamicObject>, name: &str, params: &DeleteParams) {
        let object = api.get(name).await.expect("it exists");
        api.delete(name, params).await.expect("a delete");
        let uid = object.uid().expect("a uid");
        let gone = conditions::is_deleted(&uid);
        within(&format!("{name} to be gone"), await_condition(api, name, gone)).await.expect("a watch");
    }

    /// A view of the audit log from now on.
    pub(crate) async fn calls(&self) -> Calls {
        let mut audit = self.plane.audit();
        audit.read_settled(&self.client).await.expect("an audit log");
        Calls { audit, client: self.client.clone(), namespace: self.namespace.clone(), user: self.user() }
    }

    /// Events about objects of the namespace, as `Reason: note`.
    pub(crate) async fn events(&self) -> Vec<String> {
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = events.list(&ListParams::default()).await.expect("a list").items;
        let ours = list.into_iter().filter(|event| event.reporting_controller.as_deref() == Some(MANAGED_BY));
        ours.map(|event| format!("{}: {}", event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect()
    }

    /// Waits for an Event that contains these words: Events are sent beside the work, not before its end.
    pub(crate) async fn event(&self, words: &[&str]) -> String {
        let found = async {
            loop {
                let events = self.events().await;
                if let Some(event) = events.into_iter().find(|event| words.iter().all(|word| event.contains(word))) {
                    return event;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(EVENT_PATIENCE, found).await {
            Ok(event) => event,
            Err(_) => panic!("no Event with {words:?} among {:#?}", self.events().await),
        }
    }

    /// Runs kubectl as the administrator, beside the operator in this process; returns all it said.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> String {
        let (said, done) = self.try_kubectl(args).await;
        assert!(done, "kubectl {args:?}: {said}");
        said
    }

    /// As [`kubectl`](Self::kubectl); also returns whether it succeeded.
    pub(crate) async fn try_kubectl(&self, args: &[&str]) -> (String, bool) {
        kubectl(self.plane, args).await
    }
}

/// Whether the server is without an optional kind.
fn is_without(kind: ChildKind, error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if kind.optional() && status.code == 404)
}

/// The operator's calls.
pub(crate) struct Calls {
    audit: Audit,
    client: Client,
    namespace: String,
    user: String,
}

impl Calls {
    /// The operator's calls since the last look that are about this test's namespace, as `verb resource/name code`;
    /// Events, which are for people, left out.
    pub(crate) async fn read(&mut self) -> Vec<String> {
        let entries = self.audit.read_settled(&self.client).await.expect("an audit log");
        let ours = |entry: &&AuditEntry| {
            entry.user.username == self.user
                && entry.object_ref.as_ref().is_some_and(|object| object.namespace == self.namespace)
                && !entry.resource().starts_with("events")
        };
        let show = |entry: &AuditEntry| {
            let name = entry.object_ref.as_ref().map(|object| object.name.clone()).unwrap_or_default();
            format!("{} {}/{name} {}", entry.verb, entry.resource(), entry.code())
        };
        entries.iter().filter(ours).map(show).collect()
    }

    /// As [`read`](Self::read), without writes of the status.
    pub(crate) async fn read_children(&mut self) -> Vec<String> {
        let mut calls = self.read().await;
        calls.retain(|call| !call.contains("/status/"));
        calls
    }
}

/// Fails instead of waiting for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// The resource version as a number.
pub(crate) fn version(object: &DynamicObject) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).expect("a resource version")
}

/// A condition of a status.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Checks type, status and reason of a condition, and that its message contains words.
#[track_caller]
pub(crate) fn assert_condition(status: &Value, kind: &str, wanted: (&str, &str), words: &[&str]) {
    let Some(found) = condition(status, kind) else { panic!("no condition {kind} in {status:#}") };
    let is = (found["status"].as_str().unwrap_or_default(), found["reason"].as_str().unwrap_or_default());
    assert_eq!(is, wanted, "{kind} in {status:#}");
    let message = found["message"].as_str().unwrap_or_default();
    for word in words {
        assert!(message.contains(word), "{kind} says {message:?}, not {word:?}");
    }
}

/// A Gateway spec with every child switched on.
pub(crate) fn everything() -> Value {
    json!({
        "ingress": {"enabled": true, "host": "gateway.example.com"},
        "hpa": {"enabled": true, "config": {"minReplicas": 1, "maxReplicas": 3}},
    })
}
