//! `manifests/install.yaml` as users apply it: in one pass, in the place of the Go operator, with no more rights than
//! it needs, and gone without a trace. On a control plane of its own, because what it installs is there once a cluster.

use std::{path::Path, time::Duration};

use controlplane::{ControlPlane, Supervisor};
use igw::{
    args::{IMAGE, NAMESPACE},
    cli::ACCOUNT,
    kinds::{self, GROUP, Parent, ParentInfo, Visitor},
    policy::resource::{CLUSTER_WASM_POLICY, WASM_POLICY},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, api::ListParams};
use serde_json::{Value, json};

use crate::world::{kubectl, operator_config, operator_user, within};

/// What the manifest has outside the operator's namespace.
const EVERYWHERE: &str =
    "clusterroles,clusterrolebindings,crds,namespaces,validatingadmissionpolicies,validatingadmissionpolicybindings";

/// Every kind of custom resource, and whether it can be scaled.
fn every_kind() -> Vec<(ParentInfo, bool)> {
    #[derive(Default)]
    struct All(Vec<(ParentInfo, bool)>);
    impl Visitor for All {
        fn visit<P: Parent>(&mut self) {
            let versions = P::crd().spec.versions;
            let scales = versions.iter().any(|v| v.subresources.as_ref().is_some_and(|s| s.scale.is_some()));
            self.0.push((P::INFO, scales));
        }
    }
    let mut all = All::default();
    kinds::for_each(&mut all);
    all.0
}

fn manifest() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/install.yaml").to_string_lossy().into_owned()
}

/// kubectl must succeed; returns what it said.
async fn run(plane: &ControlPlane, args: &[&str]) -> String {
    let (said, done) = kubectl(plane, args).await;
    assert!(done, "kubectl {args:?}: {said}");
    said
}

/// Applies a document from a file, as kubectl apply does.
async fn apply(plane: &ControlPlane, document: &Value) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), document.to_string()).expect("written");
    run(plane, &["apply", "-f", &file.path().to_string_lossy()]).await
}

#[tokio::test]
async fn the_manifest_installs_in_one_pass_and_goes_without_a_trace() {
    let supervisor = Supervisor::libtest("world::supervise").expect("the test binary has a path");
    let plane = ControlPlane::start(supervisor).await.expect("the control plane starts");
    let before = run(&plane, &["get", EVERYWHERE, "-o", "name"]).await;
    let predecessor = stand_in_for_the_go_operator(&plane).await;

    run(&plane, &["apply", "-f", &manifest()]).await;
    run(&plane, &["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"]).await;
    let table = run(&plane, &["get", "crd"]).await;
    let shown: Vec<_> = table.lines().filter(|line| line.contains("inference-gateway.com")).collect();
    assert_eq!(shown.len(), every_kind().len(), "{table}");
    for (info, _) in every_kind() {
        assert!(shown.iter().any(|line| line.starts_with(&format!("{}.{GROUP} ", info.plural))), "{table}");
    }
    takes_the_place(&plane, &predecessor).await;
    let again = run(&plane, &["apply", "-f", &manifest()]).await;
    let changed: Vec<_> = again.lines().filter(|line| !line.ends_with(" unchanged")).collect();
    assert_eq!(changed, [""; 0], "a second apply changes nothing");

    fits_a_restricted_namespace(&plane).await;
    the_operator_may_do_its_work_and_nothing_else(&plane).await;
    a_denied_call_is_seen(&plane).await;
    people_get_their_rights_from_the_clusters_own_roles(&plane).await;

    // Custom resources that are still there hold nothing up, although no operator runs.
    let gateway = json!({
        "apiVersion": "core.inference-gateway.com/v1alpha1",
        "kind": "Gateway",
        "metadata": {"name": "left", "namespace": "default"},
    });
    apply(&plane, &gateway).await;
    run(&plane, &["delete", "--timeout=150s", "-f", &manifest()]).await;
    let after = run(&plane, &["get", EVERYWHERE, "-o", "name"]).await;
    assert_eq!(after, before);
    plane.stop().await.expect("it stops");
}

