//! tmp
pub mod card;
