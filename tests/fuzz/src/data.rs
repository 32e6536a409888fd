//! Content behind DATA: read as the reference reads it, wherever it is cut, and ended on its way out where no
//! next hop, careful or not, sees another end.

use bytes::Bytes;
use hikyaku_smtp::wire::{
    data::{DataDecoder, Progress},
    stuffing::Stuffing,
};

use crate::{
    Input,
    reference::{self, CARELESS, Careless, Read},
};

pub fn run(input: &[u8]) {
    let Some(input) = Input::read(input) else { return };
    let expected = reference::data(input.octets);
    for pieces in [vec![input.octets], input.pieces(input.octets), crate::input::cut(input.octets, &[1])] {
        assert_eq!(decode(&pieces), expected, "as the reference reads it");
    }
    over_limit(&input, &expected);
    if let Read::Whole(content, _) = &expected {
        relayed(&input, content);
    }
    // What nobody accepted: even then no strict or LF-minded host may see an early end.
    let wire = stuffed(&input, input.octets);
    assert!(matches!(reference::data(&wire), Read::Broken) || ends_at_its_end(&wire));
    assert_eq!(Careless::LineFeed.end(&wire), Some(wire.len()));
}

fn decode(pieces: &[&[u8]]) -> Read {
    let (mut decoder, mut content, mut read) = (DataDecoder::new(u64::MAX), Vec::new(), 0);
    for piece in pieces {
        match decoder.feed(piece, &mut content) {
            Ok(Progress::NeedMore) => read += piece.len(),
            Ok(Progress::Done { consumed }) => {
                assert_eq!(decoder.size(), content.len() as u64);
                return Read::Whole(content, read + consumed);
            }
            Err(_) => return Read::Broken,
        }
    }
    Read::Unfinished
}

/// A message that is too big is read to the same end, and takes no room.
fn over_limit(input: &Input<'_>, expected: &Read) {
    let limit = u64::from(input.numbers[0]);
    let (mut decoder, mut content, mut read) = (DataDecoder::new(limit), Vec::new(), 0);
    for piece in input.pieces(input.octets) {
        match (decoder.feed(piece, &mut content), expected) {
            (Ok(Progress::NeedMore), _) => read += piece.len(),
            (Ok(Progress::Done { consumed }), Read::Whole(whole, length)) => {
                assert_eq!(read + consumed, *length);
                assert_eq!(decoder.is_over_limit(), whole.len() as u64 > limit);
                assert!(decoder.is_over_limit() || content == *whole);
                break;
            }
            (Err(_), Read::Broken) => break,
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }
    assert!(content.len() as u64 <= limit);
}

/// What was accepted arrives at the next hop as it was, and its end is the only one.
pub(crate) fn relayed(input: &Input<'_>, content: &[u8]) {
    let wire = stuffed(input, content);
    let mut expected = content.to_vec();
    if !content.is_empty() && !content.ends_with(b"\r\n") {
        expected.extend_from_slice(b"\r\n");
    }
    assert_eq!(reference::data(&wire), Read::Whole(expected, wire.len()), "what the next hop decodes");
    for careless in CARELESS {
        assert_eq!(careless.end(&wire), Some(wire.len()), "{careless:?}: {}", wire.escape_ascii());
    }
}

fn ends_at_its_end(wire: &[u8]) -> bool {
    matches!(reference::data(wire), Read::Whole(_, length) if length == wire.len())
}

/// On its way out; wherever the content is cut, it is the same.
fn stuffed(input: &Input<'_>, content: &[u8]) -> Vec<u8> {
    let whole: Vec<u8> = Stuffing::new(vec![Bytes::copy_from_slice(content)]).flatten().collect();
    let pieces = input.pieces(content).into_iter().map(Bytes::copy_from_slice).collect();
    assert_eq!(Stuffing::new(pieces).flatten().collect::<Vec<u8>>(), whole);
    whole
}
