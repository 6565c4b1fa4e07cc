//! The integration binary: one module a subject. What the API server decides is asked of a real one.

mod architecture;
mod autoscaler;
mod cli;
mod collision;
mod conflict;
mod drift;
mod examples;
mod foreign;
mod gateway_api;
mod generated;
mod golden;
mod lifecycle;
mod normal;
mod outage;
mod ownership;
mod references;
mod refusal;
mod scope;
mod status;
mod world;
