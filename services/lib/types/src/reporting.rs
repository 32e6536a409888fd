//! What a sender asks to be told about its mail (RFC 3461). Kept as it was written, because the
//! next hop must hear it unchanged.

use std::{
    fmt,
    fmt::Write as _,
    str::{Chars, FromStr},
};

/// RFC 3461 4.4.
const MAX_ENVELOPE_ID: usize = 100;
/// RFC 3461 4.2.
const MAX_ORIGINAL_RECIPIENT: usize = 500;

/// The value of a parameter does not follow RFC 3461.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not as RFC 3461 writes it")]
pub struct NotAsWritten;

/// `RET`: what of the message a report about its failure brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Return {
    Full,
    Headers,
}

/// `ENVID`: the sender's own name for the transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnvelopeId(Box<str>);

/// `NOTIFY`: the events that the sender wants to hear of. None of them: `NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Notify {
    pub success: bool,
    pub failure: bool,
    pub delay: bool,
}

/// `ORCPT`: the recipient as the sender wrote it, with the kind of address in front.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(Box<str>);

/// What stood behind one `RCPT`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reporting {
    /// Absent is not the same as anything that can be written, and is passed on as absent.
    pub notify: Option<Notify>,
    pub original_recipient: Option<OriginalRecipient>,
}

impl Reporting {
    /// RFC 3461 4.1: without `NOTIFY`, failures are reported and delays may be.
    pub fn wants(&self) -> Notify {
        self.notify.unwrap_or(Notify { success: false, failure: true, delay: true })
    }

    /// Two recipients that became one: what either wants to hear is reported.
    pub fn or(self, other: Self) -> Self {
        let (one, two) = (self.wants(), other.wants());
        let both = Notify {
            success: one.success || two.success,
            failure: one.failure || two.failure,
            delay: one.delay || two.delay,
        };
        Self {
            notify: if self.notify == other.notify { self.notify } else { Some(both) },
            original_recipient: self.original_recipient.or(other.original_recipient),
        }
    }
}

impl FromStr for Return {
    type Err = NotAsWritten;

    fn from_str(text: &str) -> Result<Self, NotAsWritten> {
        if text.eq_ignore_ascii_case("FULL") {
            Ok(Self::Full)
        } else if text.eq_ignore_ascii_case("HDRS") {
            Ok(Self::Headers)
        } else {
            Err(NotAsWritten)
        }
    }
}

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

impl Notify {
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };
}

impl FromStr for Notify {
    type Err = NotAsWritten;

    fn from_str(text: &str) -> Result<Self, NotAsWritten> {
        let mut notify = Self::NEVER;
        // RFC 3461 4.1: NEVER stands alone.
        if text.eq_ignore_ascii_case("NEVER") {
            return Ok(notify);
        }
        for event in text.split(',') {
            match event.to_ascii_uppercase().as_str() {
                "SUCCESS" => notify.success = true,
                "FAILURE" => notify.failure = true,
                "DELAY" => notify.delay = true,
                _ => return Err(NotAsWritten),
            }
        }
        Ok(notify)
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut wanted = events.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name);
        f.write_str(wanted.next().unwrap_or("NEVER"))?;
        wanted.try_for_each(|name| write!(f, ",{name}"))
    }
}

impl EnvelopeId {
    /// What the xtext stands for: printable ASCII on one line.
    pub fn decoded(&self) -> String {
        from_xtext(&self.0).unwrap_or_default()
    }
}

impl FromStr for EnvelopeId {
    type Err = NotAsWritten;

    fn from_str(xtext: &str) -> Result<Self, NotAsWritten> {
        let decoded = from_xtext(xtext).ok_or(NotAsWritten)?;
        let fits = !xtext.is_empty() && xtext.len() <= MAX_ENVELOPE_ID && decoded.is_ascii();
        if fits { Ok(Self(xtext.into())) } else { Err(NotAsWritten) }
    }
}

impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl OriginalRecipient {
    /// RFC 3461 5.2.1: a relay may add it, from the address that it was given.
    pub fn of_address(address: &str) -> Option<Self> {
        let kind = if address.is_ascii() { "rfc822" } else { "utf-8" };
        format!("{kind};{}", encode(&with_embedded_unicode(address))).parse().ok()
    }

    /// Postfix writes the octets of UTF-8 one by one, and calls it `rfc822`. What RFC 6533 3 would have of that:
    /// the address type utf-8.
    pub fn of_utf8_octets(text: &str) -> Option<Self> {
        let (kind, address) = text.split_once(';')?;
        let address = octets_of_xtext(address).filter(|_| kind.eq_ignore_ascii_case("rfc822"))?;
        let address = String::from_utf8(address).ok().filter(|address| !address.is_ascii())?;
        let has_control = address.chars().any(char::is_control);
        if has_control { None } else { Self::of_address(&address) }
    }

    /// As a field of a report: the kind and the address, in ASCII on one line.
    pub fn field(&self) -> String {
        let (kind, address) = self.parts();
        format!("{kind}; {}", with_embedded_unicode(&from_xtext(address).unwrap_or_default()))
    }

    /// RFC 6533 3: in this form it passes where SMTPUTF8 was not declared.
    pub fn ascii(&self) -> String {
        let (kind, address) = self.parts();
        format!("{kind};{}", with_embedded_unicode(address))
    }

    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once(';').unwrap_or_default()
    }
}

impl FromStr for OriginalRecipient {
    type Err = NotAsWritten;

