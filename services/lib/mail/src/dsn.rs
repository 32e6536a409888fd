//! Delivery status notifications (RFC 3464 in RFC 6522): the bytes of a report that
//! goes to the sender of a message that could not be delivered.
//!
//! It says what the remote server said, word for word, and never dresses a local
//! event as a remote reply (SEED-193, SEED-196, SEED-210).

use std::{fmt::Write as _, time::SystemTime};

use hikyaku_types::{
    address::Mailbox,
    domain::Domain,
    ids::{EntryId, QueueId},
    outcome::{Cause, Failure},
    reply::EnhancedCode,
};

use crate::date::rfc5322;

/// A larger original is returned as its header only (SEED-193).
pub const WHOLE_ORIGINAL_LIMIT: u64 = 1024 * 1024;
/// Give-up: "delivery time expired" (RFC 3463 3.5).
const EXPIRED: EnhancedCode = EnhancedCode(5, 4, 7);

#[derive(Debug)]
pub struct Report<'a> {
    /// Identity of the report itself.
    pub id: QueueId,
    pub reporting_mta: &'a Domain,
    /// Sender of the original.
    pub to: &'a Mailbox,
    /// The original's queue entry.
    pub about: EntryId,
    pub accepted_at: SystemTime,
    pub now: SystemTime,
    pub recipients: &'a [FailedRecipient<'a>],
    pub original: Original<'a>,
}

#[derive(Debug)]
pub struct FailedRecipient<'a> {
    pub address: &'a Mailbox,
    /// What the sender wrote, when an alias changed it.
    pub original: Option<&'a str>,
    pub failure: &'a Failure,
    /// It would have been tried again, but its time is over.
    pub expired: bool,
}

