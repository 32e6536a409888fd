use secrecy::ExposeSecret as _;

use super::*;
use crate::{server::AuthAnswer, server::AuthStep, wire::sasl};

const PASSWORD: &str = "secret";

/// Offers everything, over TLS on demand.
pub(super) fn config() -> SessionConfig {
    SessionConfig {
        hostname: "gw.example".to_owned(),
        starttls: true,
        auth: AuthConfig { offered: true, cram_md5: true, scram: true },
        ..SessionConfig::default()
    }
}

fn submission() -> SessionConfig {
    SessionConfig { listener: Listener::Submission, ..config() }
}

/// Everybody's password is `secret`; `later@` cannot be looked up; a proof is right when it is
/// two zeros.
pub(super) fn answer(step: AuthStep) -> AuthAnswer {
    let (login, is_right, server_signature) = match step {
        AuthStep::Password { login, password } => (login, password.expose_secret() == PASSWORD, None),
        AuthStep::CramMd5 { login, challenge, digest } => {
            assert_eq!(challenge, format!("<{}@gw.example>", "07".repeat(18)));
            (login, digest == [0x11; 16], None)
        }
        AuthStep::ScramStart { .. } => {
            return AuthAnswer::Challenge { salt: b"salt".to_vec(), iterations: 4096 };
        }
        AuthStep::ScramFinish { login, client_proof, .. } => {
            (login, client_proof == [0, 0], Some(b"signature".to_vec()))
        }
    };
    if login.local_part() == "later" {
        return AuthAnswer::Refused(refuse(454, EnhancedCode(4, 7, 0)));
    }
    match is_right {
        true => AuthAnswer::Accepted { identity: login, server_signature },
        false => AuthAnswer::Refused(refuse(535, EnhancedCode(5, 7, 8))),
    }
}

fn secure(config: SessionConfig) -> Bench {
    let mut bench = Bench::new(config);
    bench.say("EHLO c\r\nSTARTTLS\r\n");
    bench.say("EHLO c.example\r\n");
    bench
}

fn plain(login: &str, password: &str) -> String {
    sasl::encode(format!("\0{login}\0{password}"))
}

fn good() -> String {
    format!("AUTH PLAIN {}\r\n", plain("a@own.example", PASSWORD))
}

fn bad() -> String {
    format!("AUTH PLAIN {}\r\n", plain("a@own.example", "wrong"))
}

fn identity(bench: &Bench) -> Option<String> {
    bench.session.identity().map(ToString::to_string)
}

#[test]
fn an_identity_is_part_of_the_transaction() {
    let mut bench = secure(submission());
    assert_eq!(bench.say("MAIL FROM:<a@own.example>\r\n"), ["530 5.7.0"]);
    assert_eq!(bench.say("MAIL FROM:<a@own.example> SIZE=99999999999\r\n"), ["530 5.7.0"]);
    assert_eq!(bench.say(&good()), ["235 2.7.0"]);
    assert_eq!(bench.exchanges, [(Mechanism::Plain, AuthOutcome::Accepted)]);
    bench.say(TRANSACTION);
    bench.say("x\r\n.\r\n");
    let stored = &bench.stored[0];
    assert_eq!(stored.identity.as_ref().map(ToString::to_string).as_deref(), Some("a@own.example"));
    assert!(stored.is_secure);
    assert_eq!(bench.say("RSET\r\nEHLO c\r\n").last().map(String::as_str), Some("250"));
    assert_eq!(identity(&bench).as_deref(), Some("a@own.example"), "RSET and EHLO forget nobody");
}

#[test]
fn a_relay_listener_asks_nobody() {
    let mut bench = secure(config());
    assert_eq!(bench.say("MAIL FROM:<a@c.example>\r\nRSET\r\n"), ["250 2.1.0", "250 2.0.0"]);
    bench.say(TRANSACTION);
    bench.say("x\r\n.\r\n");
    assert_eq!(bench.stored[0].identity, None);
}

