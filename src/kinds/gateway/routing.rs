//! `spec.routing` of a Gateway: which model answers a request, or, in the shape it had before, what `gatewayAPI` says. PURE.

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, Volume, VolumeMount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gateway_api::{ApiGateway, ApiRoute, GatewayApi};
use crate::{
    children::{
        config_map::config_map,
        env::Variables,
        metadata::{Family, Pairs},
        workload::config_folder,
    },
    kinds::{InvalidSpec, schema},
    object::DesiredChild,
};

/// Folder of the rules in the pods.
const FOLDER: &str = "/etc/inference-gateway/routing";
/// Key of our own ConfigMap.
const KEY: &str = "routing.yaml";

/// Model routing: which model of which provider answers a request. With `gateway` or `httpRoute` inside it means the same
/// as `gatewayAPI`, as it did in earlier versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.enabled) || !self.enabled || has(self.gateway) || has(self.httpRoute) \
             || (has(self.config) && self.config != '') != has(self.configMapRef)",
    "message": "an enabled routing needs config or configMapRef, and not both",
}]))]
pub struct Routing {
    /// Switch it on. Needs `config` or `configMapRef`: without rules the gateway does not start.
    pub enabled: bool,
    /// The rules, as YAML text. A change rolls the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Key of a ConfigMap that holds the rules, instead of `config`. A change of it rolls the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::kubernetes::<ConfigMapKeySelector>")]
    pub config_map_ref: Option<ConfigMapKeySelector>,
    /// The same as `gatewayAPI.gateway`, where earlier versions had it. Use `gatewayAPI`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<ApiGateway>,
    /// The same as `gatewayAPI.httpRoute`, where earlier versions had it. Use `gatewayAPI`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_route: Option<ApiRoute>,
}

/// Where the rules are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source<'a> {
    Text(&'a str),
    ConfigMap(&'a ConfigMapKeySelector),
}

impl Routing {
    /// What it says in the place of `gatewayAPI`, when it is written in the shape that it had before.
    #[must_use]
    pub fn as_gateway_api(&self) -> Option<GatewayApi> {
        self.is_older().then(|| GatewayApi {
            enabled: self.enabled,
            gateway: self.gateway.clone().unwrap_or_default(),
            http_route: self.http_route.clone().unwrap_or_default(),
        })
    }

    const fn is_older(&self) -> bool {
        self.gateway.is_some() || self.http_route.is_some()
    }

    /// Whether it has rules that nobody reads.
    #[must_use]
    pub fn ignores_rules(&self) -> bool {
        self.enabled && self.is_older() && (self.text().is_some() || self.config_map_ref.is_some())
    }

    fn text(&self) -> Option<&str> {
        self.config.as_deref().filter(|text| !text.is_empty())
    }

    /// The schema refuses both and none; resources that were stored before it can still say so.
    fn source(&self) -> Result<Option<Source<'_>>, InvalidSpec> {
        let invalid = |message: &str| Err(InvalidSpec { field: "spec.routing".into(), message: message.into() });
        if !self.enabled || self.is_older() {
            return Ok(None);
        }
        match (self.text(), &self.config_map_ref) {
            (Some(text), None) => Ok(Some(Source::Text(text))),
            (None, Some(map)) if !map.name.is_empty() && !map.key.is_empty() => Ok(Some(Source::ConfigMap(map))),
            (None, Some(_)) => invalid("configMapRef needs the name of a ConfigMap and a key in it"),
            _ => invalid("an enabled routing needs config or configMapRef, and not both"),
        }
    }

    /// The ConfigMap of somebody else that the rules are in.
    #[must_use]
    pub fn foreign_config_map(&self) -> Option<&str> {
        match self.source() {
            Ok(Some(Source::ConfigMap(map))) => Some(&map.name),
            _ => None,
        }
    }

    /// Name and content of our own ConfigMap, when the rules are given as text.
    pub(super) fn own_config_map(&self, parent: &str) -> Option<(String, &str)> {
        match self.source() {
            Ok(Some(Source::Text(text))) => Some((format!("{parent}-routing"), text)),
            _ => None,
        }
    }

    /// That ConfigMap.
    pub(super) fn child(&self, family: &Family<'_>) -> Option<DesiredChild> {
        let (name, text) = self.own_config_map(&family.parent.name)?;
        Some(config_map(family, &name, Pairs::from([(KEY.into(), text.into())])))
    }

    /// The rules as files of the pods.
    pub(super) fn files(&self, parent: &str) -> Option<(Volume, VolumeMount)> {
        let own = self.own_config_map(parent).map(|(name, _)| name);
        let name = own.as_deref().or_else(|| self.foreign_config_map())?;
        Some(config_folder("model-routing", name, FOLDER))
    }

    /// What the gateway has to know.
    pub(super) fn environment(&self, env: &mut Variables) -> Result<(), InvalidSpec> {
        let Some(source) = self.source()? else { return Ok(()) };
        let key = match source {
            Source::Text(_) => KEY,
            Source::ConfigMap(map) => &map.key,
        };
        env.set("ROUTING_ENABLED", true);
        env.set("ROUTING_CONFIG_PATH", format!("{FOLDER}/{key}"));
        Ok(())
    }
}
