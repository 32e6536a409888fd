//! A complete transaction to envelopes in the queue: loop check, trace fields, one envelope for
//! each next hop, and the promise when all of them are stored.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::TryFromIntError,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use hikyaku_mail::{
    completion, loops, message_id,
    received::{Received, Security, With},
    relay_trace::RelayTrace,
};
use hikyaku_queue::{custody::Admission, publish::Publisher};
use hikyaku_runtime::error_chain::chain;
use hikyaku_smtp::server::{AcceptedRecipient, Addressee, Protocol, Stored, Transaction};
use hikyaku_spans::Span;
use hikyaku_types::{
    body::Body,
    destination::Destination,
    envelope::{Envelope, Lane, Recipient},
    ids::QueueId,
    origin::Listener,
    reply::{EnhancedCode, Reply},
};

use crate::{
    config::IngressConfig,
    mail_log::{self, About, Message},
    metrics,
    visit::Visit,
};

/// RFC 5321 4.5.3.1.8: what every server takes in one transaction (SEED-156).
const RECIPIENTS_PER_ENVELOPE: usize = 100;

/// Where a message came from.
pub(crate) struct Arrival<'a> {
    pub(crate) visit: &'a Visit,
    /// Version, or "none".
    pub(crate) tls: &'a str,
    pub(crate) client: IpAddr,
    pub(crate) listener: Listener,
    /// It was taken because of the client's address (SEED-096).
    pub(crate) is_trusted: bool,
    /// What decided that its sender was accepted.
    pub(crate) admitted_by: &'a Arc<str>,
    /// Received fields that it may have (SEED-137).
    pub(crate) max_received: usize,
    /// Where it waits for its first attempt.
    pub(crate) lane: Lane,
    pub(crate) config: &'a IngressConfig,
}

pub(crate) async fn store(transaction: Transaction, arrival: &Arrival<'_>, publisher: &Publisher) -> Stored {
    let identity = transaction.identity.clone();
    let helo = transaction.client_name.clone();
    let sender = transaction.reverse_path.clone();
    let about = About {
        visit: arrival.visit,
        client: arrival.client,
        helo: Some(&helo),
        identity: identity.as_ref(),
        sender: Some(&sender),
        recipient: None,
    };

    let content = transaction.content.as_slice();
    if let Err(reason) = loops::check(content, &arrival.config.hostname, arrival.max_received) {
        let reply = Reply::new(554, Some(EnhancedCode(5, 4, 6)), &reason.to_string());
        metrics::refused("mail.loop");
        mail_log::refused(&about, &reply, "mail.loop");
        return Stored::Refused(reply);
    }
    let now = SystemTime::now();
    let millis = now.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
    let queue_id = QueueId::new(u64::try_from(millis).unwrap_or(u64::MAX), rand::random());
    let size = transaction.content.len();

    let put_off = Reply::new(451, Some(EnhancedCode(4, 3, 0)), "message was not stored; try again");
    let Ok(envelopes) = envelopes(transaction, arrival, queue_id, now) else {
        metrics::refused("mail.destinations");
        mail_log::refused(&about, &put_off, "mail.destinations");
        return Stored::Refused(put_off);
    };
    let accepted = envelopes.clone();
    let admission = Admission {
        client: arrival.client,
        identity: identity.as_ref().map(ToString::to_string),
        admitted_by: Arc::clone(arrival.admitted_by),
    };
    if let Err(error) = publisher.accept(Some(admission), envelopes).await {
        Span::current().fail("queue");
        tracing::error!(%queue_id, error = chain(&error), "the queue did not take a message");
        metrics::refused("queue");
        mail_log::refused(&about, &put_off, "queue");
        return Stored::Refused(put_off);
    }
    metrics::message(size);
    arrival.visit.accepted();
    let message_id = accepted.first().and_then(|envelope| match &envelope.body {
        // What was added for the client counts as well.
        Body::Inline(content) => message_id::of(content),
        Body::Stored(_) => None,
    });
    let message = Message {
        visit: arrival.visit,
        helo: &helo,
        identity: identity.as_ref(),
        admitted_by: arrival.admitted_by,
        listener: arrival.listener,
        tls: arrival.tls,
        message_id: message_id.as_deref(),
        size,
    };
    accepted.iter().for_each(|envelope| mail_log::accepted(envelope, &message));
    Stored::Durable(queue_id)
}

