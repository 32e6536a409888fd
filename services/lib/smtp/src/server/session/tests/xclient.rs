//! A peer that says who is behind it.

use super::*;
use crate::server::NamedAddress;

fn proxy() -> Bench {
    let mut bench = Bench::unconnected(SessionConfig::default());
    bench.session.let_peer_name_its_client();
    bench.handle(Event::Connected(Verdict::Accept(())));
    bench
}

#[test]
fn the_session_begins_anew_with_the_client_that_is_named() {
    let mut bench = proxy();
    bench.say("EHLO proxy.example\r\n");
    assert!(bench.writes.concat().contains("XCLIENT NAME ADDR"), "{:?}", bench.writes);
    assert_eq!(bench.say("XCLIENT ADDR=192.0.2.9 LOGIN=a@own.example\r\n"), ["220"]);
    assert_eq!(bench.adopted, [Some(NamedAddress::Known([192, 0, 2, 9].into()))]);
    assert_eq!(bench.session.identity().unwrap().to_string(), "a@own.example");
    assert_eq!(bench.session.client_name(), None);
    assert_eq!(bench.say("MAIL FROM:<a@c.example>\r\n"), ["503 5.5.1"], "EHLO comes first");
    bench.say("EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n");
    assert_eq!(bench.say("XCLIENT ADDR=192.0.2.8\r\n"), ["503 5.5.1"], "in a transaction");
    bench.say("RSET\r\n");
    assert_eq!(bench.say("XCLIENT NAME=[UNAVAILABLE]\r\n"), ["220"]);
    assert_eq!(bench.session.identity(), None, "who is not named has proved nothing");
}

/// Its client has another connection, of which we do not know what both ends know.
#[test]
fn a_login_of_who_is_named_is_not_bound_to_the_connection_of_the_peer() {
    let auth = AuthConfig { offered: true, cram_md5: false, scram: true };
    let mut bench = Bench::unconnected(SessionConfig { auth, ..SessionConfig::default() });
    bench.session.let_peer_name_its_client();
    bench.session.bind_to([1; 32]);
    bench.handle(Event::Connected(Verdict::Accept(())));
    bench.say("EHLO proxy.example\r\n");
    assert!(bench.writes.concat().contains("SCRAM-SHA-256-PLUS"));
    bench.say("XCLIENT ADDR=192.0.2.9\r\n");
    bench.say("EHLO c.example\r\n");
    assert!(!bench.writes.concat().contains("SCRAM-SHA-256-PLUS"), "{:?}", bench.writes);
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let mut bench = proxy();
    bench.say("EHLO proxy.example\r\nXCLIENT LOGIN=a@own.example\r\nEHLO c.example\r\n");
    for line in ["XCLIENT", "XCLIENT ADDR=nobody", "XCLIENT LOGIN=nobody", "XCLIENT WHO=me"] {
        assert_eq!(bench.say(&format!("{line}\r\n")), ["501 5.5.4"], "{line}");
    }
    assert_eq!(bench.adopted, [None]);
    assert!(bench.session.identity().is_some() && bench.session.client_name().is_some());
}

#[test]
fn nobody_else_has_the_command() {
    let mut bench = Bench::new(SessionConfig::default());
    bench.say("EHLO c.example\r\n");
    assert!(!bench.writes.concat().contains("XCLIENT"));
    assert_eq!(bench.say("XCLIENT ADDR=192.0.2.9\r\n"), ["500 5.5.2"]);
}
