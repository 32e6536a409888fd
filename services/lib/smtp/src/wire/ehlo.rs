//! The service extensions: what we offer, and what a server that we send to offers.

use hikyaku_types::reply::Reply;

use super::xclient;

/// What our reply to `EHLO` depends on.
#[derive(Debug)]
pub struct Offer<'a> {
    pub hostname: &'a str,
    pub max_size: u64,
    /// In one transaction.
    pub max_recipients: usize,
    pub starttls: bool,
    /// The session is over TLS, and what must stay there is kept there.
    pub requiretls: bool,
    /// Mechanisms of AUTH, separated by blanks; empty when there is no AUTH.
    pub auth: &'a str,
    /// This peer may say who is behind it.
    pub xclient: bool,
}

/// Our reply to `EHLO` (RFC 5321 4.1.1.1). Exactly what is implemented is listed; an enhanced
/// status has no place here (RFC 2034 4).
pub fn offer(offer: &Offer<'_>) -> Reply {
    let Offer { hostname, max_size, max_recipients, starttls, requiretls, auth, xclient } = offer;
    // RFC 1870 3: a size of 0 means that no limit is fixed.
    let mut text = format!(
        "{hostname}\nPIPELINING\nSIZE {max_size}\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nDSN\nCHUNKING\nBINARYMIME"
    );
    if (1..=MAX_LIMIT as usize).contains(max_recipients) {
        text += &format!("\nLIMITS RCPTMAX={max_recipients}");
    }
    if *starttls {
        text += "\nSTARTTLS";
    }
    if *requiretls {
        text += "\nREQUIRETLS";
    }
    if !auth.is_empty() {
        text = text + "\nAUTH " + auth;
    }
    if *xclient {
        text = text + "\nXCLIENT " + xclient::ATTRIBUTES;
    }
    Reply::new(250, None, &text)
}

/// RFC 9422 3: a limit has at most six digits.
const MAX_LIMIT: u32 = 999_999;

/// What a server offers. After `HELO` nothing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870.
    pub size: Size,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 4954.
    pub auth: AuthOffer,
    /// RFC 3030 2.
    pub chunking: bool,
    /// RFC 3030 3.
    pub binary_mime: bool,
    /// RFC 9422.
    pub limits: Limits,
    /// RFC 8689.
    pub require_tls: bool,
}

/// What a server takes, as far as it says so; `None` is not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// MAIL commands in a session (MAILMAX).
    pub transactions: Option<u32>,
    /// RCPT commands in a transaction (RCPTMAX).
    pub recipients: Option<u32>,
}

/// Mechanisms of AUTH, as far as we know them as a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuthOffer {
    pub cram_md5: bool,
    pub plain: bool,
    pub login: bool,
    pub xoauth2: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Size {
    #[default]
    NotOffered,
    /// `SIZE`, `SIZE 0` or a number that cannot be read.
    Unlimited,
    AtMost(u64),
}

impl Capabilities {
    /// `text` holds the lines of the reply without codes. Unknown keywords are no business of
    /// ours (RFC 5321 2.2.2).
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        // The first line is the greeting.
        for line in text.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => found.pipelining = true,
                "SIZE" => found.size = Size::parse(words.next()),
                "8BITMIME" => found.eight_bit_mime = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "ENHANCEDSTATUSCODES" => found.enhanced_status_codes = true,
                "DSN" => found.dsn = true,
                "STARTTLS" => found.starttls = true,
                "CHUNKING" => found.chunking = true,
                "BINARYMIME" => found.binary_mime = true,
                "REQUIRETLS" => found.require_tls = true,
                "LIMITS" => found.limits = Limits::parse(words),
                "AUTH" => found.auth = AuthOffer::parse(words),
                _ => {}
            }
        }
        found
    }
}

impl Limits {
    /// RFC 9422 3: what cannot be read, or is not known, limits nothing.
    fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let is_number = value.bytes().all(|digit| digit.is_ascii_digit());
            let limit = value.parse().ok().filter(|limit| is_number && (1..=MAX_LIMIT).contains(limit));
            match name.to_ascii_uppercase().as_str() {
                "MAILMAX" => found.transactions = limit,
                "RCPTMAX" => found.recipients = limit,
                _ => {}
            }
        }
        found
    }
}

impl AuthOffer {
    pub fn parse<'a>(keywords: impl Iterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for keyword in keywords {
            match keyword.to_ascii_uppercase().as_str() {
                "CRAM-MD5" => found.cram_md5 = true,
                "PLAIN" => found.plain = true,
                "LOGIN" => found.login = true,
                "XOAUTH2" => found.xoauth2 = true,
                _ => {}
            }
        }
        found
    }
}

impl Size {
    fn parse(limit: Option<&str>) -> Self {
        match limit.and_then(|digits| digits.parse().ok()) {
            None | Some(0) => Self::Unlimited,
            Some(limit) => Self::AtMost(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_offer_is_understood() {
        let mut plain = Offer {
            hostname: "gw.example",
            max_size: 52_428_800,
            max_recipients: 1000,
            starttls: false,
            requiretls: false,
            auth: "",
            xclient: false,
        };
        let offered = offer(&plain);
        assert_eq!(
            offered.to_string(),
            "250-gw.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
             250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 LIMITS RCPTMAX=1000\r\n"
        );
        let expected = Capabilities {
            pipelining: true,
            size: Size::AtMost(52_428_800),
            eight_bit_mime: true,
            smtputf8: true,
            enhanced_status_codes: true,
            dsn: true,
            starttls: false,
            auth: AuthOffer::default(),
            chunking: true,
            binary_mime: true,
            limits: Limits { transactions: None, recipients: Some(1000) },
            require_tls: false,
        };
        assert_eq!(Capabilities::parse(&offered.text()), expected);
        plain.starttls = true;
        plain.auth = "PLAIN LOGIN";
        let offered = offer(&plain);
        assert!(offered.to_string().ends_with("250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"));
        let auth = AuthOffer { plain: true, login: true, ..AuthOffer::default() };
        assert_eq!(Capabilities::parse(&offered.text()), Capabilities { starttls: true, auth, ..expected });
    }

    #[test]
    fn limits() {
        let limits = |transactions, recipients| Limits { transactions, recipients };
        for (line, expected) in [
            ("LIMITS RCPTMAX=20 MAILMAX=5", limits(Some(5), Some(20))),
            ("limits mailmax=999999 RCPTDOMAINMAX=1", limits(Some(999_999), None)),
            ("LIMITS", limits(None, None)),
            ("LIMITS RCPTMAX MAILMAX=", limits(None, None)),
            ("LIMITS RCPTMAX=0 MAILMAX=+5", limits(None, None)),
            ("LIMITS RCPTMAX=1000000 MAILMAX=x", limits(None, None)),
        ] {
            assert_eq!(Capabilities::parse(&format!("mx\n{line}")).limits, expected, "{line}");
        }
    }

    #[test]
    fn odd_offers() {
        for (text, size) in [
            ("mx\nSIZE", Size::Unlimited),
            ("mx\nsize 0", Size::Unlimited),
            ("mx\nSize 1000 extra", Size::AtMost(1000)),
            ("mx\nSIZE x", Size::Unlimited),
            ("mx\nSIZES 5", Size::NotOffered),
            ("SIZE 5", Size::NotOffered), // the greeting line is not a keyword
        ] {
            assert_eq!(Capabilities::parse(text).size, size, "{text:?}");
        }
    }
}