/// One envelope for each next hop, or more when it has very many recipients; they share the content. Fails only when there are more next
/// hops than an entry id can number.
fn envelopes(
    transaction: Transaction,
    arrival: &Arrival<'_>,
    queue_id: QueueId,
    now: SystemTime,
) -> Result<Vec<Envelope>, TryFromIntError> {
    let trace = trace_fields(&transaction, arrival, queue_id, now);
    let content = transaction.content.with_prefix(trace.as_bytes());
    let hops = by_next_hop(transaction.recipients);
    hops.into_iter()
        .flat_map(|(destination, recipients)| {
            let cut: Vec<_> = recipients.chunks(RECIPIENTS_PER_ENVELOPE).map(<[_]>::to_vec).collect();
            cut.into_iter().map(move |recipients| (destination.clone(), recipients))
        })
        .enumerate()
        .map(|(hop, (destination, recipients))| {
            Ok(Envelope {
                entry: queue_id.entry(u16::try_from(hop)?),
                destination,
                reverse_path: transaction.reverse_path.clone(),
                recipients,
                body: Body::Inline(content.clone()),
                transfer: transaction.transfer.clone(),
                accepted_at: now,
                attempt: 0,
                first_attempt_at: None,
                delay_reported: false,
                client: Some(arrival.client),
                lane: arrival.lane,
            })
        })
        .collect()
}

/// Our fields, in the order in which they stand: Received on top, X-Relay below it, then what a
/// submitted message lacks, all above everything that came (SEED-096, SEED-097).
fn trace_fields(
    transaction: &Transaction,
    arrival: &Arrival<'_>,
    queue_id: QueueId,
    now: SystemTime,
) -> String {
    let authenticated = transaction.identity.is_some();
    let security = Security { tls: transaction.is_secure, authenticated };
    let with = match (transaction.transfer.smtputf8, transaction.protocol) {
        (true, Protocol::Esmtp | Protocol::Smtp) => With::Utf8Smtp(security),
        (false, Protocol::Esmtp) => With::Esmtp(security),
        (false, Protocol::Smtp) => With::Smtp,
    };
    let is_hidden = authenticated && arrival.config.hide_submission_client;
    let sole_recipient = match &transaction.recipients[..] {
        [only] => Some(&only.accepted.forward_path),
        [] | [_, _, ..] => None,
    };
    let received = Received {
        client_name: &transaction.client_name,
        client: Some(arrival.client).filter(|_| !is_hidden),
        by: &arrival.config.hostname,
        with,
        id: queue_id,
        sole_recipient,
        at: now,
    };
    let mut fields = received.to_string();
    // SEED-096: only what was taken because of an address.
    if arrival.is_trusted && !authenticated {
        let relay = RelayTrace { by: &arrival.config.hostname, reverse_path: &transaction.reverse_path };
        fields += &relay.to_string();
    }
    // RFC 6409 8: what comes from other servers is left as it is.
    if arrival.listener == Listener::Submission {
        let content = transaction.content.as_slice();
        fields += &completion::missing_fields(content, queue_id, &arrival.config.hostname, now);
    }
    fields
}

/// Recipients by next hop, both in the order of the RCPT commands. Aliases that end at the same
/// address become one recipient (SEED-046), of which is told what was asked for any of them.
fn by_next_hop(addressees: Vec<Addressee>) -> Vec<(Destination, Vec<Recipient>)> {
    let mut hops: Vec<(Destination, Vec<Recipient>)> = Vec::new();
    let mut places: HashMap<Destination, usize> = HashMap::new();
    let mut seen: HashMap<(usize, String), usize> = HashMap::new();
    for Addressee { accepted, reporting } in addressees {
        let AcceptedRecipient { forward_path, deliver_to, destination } = accepted;
        let place = *places.entry(destination).or_insert_with_key(|destination| {
            hops.push((destination.clone(), Vec::new()));
            hops.len() - 1
        });
        let Some((_, recipients)) = hops.get_mut(place) else { continue };
        let written = forward_path.to_string();
        let address = deliver_to.to_string();
        let original = (written != address).then_some(written);
        let index = *seen.entry((place, address)).or_insert(recipients.len());
        match recipients.get_mut(index) {
            Some(same) => same.reporting = std::mem::take(&mut same.reporting).or(reporting),
            None => recipients.push(Recipient { reporting, ..Recipient::new(deliver_to, original) }),
        }
    }
    hops
}

#[cfg(test)]
mod tests;
