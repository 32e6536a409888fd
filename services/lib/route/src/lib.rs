//! Destination -> hosts -> addresses. The only crate that knows DNS.

pub mod resolver; // the cluster's one list of resolvers
pub mod plan; // MX answers -> hosts in the order to try them; pure
pub mod records; // what the DNS says of a name, for people
