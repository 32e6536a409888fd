//! Delivery status notifications (RFC 3464 in RFC 6522): the bytes of a report that goes to the
//! sender of a message that could not be delivered, is late, or was handed to a host that does not
//! report.
//!
//! It says what the remote server said, word for word, and never dresses a local
//! event as a remote reply (SEED-193, SEED-196, SEED-210).

use std::{fmt::Write as _, time::SystemTime};

use hikyaku_types::{
    address::Mailbox,
    domain::Domain,
    envelope::{Envelope, Recipient},
    ids::QueueId,
    outcome::{Failure, RemoteReply},
};

use crate::date::rfc5322;

mod explanation; // for people, in Japanese and English
mod status; // for programs
mod fields; // text of others as fields of ours

pub(crate) use fields::{cut, one_line};

/// A larger original is returned as its header only (SEED-193).
pub const WHOLE_ORIGINAL_LIMIT: u64 = 1024 * 1024;

#[derive(Debug)]
pub struct Report<'a> {
    /// Identity of the report itself.
    pub id: QueueId,
    pub kind: Kind,
    pub reporting_mta: &'a Domain,
    /// Sender of the original.
    pub to: &'a Mailbox,
    /// The original's queue entry.
    pub about: &'a Envelope,
    pub now: SystemTime,
    /// All with a fate of this kind.
    pub recipients: &'a [Reported<'a>],
    pub original: Original<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Given up.
    Failed,
    /// Not delivered yet, and tried again.
    Delayed,
    /// Handed to a host that does not report; nothing more is known here (RFC 3461 5.2.2).
    Relayed,
}

/// A recipient and what there is to say of it.
#[derive(Debug, Clone, Copy)]
pub struct Reported<'a> {
    pub recipient: &'a Recipient,
    pub fate: Fate<'a>,
}

#[derive(Debug, Clone, Copy)]
pub enum Fate<'a> {
    Failed {
        /// The most telling one, which may be older than the last attempt (SEED-196).
        failure: &'a Failure,
        last_attempt: SystemTime,
        /// It would have been tried again, but its time is over.
        expired: bool,
    },
    Delayed {
        failure: &'a Failure,
        last_attempt: SystemTime,
        /// When the last attempt will be, if that is known.
        until: Option<SystemTime>,
    },
    Relayed {
        reply: &'a RemoteReply,
        at: SystemTime,
    },
}

#[derive(Debug, Clone, Copy)]
pub enum Original<'a> {
    Whole(&'a [u8]),
    /// At least the whole header; what follows it is left out.
    Header(&'a [u8]),
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }

    const fn subject(self) -> &'static str {
        match self {
            Self::Failed => "Undelivered mail returned to sender",
            Self::Delayed => "Delayed mail, still being tried",
            Self::Relayed => "Mail relayed to a host that does not report",
        }
    }
}

impl Report<'_> {
    /// The whole message, CRLF line ends, 8-bit.
    pub fn to_bytes(&self) -> Vec<u8> {
        let boundary = self.boundary();
        let (original_type, original) = match self.original {
            Original::Whole(content) => ("message/rfc822", content),
            Original::Header(content) => ("text/rfc822-headers", header_of(content)),
        };
        let status = self.delivery_status();
        // RFC 3464 2.1 is ASCII; what a server said beyond that has a type of its own (RFC 6533 6).
        let status_type = match status.is_ascii() {
            true => "message/delivery-status",
            false => "message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit",
        };
        let mut text = self.header(&boundary);
        let _ = write!(
            text,
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\
             --{boundary}\r\nContent-Type: {status_type}\r\n\r\n{status}\
             --{boundary}\r\nContent-Type: {original_type}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
            self.explanation(),
        ); // writing to a String cannot fail
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(original);
        bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        bytes
    }

    /// Does not occur in the original: if the first choice does, a longer one cannot be
    /// everywhere.
    fn boundary(&self) -> String {
        let (Original::Whole(content) | Original::Header(content)) = self.original;
        let mut boundary = format!("=_{}", self.id);
        while memchr::memmem::find(content, boundary.as_bytes()).is_some() {
            boundary.push('_');
        }
        boundary
    }

    fn header(&self, boundary: &str) -> String {
        let host = self.reporting_mta;
        format!(
            "From: Mail Delivery System <postmaster@{host}>\r\n\
             To: {to}\r\n\
             Subject: {subject}\r\n\
             Date: {date}\r\n\
             Message-ID: <{id}@{host}>\r\n\
             Auto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\r\n",
            to = self.to,
            subject = self.kind.subject(),
            date = rfc5322(self.now),
            id = self.id,
        )
    }
}

pub(crate) fn header_of(content: &[u8]) -> &[u8] {
    match memchr::memmem::find(content, b"\r\n\r\n") {
        Some(end) => content.get(..end + 2).unwrap_or(content),
        None => content,
    }
}

#[cfg(test)]
mod tests;
