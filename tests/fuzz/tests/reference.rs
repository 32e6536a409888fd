//! What the targets compare with does what it should.

use hikyaku_fuzz::{
    corpus,
    reference::{Careless, Read, data, is_lines, is_text},
};

#[test]
fn the_reference_reads_what_it_should() {
    for (wire, read) in [
        (&b".\r\n"[..], Read::Whole(Vec::new(), 3)),
        (b"a\r\n..b\r\n.\r\nQUIT\r\n", Read::Whole(b"a\r\n.b\r\n".to_vec(), 11)),
        (b"a\r\n.\r", Read::Unfinished),
        (b"a\n.\r\n", Read::Broken),
        (b"a\r\n\0.\r\n.\r\n", Read::Broken),
        (b".\0\r\n.\r\n", Read::Whole(b"\0\r\n".to_vec(), 7)),
        (b"a\r.\r\n", Read::Broken),
    ] {
        assert_eq!(data(wire), read, "{}", wire.escape_ascii());
    }
    assert!(is_lines(b"a\r\n\r\nb") && !is_lines(b"\n") && !is_lines(b"a\r") && is_lines(b"\0"));
    assert!(is_text(b"\0\r\n\0..") && !is_text(b"\0.") && !is_text(b"a\r\n\0\0.\0\r\nb") && !is_text(b"\n"));
}

/// Each of them is fooled by something.
#[test]
fn careless_servers_are() {
    for (careless, wire) in [
        (Careless::LineFeed, &b"a\n.\nQUIT"[..]),
        (Careless::CarriageReturn, b"a\r.\rQUIT"),
        (Careless::DropsNul, b"a\r\n\0.\r\nQUIT"),
        (Careless::CutsAtNul, b"a\r\n.\0x\r\nQUIT"),
    ] {
        assert_eq!(careless.end(wire), Some(wire.len() - 4), "{careless:?}");
    }
    assert_eq!(Careless::LineFeed.end(b"a\r\n.\r\n"), Some(6));
    assert_eq!(Careless::CarriageReturn.end(b"a\r\n.\r\n"), Some(6));
}

#[test]
fn what_is_kept_is_read_as_it_was_written() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(corpus::unescape(&all.escape_ascii().to_string()).unwrap(), all);
    assert!(["\\", "\\q", "\\x1"].iter().all(|text| corpus::unescape(text).is_err()));
    let inputs = [b"bb".to_vec(), b"a\n".to_vec(), b"c".to_vec(), b"c".to_vec()];
    assert_eq!(corpus::text(&inputs), "c\na\\n\nbb\n");
}
