//! The mail log: target `mail`, one line for each accepted envelope and each refusal. It is the
//! only place where addresses appear.

use std::net::IpAddr;

use hikyaku_smtp::server::Refusal;
use hikyaku_types::{
    address::{ForwardPath, Mailbox, ReversePath},
    envelope::Envelope,
    reply::Reply,
};

/// Whom a refusal is about.
pub(crate) struct Refused<'a> {
    pub(crate) client: IpAddr,
    pub(crate) helo: Option<&'a str>,
    /// Who the client is, or says it is.
    pub(crate) identity: Option<&'a Mailbox>,
    pub(crate) sender: Option<&'a ReversePath>,
    pub(crate) recipient: Option<&'a ForwardPath>,
}

/// `size` is that of the content as it came.
pub(crate) fn accepted(
    envelope: &Envelope,
    helo: &str,
    identity: Option<&Mailbox>,
    admitted_by: &str,
    size: usize,
) {
    if !tracing::enabled!(target: "mail", tracing::Level::INFO) {
        return;
    }
    let recipients: Vec<String> =
        envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
    let client = envelope.client.map(|client| client.to_string());
    tracing::info!(target: "mail", event = "accepted", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, client, helo, identity = identity.map(ToString::to_string), admitted_by,
        sender = %envelope.reverse_path, recipients = recipients.join(","), destination = %envelope.destination, size,
        lane = envelope.lane.name());
}

/// `decided_by` is a line of the directory or the name of a check (SEED-201).
pub(crate) fn refused(about: &Refused<'_>, reply: &Reply, decided_by: &str) {
    let Refused { client, helo, identity, sender, recipient } = about;
    tracing::info!(target: "mail", event = "refused", %client, helo,
        identity = identity.map(ToString::to_string),
        sender = sender.map(ToString::to_string), recipient = recipient.map(ToString::to_string),
        code = reply.code(), enhanced = reply.enhanced().map(|enhanced| enhanced.to_string()), decided_by);
}

/// A refusal that the protocol itself decided.
pub(crate) fn refused_by_protocol(
    client: IpAddr,
    helo: Option<&str>,
    sender: Option<&ReversePath>,
    refusal: Refusal,
) {
    tracing::info!(target: "mail", event = "refused", %client, helo,
        sender = sender.map(ToString::to_string), code = refusal.code,
        enhanced = %refusal.enhanced, decided_by = refusal.check);
}

/// A connection that was not served: 421 4.3.2.
pub(crate) fn turned_away(client: IpAddr, decided_by: &str) {
    tracing::info!(target: "mail", event = "refused", %client, code = 421_u16, enhanced = "4.3.2", decided_by);
}
