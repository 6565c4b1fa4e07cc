//! The integration binary: one module a subject. What the API server decides is asked of a real one.

mod autoscaler;
mod collision;
mod conflict;
mod drift;
mod foreign;
mod golden;
mod lifecycle;
mod world;
