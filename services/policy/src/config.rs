//! What the service has to be told. Everything an operator changes while it runs is in
//! the directory instead.

use hikyaku_grpc::Guard;

use crate::{ldap::LdapConfig, rules::Surroundings};

#[derive(Debug, Clone)]
pub struct PolicyConfig {
    /// Copies of the directory in the cluster, 1 or 3 (5 is allowed).
    pub replicas: usize,
    /// Addresses that no next hop may have.
    pub surroundings: Surroundings,
    /// A company's directories, which may know recipients and passwords.
    pub ldap: Vec<LdapConfig>,
    /// Who may ask and change what.
    pub guard: Guard,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { replicas: 1, surroundings: Surroundings::default(), ldap: Vec::new(), guard: Guard::default() }
    }
}
