use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hikyaku_types::{
    body::Body,
    envelope::{Lane, Transfer},
    outcome::{Cause, FailureClass, LocalError, LocalErrorKind, Phase},
    reply::EnhancedCode,
};

use super::*;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn attempt() -> SystemTime {
    at(1_795_000_000)
}

fn failure(class: FailureClass, status: EnhancedCode, cause: Cause) -> Failure {
    Failure { at: attempt(), phase: Phase::Rcpt, class, cause, status }
}

fn reply(code: u16, enhanced: EnhancedCode, text: &str) -> RemoteReply {
    RemoteReply {
        host: "mx.example.org".to_owned(),
        address: "192.0.2.1:25".parse().unwrap(),
        code,
        enhanced: Some(enhanced),
        text: text.to_owned(),
    }
}

fn refused(text: &str) -> Failure {
    let status = EnhancedCode(5, 1, 1);
    failure(FailureClass::Perm, status, Cause::Remote(reply(550, status, text)))
}

fn deferred() -> Failure {
    let status = EnhancedCode(4, 7, 1);
    failure(FailureClass::Temp, status, Cause::Remote(reply(451, status, "greylisted\nsee you")))
}

fn silent() -> Failure {
    let cause = Cause::Local(LocalError::new(
        LocalErrorKind::Os(111),
        "mx.example.org[192.0.2.1:25]: connection refused (ECONNREFUSED)",
    ));
    failure(FailureClass::NoReply, EnhancedCode(4, 4, 1), cause)
}

fn failed(failure: &Failure, expired: bool) -> Fate<'_> {
    Fate::Failed { failure, last_attempt: attempt(), expired }
}

fn recipient(address: &str) -> Recipient {
    Recipient::new(address.parse().unwrap(), None)
}

fn aliased() -> Recipient {
    Recipient::new("b@example.org".parse().unwrap(), Some("info@own.example".to_owned()))
}

fn envelope() -> Envelope {
    Envelope {
        entry: QueueId::new(1_794_999_000_000, 2).entry(0),
        destination: "example.org".parse().unwrap(),
        reverse_path: "a@example.net".parse().unwrap(),
        recipients: vec![aliased()],
        body: Body::Inline(Bytes::new()),
        transfer: Transfer { envelope_id: "QQ+2B314159".parse().ok(), ..Transfer::PLAIN },
        accepted_at: at(1_794_999_000),
        attempt: 0,
        first_attempt_at: None,
        client: Some("2001:db8::1".parse().unwrap()),
        delay_reported: false,
        lane: Lane::Fresh,
    }
}