#[test]
fn each_mechanism_in_both_forms() {
    let scram_first = sasl::encode("n,,n=a@own.example,r=n");
    let nonce = format!("n{}", sasl::encode([7; 18]));
    let scram_final = sasl::encode(format!("c=biws,r={nonce},p={}", sasl::encode([0, 0])));
    let cram = sasl::encode(format!("a@own.example {}", "11".repeat(16)));
    let name = sasl::encode("a@own.example");
    let word = sasl::encode(PASSWORD);
    let plain = plain("a@own.example", PASSWORD);
    for (lines, codes) in [
        (format!("AUTH PLAIN {plain}\r\n"), &["235 2.7.0"][..]),
        (format!("auth plain\r\n{plain}\r\n"), &["334", "235 2.7.0"]),
        (format!("AUTH LOGIN\r\n{name}\r\n{word}\r\n"), &["334", "334", "235 2.7.0"]),
        (format!("AUTH LOGIN {name}\r\n{word}\r\n"), &["334", "235 2.7.0"]),
        (format!("AUTH CRAM-MD5\r\n{cram}\r\n"), &["334", "235 2.7.0"]),
        (format!("AUTH SCRAM-SHA-256 {scram_first}\r\n{scram_final}\r\n\r\n"), &["334", "334", "235 2.7.0"]),
        (
            format!("AUTH SCRAM-SHA-256\r\n{scram_first}\r\n{scram_final}\r\n\r\n"),
            &["334", "334", "334", "235 2.7.0"],
        ),
    ] {
        let mut bench = secure(submission());
        assert_eq!(bench.say(&lines), codes, "{lines:?}");
        assert_eq!(identity(&bench).as_deref(), Some("a@own.example"), "{lines:?}");
        assert_eq!(bench.say(&good()), ["503 5.5.1"], "a second time");
    }
}

/// RFC 4954 4: the client checks our proof before it believes us.
#[test]
fn our_own_proof_is_sent_before_the_end() {
    let nonce = format!("n{}", sasl::encode([7; 18]));
    let lines = format!(
        "AUTH SCRAM-SHA-256 {}\r\n{}\r\n",
        sasl::encode("n,,n=a@own.example,r=n"),
        sasl::encode(format!("c=biws,r={nonce},p={}", sasl::encode([0, 0])))
    );
    let mut bench = secure(submission());
    bench.say(&lines);
    let proof = sasl::encode(format!("v={}", sasl::encode("signature")));
    assert!(bench.writes.concat().ends_with(&format!("334 {proof}\r\n")), "{:?}", bench.writes);
    assert_eq!(identity(&bench), None);
    assert_eq!(bench.say("*\r\n"), ["501 5.7.0"], "it does not believe us");
    assert_eq!((identity(&bench), bench.say("MAIL FROM:<>\r\n")), (None, vec!["530 5.7.0".to_owned()]));
}

#[test]
fn what_is_wrong_with_an_exchange() {
    let long = format!("AUTH PLAIN\r\n{}\r\n", "A".repeat(sasl::MAX_RESPONSE_LINE - 1));
    let not_too_long = format!("AUTH PLAIN\r\n{}\r\n", "A".repeat(sasl::MAX_RESPONSE_LINE - 4));
    let other = sasl::encode(format!("b@own.example\0a@own.example\0{PASSWORD}"));
    for (lines, codes) in [
        ("AUTH\r\n".to_owned(), &["501 5.5.4"][..]),
        ("AUTH PLAIN a b\r\n".to_owned(), &["501 5.5.4"]),
        ("AUTH GSSAPI\r\n".to_owned(), &["504 5.5.4"]),
        ("AUTH PLAIN not-base64\r\n".to_owned(), &["501 5.5.2"]),
        ("AUTH PLAIN =\r\n".to_owned(), &["501 5.5.2"]),
        ("AUTH PLAIN\r\nA\r\n".to_owned(), &["334", "501 5.5.2"]),
        ("AUTH PLAIN\r\n\r\n".to_owned(), &["334", "501 5.5.2"]),
        ("AUTH PLAIN\r\n*\r\n".to_owned(), &["334", "501 5.7.0"]),
        ("AUTH LOGIN\r\nYQ==\r\n*\r\n".to_owned(), &["334", "334", "501 5.7.0"]),
        ("AUTH CRAM-MD5 YQ==\r\n".to_owned(), &["501 5.5.4"]),
        ("AUTH CRAM-MD5\r\n=\r\n".to_owned(), &["334", "501 5.5.2"]),
        ("AUTH SCRAM-SHA-256 YQ==\r\n".to_owned(), &["501 5.5.2"]),
        (long, &["334", "500 5.5.6"]),
        (not_too_long, &["334", "501 5.5.2"]),
        (bad(), &["535 5.7.8"]),
        (format!("AUTH PLAIN {other}\r\n"), &["535 5.7.8"]),
        (format!("AUTH PLAIN {}\r\n", plain("bare", PASSWORD)), &["535 5.7.8"]),
        (format!("AUTH PLAIN {}\r\n", plain("later@own.example", PASSWORD)), &["454 4.7.0"]),
    ] {
        let mut bench = secure(submission());
        let shown = &lines[..lines.len().min(60)];
        assert_eq!(bench.say(&lines), codes, "{shown:?}");
        assert_eq!(bench.say(&good()), ["235 2.7.0"], "the next one is not disturbed: {shown:?}");
    }
    let mut bench = secure(submission());
    bench.say("AUTH PLAIN\r\nAA\nQUIT\r\n");
    assert!(bench.closed, "a bare line end");
}

