use super::{fitness::MAX_LINE, *};

fn text(content: &[u8]) -> String {
    String::from_utf8(convert(content).unwrap().expect("it is not fit")).unwrap()
}

#[test]
fn what_is_fit_stays() {
    for content in [&b"Subject: x\r\n\r\nhello\r\n"[..], b"", b"\r\n", b"no header at all"] {
        assert_eq!(convert(content), Ok(None));
    }
    let long = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(MAX_LINE));
    assert_eq!(convert(long.as_bytes()), Ok(None));
}

#[test]
fn seed_146_text_is_quoted() {
    let mail = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                Content-Transfer-Encoding: 8bit\r\nSubject: caf\u{e9}s\r\n\r\n\
                Le caf\u{e9} = bon \r\n.From here on it is plain text, for the longest part of the line at least\r\n";
    assert_eq!(
        text(mail.as_bytes()),
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Subject: caf\u{e9}s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         Le caf=C3=A9 =3D bon=20\r\n=2EFrom here on it is plain text, for the longest part of the line at least\r\n"
    );
}

#[test]
fn long_lines_are_broken() {
    let body = format!("{}\u{e9} \r\n", "x".repeat(1_200));
    let converted = text(format!("Content-Type: text/plain\r\n\r\n{body}").as_bytes());
    let lines: Vec<&str> = converted.split("\r\n").collect();
    assert!(lines.iter().all(|line| line.len() <= 76), "{lines:#?}");
    assert_eq!(converted.replace("=\r\n", "").matches('x').count(), 1_200 + 1, "that of the type, too");
}

#[test]
fn much_is_base64_and_so_is_what_is_no_text() {
    let japanese = "\u{98db}\u{811a}\r\n".repeat(30);
    for content_type in ["text/plain; charset=utf-8", "application/octet-stream"] {
        let converted = text(format!("Content-Type: {content_type}\r\n\r\n{japanese}").as_bytes());
        let (header, body) = converted.split_once("\r\n\r\n").unwrap();
        assert!(header.ends_with("MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64"), "{header}");
        assert!(body.lines().all(|line| line.len() <= 76));
        assert_eq!(STANDARD.decode(body.replace("\r\n", "")).unwrap(), japanese.as_bytes());
    }
}

#[test]
fn a_message_without_mime_says_what_it_is() {
    let converted = text("Subject: x\r\n\r\n\u{e9}, and some more words around it\r\n".as_bytes());
    assert_eq!(
        converted,
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9, and some more words around it\r\n"
    );
}

/// Each part for itself, also in a message inside; what was fit is untouched.
#[test]
fn parts_are_encoded_for_themselves() {
    let mail = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed (a; comment)\r\n\t; boundary=\"a b\"\r\n\
                Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--a b\r\n\r\nfit --a b\r\n--a bc\r\n\r\n--a b \r\n\
                Content-Type: text/plain\r\n\r\nthe caf\u{e9} around the corner\r\n--a b\r\n\
                Content-Type: message/rfc822\r\n\r\nSubject: in\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n\
                another caf\u{e9} further away\r\n--a b--\r\nepilogue\r\n";
    let expected = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed (a; comment)\r\n\t; boundary=\"a b\"\r\n\
                Content-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n--a b\r\n\r\nfit --a b\r\n--a bc\r\n\r\n--a b \r\n\
                Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                the caf=C3=A9 around the corner\r\n--a b\r\n\
                Content-Type: message/rfc822\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: in\r\nMIME-Version: 1.0\r\n\
                Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                another caf=C3=A9 further away\r\n--a b--\r\nepilogue\r\n";
    assert_eq!(
        text(mail.as_bytes()),
        expected.replace("message/rfc822\r\nMIME-Version: 1.0\r\n", "message/rfc822\r\n")
    );
}

