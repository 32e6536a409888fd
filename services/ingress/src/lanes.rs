//! Fresh or bulk: a source that sends much, or says that it sends in bulk, gets a lane of its own,
//! so that it keeps nobody waiting (SEED-180, SEED-182). Each node counts what comes to it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hikyaku_mail::marks;
use hikyaku_smtp::server::Transaction;
use hikyaku_types::{
    envelope::Lane,
    shard::fnv1a,
    source::Source,
    traffic::{Rate, TrafficRules},
};

/// Sources that are counted; when there are more, those that were silent longest are forgotten.
const MAX_SOURCES: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<HashMap<u64, Bucket>>);

/// What a source may still send as ordinary mail.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

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
        let is_within = self.count(key, rate, now);
        let is_bulk = said.bulk
            || !is_within
            || transaction.recipients.len() > ordinary.recipients
            || marks::is_bulk(transaction.content.as_slice());
        if is_bulk { Lane::Bulk } else { Lane::Fresh }
    }

    /// Counts one message, and says whether it is within the rate.
    fn count(&self, key: u64, rate: Rate, now: Instant) -> bool {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MAX_SOURCES && !sources.contains_key(&key) {
            forget(&mut sources, now);
        }
        let most = f64::from(rate.count.get());
        let bucket = sources.entry(key).or_insert(Bucket { tokens: most, at: now });
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() / rate.per.as_secs_f64() * most;
        bucket.tokens = (bucket.tokens + gained).min(most);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

/// Forgets half of the sources, those that were silent longest.
fn forget(sources: &mut HashMap<u64, Bucket>, now: Instant) {
    let mut ages: Vec<Duration> =
        sources.values().map(|bucket| now.saturating_duration_since(bucket.at)).collect();
    let middle = ages.len() / 2;
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    sources.retain(|_, bucket| now.saturating_duration_since(bucket.at) < median);
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

    #[test]
    fn what_is_above_the_rate_is_bulk_until_it_has_calmed_down() {
        let (lanes, start) = (Lanes::default(), Instant::now());
        let within = |at: u64| lanes.count(1, rate("60/m"), start + Duration::from_secs(at));
        assert_eq!((0..100).filter(|_| within(0)).count(), 60);
        assert_eq!((0..100).filter(|_| within(10)).count(), 10);
        assert_eq!((0..100).filter(|_| within(1_000)).count(), 60);
        assert!(lanes.count(2, rate("60/m"), start), "another source has its own rate");
    }

    #[test]
    fn memory_is_bounded() {
        let (lanes, start) = (Lanes::default(), Instant::now());
        for key in 0..2 * MAX_SOURCES as u64 {
            lanes.count(key, rate("60/m"), start + Duration::from_millis(key));
        }
        assert!(lanes.0.lock().unwrap().len() <= MAX_SOURCES);
    }
}
