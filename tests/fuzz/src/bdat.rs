//! Content in chunks of any size: accepted when DATA would have accepted it, stored as it was, and the session
//! goes on behind it. On its way out it is counted, or ended as in `data.rs`.

use bytes::Bytes;
use hikyaku_smtp::{server::Outcome, wire::counted::Counted};

use crate::{
    Input, data, reference,
    server::{Server, Setting},
};

const SENDER: &str = "EHLO c.example\r\nMAIL FROM:<a@c.example>";
const RECIPIENT: &str = "\r\nRCPT TO:<b@own.example>\r\n";

pub fn run(input: &[u8]) {
    let Some(input) = Input::read(input) else { return };
    // The marks of a stream would be taken out of it.
    if input.octets.iter().any(|octet| (0x16..=0x18).contains(octet)) {
        return;
    }
    for (body, is_binary) in [("", false), (" BODY=8BITMIME", false), (" BODY=BINARYMIME", true)] {
        let mut stream = format!("{SENDER}{body}{RECIPIENT}").into_bytes();
        stream.extend(in_chunks(&input));
        stream.extend_from_slice(b"NOOP\r\nQUIT\r\n");
        let seen = Server::play(Setting::default(), &stream, |octets| input.pieces(octets));
        assert_eq!(seen, Server::play(Setting::default(), &stream, |octets| vec![octets]));
        let text = String::from_utf8_lossy(&seen.said);
        let is_good = if is_binary { is_binary_good(input.octets) } else { reference::is_text(input.octets) };
        // Each chunk behind a refused one is out of order, and so many errors are the end.
        let is_cut_off = !is_good && text.contains("\r\n421 4.7.0 ");
        let is_in_step = text.ends_with("250 2.0.0 ok\r\n221 2.0.0 bye\r\n");
        assert!(is_in_step || is_cut_off, "{text}");
        match (&seen.stored[..], is_good) {
            ([transaction], true) => assert!(transaction.content.as_slice() == input.octets),
            ([], false) => {
                assert!(text.contains("\r\n554 5.6.0 ") && seen.outcomes == [Outcome::Rejected], "{text}");
            }
            (stored, is_good) => panic!("{} stored, {is_good}: {text}", stored.len()),
        }
        if is_good && is_binary {
            counted(&input);
        } else if is_good {
            data::relayed(&input, input.octets);
        }
    }
}

fn in_chunks(input: &Input<'_>) -> Vec<u8> {
    let chunks = crate::input::cut(input.octets, &input.numbers);
    // The last of the octets in the last chunk, or an empty one behind them.
    let (last, front) = match chunks.split_last() {
        Some((last, front)) if input.flag(0) => (*last, front),
        Some(_) | None => (&[][..], &chunks[..]),
    };
    let mut wire = Vec::new();
    for chunk in front {
        wire.extend(format!("BDAT {}\r\n", chunk.len()).into_bytes());
        wire.extend_from_slice(chunk);
    }
    wire.extend(format!("BDAT {} LAST\r\n", last.len()).into_bytes());
    wire.extend_from_slice(last);
    wire
}

/// The header is lines to its end; behind that, anything.
fn is_binary_good(content: &[u8]) -> bool {
    let end = match content {
        [b'\r', b'\n', ..] => Some(2),
        _ => content.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4),
    };
    reference::is_lines(&content[..end.unwrap_or(content.len())])
}

fn counted(input: &Input<'_>) {
    let pieces = input.pieces(input.octets).into_iter().map(Bytes::copy_from_slice).collect();
    let wire: Vec<u8> = Counted::new(pieces).flatten().collect();
    let command = format!("BDAT {} LAST\r\n", input.octets.len());
    assert!(wire.strip_prefix(command.as_bytes()) == Some(input.octets));
}
