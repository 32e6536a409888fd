//! Fresh or bulk: a source that sends much, or says that it sends in bulk, gets a lane of its own,
//! so that it keeps nobody waiting (SEED-180, SEED-182). Each node counts what comes to it.

use std::{net::IpAddr, time::Instant};

use hikyaku_mail::marks;
use hikyaku_smtp::server::Transaction;
use hikyaku_types::{
    envelope::Lane,
    shard::fnv1a,
    source::Source,
    traffic::{Rate, TrafficRules},
};

use crate::rates::Rates;

#[derive(Debug, Default)]
pub(crate) struct Lanes(Rates);

/// What is bulk for everybody of whom the rules say nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ordinary {
    pub(crate) rate: Rate,
    /// Recipients of one transaction.
    pub(crate) recipients: usize,
}

impl Lanes {
    pub(crate) fn of(
        &self,
        transaction: &Transaction,
        client: IpAddr,
        rules: &TrafficRules,
        ordinary: Ordinary,
        now: Instant,
    ) -> Lane {
        let said = rules.source(Some(client), &transaction.reverse_path);
        let source = Source::new(Some(client), &transaction.reverse_path);
        let (key, rate) = match said.rate {
            Some(rate) => (fnv1a(&said.name), rate),
            None => (source.client ^ source.sender.rotate_left(1), ordinary.rate),
        };
        // Counted in any case: a source does not become ordinary by marking half of its mail.
        let is_within = self.0.count(key, rate, now);
        let is_bulk = said.bulk
            || !is_within
            || transaction.recipients.len() > ordinary.recipients
            || marks::is_bulk(transaction.content.as_slice());
        if is_bulk { Lane::Bulk } else { Lane::Fresh }
    }
}

#[cfg(test)]
mod tests {
    use hikyaku_smtp::server::{AcceptedRecipient, Addressee, Content, Protocol};
    use hikyaku_types::{envelope::Transfer, reporting::Reporting};

    use super::*;

    fn transaction(recipients: usize, header: &str) -> Transaction {
        let accepted = AcceptedRecipient {
            forward_path: "b@one.example".parse().unwrap(),
            deliver_to: "b@one.example".parse().unwrap(),
            destination: "one.example".parse().unwrap(),
        };
        let recipient = Addressee { accepted, reporting: Reporting::default() };
        Transaction {
            client_name: "client.example".to_owned(),
            protocol: Protocol::Esmtp,
            is_secure: false,
            identity: None,
            reverse_path: "a@client.example".parse().unwrap(),
            transfer: Transfer::PLAIN,
            recipients: vec![recipient; recipients],
            content: Content::from(format!("{header}\r\n").as_bytes()),
        }
    }

    /// SEED-182.
    #[test]
    fn many_recipients_and_marks_are_bulk() {
        let lane = |recipients, header| {
            let ordinary = Ordinary { rate: rate("60/m"), recipients: 50 };
            let client = IpAddr::from([192, 0, 2, 1]);
            let rules = TrafficRules::default();
            let transaction = transaction(recipients, header);
            Lanes::default().of(&transaction, client, &rules, ordinary, Instant::now())
        };
        assert_eq!((lane(50, ""), lane(51, "")), (Lane::Fresh, Lane::Bulk));
        assert_eq!(lane(1, "Precedence: bulk\r\n"), Lane::Bulk);
    }

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }
}
