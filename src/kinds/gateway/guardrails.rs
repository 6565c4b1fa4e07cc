//! `spec.guardrails` of a Gateway: policies that requests and answers have to pass. PURE.

use k8s_openapi::api::core::v1::{LocalObjectReference, Volume, VolumeMount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    children::{duration, env::Variables, workload::config_folder},
    kinds::{InvalidSpec, schema},
};

/// Folder of the policies in the pods.
const FOLDER: &str = "/etc/inference-gateway/guardrails";

/// Policies for requests and answers. The gateway looks for keys and card numbers by itself as soon as they are on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Guardrails {
    /// Switch them on.
    pub enabled: bool,
    /// What happens to a request when a policy cannot be evaluated: `deny` and `closed` refuse it, `allow` and `open` let it
    /// pass.
    pub fail_mode: FailMode,
    /// URL of a service that is asked as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// How long that service may take.
    #[schemars(schema_with = "schema::duration")]
    pub external_timeout: String,
    /// ConfigMap with policies in Rego: each key that ends in `.rego` is one. A change of it rolls the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<LocalObjectReference>")]
    pub config_map_ref: Option<LocalObjectReference>,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            enabled: false,
            fail_mode: FailMode::default(),
            external_url: None,
            external_timeout: "5s".into(),
            config_map_ref: None,
        }
    }
}

/// What happens when a policy cannot be evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "a comment here would end up in the schema and say what the name says")]
pub enum FailMode {
    #[default]
    Deny,
    Allow,
    Closed,
    Open,
}

impl FailMode {
    /// As the gateway wants it: it takes every other word for `open`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Deny | Self::Closed => "closed",
            Self::Allow | Self::Open => "open",
        }
    }
}

impl Guardrails {
    /// The ConfigMap with the policies, when they are on.
    #[must_use]
    pub fn config_map(&self) -> Option<&str> {
        let map = self.config_map_ref.as_ref().filter(|_| self.enabled)?;
        Some(map.name.as_str()).filter(|name| !name.is_empty())
    }

    /// The policies as files of the pods.
    pub(super) fn files(&self) -> Option<(Volume, VolumeMount)> {
        Some(config_folder("guardrails-policies", self.config_map()?, FOLDER))
    }

    /// What the gateway has to know.
    pub(super) fn environment(&self, env: &mut Variables) -> Result<(), InvalidSpec> {
        if !self.enabled {
            return Ok(());
        }
        env.set("GUARDRAILS_ENABLED", true);
        // A folder that is not there has no policies, which is as it should be.
        env.set("GUARDRAILS_POLICY_DIR", FOLDER);
        env.set("GUARDRAILS_FAIL_MODE", self.fail_mode.as_str());
        if let Some(url) = self.external_url.as_ref().filter(|url| !url.is_empty()) {
            duration::checked(&self.external_timeout, || "spec.guardrails.externalTimeout".into())?;
            env.set("GUARDRAILS_EXTERNAL_URL", url);
            env.set("GUARDRAILS_EXTERNAL_TIMEOUT", &self.external_timeout);
        }
        Ok(())
    }
}