/// SEED-048.
#[test]
fn a_bare_login_is_completed_by_its_listener() {
    let default_domain = "test.jp".parse().ok();
    let mut bench = secure(SessionConfig { default_domain, ..submission() });
    assert_eq!(bench.say(&format!("AUTH PLAIN {}\r\n", plain("bucho", PASSWORD))), ["235 2.7.0"]);
    assert_eq!(identity(&bench).as_deref(), Some("bucho@test.jp"));
}

/// SEED-116.
#[test]
fn five_failures_are_the_end() {
    let mut bench = secure(submission());
    let codes = bench.say(&bad().repeat(4));
    assert_eq!(codes, vec!["535 5.7.8"; 4]);
    assert_eq!(bench.say(&bad()), ["421 4.7.0"]);
    assert!(bench.closed);
    assert_eq!(bench.exchanges, vec![(Mechanism::Plain, AuthOutcome::Refused); 5]);
    assert_eq!(bench.checks.last(), Some(&"smtp.auth-failures"));

    // Those that nobody had to be asked about count as well; what cannot be looked up does not.
    let mut bench = secure(submission());
    let bare = format!("AUTH PLAIN {}\r\n", plain("bare", PASSWORD));
    let later = format!("AUTH PLAIN {}\r\n", plain("later@own.example", PASSWORD));
    bench.say(&later.repeat(5));
    assert!(!bench.closed);
    assert_eq!(bench.say(&bare.repeat(5)).last().map(String::as_str), Some("421 4.7.0"));
    assert!(bench.closed);
}

#[test]
fn exchanges_that_lead_nowhere_end_too() {
    let mut bench = secure(submission());
    bench.say(&"AUTH PLAIN\r\n*\r\n".repeat(20));
    assert!(bench.closed);
    assert_eq!(bench.exchanges, vec![(Mechanism::Plain, AuthOutcome::Aborted); 20]);
}

#[test]
fn where_there_is_no_auth() {
    let mut bench = Bench::ready();
    assert_eq!(bench.say("AUTH PLAIN =\r\nMAIL FROM:<> AUTH=<>\r\n"), ["503 5.5.1", "555 5.5.4"]);

    let mut bench = Bench::new(submission());
    assert_eq!(bench.say(&good()), ["503 5.5.1"], "before EHLO");
    bench.say("EHLO c\r\n");
    assert!(bench.writes[0].ends_with("250-STARTTLS\r\n250 AUTH CRAM-MD5 SCRAM-SHA-256\r\n"));
    assert_eq!(bench.say("AUTH PLAIN\r\nAUTH LOGIN\r\n"), ["538 5.7.11", "538 5.7.11"]);

    let mut bench = secure(config());
    assert!(bench.writes[0].ends_with("250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256\r\n"));
    let in_transaction = format!("MAIL FROM:<> AUTH=<>\r\n{}STARTTLS\r\n", good());
    assert_eq!(bench.say(&in_transaction), ["250 2.1.0", "503 5.5.1", "503 5.5.1"]);
}