/// What matters of the Go operator's own manifest: names, selector, and what only it has.
async fn stand_in_for_the_go_operator(plane: &ControlPlane) -> String {
    let labels = json!({"app.kubernetes.io/name": "operator", "control-plane": "inference-gateway-operator"});
    let os = json!({"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]});
    let container = json!({
        "name": "operator",
        "image": "example.test/operator:latest",
        "args": ["--leader-elect", "--zap-encoder=json"],
        "env": [{"name": "WATCH_NAMESPACE_SELECTOR", "value": "inference-gateway.com/managed=true"}],
    });
    let spec = json!({
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [os]}],
        }}},
        "containers": [container],
    });
    apply(plane, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).await;
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": ACCOUNT, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    });
    apply(plane, &deployment).await;
    run(plane, &["scale", "deployment", ACCOUNT, "-n", NAMESPACE, "--replicas=0"]).await;
    uid(plane).await
}

async fn uid(plane: &ControlPlane) -> String {
    run(plane, &["get", "deployment", ACCOUNT, "-n", NAMESPACE, "-o", "jsonpath={.metadata.uid}"]).await
}

/// The same Deployment runs this operator, without what the other one was told.
async fn takes_the_place(plane: &ControlPlane, predecessor: &str) {
    let deployment = format!("deployment/{ACCOUNT}");
    run(plane, &["wait", &deployment, "-n", NAMESPACE, "--for=condition=Available", "--timeout=60s"]).await;
    assert_eq!(uid(plane).await, predecessor);
    let said = run(plane, &["get", &deployment, "-n", NAMESPACE, "-o", "json"]).await;
    let live: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(live["spec"]["replicas"], 1);
    let pod = &live["spec"]["template"]["spec"];
    let containers = pod["containers"].as_array().expect("containers");
    assert_eq!(containers.len(), 1);
    assert_eq!((&containers[0]["image"], &containers[0]["args"][0]), (&json!(IMAGE), &json!("run")));
    let namespace = json!([{"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}}]);
    assert_eq!((containers[0].get("env"), pod.get("affinity")), (Some(&namespace), None), "{pod:#}");
    let pods = run(plane, &["get", "pods", "-n", NAMESPACE]).await;
    assert!(pods.lines().any(|line| line.contains("1/1") && line.contains("Running")), "{pods}");
}

async fn fits_a_restricted_namespace(plane: &ControlPlane) {
    let label = "pod-security.kubernetes.io/enforce=restricted";
    let said = run(plane, &["label", "--dry-run=server", "namespace", NAMESPACE, label]).await;
    assert!(said.contains("labeled") && !said.contains("Warning"), "{said}");
    // The same question about a pod that does not fit.
    run(plane, &["run", "careless", "--image=example.test/any:1", "-n", "default"]).await;
    let said = run(plane, &["label", "--dry-run=server", "namespace", "default", label]).await;
    assert!(said.contains("Warning") && said.contains("careless"), "{said}");
}

/// Whether somebody may do something, in the words of `kubectl auth can-i`.
async fn can(plane: &ControlPlane, user: &str, namespace: &str, what: &[&str]) -> bool {
    let args = [&["auth", "can-i"], what, &["--as", user, "-n", namespace]].concat();
    let (said, _) = kubectl(plane, &args).await;
    // Warnings may stand beside the answer.
    let answer = said.lines().find(|line| ["yes", "no"].contains(line));
    answer.unwrap_or_else(|| panic!("kubectl {args:?}: {said}")) == "yes"
}

async fn the_operator_may_do_its_work_and_nothing_else(plane: &ControlPlane) {
    let user = operator_user();
    for what in [
        &["patch", "deployments.apps"][..],
        &["create", "services"],
        &["watch", "horizontalpodautoscalers.autoscaling"],
        &["list", "pods"],
        &["watch", "namespaces"],
        &["create", "events.events.k8s.io"],
    ] {
        assert!(can(plane, &user, "default", what).await, "may {what:?}");
    }
    for what in [
        &["get", "secrets"][..],
        &["list", "secrets"],
        &["delete", "pods"],
        &["update", "deployments.apps"],
        &["create", "clusterroles.rbac.authorization.k8s.io"],
        &["*", "deployments.apps"],
        &["get", "*"],
        &["*", "*"],
    ] {
        assert!(!can(plane, &user, "default", what).await, "may not {what:?}");
    }
    for (info, _) in every_kind() {
        let resource = format!("{}.{GROUP}", info.plural);
        assert!(can(plane, &user, "default", &["watch", &resource]).await, "{resource}");
        assert!(can(plane, &user, "default", &["patch", &resource, "--subresource=status"]).await, "{resource}");
        assert!(!can(plane, &user, "default", &["patch", &resource]).await, "{resource} belongs to people");
    }
    for info in [WASM_POLICY, CLUSTER_WASM_POLICY] {
        let resource = format!("{}.{}", info.plural, info.group);
        assert!(can(plane, &user, "default", &["watch", &resource]).await, "{resource}");
        assert!(can(plane, &user, "default", &["patch", &resource, "--subresource=status"]).await, "{resource}");
        for verb in ["patch", "create", "grant"] {
            assert!(!can(plane, &user, "default", &[verb, &resource]).await, "{resource} belongs to people");
        }
    }
    let rule = "validatingadmissionpolicies.admissionregistration.k8s.io";
    let own = format!("{rule}/authors.policy.inference-gateway.dev");
    assert!(can(plane, &user, "default", &["get", &own]).await && !can(plane, &user, "default", &["get", rule]).await);
    let role = run(plane, &["get", "clusterrole", "operator-manager-role", "-o", "json"]).await;
    assert!(!role.contains(r#""*""#), "{role}");
}

/// What the other tests rely on when they say that nothing was denied.
async fn a_denied_call_is_seen(plane: &ControlPlane) {
    let client = Client::try_from(operator_config(plane).await).expect("client");
    let mut audit = plane.audit();
    assert!(audit.read_denied().expect("an audit log").is_empty());
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    secrets.list(&ListParams::default()).await.expect_err("denied");
    let denied = audit.read_denied().expect("an audit log");
    let shown: Vec<_> = denied.iter().map(|entry| (entry.user.username.clone(), entry.resource())).collect();
    assert_eq!(shown, [(operator_user(), "secrets".to_owned())]);
}

async fn people_get_their_rights_from_the_clusters_own_roles(plane: &ControlPlane) {
    for role in ["view", "edit", "admin"] {
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={role}"));
        run(plane, &["create", "rolebinding", &user[7..], &role, &user, "-n", "default"]).await;
    }
    for (info, scales) in every_kind() {
        let resource = format!("{}.{GROUP}", info.plural);
        let may = async |user: &str, verb: &str, more: &[&str]| {
            can(plane, user, "default", &[&[verb, resource.as_str()], more].concat()).await
        };
        // A controller adds the rules up, some time after the roles were made.
        for user in ["view", "edit", "admin"] {
            let added = async {
                while !may(user, "get", &["--subresource=status"]).await {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            within(&format!("{user} to reach {resource}"), added).await;
        }
        assert!(may("view", "list", &[]).await && !may("view", "create", &[]).await, "{resource}");
        assert!(may("edit", "create", &[]).await && may("edit", "deletecollection", &[]).await, "{resource}");
        assert!(!may("edit", "patch", &["--subresource=status"]).await, "{resource}");
        assert!(may("admin", "patch", &["--subresource=status"]).await, "{resource}");
        if scales {
            assert!(may("edit", "patch", &["--subresource=scale"]).await, "{resource}");
            assert!(!may("view", "patch", &["--subresource=scale"]).await, "{resource}");
        }
    }
}
