//! Content for a server that takes 7 bits only (RFC 6152 3, RFC 3030 3): bodies that need more are encoded
//! (RFC 2045 6). Headers and structure stay as they are.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};

mod content_type; // what a body is
mod fitness; // 7bit data, looked for once
mod quoted; // quoted-printable

#[cfg(test)]
#[path = "seven_bit/tests.rs"]
mod tests;

use crate::header::{Fields, value_of};
use content_type::{ContentType, Kind, first_word};
use fitness::Fitness;

/// Entities inside each other; nobody writes more.
const MAX_DEPTH: usize = 50;
/// RFC 2045 6.8: octets that make a line of 76 characters.
const BASE64_LINE: usize = 57;

/// What the fields of usual messages may add, whatever their length.
const FIELDS: usize = 64 * 1024;

const ENCODING: &str = "Content-Transfer-Encoding";

/// Why a message cannot be for such a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotConvertible {
    #[error("a signed part has octets above 127, and encoding it would break the signature")]
    Signed,
    #[error("a part that must not be encoded has octets above 127")]
    Opaque,
    #[error("a part says that it is encoded, and has octets above 127")]
    Encoded,
    #[error("a multipart whose parts cannot be told apart has octets above 127")]
    NoBoundary,
    #[error("the parts are too deep inside each other")]
    TooDeep,
    #[error("its parts are so many and so small that it would become more than twice as large")]
    TooLarge,
}

/// `None`: it is fit as it is.
pub fn convert(content: &[u8]) -> Result<Option<Vec<u8>>, NotConvertible> {
    let mut fitness = Fitness::of(content);
    if fitness.holds(&(0..content.len())) {
        return Ok(None);
    }
    let out = Vec::with_capacity(content.len() + content.len() / 2);
    let mut conversion = Conversion { content, fitness, out };
    conversion.entity(0..content.len(), Place { depth: 0, is_message: true, unnamed: Kind::Text })?;
    let mut out = conversion.out;
    // A binary message may end anywhere; one that travels by DATA does not.
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    Ok(Some(out))
}

/// Where an entity is.
#[derive(Clone)]
struct Place {
    depth: usize,
    is_message: bool,
    /// What it is when it does not say so.
    unnamed: Kind,
}

struct Conversion<'a> {
    content: &'a [u8],
    fitness: Fitness<'a>,
    out: Vec<u8>,
}

