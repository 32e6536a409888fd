//! The value of a Content-Type field (RFC 2045 5.1), as far as it says how a body may be encoded.

/// What may be done with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Its boundary.
    Multipart(Option<Vec<u8>>),
    /// RFC 1847 2.1: every octet counts.
    Signed,
    /// A message of its own.
    Message,
    /// RFC 2046 5.2: no encoding is allowed.
    Opaque,
    Other,
}

pub(super) struct ContentType {
    /// In small letters.
    name: Vec<u8>,
    boundary: Option<Vec<u8>>,
}

impl ContentType {
    pub(super) fn read(value: &[u8]) -> Self {
        let mut words = Words { rest: value };
        let mut name = Vec::new();
        while let Some(word) = words.next() {
            match word {
                Word::Mark(b';') => break,
                Word::Mark(mark) => name.push(mark),
                Word::Value(value) => name.extend(value.to_ascii_lowercase()),
            }
        }
        let mut boundary = None;
        while let Some(word) = words.next() {
            let Word::Value(key) = word else { continue };
            if matches!(words.next(), Some(Word::Mark(b'=')))
                && let Some(value) = words.value()
                && key.eq_ignore_ascii_case(b"boundary")
            {
                boundary = boundary.or(Some(value));
            }
        }
        Self { name, boundary: boundary.filter(|boundary| !boundary.is_empty()) }
    }

    /// What a part is that does not say so.
    pub(super) fn unnamed(&self) -> Kind {
        // RFC 2046 5.1.5.
        if self.name == b"multipart/digest" { Kind::Message } else { Kind::Text }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.name.split(|octet| *octet == b'/').next().unwrap_or_default() {
            b"multipart" if self.name == b"multipart/signed" => Kind::Signed,
            b"multipart" => Kind::Multipart(self.boundary.clone()),
            b"message" if matches!(&self.name[..], b"message/rfc822" | b"message/news") => Kind::Message,
            // RFC 6532 3.7: these may be encoded.
            b"message" if self.name.starts_with(b"message/global") => Kind::Other,
            b"message" => Kind::Opaque,
            b"text" => Kind::Text,
            _ => Kind::Other,
        }
    }
}

/// In small letters; empty when there is none.
pub(super) fn first_word(value: &[u8]) -> Vec<u8> {
    match (Words { rest: value }).next() {
        Some(Word::Value(word)) => word.to_ascii_lowercase(),
        Some(Word::Mark(mark)) => vec![mark],
        None => Vec::new(),
    }
}

enum Word {
    Value(Vec<u8>),
    Mark(u8),
}

/// Tokens, quoted strings and the marks between them; comments and blanks are left out.
struct Words<'a> {
    rest: &'a [u8],
}

impl Words<'_> {
    fn next(&mut self) -> Option<Word> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            match self.rest.first()? {
                b'(' => self.comment(),
                b'"' => return Some(Word::Value(self.quoted())),
                mark @ (b';' | b'=' | b'/') => {
                    let mark = *mark;
                    self.rest = self.rest.get(1..).unwrap_or_default();
                    return Some(Word::Mark(mark));
                }
                _ => {
                    let ends = |octet: &u8| octet.is_ascii_whitespace() || b";=/(\"".contains(octet);
                    let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
                    let (token, rest) = self.rest.split_at(end);
                    self.rest = rest;
                    return Some(Word::Value(token.to_vec()));
                }
            }
        }
    }

    /// Of a parameter. Many write marks into it without quoting it, as in `----=_Part_1`.
    fn value(&mut self) -> Option<Vec<u8>> {
        self.rest = self.rest.trim_ascii_start();
        match self.rest.first()? {
            b'"' => Some(self.quoted()),
            _ => {
                let ends = |octet: &u8| octet.is_ascii_whitespace() || *octet == b';';
                let (value, rest) =
                    self.rest.split_at(self.rest.iter().position(ends).unwrap_or(self.rest.len()));
                self.rest = rest;
                (!value.is_empty()).then(|| value.to_vec())
            }
        }
    }

    fn comment(&mut self) {
        let mut depth = 0_u32;
        let mut is_escaped = false;
        for (at, octet) in self.rest.iter().enumerate() {
            match octet {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return;
            }
        }
        self.rest = &[];
    }

    fn quoted(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        let mut is_escaped = false;
        for (at, octet) in self.rest.iter().enumerate().skip(1) {
            match octet {
                _ if is_escaped => {
                    value.push(*octet);
                    is_escaped = false;
                }
                b'\\' => is_escaped = true,
                b'"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return value;
                }
                b'\r' | b'\n' => {} // folded
                _ => value.push(*octet),
            }
        }
        self.rest = &[];
        value
    }
}
