//! Destination -> hosts -> addresses. The only crate that knows DNS.

pub mod resolver; // the cluster's one list of resolvers
mod answer; // what an answer means
pub mod plan; // MX answers -> hosts in the order to try them; pure
pub mod dane; // what the DNS says of a host's certificates
pub mod sts; // what a domain says of its hosts over HTTPS
pub mod records; // what the DNS says of a name, for people
pub mod way; // the same as a delivery has it, with lifetimes
