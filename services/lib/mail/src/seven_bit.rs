//! Content for a server that takes 7 bits only (RFC 6152 3, RFC 3030 3): bodies that need more are encoded
//! (RFC 2045 6). Headers and structure stay as they are.

use base64::{Engine as _, engine::general_purpose::STANDARD};

mod content_type; // what a body is
mod quoted; // quoted-printable

#[cfg(test)]
#[path = "seven_bit/tests.rs"]
mod tests;

use crate::header::{Fields, value_of};
use content_type::{ContentType, Kind};

/// Entities inside each other; nobody writes more.
const MAX_DEPTH: usize = 50;
/// RFC 5322 2.1.1, without the line end.
const MAX_LINE: usize = 998;
/// RFC 2045 6.8: octets that make a line of 76 characters.
const BASE64_LINE: usize = 57;
/// Of so many octets one may need three characters before base64 is shorter.
const QUOTED_SHARE: usize = 6;

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
    #[error("a multipart without a boundary has octets above 127")]
    NoBoundary,
    #[error("the parts are too deep inside each other")]
    TooDeep,
}

/// `None`: it is fit as it is.
pub fn convert(content: &[u8]) -> Result<Option<Vec<u8>>, NotConvertible> {
    if is_fit(content) {
        return Ok(None);
    }
    let mut conversion = Conversion { out: Vec::with_capacity(content.len() + content.len() / 2) };
    conversion.entity(content, 0, true)?;
    let mut out = conversion.out;
    // A binary message may end anywhere; one that travels by DATA does not.
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    Ok(Some(out))
}

/// RFC 2045 2.7: 7bit data.
fn is_fit(octets: &[u8]) -> bool {
    octets.is_ascii()
        && memchr::memchr(0, octets).is_none()
        && octets.split_inclusive(|octet| *octet == b'\n').all(|line| {
            let line = line.strip_suffix(b"\r\n").unwrap_or(line);
            line.len() <= MAX_LINE && memchr::memchr2(b'\r', b'\n', line).is_none()
        })
}

struct Conversion {
    out: Vec<u8>,
}

impl Conversion {
    /// A header and its body. What is fit passes octet for octet.
    fn entity(&mut self, entity: &[u8], depth: usize, is_message: bool) -> Result<(), NotConvertible> {
        if is_fit(entity) {
            self.out.extend_from_slice(entity);
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(NotConvertible::TooDeep);
        }
        let header_end = Fields::of(entity).map(<[u8]>::len).sum();
        let (header, body) = entity.split_at(header_end);
        let content_type = Fields::of(header).find_map(|field| value_of(field, "Content-Type"));
        let kind = content_type.map_or(Kind::Text, |value| ContentType::read(value).kind());
        let blank = if body.starts_with(b"\r\n") { 2 } else { 0 };
        let (blank, inner) = body.split_at(blank);
        if is_fit(inner) {
            // It is the header that is not fit, which no encoding of a body mends.
            self.out.extend_from_slice(entity);
            return Ok(());
        }
        match kind {
            Kind::Signed => Err(NotConvertible::Signed),
            Kind::Opaque => Err(NotConvertible::Opaque),
            Kind::Multipart(None) => Err(NotConvertible::NoBoundary),
            Kind::Multipart(Some(boundary)) => {
                self.header(header, "7bit", is_message, content_type.is_some());
                self.out.extend_from_slice(blank);
                self.parts(inner, &boundary, depth)
            }
            Kind::Message => {
                self.header(header, "7bit", is_message, content_type.is_some());
                self.out.extend_from_slice(blank);
                self.entity(inner, depth + 1, true)
            }
            Kind::Text | Kind::Other => {
                if is_encoded(header) {
                    return Err(NotConvertible::Encoded);
                }
                let is_quoted = kind == Kind::Text && quoted_suits(inner);
                let encoding = if is_quoted { "quoted-printable" } else { "base64" };
                self.header(header, encoding, is_message, content_type.is_some());
                self.out.extend_from_slice(b"\r\n");
                if is_quoted {
                    quoted::encode(inner, &mut self.out);
                } else {
                    self.base64(inner);
                }
                Ok(())
            }
        }
    }

    /// The parts of a multipart, with what stands between and around them.
    fn parts(&mut self, body: &[u8], boundary: &[u8], depth: usize) -> Result<(), NotConvertible> {
        let mut rest = body;
        let mut is_part = false;
        loop {
            let delimiter = delimiter(rest, boundary);
            let end = delimiter.as_ref().map_or(rest.len(), |found| found.start);
            let before = rest.get(..end).unwrap_or_default();
            if is_part {
                self.entity(before, depth + 1, false)?;
            } else if is_fit(before) {
                // RFC 2046 5.1.1: what is not fit of preamble and epilogue is for nobody.
                self.out.extend_from_slice(before);
            }
            let Some(found) = delimiter else { return Ok(()) };
            self.out.extend_from_slice(rest.get(found.start..found.end).unwrap_or_default());
            rest = rest.get(found.end..).unwrap_or_default();
            is_part = !found.is_last;
            if found.is_last {
                if is_fit(rest) {
                    self.out.extend_from_slice(rest);
                }
                return Ok(());
            }
        }
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

fn is_encoded(header: &[u8]) -> bool {
    let said = Fields::of(header).find_map(|field| value_of(field, ENCODING)).unwrap_or_default();
    let said = said.trim_ascii();
    [&b"base64"[..], b"quoted-printable"].iter().any(|encoding| said.eq_ignore_ascii_case(encoding))
}

fn quoted_suits(body: &[u8]) -> bool {
    body.iter().filter(|octet| !octet.is_ascii()).count() <= body.len() / QUOTED_SHARE
}

/// A line that separates parts, with the line end before it, which is the line's (RFC 2046 5.1.1).
struct Delimiter {
    start: usize,
    end: usize,
    is_last: bool,
}

fn delimiter(body: &[u8], boundary: &[u8]) -> Option<Delimiter> {
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(body.get(from..)?, b"--") {
        let dashes = from + found;
        from = dashes + 2;
        let is_line_start = dashes == 0 || body.get(..dashes)?.ends_with(b"\n");
        let Some(rest) = body.get(from..)?.strip_prefix(boundary) else { continue };
        if !is_line_start {
            continue;
        }
        let line = memchr::memchr(b'\n', rest).map_or(rest, |at| rest.get(..=at).unwrap_or(rest));
        let is_last = line.starts_with(b"--");
        let padding = if is_last { line.get(2..)? } else { line };
        if !padding.trim_ascii().is_empty() {
            continue; // a boundary that only begins so
        }
        let start = match body.get(..dashes)? {
            before if before.ends_with(b"\r\n") => dashes - 2,
            before if before.ends_with(b"\n") => dashes - 1,
            _ => dashes,
        };
        return Some(Delimiter { start, end: from + boundary.len() + line.len(), is_last });
    }
    None
}