#[test]
fn what_may_not_be_encoded_is_refused() {
    let part = |content_type: &str, more: &str| {
        format!("Content-Type: {content_type}\r\n{more}\r\n--b\r\n\r\ncaf\u{e9}\r\n--b--\r\n")
    };
    for (mail, why) in [
        (part("multipart/signed; boundary=b", ""), NotConvertible::Signed),
        (part("message/partial", ""), NotConvertible::Opaque),
        (part("multipart/mixed", ""), NotConvertible::NoBoundary),
        (part("text/plain", "Content-Transfer-Encoding: BASE64\r\n"), NotConvertible::Encoded),
        (part("text/plain", "Content-Transfer-Encoding: x-uuencode\r\n"), NotConvertible::Encoded),
        (
            part("message/rfc822", "Content-Transfer-Encoding: (as) Quoted-Printable\r\n"),
            NotConvertible::Encoded,
        ),
        (part("multipart/mixed; boundary=c", ""), NotConvertible::NoBoundary),
        ("Content-Type: message/rfc822\r\n\r\n".repeat(60) + "\u{e9}", NotConvertible::TooDeep),
    ] {
        assert_eq!(convert(mail.as_bytes()), Err(why), "{mail}");
    }
}

/// Whatever it is made of: there is nothing left to convert, and nothing panics.
#[test]
fn pieces_in_any_order() {
    const PIECES: [&[u8]; 14] = [
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/plain; x=\"a\\\r\n",
        b"Content-Transfer-Encoding: 8bit\r\n",
        b"MIME-Version: 1.0\r\n",
        b"\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"--b",
        b"\xff\xfe",
        b"\n",
        b"\r",
        b"\0",
        b" folded (\r\n",
    ];
    let mut seed = 1_u32;
    for _ in 0..20_000 {
        let mut mail = Vec::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            mail.extend_from_slice(PIECES[(seed >> 16) as usize % PIECES.len()]);
        }
        let Ok(Some(converted)) = convert(&mail) else { continue };
        // What is left is a header that was not fit before.
        let again = convert(&converted).unwrap();
        assert!(
            again.as_ref().is_none_or(|again| *again == converted),
            "{} became {} and then {}",
            mail.escape_ascii(),
            converted.escape_ascii(),
            again.unwrap_or_default().escape_ascii()
        );
    }
}

/// RFC 2046 5.1.5: what says nothing is a message, and no message may be encoded as a whole.
#[test]
fn a_digest_is_made_of_messages() {
    let digest = "Content-Type: multipart/digest; boundary=----=_Part_1; x=y\r\nMIME-Version: 1.0\r\n\r\n\
                  ------=_Part_1\r\n\r\nSubject: a\r\n\r\nthe caf\u{e9} around the corner\r\n------=_Part_1--\r\n";
    let converted = text(digest.as_bytes());
    let (_, part) = converted.split_once("Part_1\r\n").unwrap();
    assert_eq!(
        part,
        "Content-Transfer-Encoding: 7bit\r\n\r\nSubject: a\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         the caf=C3=A9 around the corner\r\n------=_Part_1--\r\n"
    );
}

/// Text of marks that need three characters each does not grow threefold.
#[test]
fn nothing_grows_by_more_than_half() {
    for octet in ["=", "\u{1}", "\u{e9}", "x", "\r\n"] {
        let mail = format!("Content-Type: text/plain\r\n\r\n\u{e9}{}", octet.repeat(9_000));
        let converted = convert(mail.as_bytes()).unwrap().unwrap();
        assert!(
            converted.len() < mail.len() + mail.len() / 2,
            "{octet:?}: {} of {}",
            converted.len(),
            mail.len()
        );
    }
}

#[test]
fn many_small_parts_are_not_made_many_times_larger() {
    let mail = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned()
        + &"--b\r\n\r\n\u{e9}\r\n".repeat(9_000);
    assert_eq!(convert(mail.as_bytes()), Err(NotConvertible::TooLarge));
}
