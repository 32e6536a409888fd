//! The file that says who has which role. A line is
//!
//! ```text
//! name role sha256:<hexadecimal SHA-256 of the token>
//! name role uri:<URI> | dns:<DNS name> | cn:<common name>     of the client's certificate
//! ```
//!
//! A name may have several lines: while a token is exchanged, the old and the new one.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    path::Path,
    sync::Arc,
};

use crate::{
    certificate::CertificateName,
    role::Role,
    token::{Token, TokenHash},
};

const LONGEST_NAME: usize = 64;
/// What a name is, in words.
pub const NAME: &str = "1 to 64 letters, digits and . _ @ -";

/// Who makes a call. It stands among the extensions of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub name: Arc<str>,
    pub role: Role,
}

pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(fits)
}

/// Who may call, by what they show.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    tokens: Vec<(TokenHash, Caller)>,
    certificates: HashMap<CertificateName, Caller>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// Stable.
    pub code: &'static str,
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, code, reason } = self;
        write!(f, "{file}:{line}: error {code}: {reason}")
    }
}

impl Callers {
    /// Every problem is told.
    pub(crate) fn parse(file: &Path, text: &[u8]) -> Result<Self, Vec<Problem>> {
        let mut callers = Self::default();
        let mut roles: HashMap<String, (Role, usize)> = HashMap::new();
        let mut problems = Vec::new();
        for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let read = match std::str::from_utf8(text) {
                Ok(text) => callers.read_line(text, line, &mut roles),
                Err(_) => Err(("E-CA-ENCODING", "the line is not UTF-8".to_owned())),
            };
            if let Err((code, reason)) = read {
                problems.push(Problem { file: file.display().to_string(), line, code, reason });
            }
        }
        if problems.is_empty() { Ok(callers) } else { Err(problems) }
    }

    fn read_line(
        &mut self,
        text: &str,
        line: usize,
        roles: &mut HashMap<String, (Role, usize)>,
    ) -> Result<(), (&'static str, String)> {
        let text = text.trim();
        if text.is_empty() || text.starts_with(';') {
            return Ok(());
        }
        let mut words = text.split_ascii_whitespace();
        let (Some(name), Some(role), Some(credential), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err((
                "E-CA-FIELDS",
                "a line is: name role sha256:<hash>, uri:, dns: or cn:<name>".into(),
            ));
        };
        if !is_name(name) {
            return Err(("E-CA-NAME", format!("{name:?} is not {NAME}")));
        }
        let role: Role =
            role.parse().map_err(|error: crate::role::UnknownRole| ("E-CA-ROLE", error.to_string()))?;
        match roles.entry(name.to_owned()) {
            Entry::Occupied(known) if known.get().0 != role => {
                let (other, at) = known.get();
                return Err(("E-CA-ROLE", format!("{name} has the role {other} in line {at}")));
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => {
                free.insert((role, line));
            }
        }
        self.add(credential, Caller { name: name.into(), role })
    }

    fn add(&mut self, credential: &str, caller: Caller) -> Result<(), (&'static str, String)> {
        let twice = |other: &Caller| ("E-CA-TWICE", format!("{} has it in another line", other.name));
        if let Ok(hash) = credential.parse::<TokenHash>() {
            match self.by_hash(&hash) {
                Some(other) => Err(twice(other)),
                None => {
                    self.tokens.push((hash, caller));
                    Ok(())
                }
            }
        } else if let Ok(name) = credential.parse::<CertificateName>() {
            match self.certificates.entry(name) {
                Entry::Occupied(other) => Err(twice(other.get())),
                Entry::Vacant(free) => {
                    free.insert(caller);
                    Ok(())
                }
            }
        } else {
            // It may be a token that was pasted: it is not repeated.
            let reason = "the third word is not sha256: with 64 hexadecimal digits, uri:, dns: or cn:";
            Err(("E-CA-CREDENTIAL", reason.to_owned()))
        }
    }

    /// One that is known beside the file.
    pub(crate) fn add_token(&mut self, token: &Token, caller: Caller) {
        self.tokens.push((token.hash(), caller));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.certificates.is_empty()
    }

    pub(crate) fn by_token(&self, token: &str) -> Option<&Caller> {
        self.by_hash(&TokenHash::of(token))
    }

    /// All lines are looked at, whatever is found.
    fn by_hash(&self, hash: &TokenHash) -> Option<&Caller> {
        self.tokens
            .iter()
            .fold(None, |found, (known, caller)| if known.is(hash) { Some(caller) } else { found })
    }

    pub(crate) fn by_certificate(&self, names: &[CertificateName]) -> Option<&Caller> {
        names.iter().find_map(|name| self.certificates.get(name))
    }
}

#[cfg(test)]
mod tests;
