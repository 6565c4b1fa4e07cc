//! The integration binary: one module a subject. What the API server decides is asked of a real one.

mod adoption;
mod agent_server;
mod architecture;
mod autoscaler;
mod cards;
mod cli;
mod collision;
mod conflict;
mod discovery;
mod drift;
mod examples;
mod foreign;
mod generated;
mod golden;
mod kinds;
mod lifecycle;
mod mcp;
mod normal;
mod orchestrator;
mod outage;
mod ownership;
mod references;
mod refusal;
mod scope;
mod status;
mod world;
