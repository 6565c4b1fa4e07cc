//! Policies of the cluster: what is said of them.

pub mod reason;
pub mod status;