impl FailedRecipient<'_> {
    fn status(&self) -> EnhancedCode {
        // RFC 3463: the class of a failed recipient is 5, also when the last reply was 4yz.
        let EnhancedCode(_, subject, detail) = self.failure.status;
        if self.expired { EXPIRED } else { EnhancedCode(5, subject, detail) }
    }

    fn diagnostic(&self) -> String {
        match &self.failure.cause {
            Cause::Remote(reply) => {
                let enhanced = reply.enhanced.map(|code| format!("{code} ")).unwrap_or_default();
                format!("smtp; {} {enhanced}{}", reply.code, reply.text)
            }
            Cause::Local(event) => format!("x-local; {event}"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Original<'a> {
    Whole(&'a [u8]),
    /// At least the whole header; what follows it is left out.
    Header(&'a [u8]),
}

impl Report<'_> {
    /// The whole message, CRLF line ends, 8-bit.
    pub fn to_bytes(&self) -> Vec<u8> {
        let boundary = self.boundary();
        let (kind, original) = match self.original {
            Original::Whole(content) => ("message/rfc822", content),
            Original::Header(content) => ("text/rfc822-headers", header_of(content)),
        };
        let mut text = self.header(&boundary);
        let _ = write!(
            text,
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\
             --{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n{}\
             --{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
            self.explanation(),
            self.delivery_status(),
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
             Subject: Undelivered mail returned to sender\r\n\
             Date: {date}\r\n\
             Message-ID: <{id}@{host}>\r\n\
             Auto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\r\n",
            to = self.to,
            date = rfc5322(self.now),
            id = self.id,
        )
    }

    fn explanation(&self) -> String {
        let mut text = format!(
            "This is the mail relay {host}. Your message could not be delivered to:\r\n\
             メールリレー {host} からのお知らせです。次の宛先に配信できませんでした。\r\n\r\n",
            host = self.reporting_mta
        );
        for recipient in self.recipients {
            let _ = write!(text, "<{}>", recipient.address);
            if let Some(original) = recipient.original {
                let _ = write!(text, " (you wrote / 元の宛先 <{}>)", one_line(original));
            }
            let _ = write!(
                text,
                "\r\n    {}\r\n",
                cut(&one_line(&recipient.failure.cause.to_string()), "\r\n    ")
            );
            if recipient.expired {
                text.push_str("    Tried until the time for it was over. 再送期限を過ぎました。\r\n");
            }
        }
        let _ = write!(
            text,
            "\r\nIt was accepted / 受付日時: {}\r\nQueue id / 受付番号: {}\r\n\r\n",
            rfc5322(self.accepted_at),
            self.about.queue_id
        );
        text
    }

    fn delivery_status(&self) -> String {
        let mut text = format!(
            "Reporting-MTA: dns; {}\r\nX-Queue-Id: {}\r\nArrival-Date: {}\r\n",
            self.reporting_mta,
            self.about,
            rfc5322(self.accepted_at)
        );
        for recipient in self.recipients {
            let address = recipient.address;
            let kind = if address.needs_smtputf8() { "utf-8" } else { "rfc822" };
            let _ = write!(
                text,
                "\r\nFinal-Recipient: {kind}; {address}\r\nAction: failed\r\nStatus: {}\r\n",
                recipient.status()
            );
            if let Cause::Remote(reply) = &recipient.failure.cause {
                let _ = write!(text, "Remote-MTA: dns; {}\r\n", one_line(&reply.host));
            }
            let _ = write!(
                text,
                "Diagnostic-Code: {}\r\nLast-Attempt-Date: {}\r\n",
                fold(&recipient.diagnostic()),
                rfc5322(recipient.failure.at)
            );
        }
        text.push_str("\r\n");
        text
    }
}

/// Remote text on one line, so that it cannot add fields.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// RFC 5322 2.1.1 allows 998 octets a line; a character has at most four.
const MAX_LINE_CHARS: usize = 240;

/// The lines of a reply as a folded field.
fn fold(text: &str) -> String {
    let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    lines.map(|line| cut(&one_line(line), "\r\n\t")).collect::<Vec<_>>().join("\r\n\t")
}

/// A text in pieces that fit a line.
fn cut(text: &str, between: &str) -> String {
    let mut pieces = String::new();
    for (index, c) in text.chars().enumerate() {
        if index > 0 && index % MAX_LINE_CHARS == 0 {
            pieces.push_str(between);
        }
        pieces.push(c);
    }
    pieces
}

fn header_of(content: &[u8]) -> &[u8] {
    match memchr::memmem::find(content, b"\r\n\r\n") {
        Some(end) => content.get(..end + 2).unwrap_or(content),
        None => content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hikyaku_types::outcome::{FailureClass, Phase, RemoteReply};
    use std::time::{Duration, UNIX_EPOCH};

    fn failure(cause: Cause) -> Failure {
        let at = UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        Failure { at, phase: Phase::Rcpt, class: FailureClass::Perm, cause, status: EnhancedCode(5, 1, 1) }
    }

    fn remote(text: &str) -> Cause {
        Cause::Remote(RemoteReply {
            host: "mx.example.org".to_owned(),
            address: "192.0.2.1:25".parse().unwrap(),
            code: 550,
            enhanced: Some(EnhancedCode(5, 1, 1)),
            text: text.to_owned(),
        })
    }

    fn report(failures: &[(Failure, bool)], original: Original<'_>) -> String {
        let address: Mailbox = "b@example.org".parse().unwrap();
        let recipients: Vec<FailedRecipient<'_>> = failures
            .iter()
            .map(|(failure, expired)| FailedRecipient {
                address: &address,
                original: Some("info@own.example"),
                failure,
                expired: *expired,
            })
            .collect();
        let report = Report {
            id: QueueId::new(1_795_000_001_000, 1),
            reporting_mta: &"gw.example".parse().unwrap(),
            to: &"a@example.net".parse().unwrap(),
            about: QueueId::new(1_794_999_000_000, 2).entry(0),
            accepted_at: UNIX_EPOCH + Duration::from_secs(1_794_999_000),
            now: UNIX_EPOCH + Duration::from_secs(1_795_000_001),
            recipients: &recipients,
            original,
        };
        String::from_utf8(report.to_bytes()).unwrap()
    }

    /// The whole report, to be read by people: tests/golden/dsn.eml.
    #[test]
    fn golden() {
        let failures = [
            (failure(remote("user unknown")), false),
            (failure(Cause::Local("connection refused".to_owned())), true),
        ];
        let text = report(&failures, Original::Whole(b"Subject: hello\r\n\r\nbody\r\n"));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/dsn.eml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap_or_default());
    }

    #[test]
    fn remote_text_cannot_add_fields() {
        let forged = failure(remote("no\r\nStatus: 2.0.0\n\nFinal-Recipient: rfc822; x@y"));
        let text = report(&[(forged, false)], Original::Whole(b""));
        assert!(!text.contains("\r\nStatus: 2.0.0"), "{text}");
        assert!(!text.contains("\r\nFinal-Recipient: rfc822; x@y"), "{text}");
    }

    #[test]
    fn no_line_is_too_long_for_mail() {
        let text = report(&[(failure(remote(&"あ".repeat(5_000))), false)], Original::Whole(b""));
        assert!(text.split("\r\n").all(|line| line.len() <= 998));
    }

    #[test]
    fn large_originals_return_as_header() {
        let text =
            report(&[(failure(remote("no")), false)], Original::Header(b"Subject: s\r\n\r\nsecret body"));
        assert!(text.contains("text/rfc822-headers") && text.contains("Subject: s"));
        assert!(!text.contains("secret body"));
    }

    #[test]
    fn boundary_is_not_in_the_original() {
        let id = QueueId::new(1_795_000_001_000, 1);
        let original = format!("--=_{id}--");
        let text = report(&[(failure(remote("no")), false)], Original::Whole(original.as_bytes()));
        assert!(text.contains(&format!("boundary=\"=_{id}_\"")));
    }
}
