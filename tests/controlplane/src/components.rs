//! The command lines of the control plane's components.

use std::path::Path;

use crate::{
    Options, audit,
    credentials::Credentials,
    plan::{Component, Plan},
    simulated,
    toolchain::Binaries,
};

pub(crate) const ETCD: &str = "etcd";
pub(crate) const APISERVER: &str = "kube-apiserver";
pub(crate) const CONTROLLERS: &str = "kube-controller-manager";
pub(crate) const SCHEDULER: &str = "kube-scheduler";
pub(crate) const KWOK: &str = "kwok";

/// The ports of an instance, all on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) apiserver: u16,
}

/// Where everything of an instance is, as far as command lines name it.
pub(crate) struct Layout<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) binaries: &'a Binaries,
    pub(crate) credentials: &'a Credentials,
    pub(crate) ports: Ports,
}

/// The plan of an instance.
pub(crate) fn plan(layout: &Layout<'_>, options: &Options) -> Plan {
    let component = |name: &str, program: &Path, level: u8, arguments: Vec<String>| Component {
        name: name.to_owned(),
        program: program.to_owned(),
        arguments,
        level,
    };
    let binaries = layout.binaries;
    Plan {
        components: vec![
            component(ETCD, &binaries.etcd, 0, etcd(layout)),
            // Above etcd: without it the API server does not end when it is asked to.
            component(APISERVER, &binaries.kube_apiserver, 1, apiserver(layout, options)),
            component(CONTROLLERS, &binaries.kube_controller_manager, 2, controllers(layout, options)),
            component(SCHEDULER, &binaries.kube_scheduler, 2, scheduler(layout, options)),
            component(KWOK, &binaries.kwok, 2, kwok(layout)),
        ],
    }
}

fn etcd(layout: &Layout<'_>) -> Vec<String> {
    let url = format!("http://127.0.0.1:{}", layout.ports.etcd);
    vec![
        format!("--data-dir={}", layout.folder.join("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        // It has no peers.
        "--listen-peer-urls=http://127.0.0.1:0".into(),
        "--log-level=warn".into(),
        // The data is gone at the end anyway; waiting for the disk would decide the speed of every test.
        "--unsafe-no-fsync".into(),
        // A single member need not wait long before it elects itself.
        "--heartbeat-interval=50".into(),
        "--election-timeout=500".into(),
    ]
}

fn apiserver(layout: &Layout<'_>, options: &Options) -> Vec<String> {
    let file = |name: &str| layout.credentials.file(name).display().to_string();
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", layout.ports.etcd),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        format!("--secure-port={}", layout.ports.apiserver),
        // Endpoints of a loopback address are refused, and the attempts would fill the log.
        "--endpoint-reconciler-type=none".into(),
        format!("--cert-dir={}", layout.folder.join("credentials").display()),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-signing-key-file={}", file("service-accounts.key")),
        format!("--service-account-key-file={}", file("service-accounts.pub")),
        "--service-cluster-ip-range=10.32.0.0/16".into(),
        "--profiling=false".into(),
    ];
    if options.audit {
        arguments.extend([
            format!("--audit-policy-file={}", audit::policy_file(layout.folder).display()),
            format!("--audit-log-path={}", audit::log_file(layout.folder).display()),
            // The entry is written before the request is over, so a test can count on it.
            "--audit-log-mode=blocking".into(),
            // One file, however long the benchmark: readers keep their position in it.
            "--audit-log-maxsize=0".into(),
        ]);
    }
    arguments
}

fn controllers(layout: &Layout<'_>, options: &Options) -> Vec<String> {
    let file = |name: &str| layout.credentials.file(name).display().to_string();
    let mut arguments = client(layout, "system:kube-controller-manager");
    arguments.extend([
        format!("--root-ca-file={}", file("ca.crt")),
        format!("--service-account-private-key-file={}", file("service-accounts.key")),
        format!("--cert-dir={}", layout.folder.join("credentials").display()),
        "--leader-elect=false".into(),
        "--horizontal-pod-autoscaler-sync-period=1s".into(),
        // Tests take the API server away for a while; the nodes are not to be called dead for that.
        "--node-monitor-grace-period=1h".into(),
    ]);
    arguments.extend(client_limits(options));
    arguments
}

fn scheduler(layout: &Layout<'_>, options: &Options) -> Vec<String> {
    let mut arguments = client(layout, "system:kube-scheduler");
    arguments.push("--leader-elect=false".into());
    arguments.extend(client_limits(options));
    arguments
}

fn kwok(layout: &Layout<'_>) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", layout.credentials.kubeconfig("system:kwok").display()),
        format!("--config={}", simulated::stages_file(layout.folder).display()),
        "--manage-all-nodes=true".into(),
        "--node-lease-duration-seconds=40".into(),
        // Enough addresses for the benchmark's pods.
        "--cidr=10.64.0.0/12".into(),
    ]
}

/// A client of the API server that itself serves nothing.
fn client(layout: &Layout<'_>, user: &str) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", layout.credentials.kubeconfig(user).display()),
        "--secure-port=0".into(),
        "--profiling=false".into(),
    ]
}

/// The default of 20 calls a second makes 200 Deployments Available after 47 seconds, this one at once.
fn client_limits(options: &Options) -> Vec<String> {
    if options.default_controller_limits {
        Vec::new()
    } else {
        vec!["--kube-api-qps=200".into(), "--kube-api-burst=400".into()]
    }
}
