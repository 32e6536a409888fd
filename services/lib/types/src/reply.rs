//! An SMTP reply that cannot contain a line break it did not mean.

use std::{fmt, str::FromStr};

/// RFC 3463 status, for example 5.7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The text is not a status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code")]
pub struct NotAnEnhancedCode;

impl FromStr for EnhancedCode {
    type Err = NotAnEnhancedCode;

    fn from_str(text: &str) -> Result<Self, NotAnEnhancedCode> {
        let digits = |part: &str| {
            let plain = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            if plain { part.parse::<u16>().ok() } else { None }
        };
        let mut parts = text.split('.').map(digits);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(class @ (2 | 4 | 5))), Some(Some(subject)), Some(Some(detail)), None) => {
                let class = u8::try_from(class).map_err(|_| NotAnEnhancedCode)?;
                Ok(Self(class, subject, detail))
            }
            _ => Err(NotAnEnhancedCode),
        }
    }
}

/// One reply: code, RFC 3463 status if any, one or more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    lines: Vec<String>,
}

impl Reply {
    /// `text` may come from policy or from a remote server: line breaks become
    /// reply lines, every other control character a `?`.
    pub fn new(code: u16, enhanced: Option<EnhancedCode>, text: &str) -> Self {
        let clean = |line: &str| line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let mut lines: Vec<String> =
            text.split(['\r', '\n']).filter(|line| !line.is_empty()).map(clean).collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        Self { code, enhanced, lines }
    }

    pub fn code(&self) -> u16 {
        self.code
    }

    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The lines without codes, joined by a line feed.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// The bytes for the wire, final CRLF included.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let separator = if index == last { ' ' } else { '-' };
            write!(f, "{}{separator}", self.code)?;
            if let Some(enhanced) = self.enhanced {
                write!(f, "{enhanced} ")?;
            }
            write!(f, "{line}\r\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_text_cannot_forge_a_reply() {
        let reply = Reply::new(550, Some(EnhancedCode(5, 7, 1)), "rejected\r\n250 2.0.0 OK");
        assert_eq!(reply.to_string(), "550-5.7.1 rejected\r\n550 5.7.1 250 2.0.0 OK\r\n");
        assert_eq!(Reply::new(354, None, "go ahead").to_string(), "354 go ahead\r\n");
    }

    #[test]
    fn enhanced_codes() {
        assert_eq!("5.7.1".parse(), Ok(EnhancedCode(5, 7, 1)));
        for text in ["", "5.7", "3.7.1", "5.7.1.1", "5.+7.1", "5..1", "5.1000.1", "a.b.c"] {
            assert!(text.parse::<EnhancedCode>().is_err(), "{text:?}");
        }
    }
}
