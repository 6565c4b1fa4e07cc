//! igw: custom resources in, running gateways out.
//!
//! Every reconcile is a chain of values. Pure functions make the values, a few small modules touch the world, and one
//! driver is the only place where both meet:
//!
//! ```text
//!            one file per kind             |                 one code path for every kind
//! -----------------------------------------+--------------------------------------------------------------------
//! watch --> parent --> related --> desired --> rewrite <-> guard --> seal --> diff --> apply --> prune --> status
//!  I/O       CR         cache       PURE        child      PURE     PURE     PURE     write     write     PURE + write
//! ```

pub mod object;

pub mod children;
pub mod cluster;
pub mod kinds;
pub mod parent;

pub mod cache;
pub mod cards;
pub mod config_maps;
pub mod directory;
pub mod pods;
pub mod policies;
pub mod policy;
pub mod reconcile;

pub mod activity;
pub mod controller;
pub mod scope;
pub mod server;
pub mod telemetry;

pub mod args;
pub mod cli;
