//! Sessions that end without a delivery.

use super::*;

fn remote(code: u16) -> impl Fn(&SessionFailure) -> bool {
    move |failure| match &failure.kind {
        FailureKind::Remote(reply) => reply.code == code,
        FailureKind::NoReply { .. } | FailureKind::Unmet { .. } => false,
    }
}

#[test]
fn a_session_that_never_gets_ready() {
    let mut bench = Bench::new();
    bench.hear("554 5.7.1 not you\r\n");
    assert!(remote(554)(bench.failure()));
    assert_eq!((bench.failure().phase, bench.sent().as_str()), (Phase::Greeting, "QUIT\r\n"));

    let mut bench = Bench::new();
    bench.hear("421 busy\r\n");
    assert!(remote(421)(bench.failure()));
    assert_eq!(bench.sent(), "");

    let mut bench = Bench::new();
    bench.hear("220 hi\r\n451 not now\r\n");
    assert!(remote(451)(bench.failure()));

    let mut bench = Bench::new();
    bench.now += Duration::from_secs(300);
    bench.handle(Event::TimedOut);
    let words = "timed out while waiting for the greeting".to_owned();
    let kind = FailureKind::NoReply { silence: Silence::TimedOut, what: words };
    assert_eq!(bench.failure().kind, kind);
}

#[test]
fn an_idle_session_that_is_ended_by_the_server() {
    let mut bench = Bench::ready(&[]);
    bench.hear("421 4.4.2 idle\r\n");
    assert!(remote(421)(bench.failure()));
    assert!(bench.session.start(delivery(&["x@m.example"], ""), bench.now).is_err());
}

#[test]
fn quitting() {
    let mut bench = Bench::ready(&[]);
    bench.session.quit(bench.now);
    bench.drive();
    assert_eq!(bench.sent(), "QUIT\r\n");
    bench.hear("221 bye\r\n");
    assert_eq!(bench.actions, [Action::Close]);

    let mut bench = Bench::ready(&[]);
    bench.start(delivery(&["x@m.example"], "x\r\n"));
    bench.session.quit(bench.now);
    bench.drive();
    assert_eq!(bench.summary(), ["mail: given up while waiting for MAIL reply"]);
}
