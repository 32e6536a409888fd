//! One accepted message for one destination.

use std::{net::IpAddr, time::SystemTime};

use crate::{
    address::{Mailbox, ReversePath},
    body::Body,
    destination::Destination,
    ids::EntryId,
    outcome::Failure,
    reporting::{EnvelopeId, OriginalRecipient, Reporting, Return},
};

/// Why an entry waits; each lane has a budget of its own in every shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// First attempts of ordinary senders.
    Fresh,
    /// First attempts of bulk mail.
    Bulk,
    /// Retries.
    Due,
}

impl Lane {
    pub const ALL: [Self; 3] = [Self::Fresh, Self::Bulk, Self::Due];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Bulk => "bulk",
            Self::Due => "due",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub entry: EntryId,
    pub destination: Destination,
    pub reverse_path: ReversePath,
    /// Recipients that have no end yet; never empty.
    pub recipients: Vec<Recipient>,
    /// The content, our own trace fields included.
    pub body: Body,
    pub transfer: Transfer,
    /// When the 250 was said; every give-up clock starts here (SEED-177).
    pub accepted_at: SystemTime,
    /// Finished attempts.
    pub attempt: u32,
    /// When the first attempt ended: a greylisting site counts from there.
    pub first_attempt_at: Option<SystemTime>,
    /// The client that handed the message in; absent for our own reports.
    pub client: Option<IpAddr>,
    /// The time after which a delay is reported has been met by an attempt: it is met once.
    pub delay_reported: bool,
    /// Lane of the first attempt.
    pub lane: Lane,
}

/// What the octets of a message may be. What was not declared is passed on as it came, all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BodyKind {
    /// BODY=7BIT, or nothing was declared.
    #[default]
    SevenBit,
    /// BODY=8BITMIME (RFC 6152).
    EightBitMime,
    /// BODY=BINARYMIME (RFC 3030): the body is no lines, so it never travels by DATA.
    BinaryMime,
}

/// What the client declared at MAIL FROM and the next hop should hear too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// BODY.
    pub body: BodyKind,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// RET (RFC 3461).
    pub ret: Option<Return>,
    /// ENVID (RFC 3461).
    pub envelope_id: Option<EnvelopeId>,
    /// REQUIRETLS (RFC 8689): rather not delivered than to a server that is not known, or in the clear.
    pub require_tls: bool,
}

impl Transfer {
    pub const PLAIN: Self =
        Self { body: BodyKind::SevenBit, smtputf8: false, ret: None, envelope_id: None, require_tls: false };
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Where it is delivered to.
    pub address: Mailbox,
    /// What the client wrote, when an alias changed it.
    pub original: Option<String>,
    /// What the sender wants to be told of it.
    pub reporting: Reporting,
    pub last_failure: Option<Failure>,
    /// How often it was refused for good; counted where that is repeated (SEED-174).
    pub refusals: u32,
    /// Until when it is tried, by what its failures so far said (SEED-170).
    pub granted_until: Option<SystemTime>,
}

impl Recipient {
    /// Nothing has happened to it yet.
    pub fn new(address: Mailbox, original: Option<String>) -> Self {
        let reporting = Reporting::default();
        Self { address, original, reporting, last_failure: None, refusals: 0, granted_until: None }
    }

    /// ORCPT: what the sender said itself, or else what an alias changed. The bare `postmaster`
    /// is no address that means anything elsewhere.
    pub fn original_recipient(&self) -> Option<OriginalRecipient> {
        let changed = || self.original.as_deref().filter(|original| original.contains('@'));
        self.reporting.original_recipient.clone().or_else(|| OriginalRecipient::of_address(changed()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_recipient_is_what_the_sender_said() {
        for (original, said, expected) in [
            (None, "", None),
            (Some("info@own.example"), "", Some("rfc822;info@own.example")),
            (Some("info@own.example"), "rfc822;list@far.example", Some("rfc822;list@far.example")),
            (None, "rfc822;list@far.example", Some("rfc822;list@far.example")),
            (Some("postmaster"), "", None),
        ] {
            let address = "f@own.example".parse().unwrap();
            let mut recipient = Recipient::new(address, original.map(str::to_owned));
            recipient.reporting.original_recipient = said.parse().ok();
            let shown = recipient.original_recipient().map(|original| original.to_string());
            assert_eq!(shown.as_deref(), expected);
        }
    }
}
