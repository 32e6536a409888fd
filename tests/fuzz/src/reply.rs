//! Anything as a server's side of a session.

use hikyaku_smtp::{
    client::{Capabilities, Login, Mechanism, StartTls},
    wire::reply::ReplyReader,
};
use hikyaku_types::envelope::BodyKind;
use secrecy::SecretString;

use crate::{
    Input,
    client::{Client, delivery},
    input::cut,
};

const SECRET: &str = "s3cret/t0ken";

pub fn run(input: &[u8]) {
    let Some(input) = Input::read(input) else { return };
    replies(&input);
    let whole = client(&input).play(input.octets, |octets| vec![octets]);
    let pieces = client(&input).play(input.octets, |octets| input.pieces(octets));
    assert_eq!(pieces, whole, "how it is cut into reads is visible");
    let octet_by_octet = client(&input).play(input.octets, |octets| cut(octets, &[1]));
    assert_eq!(octet_by_octet, whole, "read octet by octet");
    // What a server repeats of a login is shown to nobody.
    let shown = format!("{:?} {:?}", whole.results, whole.failures);
    assert!(!whole.said.windows(4).any(|four| four == b"AUTH") || !shown.contains(SECRET), "{shown}");
}

fn client(input: &Input<'_>) -> Client {
    let starttls = match (input.flag(0), input.flag(1)) {
        (false, false) => StartTls::Never,
        (true, false) => StartTls::IfOffered,
        (_, true) => StartTls::Required,
    };
    let mechanism = Mechanism::ALL.get(usize::from(input.numbers[1])).copied();
    let login = Login { user: "tim".into(), secret: SecretString::from(SECRET), mechanism };
    let contents: [&[u8]; 3] = [b".x\r\n", b"", b"A: b\r\n\r\nno end of line"];
    let [first, second, third] = contents.map(|content| delivery(usize::from(input.numbers[0] % 4), content));
    let mut deliveries = vec![first, second, third];
    if input.flag(5) {
        deliveries[1].transfer.body = BodyKind::BinaryMime;
    }
    if input.flag(6) {
        deliveries[0].transfer.body = BodyKind::EightBitMime;
        deliveries[0].transfer.smtputf8 = true;
        deliveries[0].reverse_path = "\u{7528}@c.example".parse().unwrap();
        deliveries[2].transfer.envelope_id = "QQ+2B".parse().ok();
        deliveries[2].transfer.require_tls = true;
    }
    Client::new(starttls, Some(login).filter(|_| input.flag(3)), input.flag(2), deliveries)
}

/// The reader alone: the same replies, or the same error, wherever it is cut.
fn replies(input: &Input<'_>) {
    let read = |pieces: Vec<&[u8]>| {
        let (mut reader, mut replies) = (ReplyReader::default(), Vec::new());
        for piece in pieces {
            reader.push(piece);
            loop {
                match reader.next_reply() {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(error) => return (replies, Some(error)),
                }
            }
        }
        (replies, None)
    };
    let whole = read(vec![input.octets]);
    assert_eq!(read(input.pieces(input.octets)), whole);
    assert_eq!(read(cut(input.octets, &[1])), whole);
    for reply in &whole.0 {
        assert!((200..600).contains(&reply.code));
        assert!(!reply.text.contains(|c: char| c.is_control() && c != '\n'));
        let _ = Capabilities::parse(&reply.text);
    }
}
