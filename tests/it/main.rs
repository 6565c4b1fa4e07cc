//! The integration binary: one module a subject. What the API server decides is asked of a real one.

mod generated;
mod golden;
mod lifecycle;
mod world;