fn write(kind: Kind, recipients: &[(Recipient, Fate<'_>)], original: Original<'_>) -> String {
    let recipients: Vec<Reported<'_>> =
        recipients.iter().map(|(recipient, fate)| Reported { recipient, fate: *fate }).collect();
    let report = Report {
        id: QueueId::new(1_795_000_001_000, 1),
        kind,
        reporting_mta: &"gw.example".parse().unwrap(),
        to: &"a@example.net".parse().unwrap(),
        about: &envelope(),
        now: at(1_795_000_001),
        recipients: &recipients,
        original,
    };
    String::from_utf8(report.to_bytes()).unwrap()
}

fn undelivered(failure: &Failure, original: Original<'_>) -> String {
    write(Kind::Failed, &[(aliased(), failed(failure, false))], original)
}

/// Whole reports, to be read by people: tests/golden/dsn-*.eml.
fn compare(name: &str, text: &str) {
    let path = format!("{}/../../../tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
}

const ORIGINAL: &[u8] = b"Subject: hello\r\n\r\nbody\r\n";

#[test]
fn golden_failed() {
    let mut listed = recipient("c@example.org");
    listed.reporting.original_recipient = "rfc822;c+2Blist@far.example".parse().ok();
    let (refused, deferred, silent) = (refused("user unknown"), deferred(), silent());
    let said_before = Fate::Failed {
        failure: &deferred,
        last_attempt: attempt() + Duration::from_secs(3600),
        expired: true,
    };
    let text = write(
        Kind::Failed,
        &[
            (aliased(), failed(&refused, false)),
            (listed, said_before),
            (recipient("d@example.org"), failed(&silent, true)),
            (recipient("用户@example.org"), failed(&refused, false)),
        ],
        Original::Whole(ORIGINAL),
    );
    compare("dsn-failed.eml", &text);
}

#[test]
fn golden_delayed() {
    let deferred = deferred();
    let silent = silent();
    let last_attempt = attempt();
    let until = Some(attempt() + Duration::from_secs(3600));
    let text = write(
        Kind::Delayed,
        &[
            (aliased(), Fate::Delayed { failure: &deferred, last_attempt, until }),
            (recipient("c@example.org"), Fate::Delayed { failure: &silent, last_attempt, until: None }),
        ],
        Original::Header(ORIGINAL),
    );
    compare("dsn-delayed.eml", &text);
}

#[test]
fn golden_relayed() {
    let reply = reply(250, EnhancedCode(2, 6, 0), "stored");
    let fate = Fate::Relayed { reply: &reply, at: attempt() };
    compare("dsn-relayed.eml", &write(Kind::Relayed, &[(aliased(), fate)], Original::Header(ORIGINAL)));
}

/// Scenario 10: what was said is reported; silence is reported as what it was.
#[test]
fn an_expired_message_has_the_status_of_its_reason() {
    let (deferred, silent, refused) = (deferred(), silent(), refused("no"));
    for (failure, expired, status, diagnostic) in [
        (&deferred, true, "5.4.7", "smtp; 451 4.7.1 greylisted"),
        (&silent, true, "4.4.1", "x-local; mx.example.org[192.0.2.1:25]: connection refused"),
        (&refused, false, "5.1.1", "smtp; 550 5.1.1 no"),
        (&silent, false, "5.4.1", "x-local; "),
    ] {
        let text = write(Kind::Failed, &[(aliased(), failed(failure, expired))], Original::Whole(b""));
        assert!(text.contains(&format!("\r\nStatus: {status}\r\n")), "{text}");
        assert!(text.contains(&format!("\r\nDiagnostic-Code: {diagnostic}")), "{text}");
    }
}

#[test]
fn remote_text_cannot_add_fields() {
    let forged = refused("no\r\nStatus: 2.0.0\n\nFinal-Recipient: rfc822; x@y");
    let text = undelivered(&forged, Original::Whole(b""));
    assert!(!text.contains("\r\nStatus: 2.0.0"), "{text}");
    assert!(!text.contains("\r\nFinal-Recipient: rfc822; x@y"), "{text}");
}

#[test]
fn no_line_is_too_long_for_mail() {
    let text = undelivered(&refused(&"あ".repeat(5_000)), Original::Whole(b""));
    assert!(text.split("\r\n").all(|line| line.len() <= 998));
}

/// RFC 6533 6.
#[test]
fn what_a_server_said_beyond_ascii_has_its_own_type() {
    let ascii = undelivered(&refused("no"), Original::Whole(b""));
    assert!(ascii.contains("\r\nContent-Type: message/delivery-status\r\n\r\n"));
    let beyond = undelivered(&refused("いいえ"), Original::Whole(b""));
    assert!(beyond.contains("\r\nContent-Type: message/global-delivery-status\r\n"));
}

#[test]
fn a_header_is_returned_without_what_follows_it() {
    let text = undelivered(&refused("no"), Original::Header(b"Subject: s\r\n\r\nsecret body"));
    assert!(text.contains("text/rfc822-headers") && text.contains("Subject: s"));
    assert!(!text.contains("secret body"));
}

#[test]
fn boundary_is_not_in_the_original() {
    let id = QueueId::new(1_795_000_001_000, 1);
    let original = format!("--=_{id}--");
    let text = undelivered(&refused("no"), Original::Whole(original.as_bytes()));
    assert!(text.contains(&format!("boundary=\"=_{id}_\"")));
}
