//! The part of a report that programs read (RFC 3464 2). ASCII, but for what a server said.

use std::fmt::Write as _;

use hikyaku_types::{
    address::MailHost,
    outcome::{Cause, RemoteReply},
    reply::EnhancedCode,
    reporting::with_embedded_unicode,
};

use super::{
    Fate, Report, Reported,
    fields::{fold, one_line},
};
use crate::date::rfc5322;

/// "Delivery time expired" (RFC 3463 3.5).
const EXPIRED: EnhancedCode = EnhancedCode(5, 4, 7);

/// Writing to a `String` cannot fail.
impl Report<'_> {
    pub(super) fn delivery_status(&self) -> String {
        let about = self.about;
        let mut text = String::new();
        if let Some(id) = &about.transfer.envelope_id {
            let _ = write!(text, "Original-Envelope-Id: {}\r\n", id.decoded());
        }
        let _ = write!(text, "Reporting-MTA: dns; {}\r\n", self.reporting_mta);
        // Its own name is only what it said; the address is what we know.
        if let Some(client) = about.client {
            let _ = write!(text, "Received-From-MTA: dns; {}\r\n", MailHost::Literal(client));
        }
        let _ =
            write!(text, "X-Queue-Id: {}\r\nArrival-Date: {}\r\n", about.entry, rfc5322(about.accepted_at));
        for reported in self.recipients {
            recipient_fields(reported, &mut text);
        }
        text.push_str("\r\n");
        text
    }
}

fn recipient_fields(reported: &Reported<'_>, text: &mut String) {
    let recipient = reported.recipient;
    text.push_str("\r\n");
    if let Some(original) = recipient.original_recipient() {
        let _ = write!(text, "Original-Recipient: {}\r\n", original.field());
    }
    let kind = if recipient.address.needs_smtputf8() { "utf-8" } else { "rfc822" };
    let address = with_embedded_unicode(&recipient.address.to_string());
    let (action, last_attempt) = match reported.fate {
        Fate::Failed { last_attempt, .. } => ("failed", last_attempt),
        Fate::Delayed { last_attempt, .. } => ("delayed", last_attempt),
        Fate::Relayed { at, .. } => ("relayed", at),
    };
    let status = reported.fate.status();
    let _ = write!(text, "Final-Recipient: {kind}; {address}\r\nAction: {action}\r\nStatus: {status}\r\n");
    if let Ok(reply) = reported.fate.said() {
        let _ = write!(text, "Remote-MTA: dns; {}\r\n", one_line(&reply.host));
    }
    let _ = write!(
        text,
        "Diagnostic-Code: {}\r\nLast-Attempt-Date: {}\r\n",
        fold(&reported.fate.diagnostic()),
        rfc5322(last_attempt)
    );
    if let Fate::Delayed { until: Some(until), .. } = reported.fate {
        let _ = write!(text, "Will-Retry-Until: {}\r\n", rfc5322(until));
    }
}

impl<'a> Fate<'a> {
    /// What a server said, or else what happened on our side.
    fn said(&self) -> Result<&'a RemoteReply, &'a str> {
        let cause = match self {
            Self::Failed { failure, .. } | Self::Delayed { failure, .. } => &failure.cause,
            Self::Relayed { reply, .. } => return Ok(reply),
        };
        match cause {
            Cause::Remote(reply) => Ok(reply),
            Cause::Local(error) => Err(&error.what),
        }
    }

    fn status(&self) -> EnhancedCode {
        match self {
            // RFC 3463 2: a 4 in the report of a failure is a passing condition that lasted until
            // the message was given up. Where nobody ever said anything, that condition is all
            // there is to say (SEED-176).
            Self::Failed { failure, expired: true, .. } => match failure.cause {
                Cause::Remote(_) => EXPIRED,
                Cause::Local(_) => failure.status,
            },
            Self::Failed { failure, expired: false, .. } => of_class(5, failure.status),
            Self::Delayed { failure, .. } => of_class(4, failure.status),
            Self::Relayed { reply, .. } => {
                let said = reply.enhanced.filter(|EnhancedCode(class, ..)| *class == 2);
                said.unwrap_or(EnhancedCode(2, 0, 0))
            }
        }
    }

    fn diagnostic(&self) -> String {
        match self.said() {
            Ok(reply) => {
                let enhanced = reply.enhanced.map(|code| format!("{code} ")).unwrap_or_default();
                format!("smtp; {} {enhanced}{}", reply.code, reply.text)
            }
            Err(event) => format!("x-local; {event}"),
        }
    }
}

fn of_class(class: u8, EnhancedCode(_, subject, detail): EnhancedCode) -> EnhancedCode {
    EnhancedCode(class, subject, detail)
}
