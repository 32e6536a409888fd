//! What the documents say, ordered for being asked. No text and no problems here;
//! each answer carries the line that it came from.

pub(crate) mod own_domains;
pub(crate) mod relay_networks;
pub(crate) mod aliases;
pub(crate) mod routes;
pub(crate) mod hosts;
pub(crate) mod traffic;
