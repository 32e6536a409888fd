//! What could not be delivered, told to the administrator (SEED-192): many failures in one message,
//! with the headers of the originals and nothing of their content.

use std::{fmt::Write as _, time::SystemTime};

use hikyaku_types::{
    address::{Mailbox, ReversePath},
    domain::Domain,
    ids::{EntryId, QueueId},
    outcome::Failure,
};

use crate::{
    date::rfc5322,
    dsn::{cut, header_of, one_line},
};

#[derive(Debug)]
pub struct Digest<'a> {
    pub id: QueueId,
    pub reporting_mta: &'a Domain,
    pub to: &'a Mailbox,
    pub now: SystemTime,
    pub failed: &'a [Failed],
    /// Failures beside those, which there was no room for.
    pub left_out: u64,
}

/// A recipient that was given up.
#[derive(Debug, Clone)]
pub struct Failed {
    pub entry: EntryId,
    pub sender: ReversePath,
    pub recipient: Mailbox,
    pub failure: Failure,
    /// Of the message, at least its header.
    pub original: Vec<u8>,
}

impl Digest<'_> {
    /// The whole message, CRLF line ends, 8-bit.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { id, reporting_mta: host, to, failed, left_out, .. } = self;
        let count = failed.len() as u64 + left_out;
        let mut text = format!(
            "From: Mail Delivery System <postmaster@{host}>\r\n\
             To: {to}\r\n\
             Subject: {count} recipients could not be reached\r\n\
             Date: {date}\r\n\
             Message-ID: <{id}@{host}>\r\n\
             Auto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n\
             配送できなかった宛先の一覧です。差出人には個別に通知しています。\r\n\
             These recipients could not be reached. The senders were told, unless they did not want that.\r\n",
            date = rfc5322(self.now),
        );
        failed.iter().for_each(|failed| failed.write(&mut text));
        if *left_out > 0 {
            let _ = write!(text, "\r\n{left_out} more are in the mail log.\r\n"); // a String takes all
        }
        text.into_bytes()
    }
}

impl Failed {
    fn write(&self, text: &mut String) {
        let Self { entry, sender, recipient, failure, original } = self;
        let cause = cut(&one_line(&failure.cause.to_string()), "\r\n  ");
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\r\n{entry}\r\n  at {at}\r\n  from <{sender}> to <{recipient}>\r\n  {status} {cause}\r\n",
            at = rfc5322(failure.at),
            sender = one_line(&sender.to_string()),
            recipient = one_line(&recipient.to_string()),
            status = failure.status,
        );
        for line in String::from_utf8_lossy(header_of(original)).lines() {
            let _ = write!(text, "    | {}\r\n", cut(&one_line(line), "\r\n    | "));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hikyaku_types::outcome::{Cause, FailureClass, LocalError, LocalErrorKind, Phase};

    use super::*;

    #[test]
    fn headers_and_nothing_else() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let failed = Failed {
            entry: QueueId::new(0, 1).entry(2),
            sender: "ann@example.org".parse().unwrap(),
            recipient: "bob@away.example".parse().unwrap(),
            failure: Failure {
                class: FailureClass::Perm,
                phase: Phase::Rcpt,
                status: "5.1.1".parse().unwrap(),
                cause: Cause::Local(LocalError::new(LocalErrorKind::Internal, "no\r\nway")),
                at,
            },
            original: b"Subject: x\r\nTo: \xff\r\n\r\nsecret\r\n".to_vec(),
        };
        let (host, to) = ("gw.example".parse().unwrap(), "admin@example.org".parse().unwrap());
        let id = QueueId::new(0, 9);
        let digest = Digest { id, reporting_mta: &host, to: &to, now: at, failed: &[failed], left_out: 3 };
        let text = String::from_utf8(digest.to_bytes()).unwrap();
        for part in [
            "Subject: 4 recipients could not be reached\r\n",
            "\r\n00000000000000000000000001-2\r\n",
            "  from <ann@example.org> to <bob@away.example>\r\n  5.1.1 no  way\r\n",
            "    | Subject: x\r\n    | To: \u{fffd}\r\n",
            "\r\n3 more are in the mail log.\r\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
        assert!(!text.contains("secret") && text.lines().all(|line| line.len() <= 998));
    }
}