    fn from_str(text: &str) -> Result<Self, NotAsWritten> {
        let (kind, address) = text.split_once(';').ok_or(NotAsWritten)?;
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*-/?^_`{|}~.".contains(c);
        let decoded = from_xtext(address).ok_or(NotAsWritten)?;
        let is_legal = !kind.is_empty() && kind.chars().all(is_atom) && !decoded.trim().is_empty();
        // RFC 6533 3: only the address type utf-8 goes beyond ASCII.
        let is_in_range = decoded.is_ascii() || kind.eq_ignore_ascii_case("utf-8");
        let fits = text.len() <= MAX_ORIGINAL_RECIPIENT && is_legal && is_in_range;
        if fits { Ok(Self(text.into())) } else { Err(NotAsWritten) }
    }
}

impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 3461 4: `+` and two digits stand for an octet.
fn octets_of_xtext(xtext: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(xtext.len());
    let mut chars = xtext.chars();
    while let Some(c) = chars.next() {
        octets.push(match c {
            '+' => escaped(&mut chars)?,
            '=' => return None,
            '!'..='~' => u8::try_from(c).ok()?,
            _ => return None,
        });
    }
    Some(octets)
}

/// The octet behind a `+`.
fn escaped(chars: &mut Chars<'_>) -> Option<u8> {
    let mut digit = || chars.next().filter(|c| !c.is_ascii_lowercase())?.to_digit(16);
    u8::try_from(digit()? * 16 + digit()?).ok()
}

/// RFC 3461 4, and beyond ASCII RFC 6533 3. Nothing that is encoded may be a control character:
/// what comes out stands in the fields of a report.
pub fn from_xtext(xtext: &str) -> Option<String> {
    let mut text = String::with_capacity(xtext.len());
    let mut chars = xtext.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '+' => escaped(&mut chars).map(char::from).filter(|c| matches!(c, ' '..='~'))?,
            '=' | '\0'..=' ' | '\u{7f}'..='\u{9f}' => return None,
            c => c,
        };
        text.push(c);
    }
    Some(text)
}

fn encode(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut xtext, c| {
        if matches!(c, '!'..='~') && c != '+' && c != '=' {
            xtext.push(c);
        } else {
            let _ = write!(xtext, "+{:02X}", u32::from(c)); // writing to a String cannot fail
        }
        xtext
    })
}

/// RFC 6533 3: `\x{7528}` for each character that is not ASCII.
pub fn with_embedded_unicode(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut ascii, c| {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let _ = write!(ascii, "\\x{{{:X}}}", u32::from(c));
        }
        ascii
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify() {
        let some = |success, failure, delay| Ok(Notify { success, failure, delay });
        for (text, expected, written) in [
            ("NEVER", some(false, false, false), "NEVER"),
            ("never", some(false, false, false), "NEVER"),
            ("SUCCESS", some(true, false, false), "SUCCESS"),
            ("delay,Failure", some(false, true, true), "FAILURE,DELAY"),
            ("SUCCESS,FAILURE,DELAY", some(true, true, true), "SUCCESS,FAILURE,DELAY"),
        ] {
            let notify: Result<Notify, _> = text.parse();
            assert_eq!(notify, expected, "{text}");
            assert_eq!(notify.unwrap().to_string(), written);
        }
        for text in ["", "NEVER,FAILURE", "FAILURE,NEVER", "FAILURE,", ",FAILURE", "FAILURE DELAY", "ALWAYS"]
        {
            assert!(text.parse::<Notify>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn return_of_content() {
        for (text, expected) in [("FULL", Return::Full), ("hdrs", Return::Headers)] {
            assert_eq!(text.parse(), Ok(expected));
        }
        assert!("HEADERS".parse::<Return>().is_err());
        assert_eq!((Return::Full.to_string(), Return::Headers.to_string()), ("FULL".into(), "HDRS".into()));
    }

    #[test]
    fn envelope_id() {
        for (xtext, decoded) in
            [("QQ314159", "QQ314159"), ("a+2Bb+3Dc+20d", "a+b=c d"), (&"x".repeat(100), &"x".repeat(100))]
        {
            let id: EnvelopeId = xtext.parse().unwrap();
            assert_eq!((id.to_string().as_str(), id.decoded().as_str()), (xtext, decoded));
        }
        for xtext in
            ["", "a b", "a=b", "a+2", "a+2b", "a+0D+0A", "a+7F", "a+E9", "é", "a\u{7}", &"x".repeat(101)]
        {
            assert!(xtext.parse::<EnvelopeId>().is_err(), "{xtext:?}");
        }
    }

    #[test]
    fn original_recipient() {
        for (text, field, ascii) in [
            ("rfc822;b@example.org", "rfc822; b@example.org", "rfc822;b@example.org"),
            ("RFC822;b+2Bc@example.org", "RFC822; b+c@example.org", "RFC822;b+2Bc@example.org"),
            ("x400;/c=x/".replace('=', "+3D").as_str(), "x400; /c=x/", "x400;/c+3Dx/"),
            ("utf-8;\\x{7528}@example.org", "utf-8; \\x{7528}@example.org", "utf-8;\\x{7528}@example.org"),
            ("utf-8;用@example.org", "utf-8; \\x{7528}@example.org", "utf-8;\\x{7528}@example.org"),
        ] {
            let original: OriginalRecipient = text.parse().unwrap();
            assert_eq!(original.to_string(), text);
            assert_eq!((original.field().as_str(), original.ascii().as_str()), (field, ascii));
        }
        for text in [
            "",
            "b@example.org",
            "rfc822;",
            "rfc822;+20",
            ";b@example.org",
            "rfc 822;b",
            "rfc822;b c",
            "rfc822;b=c",
            "rfc822;b+0D+0AStatus: 2.0.0",
            "rfc822;用@example.org",
            "utf-8;b\u{85}c",
            &format!("rfc822;{}", "x".repeat(494)),
        ] {
            assert!(text.parse::<OriginalRecipient>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_address_becomes_an_original_recipient() {
        for (address, written) in [
            ("info@own.example", "rfc822;info@own.example"),
            ("a+b@own.example", "rfc822;a+2Bb@own.example"),
            ("\"a b\"@own.example", "rfc822;\"a+20b\"@own.example"),
            ("用@own.example", "utf-8;\\x{7528}@own.example"),
        ] {
            let original = OriginalRecipient::of_address(address).unwrap();
            assert_eq!(original.to_string(), written);
            assert!(original.is_ascii() && original.field().ends_with(&with_embedded_unicode(address)));
        }
        assert_eq!(OriginalRecipient::of_address(&"x".repeat(600)), None);
    }

    #[test]
    fn octets_of_utf8_become_an_original_recipient() {
        let read = |text: &str| OriginalRecipient::of_utf8_octets(text).map(|read| read.to_string());
        assert_eq!(read("rfc822;a-+E7+94+A8@own.example").as_deref(), Some("utf-8;a-\\x{7528}@own.example"));
        for text in [
            "rfc822;info@own.example",
            "utf-8;+E7+94+A8@own.example",
            "rfc822;+E7+94@own.example",
            "rfc822;+e7+94+a8@own.example",
            "rfc822;+E7+94+A8=@own.example",
            "rfc822;+E7+94+A8+0D+0AStatus: 2.0.0",
            "rfc822;b+C2+85c",
            "rfc822;+E7+94+A8+",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn recipients_that_become_one_want_what_either_wanted() {
        let asked = |notify: &str| Reporting { notify: notify.parse().ok(), original_recipient: None };
        let shown = |reporting: Reporting| reporting.notify.map(|notify| notify.to_string());
        for (one, two, both) in [
            ("", "", None),
            ("NEVER", "NEVER", Some("NEVER")),
            ("NEVER", "", Some("FAILURE,DELAY")),
            ("SUCCESS", "", Some("SUCCESS,FAILURE,DELAY")),
            ("SUCCESS", "FAILURE", Some("SUCCESS,FAILURE")),
        ] {
            assert_eq!(shown(asked(one).or(asked(two))).as_deref(), both);
            assert_eq!(shown(asked(two).or(asked(one))).as_deref(), both);
        }
    }
}