/// An answer that nobody asked for gives nobody a name.
#[test]
fn stray_identities_close_the_session() {
    let accepted =
        || AuthAnswer::Accepted { identity: "a@own.example".parse().unwrap(), server_signature: None };
    let mut bench = secure(submission());
    bench.handle(Event::AuthAnswered(accepted()));
    assert!(bench.closed && identity(&bench).is_none());

    let mut bench = secure(submission());
    bench.say("AUTH PLAIN\r\n");
    bench.handle(Event::AuthAnswered(accepted()));
    assert!(bench.closed && identity(&bench).is_none());

    // A challenge is no answer to a password, and a password needs no proof of ours.
    let signature = AuthAnswer::Accepted {
        identity: "a@own.example".parse().unwrap(),
        server_signature: Some(Vec::new()),
    };
    for answer in [AuthAnswer::Challenge { salt: Vec::new(), iterations: 1 }, signature] {
        let mut bench = secure(submission());
        bench.session.handle(Event::Input(good().as_bytes()), bench.now);
        while bench.session.next_action().is_some() {}
        bench.handle(Event::AuthAnswered(answer));
        assert!(bench.closed && identity(&bench).is_none());
    }
}

#[test]
fn silence_and_draining_in_an_exchange() {
    let mut bench = secure(submission());
    bench.say("AUTH PLAIN\r\n");
    assert_eq!(bench.pass(300), ["421 4.4.2"]);
    assert_eq!(bench.exchanges, [(Mechanism::Plain, AuthOutcome::Aborted)]);

    let mut bench = secure(submission());
    bench.say("AUTH PLAIN\r\n");
    bench.writes.clear();
    bench.handle(Event::Draining);
    assert_eq!(bench.codes(), ["421 4.3.2"]);
}

/// Every cut of every exchange gives the same replies.
#[test]
fn cuts_are_invisible_in_an_exchange() {
    let whole = format!(
        "AUTH LOGIN\r\n{}\r\n{}\r\nAUTH PLAIN\r\n*\r\n{}MAIL FROM:<a@own.example>\r\nQUIT\r\n",
        sasl::encode("a@own.example"),
        sasl::encode("wrong"),
        good()
    );
    let run = |pieces: [&str; 3]| {
        let mut bench = secure(submission());
        bench.writes.clear();
        for piece in pieces {
            bench.handle(Event::Input(piece.as_bytes()));
        }
        (bench.writes.concat(), bench.exchanges, bench.checks, bench.closed)
    };
    let expected = run([&whole, "", ""]);
    assert!(expected.3);
    for first in 0..=whole.len() {
        for second in first..=whole.len() {
            let got = run([&whole[..first], &whole[first..second], &whole[second..]]);
            assert_eq!(got, expected, "cut at {first} and {second}");
        }
    }
}

#[test]
fn a_password_is_in_no_output() {
    let secret = "correct horse";
    let line = format!("AUTH PLAIN {}\r\n", plain("a@own.example", secret));
    let encoded = plain("a@own.example", secret);
    let mut bench = secure(submission());
    let event = Event::Input(line.as_bytes());
    let mut shown = format!("{event:?}");
    bench.session.handle(event, bench.now);
    shown += &format!("{:?}", bench.session);
    while let Some(action) = bench.session.next_action() {
        shown += &format!("{action:?}");
    }
    assert!(shown.contains("Password") && shown.contains("own.example"), "{shown}");
    assert!(!shown.contains(secret) && !shown.contains(&encoded), "{shown}");
}

/// Also where AUTH did not begin: it was too long, or had an argument too many.
#[test]
fn a_watcher_sees_no_response_of_a_client_that_goes_on() {
    for auth in [format!("AUTH PLAIN {}\r\n", "A".repeat(3000)), "AUTH PLAIN a b\r\n".to_owned()] {
        let mut bench = secure(submission());
        bench.session.tell_lines(true);
        bench.say(&format!("{auth}{}\r\nQUIT\r\n", plain("a@own.example", PASSWORD)));
        assert_eq!(bench.heard[bench.heard.len() - 2..], ["***", "QUIT"]);
    }
}

/// A client that does not wait for the reply to DATA sends its message as commands, when that was refused.
#[test]
fn a_watcher_sees_no_content_behind_a_refused_data() {
    let mut bench = secure(submission());
    bench.session.tell_lines(true);
    bench.say("NOPE\r\nDATA\r\nSubject: confidential\r\n\r\nQUIT\r\n");
    assert_eq!(bench.heard, ["NOPE", "DATA", "***", "***", "QUIT"]);
}
