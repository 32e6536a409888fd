use super::*;

fn config() -> SessionConfig {
    SessionConfig { starttls: true, ..SessionConfig::default() }
}

/// RFC 3207 4.2: the session stands where it stood at the greeting.
#[test]
fn the_handshake_is_a_new_beginning() {
    let mut bench = Bench::new(config());
    bench.say("EHLO before.example\r\n");
    assert!(bench.writes[0].ends_with("250 STARTTLS\r\n"));
    assert_eq!(bench.say("STARTTLS\r\n"), ["220 2.0.0"]);
    assert_eq!(bench.handshakes, 1);
    assert_eq!(bench.session.client_name(), None);
    assert_eq!(bench.say("MAIL FROM:<a@c.example>\r\n"), ["503 5.5.1"]);
    bench.say("EHLO after.example\r\n");
    assert!(!bench.writes[0].contains("STARTTLS"), "not offered twice");
    assert_eq!(bench.say("STARTTLS\r\n"), ["503 5.5.1"]);
    bench.say(TRANSACTION);
    bench.say("x\r\n.\r\n");
    assert!(bench.stored[0].is_secure);
    assert_eq!(bench.stored[0].client_name, "after.example");
}

/// CVE-2011-0411: what somebody has put behind STARTTLS is not the client's.
#[test]
fn commands_behind_starttls_are_not_obeyed() {
    let injected = format!("STARTTLS\r\n{TRANSACTION}injected\r\n.\r\nRSET\r\nEHL");
    let mut bench = Bench::new(config());
    bench.say("EHLO c\r\n");
    assert_eq!(bench.say(&injected), ["220 2.0.0"]);
    assert_eq!(bench.say("EHLO c\r\n"), ["250"]);
    assert!(bench.stored.is_empty() && bench.checks.is_empty());
}

/// Also when it comes in while the handshake goes on.
#[test]
fn nothing_is_read_during_the_handshake() {
    let mut bench = Bench::new(config());
    bench.say("EHLO c\r\n");
    bench.session.handle(Event::Input(b"STARTTLS\r\n"), bench.now);
    assert!(
        matches!(bench.session.next_action(), Some(Action::Write(octets)) if octets.starts_with(b"220 "))
    );
    assert!(matches!(bench.session.next_action(), Some(Action::StartTls)));
    assert!(!bench.session.wants_input());
    assert_eq!(bench.session.next_deadline(), None);
    bench.session.handle(Event::Input(b"MAIL FROM:<a@c.example>\r\n"), bench.now);
    bench.session.handle(Event::Draining, bench.now);
    assert!(bench.session.next_action().is_none());
    bench.writes.clear();
    bench.handle(Event::Secured);
    assert_eq!(bench.codes(), ["421 4.3.2"]);

    let mut bench = Bench::new(config());
    bench.say("EHLO c\r\n");
    bench.session.handle(Event::Input(b"STARTTLS\r\n"), bench.now);
    while bench.session.next_action().is_some() {}
    bench.handle(Event::Closed);
    assert!(bench.closed, "the handshake failed");
}

#[test]
fn where_there_is_no_tls() {
    let mut bench = Bench::ready();
    assert_eq!(bench.say("STARTTLS\r\nSTARTTLS now\r\n"), ["502 5.5.1", "501 5.5.4"]);
    let mut bench = Bench::new(config());
    bench.say("EHLO c\r\nMAIL FROM:<a@c.example>\r\n");
    assert_eq!(bench.say("STARTTLS\r\nRSET\r\nSTARTTLS now\r\n"), ["503 5.5.1", "250 2.0.0", "501 5.5.4"]);
    assert_eq!(bench.handshakes, 0);
}

/// RFC 8314 3: TLS from the start.
#[test]
fn implicit_tls_offers_no_starttls() {
    let now = start();
    let mut session = Session::new(Arc::new(config()), true, || [7; 18], now);
    session.handle(Event::Connected(Verdict::Accept(())), now);
    session.handle(Event::Input(b"EHLO c\r\nSTARTTLS\r\n"), now);
    let mut said = String::new();
    while let Some(action) = session.next_action() {
        if let Action::Write(octets) = action {
            said += str::from_utf8(&octets).unwrap();
        }
    }
    assert!(
        !said.contains("250 STARTTLS") && said.ends_with("503 5.5.1 bad sequence of commands\r\n"),
        "{said}"
    );
}
