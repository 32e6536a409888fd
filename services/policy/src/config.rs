//! What the service has to be told. Everything an operator changes while it runs is in
//! the directory instead.

use crate::rules::Surroundings;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Copies of the directory in the cluster, 1 or 3 (5 is allowed).
    pub replicas: usize,
    /// Addresses that no next hop may have.
    pub surroundings: Surroundings,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { replicas: 1, surroundings: Surroundings::default() }
    }
}
