//! What platform teams may rewrite of the generated objects, and what carries their policies out.

pub mod grants;
pub mod paths;
