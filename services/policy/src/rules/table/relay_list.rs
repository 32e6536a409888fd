//! Who may send anywhere: networks, and the certificates of clients.

use std::collections::HashMap;

use hikyaku_types::{fingerprint::Fingerprint, origin::Asker};

use super::networks::Networks;

#[derive(Debug, Default)]
pub(crate) struct RelayList {
    pub(crate) networks: Networks,
    certificates: HashMap<Fingerprint, u32>,
}

impl RelayList {
    /// The line that has this certificate already, if there is one.
    pub(crate) fn insert_certificate(&mut self, certificate: Fingerprint, line: u32) -> Option<u32> {
        let earlier = self.certificates.get(&certificate).copied();
        self.certificates.entry(certificate).or_insert(line);
        earlier
    }

    /// The line that names the client: its address, or else what it has shown.
    pub(crate) fn line_of(&self, asker: &Asker) -> Option<u32> {
        let certificate = || self.certificates.get(&asker.certificate?).copied();
        self.networks.narrowest(asker.client()).or_else(certificate)
    }
}
