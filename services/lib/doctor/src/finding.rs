//! One thing that is wrong.

use std::fmt;

use crate::code::Code;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Mail flows; somebody should know.
    Warn,
    /// Mail is refused, lost to others or goes in circles.
    Fail,
}

impl Severity {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    /// Where: a line of a document, a domain, a peer, a broker.
    pub place: String,
    pub what: String,
}

impl Finding {
    pub(crate) fn new(code: Code, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { code, place: place.into(), what: what.into() }
    }

    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, place, what } = self;
        write!(f, "{} {code} {place}: {what}", code.severity().name())
    }
}