impl<'a> Conversion<'a> {
    fn octets(&self, range: Range<usize>) -> &'a [u8] {
        self.content.get(range).unwrap_or_default()
    }

    fn copy(&mut self, range: Range<usize>) {
        let octets = self.octets(range);
        self.out.extend_from_slice(octets);
    }

    /// A header and its body. What is fit passes octet for octet.
    fn entity(&mut self, entity: Range<usize>, place: Place) -> Result<(), NotConvertible> {
        if self.fitness.holds(&entity) {
            self.copy(entity);
            return Ok(());
        }
        if place.depth > MAX_DEPTH {
            return Err(NotConvertible::TooDeep);
        }
        // Each part gets a field, and a part may be an octet.
        if self.out.len() > 2 * self.content.len() + FIELDS {
            return Err(NotConvertible::TooLarge);
        }
        let octets = self.octets(entity.clone());
        let (header, body) = octets.split_at(Fields::of(octets).map(<[u8]>::len).sum());
        let content_type = Fields::of(header).find_map(|field| value_of(field, "Content-Type"));
        let has_type = content_type.is_some();
        let (kind, unnamed) = match content_type.map(ContentType::read) {
            Some(content_type) => (content_type.kind(), content_type.unnamed()),
            None => (place.unnamed, Kind::Text),
        };
        let blank = if body.starts_with(b"\r\n") { 2 } else { 0 };
        let inner = entity.start + header.len() + blank..entity.end;
        if self.fitness.holds(&inner) {
            // It is the header that is not fit, which no encoding of a body mends.
            self.copy(entity);
            return Ok(());
        }
        let depth = place.depth + 1;
        match kind {
            Kind::Signed => Err(NotConvertible::Signed),
            Kind::Opaque => Err(NotConvertible::Opaque),
            Kind::Multipart(None) => Err(NotConvertible::NoBoundary),
            Kind::Multipart(Some(boundary)) => {
                // Whatever encoding it names: RFC 2045 6.4 allows none, and nobody heeds one.
                self.header(header, "7bit", place.is_message, has_type);
                self.copy(inner.start - blank..inner.start);
                self.parts(inner, &boundary, &Place { depth, is_message: false, unnamed })
            }
            Kind::Message | Kind::Text | Kind::Other if is_encoded(header) => Err(NotConvertible::Encoded),
            Kind::Message => {
                self.header(header, "7bit", place.is_message, has_type);
                self.copy(inner.start - blank..inner.start);
                self.entity(inner, Place { depth, is_message: true, unnamed: Kind::Text })
            }
            Kind::Text | Kind::Other => {
                let body = self.octets(inner);
                let is_quoted = kind == Kind::Text && quoted::suits(body);
                let encoding = if is_quoted { "quoted-printable" } else { "base64" };
                self.header(header, encoding, place.is_message, has_type);
                self.out.extend_from_slice(b"\r\n");
                if is_quoted {
                    quoted::encode(body, &mut self.out);
                } else {
                    self.base64(body);
                }
                Ok(())
            }
        }
    }

    /// The parts of a multipart, with what stands between and around them.
    fn parts(&mut self, body: Range<usize>, boundary: &[u8], place: &Place) -> Result<(), NotConvertible> {
        let finder = Finder::new(boundary);
        let mut at = body.start;
        let mut is_part = false;
        while let Some(found) = finder.next(self.octets(at..body.end)) {
            self.between(at..at + found.start, is_part, place)?;
            self.copy(at + found.start..at + found.end);
            at += found.end;
            is_part = !found.is_last;
            if found.is_last {
                return self.between(at..body.end, false, place);
            }
        }
        if is_part { self.between(at..body.end, true, place) } else { Err(NotConvertible::NoBoundary) }
    }

    fn between(&mut self, range: Range<usize>, is_part: bool, place: &Place) -> Result<(), NotConvertible> {
        if is_part {
            self.entity(range, place.clone())?;
        } else if self.fitness.holds(&range) {
            // RFC 2046 5.1.1: what is not fit of preamble and epilogue is for nobody.
            self.copy(range);
        }
        Ok(())
    }

    /// The header of an entity whose encoding is another now.
    fn header(&mut self, header: &[u8], encoding: &str, is_message: bool, has_type: bool) {
        let mut has_version = false;
        for field in Fields::of(header) {
            has_version |= value_of(field, "MIME-Version").is_some();
            if value_of(field, ENCODING).is_none() {
                self.out.extend_from_slice(field);
            }
        }
        if !self.out.is_empty() && !self.out.ends_with(b"\n") {
            self.out.extend_from_slice(b"\r\n");
        }
        if is_message && !has_version {
            self.out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        }
        if is_message && !has_type {
            // RFC 1428 3: what nobody has said is not guessed.
            self.out.extend_from_slice(b"Content-Type: text/plain; charset=unknown-8bit\r\n");
        }
        self.out.extend_from_slice(format!("{ENCODING}: {encoding}\r\n").as_bytes());
    }

    fn base64(&mut self, body: &[u8]) {
        for line in body.chunks(BASE64_LINE) {
            self.out.extend_from_slice(STANDARD.encode(line).as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
    }
}

/// What nobody knows is an encoding too.
fn is_encoded(header: &[u8]) -> bool {
    let said = Fields::of(header).find_map(|field| value_of(field, ENCODING)).map(first_word);
    !matches!(said.as_deref(), None | Some(b"" | b"7bit" | b"8bit" | b"binary"))
}

/// A line that separates parts, with the line end before it, which is the line's (RFC 2046 5.1.1).
struct Delimiter {
    start: usize,
    end: usize,
    is_last: bool,
}

/// One for all parts: the whole line is looked for at once, because what only begins like it may be
/// everywhere, at each depth.
struct Finder {
    line: memchr::memmem::Finder<'static>,
}

impl Finder {
    fn new(boundary: &[u8]) -> Self {
        let line = [b"\n--", boundary].concat();
        Self { line: memchr::memmem::Finder::new(&line).into_owned() }
    }

    fn next(&self, body: &[u8]) -> Option<Delimiter> {
        let line = self.line.needle().get(1..)?;
        let mut at = if body.starts_with(line) { Some(0) } else { self.find(body, 0) };
        while let Some(line_start) = at {
            let found = body.get(line_start + line.len()..)?;
            let rest = memchr::memchr(b'\n', found).map_or(found, |at| found.get(..=at).unwrap_or(found));
            let is_last = rest.starts_with(b"--");
            let padding = if is_last { rest.get(2..)? } else { rest };
            // Else it is a boundary that only begins so.
            if padding.trim_ascii().is_empty() {
                let start = match body.get(..line_start)? {
                    before if before.ends_with(b"\r\n") => line_start - 2,
                    before if before.ends_with(b"\n") => line_start - 1,
                    _ => line_start,
                };
                return Some(Delimiter { start, end: line_start + line.len() + rest.len(), is_last });
            }
            at = self.find(body, line_start);
        }
        None
    }

    /// The start of the next such line.
    fn find(&self, body: &[u8], from: usize) -> Option<usize> {
        Some(from + self.line.find(body.get(from..)?)? + 1)
    }
}
