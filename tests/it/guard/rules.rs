//! Each rule of the guard by name, and the tricks that it must see through.

use igw::{
    kinds::{Parent as _, orchestrator::Orchestrator},
    object::{ChildKind, DesiredChild, ObjectId},
    policy::grants::{Grant, Grants, GroupKind},
    reconcile::guard::{Subject, Violation, check},
};
use serde_json::{Value, json};

use super::{generated, identity, judge, of_kind};

const PAGE: &str = "gateway/complete.yaml";

/// What the guard says of a change to the pods of a complete Gateway.
fn pod(grants: &Grants, change: impl FnOnce(&mut Value)) -> Result<Vec<DesiredChild>, Violation> {
    object(ChildKind::Deployment, grants, |body| change(&mut body["spec"]["template"]["spec"]))
}

fn object(kind: ChildKind, grants: &Grants, change: impl FnOnce(&mut Value)) -> Result<Vec<DesiredChild>, Violation> {
    change_of(PAGE, kind, grants, change)
}

fn change_of(
    page: &str,
    kind: ChildKind,
    grants: &Grants,
    change: impl FnOnce(&mut Value),
) -> Result<Vec<DesiredChild>, Violation> {
    let before = generated(page);
    let mut after = before.clone();
    change(of_kind(&mut after, kind));
    judge(&before, after, grants)
}

fn none() -> Grants {
    Grants::default()
}

fn images() -> Grants {
    Grants { images: vec!["good.example/".into()], ..none() }
}

fn sidecar() -> Value {
    json!({"name": "sidecar", "image": "good.example/sidecar:1"})
}

fn first_container(pod: &mut Value) -> &mut Value {
    &mut pod["containers"][0]
}

fn list<'a>(value: &'a mut Value, name: &str) -> &'a mut Vec<Value> {
    let field = &mut value[name];
    if field.is_null() {
        *field = json!([]);
    }
    field.as_array_mut().expect("a list")
}

#[track_caller]
fn refused(result: Result<Vec<DesiredChild>, Violation>, path: &str) {
    match result {
        Err(Violation::PathNotAllowed { change, .. }) => assert_eq!(change.path.to_string(), path),
        other => panic!("not PathNotAllowed at {path}: {other:?}"),
    }
}

#[track_caller]
fn needs(result: Result<Vec<DesiredChild>, Violation>, wanted: Grant) {
    match result {
        Err(Violation::NotGranted { grant, .. }) => assert_eq!(grant, wanted),
        other => panic!("not {wanted} missing: {other:?}"),
    }
}

#[track_caller]
fn wrong_type(result: Result<Vec<DesiredChild>, Violation>) {
    assert!(matches!(result, Err(Violation::WrongType { .. })), "{result:?}");
}

#[track_caller]
fn allowed(result: Result<Vec<DesiredChild>, Violation>) -> Vec<DesiredChild> {
    result.unwrap_or_else(|violation| panic!("{violation}"))
}

// --- Tricks with lists

#[test]
fn a_container_put_first_is_an_added_one() {
    let mut admitted = allowed(pod(&images(), |pod| list(pod, "containers").insert(0, sidecar())));
    let containers = &of_kind(&mut admitted, ChildKind::Deployment)["spec"]["template"]["spec"]["containers"];
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(containers[0]["securityContext"], context, "the pod says the rest");
    assert_eq!(containers[1]["image"], "ghcr.io/inference-gateway/inference-gateway:latest");
    needs(pod(&none(), |pod| list(pod, "containers").insert(0, sidecar())), Grant::Images);
}

#[test]
fn swapped_images_are_two_changed_images() {
    let with_two = |grants: &Grants, swap: bool| {
        let before = allowed(pod(&images(), |pod| list(pod, "containers").push(sidecar())));
        let mut after = before.clone();
        let containers = &mut of_kind(&mut after, ChildKind::Deployment)["spec"]["template"]["spec"]["containers"];
        if swap {
            let first = containers[0]["image"].take();
            containers[0]["image"] = containers[1]["image"].take();
            containers[1]["image"] = first;
        } else {
            containers.as_array_mut().expect("containers").swap(0, 1);
        }
        judge(&before, after, grants)
    };
    needs(with_two(&images(), true), Grant::Images);
    refused(with_two(&images(), false), ".spec.template.spec.containers");
}

#[test]
fn a_renamed_container_is_a_dropped_one() {
    let path = r#".spec.template.spec.containers[name="inference-gateway"]"#;
    refused(pod(&images(), |pod| first_container(pod)["name"] = "other".into()), path);
    refused(pod(&images(), |pod| pod["containers"] = json!([sidecar()])), path);
    refused(pod(&images(), |pod| pod["containers"] = Value::Null), path);
    refused(
        pod(&images(), |pod| {
            let own = pod["containers"].take();
            pod["initContainers"] = own;
            pod["containers"] = json!([sidecar()]);
        }),
        path,
    );
}

