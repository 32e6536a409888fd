//! What the access table and the relay list make of a client.

use hikyaku_types::{address::ReversePath, origin::Listener, traffic::Rate};

use super::{Asker, Rules};
use crate::{
    document::DocumentName,
    rules::{decision::DecidedBy, table::access::Standing},
};

/// A standing, and the line that gives it.
pub(super) struct Grounds {
    pub(super) standing: Standing,
    pub(super) decided_by: DecidedBy,
    /// What each client may send (SEED-081).
    pub(super) rate: Option<Rate>,
}

impl Rules {
    /// The access table first; where none of its lines fits, the relay list. Without a sender only what
    /// is said of clients counts.
    pub(super) fn grounds(&self, asker: &Asker, sender: Option<&ReversePath>) -> Grounds {
        let access = self.access.table.find(asker.client(), sender);
        let listed = || self.relay_networks.table.line_of(asker);
        let (standing, decided_by) = match access.line {
            Some(line) => (access.standing, DecidedBy::Line(DocumentName::Access, line)),
            None => match listed() {
                Some(line) => (Standing::Trusted, DecidedBy::Line(DocumentName::RelayNetworks, line)),
                None => (access.standing, DecidedBy::Default),
            },
        };
        // SEED-099: on the submission ports an address is no proof.
        let standing = match (asker.listener, standing) {
            (Listener::Submission, Standing::Trusted) => Standing::Default,
            (Listener::Submission | Listener::Relay, standing) => standing,
        };
        Grounds { standing, decided_by, rate: access.rate }
    }
}
