//! What is measured: the policies of `examples/policies`, and the objects of the Gateway in `examples/gateway-complete`.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use igw::{
    kinds::{Parent as _, Related, gateway::Gateway},
    object::{ChildKind, DesiredChild, Identity},
    parent::ParentObject,
    policies::{
        PolicyId,
        entry::{Runnable, Target},
        select::{Chosen, Turn},
    },
    policy::{engine::Loaded, resource::PolicySpec},
};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

/// The policies, in the order in which they run.
pub(crate) const POLICIES: [&str; 3] = ["add-sidecar", "extra-env", "istio-mtls"];

/// A policy of an example.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// As the example has it: it is shown Deployments.
    pub(crate) spec: PolicySpec,
    /// The same, shown every object of a Gateway.
    all: PolicySpec,
}

/// What a policy is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Deployment,
    Everything,
}

fn documents(path: &str) -> Result<Vec<Value>> {
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../examples", path].iter().collect();
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_saphyr::from_multiple(&text).with_context(|| format!("{path} is no YAML"))
}

impl Sample {
    pub(crate) fn read(name: &'static str) -> Result<Self> {
        let documents = documents(&format!("policies/{name}/10-policy.yaml"))?;
        let map = documents.iter().find(|document| document["kind"] == "ConfigMap").context("no ConfigMap")?;
        let map: ConfigMap = serde_json::from_value(map.clone())?;
        let bytes = map.binary_data.and_then(|data| data.into_values().next()).context("no module")?.0;
        let policy = documents.iter().find(|document| document["kind"] == "ClusterWasmPolicy").context("no policy")?;
        let spec = serde_json::from_value(policy["spec"].clone())?;
        let mut all = policy["spec"].clone();
        let kinds = ["Deployment", "Service", "ServiceAccount", "Ingress", "HorizontalPodAutoscaler"];
        let group = |kind: &str| {
            let known = ChildKind::ALL.into_iter().find(|known| known.info().kind == kind);
            known.map(|known| json!({"group": known.info().group, "kind": kind}))
        };
        all["match"]["children"] = kinds.into_iter().filter_map(group).collect();
        Ok(Self { name, bytes, spec, all: serde_json::from_value(all)? })
    }

    pub(crate) fn settings(&self) -> String {
        Value::Object(self.spec.settings.clone()).to_string()
    }

    /// Ready to run. Nothing of another `key` is remembered.
    pub(crate) fn chosen(&self, loaded: &Loaded, key: &str, shown: Shown) -> Chosen {
        let spec = if shown == Shown::Everything { &self.all } else { &self.spec };
        let target = Target {
            sha256: self.spec.module.sha256.clone(),
            settings: self.settings(),
            limits: self.spec.limits.clamped(),
        };
        Chosen {
            id: PolicyId { namespace: "".into(), name: self.name.into() },
            spec: Some(Arc::new(spec.clone())),
            turn: Turn::Run(Arc::new(Runnable { loaded: Arc::clone(loaded), target, key: key.into() })),
            stamp: 0,
        }
    }
}

/// A Gateway and what is generated for it.
pub(crate) struct Subject {
    pub(crate) identity: Identity,
    pub(crate) spec: Value,
    pub(crate) generated: Vec<DesiredChild>,
}

impl Subject {
    /// The five objects of the complete Gateway.
    pub(crate) fn complete() -> Result<Self> {
        let documents = documents("gateway-complete/20-gateway.yaml")?;
        let document = documents.iter().find(|document| document["kind"] == "Gateway").context("no Gateway")?;
        let object = ParentObject::from_manifest(document)?;
        let (identity, spec) = (object.identity(), object.spec::<Gateway>()?);
        let generated = Gateway::desired(&identity, &spec, &Related::default())?.children;
        ensure!(generated.len() == 5, "the Gateway has {} objects", generated.len());
        Ok(Self { identity, spec: document["spec"].clone(), generated })
    }

    /// Its Deployment alone, made as large as this with variables.
    pub(crate) fn large(bytes: usize) -> Result<Self> {
        let mut subject = Self::complete()?;
        subject.generated.retain(|child| child.id.kind == ChildKind::Deployment);
        let deployment = subject.generated.first_mut().context("no Deployment")?;
        for number in 0.. {
            if deployment.body.to_string().len() >= bytes {
                break;
            }
            let env = deployment.body.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut);
            let value = json!({"name": format!("SETTING_{number:03}"), "value": format!("http://backend-{number:03}.models:8080")});
            env.context("a container without variables")?.push(value);
        }
        Ok(subject)
    }
}
