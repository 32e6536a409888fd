//! A client has just connected.

use std::net::IpAddr;

use hikyaku_types::origin::Listener;

use super::{Asker, Rules};
use crate::{
    document::DocumentName,
    rules::{
        decision::{ConnectionDecision, DecidedBy, Decision, Reach, Verdict, replies},
        table::{access::Standing, connections::Welcome},
    },
};

impl Rules {
    pub fn check_connection(&self, client: IpAddr) -> ConnectionDecision {
        let asker = Asker::new(client, Listener::Relay, None);
        let grounds = self.grounds(&asker, None);
        let is_trusted = grounds.standing == Standing::Trusted;
        let (verdict, decided_by, unlimited) = match self.connections.table.find(asker.client()) {
            Some((Welcome::Refuse, line)) => (
                Verdict::Refuse(replies::connection_refused()),
                DecidedBy::Line(DocumentName::Connections, line),
                false,
            ),
            Some((Welcome::Accept, line)) => {
                (Verdict::Accept, DecidedBy::Line(DocumentName::Connections, line), true)
            }
            None => (Verdict::Accept, grounds.decided_by, is_trusted),
        };
        ConnectionDecision {
            decision: Decision { verdict, decided_by, reach: Reach::ADDRESS },
            unlimited,
            max_received: self.settings.table.max_received,
        }
    }
}
