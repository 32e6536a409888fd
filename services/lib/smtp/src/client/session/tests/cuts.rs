//! How what a server says is cut into reads changes nothing, whatever it says.

use secrecy::SecretString;

use super::*;
use crate::client::{Login, Mechanism};

const OFFER: &str = "220-mx.example\r\n220 ESMTP\r\n\
    |250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-CHUNKING\r\n250 BINARYMIME\r\n|";
const TLS: &str = "220 a\r\n|250-a\r\n250 STARTTLS\r\n|220 go\r\n|250-a\r\n250 AUTH LOGIN CRAM-MD5\r\n|";

/// What servers say, in flights: behind each of them it is our turn.
fn sessions() -> Vec<(&'static str, String)> {
    let with_offer = [
        "250 2.1.0 ok\r\n250 2.1.5 ok\r\n550-5.1.1 no\r\n550 5.1.1 such\r\n354 go\r\n|250 2.0.0 kept as 1\r\n",
        "550 no\r\n503 -\r\n503 -\r\n503 -\r\n|250 ok\r\n",
        "250 ok\r\n550 a\r\n452 b\r\n354 go\r\n|250 ok\r\n",
        "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n|554-5.6.0 spam\r\n554 5.6.0 spam\r\n",
        "250 ok\r\n250 ok\r\n421 4.3.2 bye\r\n",
        "250 ok\r\n250 ok\r\nwhat?\r\n",
        "250 ok\r\n250 ok\r\n250-a\r\n251 b\r\n",
        "250 one\n250 two\n451 three\n354 four\n|250 five\n",
        "354 go\r\n",
    ];
    let mut sessions: Vec<_> = with_offer.iter().map(|rest| ("", format!("{OFFER}{rest}"))).collect();
    sessions.extend(
        [
            "250 ok\r\n250 ok\r\n250 ok\r\n|250 kept\r\n",
            "250 ok\r\n250 ok\r\n250 ok\r\n|552 no\r\n|250 ok\r\n",
        ]
        .map(|rest| ("binary", format!("{OFFER}{rest}"))),
    );
    let one_by_one = "220 a\r\n|250-a\r\n250 SIZE\r\n|250 a\r\n|250 b\r\n|550 c\r\n|354 d\r\n|250 e\r\n";
    let helo = "220 a\r\n|502 what?\r\n|250 a\r\n|250 a\r\n|250 b\r\n|250 c\r\n|354 d\r\n|250 e\r\n";
    sessions
        .extend([one_by_one, helo, "554 go away\r\n", "421-a\r\n421 b\r\n"].map(|all| ("", all.to_owned())));
    let login = "334 VXNlcg==\r\n|334 UGFzcw==\r\n|235 2.7.0 welcome\r\n|250 a\r\n";
    sessions.push(("login", format!("{TLS}{login}")));
    sessions.push(("login", format!("{TLS}535 5.7.8 s3cret is wrong\r\n")));
    sessions.push(("login", "220 a\r\n|250-a\r\n250 STARTTLS\r\n|220 go\r\n250 injected\r\n".to_owned()));
    sessions.push(("login", "220 a\r\n|250-a\r\n250 STARTTLS\r\n|454 4.7.0 not now\r\n".to_owned()));
    sessions
}

/// What is said and done when each flight comes in the pieces that `cut` makes of it.
fn played(kind: &str, session: &str, cut: impl Fn(usize, &str) -> Vec<String>) -> (String, Vec<Action>) {
    let mut bench = Bench::with(|config| {
        if kind == "login" {
            let login = Login {
                user: "tim".into(),
                secret: SecretString::from("s3cret"),
                mechanism: Some(Mechanism::Login),
            };
            (config.starttls, config.login) = (StartTls::Required, Some(login));
        }
    });
    let mut message = delivery(&TWO, ".x\r\ny");
    if kind == "binary" {
        message.transfer.body = BodyKind::BinaryMime;
    }
    let mut message = Some(message);
    for (number, flight) in session.split('|').enumerate() {
        for piece in cut(number, flight) {
            bench.hear(&piece);
        }
        if bench.actions.last() == Some(&Action::StartTls) {
            bench.handle(Event::Secured);
        }
        if let Some(message) = message.take_if(|_| bench.session.is_ready()) {
            bench.start(message);
        }
    }
    bench.handle(Event::Closed(Cut::Closed));
    // The handshake is asked for, or not any more, when a packet ends behind the reply to STARTTLS.
    bench.actions.retain(|action| *action != Action::StartTls);
    (bench.sent, bench.actions)
}

#[test]
fn no_cut_is_seen() {
    for (kind, session) in sessions() {
        let whole = played(kind, &session, |_, flight| vec![flight.to_owned()]);
        assert_eq!(whole.1.last(), Some(&Action::Close), "{session:?}");
        for (number, flight) in session.split('|').enumerate() {
            for at in 1..flight.len() {
                let cut = played(kind, &session, |of, flight| {
                    let (front, rest) = flight.split_at(if of == number { at } else { 0 });
                    vec![front.to_owned(), rest.to_owned()]
                });
                assert_eq!(cut, whole, "{session:?}: flight {number} cut at {at}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_cuts_are_seen(sizes in prop::collection::vec(1_usize..20, 1..12)) {
        for (kind, session) in sessions() {
            let whole = played(kind, &session, |_, flight| vec![flight.to_owned()]);
            let cut = played(kind, &session, |_, flight| {
                let (mut rest, mut pieces, mut sizes) = (flight, Vec::new(), sizes.iter().cycle());
                while !rest.is_empty() {
                    let (piece, behind) = rest.split_at(sizes.next().map_or(1, |size| (*size).min(rest.len())));
                    pieces.push(piece.to_owned());
                    rest = behind;
                }
                pieces
            });
            prop_assert_eq!(cut, whole, "{:?}", session);
        }
    }
}
