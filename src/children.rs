//! Builders of generated objects, shared by every kind of custom resource. PURE.
//!
//! They know Kubernetes and nothing of a custom resource: a kind hands over values, a builder makes the document. They
//! never add what nobody asked for: a field that the API server would fill in is left to it.

pub mod autoscaler;
pub mod config_map;
pub mod duration;
pub mod env;
pub mod gateway_api;
pub mod ingress;
pub mod metadata;
pub mod resources;
pub mod security;
pub mod service;
pub mod service_account;
pub mod workload;
