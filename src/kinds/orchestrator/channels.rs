//! `spec.channels` of an Orchestrator. PURE.

use k8s_openapi::api::core::v1::SecretKeySelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::{InvalidSpec, schema};

/// Where messages come from and answers go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Channels {
    /// Number of messages that are worked on at a time. The program's own default counts without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_workers: Option<i32>,
    /// Number of received pictures that are kept. The program's own default counts without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_retention: Option<i32>,
    /// Ask the user in the chat before a tool runs that may change something. The program's own default counts without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<bool>,
    /// A Telegram bot.
    pub telegram: Telegram,
}

/// A Telegram bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.enabled) || !self.enabled || has(self.tokenSecretRef)",
    "message": "is needed when enabled is true",
    "fieldPath": ".tokenSecretRef",
}]))]
pub struct Telegram {
    /// Listen to Telegram. Switched off, the pod gets none of the Secrets below.
    pub enabled: bool,
    /// Key of a Secret that holds the token of the bot. Needed when `enabled` is true. Telegram sends a message to one
    /// listener only, so no two Orchestrators may have the same token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<SecretKeySelector>")]
    pub token_secret_ref: Option<SecretKeySelector>,
    /// Key of a Secret that holds the ids of the users who may talk to the bot, separated by commas. Nobody may without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<SecretKeySelector>")]
    pub allowed_users_secret_ref: Option<SecretKeySelector>,
    /// How long one question for new messages stays open, for example `30s`. Rounded up to whole seconds. The program's
    /// own default counts without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub poll_timeout: Option<String>,
}

impl Telegram {
    /// These settings, when they are in use.
    #[must_use]
    pub fn active(&self) -> Option<&Self> {
        self.enabled.then_some(self)
    }

    /// What only one Orchestrator of a namespace may use.
    #[must_use]
    pub fn claim(&self) -> Option<String> {
        let token = self.active()?.token_secret_ref.as_ref().filter(|token| !token.name.is_empty())?;
        Some(format!("Secret {} key {}", token.name, token.key))
    }

    /// Refuses what the schema refuses too; resources that were stored before it can still say so.
    pub(super) fn check(&self) -> Result<(), InvalidSpec> {
        let Some(active) = self.active() else { return Ok(()) };
        let message = match &active.token_secret_ref {
            None => "is needed when enabled is true",
            Some(token) if token.name.is_empty() || token.key.is_empty() => {
                "needs the name of a Secret and a key in it"
            }
            Some(_) => return Ok(()),
        };
        Err(InvalidSpec { field: "spec.channels.telegram.tokenSecretRef".into(), message: message.into() })
    }
}
