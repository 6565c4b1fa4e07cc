//! igw: custom resources in, running gateways out.

pub mod object;
pub mod kinds;