#[test]
fn two_elements_with_one_key_are_refused() {
    let twice = |result: Result<Vec<DesiredChild>, Violation>, end: &str| match result {
        Err(Violation::DuplicateKey { path, .. }) => assert!(path.to_string().ends_with(end), "{path}"),
        other => panic!("no duplicate {end}: {other:?}"),
    };
    twice(pod(&images(), |pod| list(pod, "containers").extend([sidecar(), sidecar()])), r#"[name="sidecar"]"#);
    twice(
        pod(&images(), |pod| {
            list(pod, "containers").push(sidecar());
            list(pod, "initContainers").push(sidecar());
        }),
        r#"[name="sidecar"]"#,
    );
    twice(
        pod(&images(), |pod| {
            let mut forged = sidecar();
            forged["name"] = "inference-gateway".into();
            list(pod, "containers").insert(0, forged);
        }),
        r#"[name="inference-gateway"]"#,
    );
    let variable = json!({"name": "ENVIRONMENT", "value": "x"});
    twice(pod(&none(), |pod| list(first_container(pod), "env").push(variable)), r#".env[name="ENVIRONMENT"]"#);
    let volume = json!({"name": "v", "emptyDir": {}});
    twice(pod(&none(), |pod| list(pod, "volumes").extend([volume.clone(), volume])), r#".volumes[name="v"]"#);
    let spread = json!({"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1});
    twice(
        pod(&none(), |pod| list(pod, "topologySpreadConstraints").extend([spread.clone(), spread])),
        r#"[topologyKey="zone",whenUnsatisfiable="ScheduleAnyway"]"#,
    );
    twice(
        pod(&images(), |pod| {
            let mut container = sidecar();
            container["ports"] = json!([{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]);
            list(pod, "containers").push(container);
        }),
        r#"[containerPort=1,protocol="TCP"]"#,
    );
}

// --- What needs no grant

#[test]
fn labels_and_annotations_are_free_outside_the_known_domains() {
    for path in ["/metadata", "/spec/template/metadata"] {
        let set = |field: &str, key: &str, value: Value| {
            object(ChildKind::Deployment, &none(), |body| {
                body.pointer_mut(path).expect("metadata")[field][key] = value;
            })
        };
        for key in ["team", "example.com/team", "sidecar.istio.io/inject", "istio.io/rev"] {
            allowed(set("labels", key, "a".into()));
            allowed(set("annotations", key, "a".into()));
        }
        for key in [
            "inference-gateway.com/config-hash",
            "x.inference-gateway.dev/y",
            "app.kubernetes.io/name",
            "node.k8s.io/x",
        ] {
            assert!(set("labels", key, "a".into()).is_err() && set("annotations", key, "a".into()).is_err(), "{key}");
        }
        for key in ["app", "pod-template-hash"] {
            assert!(set("labels", key, "other".into()).is_err(), "{key} selects pods");
        }
        for key in ["sidecar.istio.io/userVolume", "sidecar.istio.io/bootstrapOverride", "proxy.istio.io/overrides"] {
            assert!(set("annotations", key, "{}".into()).is_err(), "{key} is a back door");
        }
        needs(set("annotations", "sidecar.istio.io/proxyImage", "evil/x".into()), Grant::Images);
        wrong_type(set("labels", "team", json!(1)));
        wrong_type(set("annotations", "team", json!({"a": "b"})));
    }
}

#[test]
fn annotations_of_what_is_exposed_are_free_but_for_hosts_secrets_and_snippets() {
    let set = |kind, grants: &Grants, key: &str, value: &str| {
        object(kind, grants, |body| body["metadata"]["annotations"][key] = value.into())
    };
    allowed(set(ChildKind::Service, &none(), "service.beta.kubernetes.io/aws-load-balancer-internal", "true"));
    allowed(set(ChildKind::Ingress, &none(), "nginx.ingress.kubernetes.io/proxy-body-size", "1m"));
    for key in ["nginx.ingress.kubernetes.io/server-snippet", "kubectl.kubernetes.io/x", "kubernetes.io/ingress.class"]
    {
        refused(set(ChildKind::Ingress, &none(), key, "x"), &format!(".metadata.annotations[{key}]"));
    }
    assert!(set(ChildKind::Deployment, &none(), "nginx.ingress.kubernetes.io/proxy-body-size", "1m").is_err());
    let hosts = Grants { ingress_hosts: vec!["*.example.com".into()], ..none() };
    for key in ["external-dns.alpha.kubernetes.io/hostname", "nginx.ingress.kubernetes.io/server-alias"] {
        needs(set(ChildKind::Ingress, &none(), key, "a.example.com"), Grant::IngressHosts);
        allowed(set(ChildKind::Ingress, &hosts, key, "a.example.com,b.example.com"));
        needs(set(ChildKind::Ingress, &hosts, key, "a.example.com, b.evil.com"), Grant::IngressHosts);
    }
    let key = "nginx.ingress.kubernetes.io/auth-tls-secret";
    let secrets = Grants { secrets: vec!["ca".into()], ..none() };
    needs(set(ChildKind::Ingress, &none(), key, "gateway-complete/ca"), Grant::Secrets);
    needs(set(ChildKind::Ingress, &secrets, key, "kube-system/ca"), Grant::Secrets);
    allowed(set(ChildKind::Ingress, &secrets, key, "gateway-complete/ca"));
}

#[test]
fn env_is_free_but_for_references() {
    let env = |change: fn(&mut Vec<Value>)| pod(&none(), |pod| change(list(first_container(pod), "env")));
    allowed(env(|env| env.push(json!({"name": "EXTRA", "value": "x"}))));
    allowed(env(|env| env.push(json!({"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}))));
    allowed(env(|env| {
        env.push(json!({"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": 1}}}));
    }));
    allowed(env(|env| env[0] = json!({"name": "ENVIRONMENT", "value": "changed"})));
    allowed(env(|env| env.retain(|variable| variable["name"] != "OPENAI_API_KEY")));
    allowed(env(|env| env.reverse()));
    wrong_type(env(|env| env[0]["value"] = json!(1)));
    wrong_type(env(|env| env[0]["extra"] = json!("x")));
    wrong_type(env(|env| env.push(json!("A=b"))));
    wrong_type(pod(&none(), |pod| first_container(pod)["env"] = json!({"A": "b"})));
}

#[test]
fn a_reference_to_a_secret_stays_where_it_was() {
    let key = json!({"secretKeyRef": {"name": "provider-keys", "key": "openai"}});
    let secrets = Grants { secrets: vec!["provider-keys".into()], ..images() };
    for grants in [images(), secrets] {
        let ok = !grants.secrets.is_empty();
        let check = |result: Result<Vec<DesiredChild>, Violation>| {
            if ok { drop(allowed(result)) } else { needs(result, Grant::Secrets) }
        };
        // Another name, another key, and another container.
        check(pod(&grants, |pod| list(first_container(pod), "env").push(json!({"name": "COPY", "valueFrom": key}))));
        check(pod(&grants, |pod| {
            let env = list(first_container(pod), "env");
            let own = env.iter_mut().find(|variable| variable["name"] == "OPENAI_API_KEY").expect("the variable");
            own["valueFrom"]["secretKeyRef"]["key"] = "groq".into();
        }));
        check(pod(&grants, |pod| {
            let env = list(first_container(pod), "env");
            let place = env.iter().position(|variable| variable["name"] == "OPENAI_API_KEY").expect("the variable");
            let mut moved = sidecar();
            moved["env"] = json!([env.remove(place)]);
            list(pod, "containers").insert(0, moved);
        }));
        check(pod(&grants, |pod| first_container(pod)["envFrom"] = json!([{"secretRef": {"name": "provider-keys"}}])));
        check(pod(&grants, |pod| list(pod, "imagePullSecrets").push(json!({"name": "provider-keys"}))));
        check(pod(&grants, |pod| {
            list(pod, "volumes").push(json!({"name": "v", "secret": {"secretName": "provider-keys"}}));
        }));
        check(pod(&grants, |pod| {
            let sources = json!([{"secret": {"name": "provider-keys"}}]);
            list(pod, "volumes").push(json!({"name": "v", "projected": {"sources": sources}}));
        }));
    }
    let other = Grants { secrets: vec!["x".into()], config_maps: vec!["provider-keys".into()], ..none() };
    needs(
        pod(&other, |pod| list(first_container(pod), "env").push(json!({"name": "COPY", "valueFrom": key}))),
        Grant::Secrets,
    );
}

#[test]
fn a_reference_to_a_config_map_needs_its_own_grant() {
    let reference = json!({"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}});
    let add = |grants: &Grants| pod(grants, |pod| list(first_container(pod), "env").push(reference.clone()));
    needs(add(&Grants { secrets: vec!["c".into()], ..none() }), Grant::ConfigMaps);
    allowed(add(&Grants { config_maps: vec!["c".into()], ..none() }));
    let volume = json!({"name": "v", "configMap": {"name": "c"}});
    needs(pod(&none(), |pod| list(pod, "volumes").push(volume)), Grant::ConfigMaps);
}

#[test]
fn scheduling_resources_and_probes_are_free() {
    allowed(pod(&none(), |pod| {
        pod["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]}}});
        pod["tolerations"] = json!([{"key": "gpu", "operator": "Exists"}]);
        pod["topologySpreadConstraints"] =
            json!([{"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1}]);
        let container = first_container(pod);
        container["resources"] = json!({"limits": {"cpu": 2, "memory": "1Gi", "nvidia.com/gpu": "1"}});
        container["livenessProbe"] = json!({"tcpSocket": {"port": "http"}, "periodSeconds": 3});
        container["readinessProbe"] = Value::Null;
        container["startupProbe"] = json!({"httpGet": {"path": "/health", "port": 8080}});
    }));
    wrong_type(pod(&none(), |pod| pod["tolerations"] = json!({"key": "x"})));
    wrong_type(pod(&none(), |pod| pod["affinity"] = json!({"nodeAffinities": {}})));
    wrong_type(pod(&none(), |pod| first_container(pod)["resources"] = json!({"limits": {"cpu": "lots"}})));
    wrong_type(pod(&none(), |pod| first_container(pod)["livenessProbe"]["periodSeconds"] = "10".into()));
    wrong_type(pod(&none(), |pod| first_container(pod)["livenessProbe"]["periodSeconds"] = json!(10.0)));
}

#[test]
fn a_probe_runs_no_command_and_asks_no_other_host() {
    let exec = json!({"exec": {"command": ["sh", "-c", "env"]}});
    let probe = |grants: &Grants, probe: Value| pod(grants, |pod| first_container(pod)["livenessProbe"] = probe);
    needs(probe(&none(), exec.clone()), Grant::Command);
    allowed(probe(&Grants { command: true, ..none() }, exec.clone()));
    needs(probe(&none(), json!({"httpGet": {"port": 80, "host": "169.254.169.254"}})), Grant::ContainerSecurity);
    allowed(pod(&images(), |pod| {
        let mut container = sidecar();
        container["livenessProbe"] = exec;
        list(pod, "containers").push(container);
    }));
}

#[test]
fn autoscalers_keep_their_target() {
    let set =
        |change: fn(&mut Value)| object(ChildKind::HorizontalPodAutoscaler, &none(), |body| change(&mut body["spec"]));
    allowed(set(|spec| spec["minReplicas"] = json!(3)));
    allowed(set(|spec| spec["maxReplicas"] = json!(30)));
    allowed(set(|spec| {
        spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": 5}}}]);
    }));
    refused(set(|spec| spec["scaleTargetRef"]["name"] = "other".into()), ".spec.scaleTargetRef.name");
    refused(set(|spec| spec["behavior"] = json!({})), ".spec.behavior");
    refused(set(|spec| spec["maxReplicas"] = Value::Null), ".spec.maxReplicas");
    // Nought is not sent, so it is none at all.
    refused(set(|spec| spec["maxReplicas"] = json!(0)), ".spec.maxReplicas");
    wrong_type(set(|spec| spec["minReplicas"] = json!("3")));
}

// --- Volumes and mounts

#[test]
fn volumes_reach_nothing_outside_the_pod() {
    let add = |volume: Value| pod(&none(), |pod| list(pod, "volumes").push(volume));
    allowed(add(json!({"name": "v", "emptyDir": {"sizeLimit": "1Gi", "medium": "Memory"}})));
    allowed(add(
        json!({"name": "v", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}),
    ));
    for (source, value) in [
        ("hostPath", json!({"path": "/"})),
        ("persistentVolumeClaim", json!({"claimName": "x"})),
        ("csi", json!({"driver": "x"})),
        ("nfs", json!({"server": "x", "path": "/"})),
        ("image", json!({"reference": "x"})),
        ("ephemeral", json!({})),
    ] {
        refused(
            add(json!({"name": "v", source: value})),
            &format!(r#".spec.template.spec.volumes[name="v"].{source}"#),
        );
    }
    refused(
        add(json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}})),
        r#".spec.template.spec.volumes[name="v"].projected.sources[0].serviceAccountToken"#,
    );
    refused(add(json!({"name": "v"})), r#".spec.template.spec.volumes[name="v"]"#);
    refused(add(json!({"name": "v", "emptyDir": {}, "downwardAPI": {}})), r#".spec.template.spec.volumes[name="v"]"#);
    wrong_type(add(json!({"name": "v", "emptyDir": "x"})));
}

#[test]
fn own_volumes_and_mounts_stay() {
    let page = "orchestrator/complete.yaml";
    let change = |change: fn(&mut Value)| {
        change_of(page, ChildKind::Deployment, &images(), |body| change(&mut body["spec"]["template"]["spec"]))
    };
    assert!(
        generated(page)
            .iter()
            .any(|child| child.body["spec"]["template"]["spec"]["volumes"][0]["configMap"].is_object())
    );
    assert!(matches!(change(|pod| pod["volumes"][0]["emptyDir"] = json!({})), Err(Violation::PathNotAllowed { .. })));
    assert!(matches!(change(|pod| drop(list(pod, "volumes").remove(0))), Err(Violation::PathNotAllowed { .. })));
    assert!(matches!(
        change(|pod| drop(list(first_container(pod), "volumeMounts").remove(0))),
        Err(Violation::PathNotAllowed { .. })
    ));
    let over = |path: &str| {
        change_of(page, ChildKind::Deployment, &none(), |body| {
            let pod = &mut body["spec"]["template"]["spec"];
            list(pod, "volumes").push(json!({"name": "v", "emptyDir": {}}));
            list(first_container(pod), "volumeMounts").push(json!({"name": "v", "mountPath": path}));
        })
    };
    allowed(over("/tmp/scratch"));
    let own = generated(page);
    let mounts = own.iter().find_map(|child| child.body.pointer("/spec/template/spec/containers/0/volumeMounts"));
    let own = mounts.expect("mounts")[0]["mountPath"].as_str().expect("a path").to_owned();
    let above = own.rsplit_once('/').expect("a folder").0;
    for path in [
        format!("{own}/"),
        format!("/{own}"),
        format!("{own}/x"),
        above.to_owned(),
        "/".into(),
        "/tmp/..".into(),
        "tmp".into(),
        format!("/tmp/..{own}"),
    ] {
        assert!(matches!(over(&path), Err(Violation::PathNotAllowed { .. })), "{path}");
    }
}

#[test]
fn an_added_container_does_not_get_the_files_of_the_others() {
    for page in ["orchestrator/complete.yaml", "gateway/server-tls.yaml"] {
        let result = change_of(page, ChildKind::Deployment, &images(), |body| {
            let pod = &mut body["spec"]["template"]["spec"];
            let mut container = sidecar();
            container["volumeMounts"] = json!([{"name": pod["volumes"][0]["name"], "mountPath": "/x"}]);
            list(pod, "containers").push(container);
        });
        assert!(matches!(result, Err(Violation::NotGranted { .. })), "{page}: {result:?}");
    }
}

// --- Containers

#[test]
fn a_generated_container_keeps_what_it_runs() {
    let set = |grants: &Grants, field: &str, value: Value| pod(grants, |pod| first_container(pod)[field] = value);
    for field in ["command", "args"] {
        needs(set(&none(), field, json!(["x"])), Grant::Command);
        allowed(set(&Grants { command: true, ..none() }, field, json!(["x"])));
        wrong_type(set(&Grants { command: true, ..none() }, field, json!("x")));
    }
    needs(set(&images(), "image", "evil/x".into()), Grant::Images);
    needs(set(&images(), "image", Value::Null), Grant::Images);
    allowed(set(&images(), "image", "good.example/gateway:2".into()));
    needs(set(&images(), "securityContext", Value::Null), Grant::ContainerSecurity);
    let all = Grants {
        images: vec!["good.example/".into()],
        command: true,
        container_security: true,
        service_type: true,
        ..none()
    };
    for (field, value) in [
        ("ports", json!([])),
        ("lifecycle", json!({"preStop": {"exec": {"command": ["x"]}}})),
        ("workingDir", json!("/")),
        ("imagePullPolicy", json!("Never")),
        ("restartPolicy", json!("Never")),
        ("volumeDevices", json!([{"name": "x", "devicePath": "/x"}])),
        ("unknown", json!(1)),
    ] {
        assert!(matches!(set(&all, field, value), Err(Violation::PathNotAllowed { .. })), "{field}");
    }
}

#[test]
fn an_added_container_is_confined() {
    let add = |grants: &Grants, context: Value| {
        pod(grants, |pod| {
            let mut container = sidecar();
            container["securityContext"] = context;
            list(pod, "containers").push(container);
        })
    };
    let security = Grants { container_security: true, ..images() };
    for context in [
        json!({"privileged": true}),
        json!({"allowPrivilegeEscalation": true}),
        json!({"capabilities": {"add": ["NET_ADMIN"]}}),
        json!({"capabilities": {"drop": ["NET_RAW"]}}),
        json!({"runAsUser": 0}),
        json!({"runAsNonRoot": false}),
        json!({"procMount": "Unmasked"}),
        json!({"seccompProfile": {"type": "Unconfined"}}),
        json!({"appArmorProfile": {"type": "Unconfined"}}),
        json!({"seLinuxOptions": {"type": "spc_t"}}),
        json!({"windowsOptions": {"hostProcess": true}}),
    ] {
        needs(add(&images(), context.clone()), Grant::ContainerSecurity);
        allowed(add(&security, context));
    }
    allowed(add(&images(), json!({"runAsUser": 1000, "readOnlyRootFilesystem": true, "privileged": false})));
    wrong_type(add(&security, json!({"privileged": "true"})));
    wrong_type(add(&security, json!("none")));
}

/// What is empty is not sent, so it says nothing and must not pass for something that was said.
#[test]
fn what_is_empty_does_not_stand_for_a_confinement_or_an_image() {
    let with = |field: &str, value: Value| {
        let mut container = sidecar();
        container[field] = value;
        pod(&images(), |pod| list(pod, "containers").push(container))
    };
    let filled = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    for context in [
        json!([]),
        json!({}),
        json!({"capabilities": []}),
        json!({"capabilities": {"drop": {}}, "allowPrivilegeEscalation": []}),
        json!({"allowPrivilegeEscalation": {}, "capabilities": {"add": [], "drop": []}}),
    ] {
        let mut admitted = allowed(with("securityContext", context.clone()));
        let body = of_kind(&mut admitted, ChildKind::Deployment);
        igw::object::normal::normalise(ChildKind::Deployment, body);
        assert_eq!(body["spec"]["template"]["spec"]["containers"][1]["securityContext"], filled, "{context}");
    }
    for image in [Value::Null, json!([]), json!({})] {
        needs(with("image", image), Grant::Images);
    }
}

#[test]
fn an_agent_whose_pod_says_nothing_of_users_gets_confined_sidecars() {
    let mut admitted = allowed(change_of("agent/complete.yaml", ChildKind::Deployment, &images(), |body| {
        list(&mut body["spec"]["template"]["spec"], "initContainers").push(sidecar());
    }));
    let context = &of_kind(&mut admitted, ChildKind::Deployment)["spec"]["template"]["spec"]["initContainers"][0]["securityContext"];
    assert_eq!(context["runAsNonRoot"], true);
}

#[test]
fn an_added_container_takes_no_port_of_the_others() {
    let add = |list_name: &str, port: Value| {
        pod(&images(), |pod| {
            let mut container = sidecar();
            container["ports"] = json!([port]);
            list(pod, list_name).insert(0, container);
        })
    };
    for place in ["containers", "initContainers"] {
        allowed(add(place, json!({"name": "admin", "containerPort": 15000})));
        for port in [
            json!({"name": "http", "containerPort": 9999}),
            json!({"name": "x", "containerPort": 8080}),
            json!({"containerPort": 9999, "hostPort": 80}),
        ] {
            assert!(matches!(add(place, port.clone()), Err(Violation::PathNotAllowed { .. })), "{port}");
        }
    }
}

#[test]
fn a_native_sidecar_stays_beside_the_others() {
    let add = |place: &str, policy: &str| {
        pod(&images(), |pod| {
            let mut container = sidecar();
            container["restartPolicy"] = policy.into();
            list(pod, place).push(container);
        })
    };
    allowed(add("initContainers", "Always"));
    assert!(add("initContainers", "OnFailure").is_err() && add("containers", "Always").is_err());
}

// --- What no grant covers

fn everything() -> Grants {
    Grants {
        images: vec!["good.example/".into()],
        secrets: vec!["s".into()],
        config_maps: vec!["c".into()],
        add_kinds: vec![GroupKind { group: String::new(), kind: "ConfigMap".into() }],
        container_security: true,
        command: true,
        service_type: true,
        ingress_hosts: vec!["*".into()],
    }
}

#[test]
fn no_grant_covers_the_rest_of_a_pod() {
    for (field, value) in [
        ("hostNetwork", json!(true)),
        ("hostPID", json!(true)),
        ("hostIPC", json!(true)),
        ("serviceAccountName", json!("admin")),
        ("serviceAccount", json!("admin")),
        ("automountServiceAccountToken", json!(true)),
        ("nodeName", json!("control-plane")),
        ("nodeSelector", json!({"a": "b"})),
        ("priorityClassName", json!("system-node-critical")),
        ("runtimeClassName", json!("x")),
        ("securityContext", json!({"runAsUser": 0})),
        ("shareProcessNamespace", json!(true)),
        ("ephemeralContainers", json!([{"name": "x"}])),
        ("hostAliases", json!([{"ip": "1.2.3.4", "hostnames": ["api"]}])),
        ("unknown", json!("x")),
    ] {
        let result = pod(&everything(), |pod| pod[field] = value);
        assert!(matches!(result, Err(Violation::PathNotAllowed { .. })), "{field}: {result:?}");
    }
}

#[test]
fn no_grant_covers_identity_selectors_and_numbers_of_pods() {
    let deployment = |path: &str, field: &str, value: Value| {
        object(ChildKind::Deployment, &everything(), |body| body.pointer_mut(path).expect("a place")[field] = value)
    };
    for (path, field, value) in [
        ("/spec", "replicas", json!(5)),
        ("/spec", "strategy", json!({"type": "Recreate"})),
        ("/spec", "paused", json!(true)),
        ("/spec/selector/matchLabels", "app", json!("other")),
        ("/spec/template/metadata/labels", "app", json!("other")),
        ("/spec/template/metadata", "name", json!("x")),
        ("/metadata", "ownerReferences", json!([{"uid": "x"}])),
        ("/metadata", "finalizers", json!(["x"])),
        ("/metadata", "uid", json!("x")),
        ("", "status", json!({"replicas": 1})),
    ] {
        let result = deployment(path, field, value);
        assert!(matches!(result, Err(Violation::PathNotAllowed { .. })), "{path}/{field}: {result:?}");
    }
    for (field, value) in [("name", "other"), ("namespace", "kube-system")] {
        assert!(matches!(deployment("/metadata", field, value.into()), Err(Violation::Identity(_))), "{field}");
    }
    refused(
        object(ChildKind::ServiceAccount, &everything(), |body| body["automountServiceAccountToken"] = json!(true)),
        ".automountServiceAccountToken",
    );
    let own_map = change_of("orchestrator/complete.yaml", ChildKind::ConfigMap, &everything(), |body| {
        body["data"]["extra.yaml"] = "x".into();
    });
    refused(own_map, ".data[extra.yaml]");
}

#[test]
fn an_orchestrator_keeps_its_one_pod() {
    let before = generated("orchestrator/complete.yaml");
    let mut after = before.clone();
    of_kind(&mut after, ChildKind::Deployment)["spec"]["strategy"] = Value::Null;
    let subject = Subject { identity: &identity(&before), fixed: Orchestrator::FIXED };
    refused(check(&subject, &before, after, &everything()), ".spec.strategy");
}

// --- Services and Ingresses

#[test]
fn a_service_changes_its_type_by_grant_and_nothing_else() {
    let grant = Grants { service_type: true, ..none() };
    let set = |grants: &Grants, field: &str, value: Value| {
        object(ChildKind::Service, grants, |body| body["spec"][field] = value)
    };
    needs(set(&none(), "type", "LoadBalancer".into()), Grant::ServiceType);
    allowed(set(&grant, "type", "LoadBalancer".into()));
    refused(set(&grant, "type", "ExternalName".into()), ".spec.type");
    wrong_type(set(&grant, "type", json!(1)));
    for (field, value) in [
        ("externalIPs", json!(["1.2.3.4"])),
        ("externalName", json!("x")),
        ("selector", json!({"app": "other"})),
        ("ports", json!([])),
    ] {
        assert!(matches!(set(&everything(), field, value), Err(Violation::PathNotAllowed { .. })), "{field}");
    }
}

#[test]
fn hosts_of_an_ingress_come_and_go_by_grant() {
    let hosts = |hosts: &[&str]| Grants { ingress_hosts: hosts.iter().map(ToString::to_string).collect(), ..none() };
    let add = |grants: &Grants, host: &str| {
        object(ChildKind::Ingress, grants, |body| {
            let mut rule = body["spec"]["rules"][0].clone();
            rule["host"] = host.into();
            list(&mut body["spec"], "rules").push(rule);
            list(&mut body["spec"]["tls"][0], "hosts").push(host.into());
        })
    };
    needs(add(&none(), "b.example.com"), Grant::IngressHosts);
    needs(add(&hosts(&["a.example.com"]), "b.example.com"), Grant::IngressHosts);
    allowed(add(&hosts(&["*.example.com"]), "b.example.com"));
    let ingress =
        |grants: &Grants, change: fn(&mut Value)| object(ChildKind::Ingress, grants, |body| change(&mut body["spec"]));
    needs(
        ingress(&hosts(&["b.example.com"]), |spec| spec["rules"][0]["host"] = "b.example.com".into()),
        Grant::IngressHosts,
    );
    allowed(ingress(&hosts(&["*.example.com"]), |spec| spec["rules"][0]["host"] = "b.example.com".into()));
    refused(
        ingress(&everything(), |spec| {
            spec["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "other".into();
        }),
        ".spec.rules",
    );
    refused(ingress(&everything(), |spec| spec["rules"] = json!([])), ".spec.rules");
    needs(ingress(&hosts(&["*"]), |spec| spec["tls"][0]["secretName"] = "other".into()), Grant::Secrets);
    allowed(ingress(&everything(), |spec| spec["tls"][0]["secretName"] = "s".into()));
    refused(ingress(&everything(), |spec| spec["ingressClassName"] = "other".into()), ".spec.ingressClassName");
    refused(
        ingress(&everything(), |spec| spec["defaultBackend"] = json!({"service": {"name": "x"}})),
        ".spec.defaultBackend",
    );
}

// --- Objects

fn map(namespace: &str, name: &str) -> DesiredChild {
    DesiredChild {
        id: ObjectId::new(ChildKind::ConfigMap, namespace, name),
        body: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"a": "b"}}),
        shared_fields: &["/data"],
    }
}

#[test]
fn objects_are_added_by_grant_and_under_our_names() {
    let add = |grants: &Grants, child: DesiredChild| {
        let before = generated(PAGE);
        let mut after = before.clone();
        after.push(child);
        judge(&before, after, grants)
    };
    assert!(matches!(add(&none(), map("gateway-complete", "complete-extra")), Err(Violation::Added(_))));
    let admitted = allowed(add(&everything(), map("gateway-complete", "complete-extra")));
    assert!(admitted.last().expect("an object").shared_fields.is_empty(), "not a policy's to say");
    assert!(matches!(add(&everything(), map("gateway-complete", "stranger")), Err(Violation::AddedContent { .. })));
    assert!(matches!(add(&everything(), map("kube-system", "complete-extra")), Err(Violation::Identity(_))));
    let mut workload =
        generated(PAGE).into_iter().find(|child| child.id.kind == ChildKind::Deployment).expect("a Deployment");
    workload.id.name = "complete-two".into();
    workload.body["metadata"]["name"] = "complete-two".into();
    assert!(matches!(add(&everything(), workload), Err(Violation::Added(_))), "no grant adds a workload");
}

fn network_policy(mut spec: Value) -> DesiredChild {
    spec["podSelector"] = json!({"matchLabels": {"app": "complete"}});
    let metadata = json!({"name": "complete-extra", "namespace": "gateway-complete"});
    DesiredChild {
        id: ObjectId::new(ChildKind::NetworkPolicy, "gateway-complete", "complete-extra"),
        body: json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}),
        shared_fields: &[],
    }
}

/// What one policy has added stands among the objects of the next.
#[test]
fn a_later_policy_changes_what_an_earlier_one_added_only_if_it_could_have_added_it() {
    let adds = |group: &str, kind: &str| Grants {
        add_kinds: vec![GroupKind { group: group.into(), kind: kind.into() }],
        ..none()
    };
    let granted = adds("networking.k8s.io", "NetworkPolicy");
    let generated = generated(PAGE);
    let mut before = generated.clone();
    before.push(network_policy(json!({"policyTypes": ["Ingress"]})));
    let before = allowed(judge(&generated, before, &granted));
    let change = |grants: &Grants, change: &dyn Fn(&mut Value)| {
        let mut after = before.clone();
        change(of_kind(&mut after, ChildKind::NetworkPolicy));
        judge(&before, after, grants)
    };
    let wider = |body: &mut Value| body["spec"]["ingress"] = json!([{}]);
    let everybodys = |body: &mut Value| body["spec"]["podSelector"] = json!({});
    let label = |body: &mut Value| body["metadata"]["labels"] = json!({"team": "a"});
    allowed(change(&none(), &|_| ()));
    allowed(change(&granted, &wider));
    allowed(change(&granted, &label));
    assert!(matches!(change(&none(), &wider), Err(Violation::Added(_))));
    assert!(matches!(change(&none(), &label), Err(Violation::Added(_))));
    assert!(matches!(change(&adds("security.istio.io", "PeerAuthentication"), &wider), Err(Violation::Added(_))));
    assert!(matches!(change(&granted, &everybodys), Err(Violation::AddedContent { .. })));
    let dropped = judge(&before, generated.clone(), &granted).err();
    assert!(matches!(dropped, Some(Violation::Dropped(id)) if id.kind == ChildKind::NetworkPolicy));

    // A ConfigMap may have been generated: its content stays, whoever made it.
    let mut before = generated;
    before.push(map("gateway-complete", "complete-extra"));
    let mut after = before.clone();
    of_kind(&mut after, ChildKind::ConfigMap)["data"]["a"] = "other".into();
    refused(judge(&before, after, &everything()), ".data.a");
}

#[test]
fn objects_are_neither_dropped_nor_doubled() {
    let before = generated(PAGE);
    for place in 0..before.len() {
        let mut after = before.clone();
        let dropped = after.remove(place);
        assert_eq!(judge(&before, after, &everything()).err(), Some(Violation::Dropped(dropped.id.clone())));
        let mut after = before.clone();
        after.push(dropped.clone());
        assert_eq!(judge(&before, after, &everything()).err(), Some(Violation::Duplicate(dropped.id)));
    }
    let mut after = before.clone();
    after.reverse();
    allowed(judge(&before, after, &none()));
}

// --- What it says

#[test]
fn a_violation_names_policy_matters_and_hides_values_of_variables() {
    let error = pod(&none(), |pod| {
        let mut container = sidecar();
        container["env"] = json!([{"name": "KEY", "value": "hunter2"}]);
        list(pod, "containers").push(container);
    })
    .expect_err("no image was granted");
    let text = error.to_string();
    assert!(text.contains("grant images") && text.contains("Deployment gateway-complete/complete"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let error =
        pod(&none(), |pod| first_container(pod)["env"][0]["value"] = json!({"x": "hunter2"})).expect_err("a type");
    assert_eq!(
        error.to_string(),
        "Deployment gateway-complete/complete has a value of the wrong type or an unknown field at \
         .spec.template.spec.containers[name=\"inference-gateway\"].env[name=\"ENVIRONMENT\"]: value"
    );
    let error = pod(&none(), |pod| pod["hostNetwork"] = json!(true)).expect_err("the host");
    assert_eq!(
        error.to_string(),
        "Deployment gateway-complete/complete was changed where no policy may: .spec.template.spec.hostNetwork: (absent) -> true"
    );
}

#[test]
fn what_the_server_takes_for_absent_is_no_change() {
    allowed(pod(&none(), |pod| {
        pod["hostNetwork"] = Value::Null;
        pod["nodeSelector"] = json!({});
        pod["imagePullSecrets"] = json!([]);
        first_container(pod)["lifecycle"] = Value::Null;
    }));
}
