//! What ingress has to say in the mail log: what is accepted and each refusal. Connections are in `visit.rs`.

use std::net::IpAddr;

use hikyaku_mail_log::{
    Event,
    event::{Accepted, Refused},
    record,
};
use hikyaku_smtp::server::Refusal;
use hikyaku_types::{
    address::{ForwardPath, Mailbox, ReversePath},
    envelope::Envelope,
    origin::Listener,
    reply::Reply,
};

use crate::visit::Visit;

/// Whom a refusal is about.
pub(crate) struct About<'a> {
    pub(crate) visit: &'a Visit,
    pub(crate) client: IpAddr,
    pub(crate) helo: Option<&'a str>,
    /// Who the client is, or says it is.
    pub(crate) identity: Option<&'a Mailbox>,
    pub(crate) sender: Option<&'a ReversePath>,
    pub(crate) recipient: Option<&'a ForwardPath>,
}

/// A message as its client has handed it in, for all of its next hops.
pub(crate) struct Message<'a> {
    pub(crate) visit: &'a Visit,
    pub(crate) helo: &'a str,
    pub(crate) identity: Option<&'a Mailbox>,
    pub(crate) admitted_by: &'a str,
    pub(crate) listener: Listener,
    /// Version, or "none".
    pub(crate) tls: &'a str,
    pub(crate) message_id: Option<&'a str>,
    /// That of the content as it came.
    pub(crate) size: usize,
}

/// One event for each next hop.
pub(crate) fn accepted(envelope: &Envelope, message: &Message<'_>) {
    record(|| {
        let recipients = envelope.recipients.iter();
        Event::Accepted(Box::new(Accepted {
            queue_id: envelope.entry.queue_id.to_string(),
            entry: envelope.entry.to_string(),
            session: Some(message.visit.name().to_owned()),
            client: envelope.client.map(|client| client.to_string()),
            helo: message.helo.to_owned(),
            identity: message.identity.map(ToString::to_string),
            admitted_by: message.admitted_by.to_owned(),
            tls: message.tls.to_owned(),
            listener: message.listener.name().to_owned(),
            sender: envelope.reverse_path.to_string(),
            recipients: recipients.clone().map(|recipient| recipient.address.to_string()).collect(),
            original_recipients: recipients.filter_map(|recipient| recipient.original.clone()).collect(),
            message_id: message.message_id.map(str::to_owned),
            destination: envelope.destination.to_string(),
            size: message.size as u64,
            lane: envelope.lane.name().to_owned(),
        }))
    });
}

/// `decided_by` is a line of the directory or the name of a check (SEED-201).
pub(crate) fn refused(about: &About<'_>, reply: &Reply, decided_by: &str) {
    about.visit.refused();
    record(|| {
        let enhanced = reply.enhanced().map(|enhanced| enhanced.to_string());
        Event::Refused(Box::new(refusal(about, reply.code(), enhanced, decided_by)))
    });
}

/// A refusal that the protocol itself decided.
pub(crate) fn refused_by_protocol(about: &About<'_>, refused: Refusal) {
    about.visit.refused();
    record(|| {
        let enhanced = Some(refused.enhanced.to_string());
        Event::Refused(Box::new(refusal(about, refused.code, enhanced, refused.check)))
    });
}

fn refusal(about: &About<'_>, code: u16, enhanced: Option<String>, decided_by: &str) -> Refused {
    Refused {
        session: Some(about.visit.name().to_owned()),
        client: about.client.to_string(),
        helo: about.helo.map(str::to_owned),
        identity: about.identity.map(ToString::to_string),
        sender: about.sender.map(ToString::to_string),
        recipient: about.recipient.map(ToString::to_string),
        code,
        enhanced,
        decided_by: decided_by.to_owned(),
    }
}

/// A connection that was not served: 421 4.3.2.
pub(crate) fn turned_away(client: IpAddr, decided_by: &str) {
    record(|| {
        Event::Refused(Box::new(Refused {
            client: client.to_string(),
            code: 421,
            enhanced: Some("4.3.2".to_owned()),
            decided_by: decided_by.to_owned(),
            ..Refused::default()
        }))
    });
}
