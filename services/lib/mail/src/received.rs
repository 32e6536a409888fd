//! The Received field that this relay puts on top (RFC 5321 4.4).
//!
//! Whatever the client called itself, the field stays one well-formed field.

use std::{fmt, net::IpAddr, time::SystemTime};

use hikyaku_types::{address::ForwardPath, domain::Domain, ids::QueueId};

use crate::date::rfc5322;

/// Folds before the date and between the clauses keep ordinary lines below this (RFC 5322 2.1.1).
const LINE: usize = 78;
const MAX_NAME: usize = 255;

/// How the message came in (RFC 3848, RFC 6531 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// HELO; there is no word for TLS.
    Smtp,
    Esmtp(Security),
    Utf8Smtp(Security),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Security {
    pub tls: bool,
    pub authenticated: bool,
}

impl fmt::Display for With {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, security) = match self {
            Self::Smtp => ("SMTP", Security::default()),
            Self::Esmtp(security) => ("ESMTP", *security),
            Self::Utf8Smtp(security) => ("UTF8SMTP", *security),
        };
        let suffix = match security {
            Security { tls: true, authenticated: true } => "SA",
            Security { tls: true, authenticated: false } => "S",
            Security { tls: false, authenticated: true } => "A",
            Security { tls: false, authenticated: false } => "",
        };
        write!(f, "{name}{suffix}")
    }
}

/// `Display` writes the whole field, final CRLF included.
#[derive(Debug)]
pub struct Received<'a> {
    /// What the client called itself.
    pub client_name: &'a str,
    /// `None`: nothing is told of the client, its name neither.
    pub client: Option<IpAddr>,
    pub by: &'a Domain,
    pub with: With,
    pub id: QueueId,
    /// Only when there is one recipient: the others must not learn of each other
    /// (RFC 5321 7.2).
    pub sole_recipient: Option<&'a ForwardPath>,
    pub at: SystemTime,
}

impl fmt::Display for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name may be the address: what hides one hides both.
        let name = if self.client.is_some() { self.client_name } else { "" };
        write!(f, "Received: from {}", Name(name))?;
        let fold = if name.len() > LINE / 2 { "\r\n\t" } else { " " };
        match self.client {
            Some(IpAddr::V4(address)) => write!(f, "{fold}([{address}])")?,
            Some(IpAddr::V6(address)) => write!(f, "{fold}([IPv6:{address}])")?,
            None => write!(f, " (client not shown)")?,
        }
        let fold = if self.by.as_str().len() > LINE / 3 { "\r\n\t" } else { " " };
        write!(f, "\r\n\tby {} with {}{fold}id {}", self.by, self.with, self.id)?;
        // A path outside ASCII has no place in a structured field that every server reads.
        if let Some(recipient) = self.sole_recipient.map(ToString::to_string).filter(|path| path.is_ascii()) {
            write!(f, "\r\n\tfor <{recipient}>")?;
        }
        write!(f, ";\r\n\t{}\r\n", rfc5322(self.at))
    }
}

/// A client's name as one word: what could end a word, open a comment or begin another clause
/// becomes `?`.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("unknown");
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        self.0
            .chars()
            .take(MAX_NAME)
            .try_for_each(|c| fmt::Write::write_char(f, if is_plain(c) { c } else { '?' }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn field(client_name: &str, client: &str, by: &str, recipient: Option<&str>) -> String {
        let recipient = recipient.map(|path| path.parse().unwrap());
        let field = Received {
            client_name,
            client: client.parse().ok(),
            by: &by.parse().unwrap(),
            with: With::Esmtp(Security::default()),
            id: QueueId::new(0, 0),
            sole_recipient: recipient.as_ref(),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_000_000),
        };
        field.to_string()
    }

    #[test]
    fn as_it_is_read_elsewhere() {
        assert_eq!(
            field("client.example", "192.0.2.1", "gw.example", Some("user@example.org")),
            "Received: from client.example ([192.0.2.1])\r\n\
             \tby gw.example with ESMTP id 00000000000000000000000000\r\n\
             \tfor <user@example.org>;\r\n\
             \tThu, 13 Nov 2025 02:13:20 +0000\r\n"
        );
        assert_eq!(
            field("[IPv6:2001:db8::1]", "2001:db8::1", "gw.example", None),
            "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n\
             \tby gw.example with ESMTP id 00000000000000000000000000;\r\n\
             \tThu, 13 Nov 2025 02:13:20 +0000\r\n"
        );
    }

    #[test]
    fn a_hidden_client_has_no_name_either() {
        let text = field("[192.0.2.1]", "", "gw.example", None);
        assert!(
            text.starts_with("Received: from unknown (client not shown)\r\n\tby gw.example with"),
            "{text}"
        );
        assert!(!text.contains("192.0.2.1"));
    }

    /// RFC 3848, RFC 6531 4.3.
    #[test]
    fn with() {
        let security = |tls, authenticated| Security { tls, authenticated };
        for (with, name) in [
            (With::Smtp, "SMTP"),
            (With::Esmtp(security(false, false)), "ESMTP"),
            (With::Esmtp(security(true, false)), "ESMTPS"),
            (With::Esmtp(security(false, true)), "ESMTPA"),
            (With::Esmtp(security(true, true)), "ESMTPSA"),
            (With::Utf8Smtp(security(true, true)), "UTF8SMTPSA"),
        ] {
            assert_eq!(with.to_string(), name);
        }
    }

    #[test]
    fn a_client_cannot_write_the_field() {
        for name in [
            "x\r\nBcc: all@example.org",
            "x by gw.example",
            "x (comment",
            "x; Thu, 1 Jan 1970",
            "\u{0}\u{7f}",
            "名前",
            "\"a\\",
            "",
        ] {
            let text = field(name, "192.0.2.1", "gw.example", None);
            let first = text.lines().next().unwrap();
            assert_eq!(first.split(' ').count(), 4, "{text:?}");
            assert_eq!(text.matches("\r\n").count(), 3, "{text:?}");
            assert!(text.is_ascii() && !text[..first.len()].contains(['"', ';', '\\']), "{text:?}");
        }
    }

    #[test]
    fn a_recipient_outside_ascii_is_left_out() {
        assert!(!field("c", "192.0.2.1", "gw.example", Some("用户@example.org")).contains("for"));
    }

    #[test]
    fn ordinary_names_stay_within_the_line() {
        let name = "mail-out-01.eu-central.mail.provider.example";
        let text =
            field(name, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "relay-01.mail.gateway.example", None);
        assert!(text.lines().all(|line| line.len() <= LINE), "{text}");
    }
}
