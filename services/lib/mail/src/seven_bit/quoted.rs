//! Quoted-printable (RFC 2045 6.7).

/// Characters of a line, with the mark that it goes on.
const MAX_LINE: usize = 76;
/// Of so many octets one may need three characters before base64 is shorter.
const SHARE: usize = 6;
const HEX: &[u8; 16] = b"0123456789ABCDEF";

pub(super) fn suits(body: &[u8]) -> bool {
    let is_plain = |octet: &u8| matches!(octet, b'!'..=b'~' | b' ' | b'\t' | b'\r' | b'\n') && *octet != b'=';
    body.iter().filter(|octet| !is_plain(octet)).count() <= body.len() / SHARE
}

pub(super) fn encode(body: &[u8], out: &mut Vec<u8>) {
    let mut rest = body;
    while !rest.is_empty() {
        let (line, next, has_end) = match memchr::memmem::find(rest, b"\r\n") {
            Some(at) => (rest.get(..at), rest.get(at + 2..), true),
            None => (Some(rest), None, false),
        };
        encode_line(line.unwrap_or_default(), out);
        if has_end {
            out.extend_from_slice(b"\r\n");
        }
        rest = next.unwrap_or_default();
    }
}

fn encode_line(line: &[u8], out: &mut Vec<u8>) {
    let mut width = 0;
    for (at, octet) in line.iter().enumerate() {
        let is_last = at + 1 == line.len();
        let plain = match octet {
            b' ' | b'\t' => !is_last,
            b'=' => false,
            // A dot at the start is stuffed, and "From " is changed, by some who should not.
            b'.' | b'F' => width > 0,
            b'!'..=b'~' => true,
            _ => false,
        };
        let needs = if plain { 1 } else { 3 };
        if width + needs > if is_last { MAX_LINE } else { MAX_LINE - 1 } {
            out.extend_from_slice(b"=\r\n");
            width = 0;
        }
        if plain {
            out.push(*octet);
        } else {
            let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or_default();
            out.extend([b'=', digit(octet >> 4), digit(octet & 15)]);
        }
        width += needs;
    }
}
