//! The front of an input chooses, the rest is what is sent.

/// Octets in front of what is sent.
const FRONT: usize = 8;

#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    flags: u8,
    /// Numbers for a target to use as it likes.
    pub numbers: [u8; 3],
    /// Sizes of the pieces, which come round again.
    cuts: [u8; 4],
    pub octets: &'a [u8],
}

impl<'a> Input<'a> {
    /// `None`: too short to be one.
    pub fn read(input: &'a [u8]) -> Option<Self> {
        let (&[flags, a, b, c, d, e, f, g], octets) = input.split_first_chunk::<FRONT>()?;
        Some(Self { flags, numbers: [a, b, c], cuts: [d, e, f, g], octets })
    }

    /// An input that reads as these.
    pub fn made(flags: u8, numbers: [u8; 3], octets: &[u8]) -> Vec<u8> {
        [&[flags], &numbers[..], &[1, 7, 2, 30], octets].concat()
    }

    pub fn flag(&self, bit: u8) -> bool {
        self.flags & (1 << bit) != 0
    }

    /// The octets in pieces, none of them empty.
    pub fn pieces<'b>(&self, octets: &'b [u8]) -> Vec<&'b [u8]> {
        cut(octets, &self.cuts)
    }
}

/// Cuts by these sizes, again and again.
pub(crate) fn cut<'a>(octets: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (octets, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at(usize::from(*size).max(1).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}
