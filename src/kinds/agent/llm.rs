//! `spec.agent` of an Agent: how it works on a task, and the model that it asks. PURE.

use k8s_openapi::api::core::v1::SecretKeySelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::schema;

/// What a temperature looks like: 0 to 2.
const TEMPERATURE: &str = r"^([01](\.[0-9]*)?|\.[0-9]+|2(\.0*)?)$";

/// How the agent works on a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Reasoning {
    /// Passed on as AGENT_ENABLED. Published agents do not read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Certificates for the connection to the model.
    pub tls: ClientTls,
    /// Most messages of a conversation that the model gets to see.
    #[schemars(range(min = 0))]
    pub max_conversation_history: i32,
    /// Most questions to the model for one task.
    #[schemars(range(min = 0))]
    pub max_chat_completion_iterations: i32,
    /// How often a question to the model is repeated when it fails.
    #[schemars(range(min = 0))]
    pub max_retries: i32,
    /// Accepted and without effect, as the status message says: `llm.apiKeySecretRef` names the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// The model that the agent asks. The presence of the block alone sets `maxTokens` and `temperature`; without it the
    /// agent keeps its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm: Option<Llm>,
}

impl Default for Reasoning {
    fn default() -> Self {
        Self {
            enabled: None,
            tls: ClientTls::default(),
            max_conversation_history: 10,
            max_chat_completion_iterations: 5,
            max_retries: 3,
            api_key: None,
            llm: None,
        }
    }
}

/// Certificates for the connection to the model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTls {
    /// Hand the certificates to the agent. Without `secretRef` nothing is handed over, and the status message says so.
    pub enabled: bool,
    /// Name of the Secret that holds the agent's certificate under `tls.crt` and its private key under `tls.key`, and under
    /// `ca.crt`, if it likes, the authority that signed the certificate of the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<String>,
}

impl ClientTls {
    /// Name of the Secret, when it is to be used.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        self.secret_ref.as_deref().filter(|name| self.enabled && !name.is_empty())
    }
}

/// A Secret that nobody reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiKey {
    /// Name of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<String>,
}

/// A model and how to ask it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Llm {
    /// URL of the API that is asked, usually that of a gateway with its path, for example
    /// `http://my-gateway.inference-gateway.svc.cluster.local:8080/v1`.
    #[serde(rename = "baseURL", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The model as `provider/model`, for example `openai/gpt-4o`. What stands before the first `/` is the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Longest answer of the model, in tokens.
    #[schemars(range(min = 0))]
    pub max_tokens: i32,
    /// How freely the model answers: from 0 to 2, written as text, for example "0.7".
    #[schemars(regex(pattern = TEMPERATURE))]
    pub temperature: String,
    /// HTTP headers of the requests to the model.
    pub custom_headers: Vec<CustomHeader>,
    /// What the model is told before every conversation. It reaches the agent as it is written here, `$` included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Key of a Secret that holds the API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<SecretKeySelector>")]
    pub api_key_secret_ref: Option<SecretKeySelector>,
}

impl Default for Llm {
    fn default() -> Self {
        Self {
            base_url: None,
            model: None,
            max_tokens: 4096,
            temperature: "0.7".into(),
            custom_headers: Vec::new(),
            system_prompt: None,
            api_key_secret_ref: None,
        }
    }
}

impl Llm {
    /// Provider and model.
    #[must_use]
    pub fn model(&self) -> (Option<&str>, &str) {
        let whole = self.model.as_deref().unwrap_or_default();
        match whole.split_once('/') {
            Some((provider, model)) => (Some(provider), model),
            None => (None, whole),
        }
    }

    /// Whether the temperature is one. The schema refuses others; resources that were stored before it can still say so.
    #[must_use]
    pub fn has_temperature(&self) -> bool {
        let text = &self.temperature;
        text.is_empty() || text.parse::<f64>().is_ok_and(|temperature| (0.0..=2.0).contains(&temperature))
    }
}

/// An HTTP header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomHeader {
    /// Name of the header.
    pub name: String,
    /// Its value. Agents read all headers as one list separated by commas, so one with a comma cannot be passed on; the
    /// status message names it.
    pub value: String,
}

impl CustomHeader {
    /// As a member of the list that agents read, when it can be one.
    #[must_use]
    pub fn member(&self) -> Option<String> {
        let fits = !self.name.is_empty() && !self.name.contains([',', ':']) && !self.value.contains(',');
        fits.then(|| format!("{}:{}", self.name, self.value))
    }
}
