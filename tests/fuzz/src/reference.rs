//! Content read as plainly as it can be, to compare with; and as servers read it that are not careful.

/// What stands behind DATA.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Dots removed; so many octets were read.
    Whole(Vec<u8>, usize),
    Unfinished,
    /// A bare CR or LF, or a dot that NULs hide.
    Broken,
}

/// Line by line, octet by octet (RFC 5321 4.5.2).
pub fn data(wire: &[u8]) -> Read {
    let (mut content, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(&octet) = wire.get(at) {
        at += 1;
        match (octet, wire.get(at)) {
            (b'\n', _) => return Read::Broken,
            (b'\r', None) => return Read::Unfinished,
            (b'\r', Some(b'\n')) => {
                at += 1;
                if line == b"." {
                    return Read::Whole(content, at);
                }
                let meant = line.strip_prefix(b".").unwrap_or(&line);
                if hides_dot(meant) {
                    return Read::Broken;
                }
                content.extend_from_slice(meant);
                content.extend_from_slice(b"\r\n");
                line.clear();
            }
            (b'\r', Some(_)) => return Read::Broken,
            (octet, _) => line.push(octet),
        }
    }
    Read::Unfinished
}

/// One dot and NULs, the first of them in front.
fn hides_dot(line: &[u8]) -> bool {
    let rest: Vec<u8> = line.iter().copied().filter(|octet| *octet != 0).collect();
    rest == b"." && line[0] == 0
}

/// Whether DATA would have taken it: every CR before an LF, every LF behind a CR, no dot that NULs hide.
pub fn is_text(content: &[u8]) -> bool {
    is_lines(content)
        && !content
            .split(|octet| *octet == b'\n')
            .any(|line| hides_dot(line.strip_suffix(b"\r").unwrap_or(line)))
}

/// Every CR before an LF, every LF behind a CR.
pub fn is_lines(content: &[u8]) -> bool {
    let lone = |(at, octet): (usize, &u8)| match octet {
        b'\r' => content.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || content[at - 1] != b'\r',
        _ => false,
    };
    !content.iter().enumerate().any(lone)
}

/// What a server may do to octets before it looks for the end of the content.
#[derive(Debug, Clone, Copy)]
pub enum Careless {
    /// LF ends a line, with or without a CR.
    LineFeed,
    /// So does CR alone.
    CarriageReturn,
    /// NUL is dropped.
    DropsNul,
    /// A line ends at its NUL.
    CutsAtNul,
}

pub const CARELESS: [Careless; 4] =
    [Careless::LineFeed, Careless::CarriageReturn, Careless::DropsNul, Careless::CutsAtNul];

impl Careless {
    /// Where this server sees the end of the content.
    pub fn end(self, wire: &[u8]) -> Option<usize> {
        let mut line = Vec::new();
        for (at, &octet) in wire.iter().enumerate() {
            let ends_line = octet == b'\n' || (octet == b'\r' && matches!(self, Self::CarriageReturn));
            if !ends_line {
                line.push(octet);
                continue;
            }
            let seen = line.strip_suffix(b"\r").unwrap_or(&line);
            let seen: Vec<u8> = match self {
                Self::LineFeed | Self::CarriageReturn => seen.to_vec(),
                Self::DropsNul => seen.iter().copied().filter(|octet| *octet != 0).collect(),
                Self::CutsAtNul => seen.iter().copied().take_while(|octet| *octet != 0).collect(),
            };
            if seen == b"." {
                // An LF behind its CR belongs to it.
                let behind = usize::from(octet == b'\r' && wire.get(at + 1) == Some(&b'\n'));
                return Some(at + 1 + behind);
            }
            line.clear();
        }
        None
    }
}
