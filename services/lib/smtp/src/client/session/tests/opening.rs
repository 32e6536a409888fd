//! STARTTLS and AUTH, as the server sees them.

use secrecy::SecretString;

use super::*;
use crate::client::{Login, Mechanism};

const GREETING: &str = "220 mx.example ESMTP\r\n";
const OFFER: &str = "250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n";
const NO_OFFER: &str = "250-mx.example\r\n250 PIPELINING\r\n";

fn wants(starttls: StartTls) -> impl Fn(&mut ClientConfig) {
    move |config| config.starttls = starttls
}

fn knows(mechanism: Option<Mechanism>) -> impl Fn(&mut ClientConfig) {
    move |config| {
        config.is_secure = true;
        config.login = Some(Login { user: "tim".into(), secret: SecretString::from("s3cret"), mechanism });
    }
}

/// What was said so far, and that the session wants TLS now.
fn before_handshake(mut bench: Bench) -> Bench {
    bench.hear(GREETING);
    bench.hear(OFFER);
    bench.hear("220 go ahead\r\n");
    assert_eq!(bench.sent(), "EHLO gw.example\r\nSTARTTLS\r\n");
    assert_eq!(bench.actions, [Action::StartTls]);
    bench.actions.clear();
    bench
}

/// SEED-157 and RFC 3207 4.2: the session begins anew, with what is offered over TLS.
#[test]
fn seed_157_everything_in_the_clear_is_forgotten() {
    for starttls in [StartTls::IfOffered, StartTls::Required] {
        let mut bench = before_handshake(Bench::with(wants(starttls)));
        assert!(bench.session.next_deadline().is_none(), "the handshake is the driver's");
        bench.handle(Event::Secured);
        assert_eq!(bench.sent(), "EHLO gw.example\r\n");
        assert_eq!(bench.session.capabilities(), Capabilities::default());
        // A server that offers it again is not asked again.
        bench.hear("250-mx.example\r\n250-STARTTLS\r\n250 SIZE 7\r\n");
        assert_eq!(bench.actions, [Action::Ready]);
        assert!(!bench.session.capabilities().pipelining);
        bench.start(delivery(&["x@m.example"], "x\r\n"));
        assert_eq!(bench.sent(), "MAIL FROM:<a@c.example> SIZE=3\r\n");
    }
}

#[test]
fn after_tls_a_server_may_know_only_helo() {
    let mut bench = before_handshake(Bench::with(wants(StartTls::Required)));
    bench.handle(Event::Secured);
    bench.hear("502 what?\r\n250 mx.example\r\n");
    assert_eq!(bench.sent(), "EHLO gw.example\r\nHELO gw.example\r\n");
    assert!(bench.session.is_ready());
}

/// The client's side of CVE-2011-0411: an answer that was put in before TLS must not count after it.
#[test]
fn seed_157_octets_behind_the_reply_to_starttls_end_the_session() {
    let kind = FailureKind::NoReply {
        silence: Silence::Protocol,
        what: "octets in the clear behind the reply to STARTTLS".to_owned(),
    };
    let failure = SessionFailure { phase: Phase::Tls, kind };
    for injected in ["220 go ahead\r\n250 evil.example\r\n", "220 go ahead\r\n2", "220-go\r\n220 ahead\r\n\n"]
    {
        let mut bench = Bench::with(wants(StartTls::IfOffered));
        bench.hear(GREETING);
        bench.hear(OFFER);
        bench.sent();
        bench.hear(injected);
        assert_eq!(bench.failure(), &failure);
        assert_eq!(bench.sent(), "");
    }
    // Also when they come in a packet of their own.
    let mut bench = before_handshake(Bench::with(wants(StartTls::Required)));
    bench.hear("250 evil.example\r\n");
    assert_eq!(bench.failure(), &failure);
}

/// RFC 7435: some security beats none, and none beats no mail, unless the rules say otherwise.
#[test]
fn seed_157_a_server_that_refuses_tls() {
    for refusal in ["454 4.7.0 not now\r\n", "554 5.7.3 never\r\n"] {
        let mut bench = Bench::with(wants(StartTls::IfOffered));
        bench.hear(&[GREETING, OFFER].concat());
        bench.hear(refusal);
        assert_eq!(bench.actions, [Action::Ready], "{refusal:?}");
        assert!(bench.session.capabilities().pipelining, "the offer still holds");

        let mut bench = Bench::with(wants(StartTls::Required));
        bench.hear(&[GREETING, OFFER].concat());
        bench.sent();
        bench.hear(refusal);
        let SessionFailure { phase: Phase::Tls, kind: FailureKind::Remote(reply) } = bench.failure() else {
            panic!("{:?}", bench.actions)
        };
        assert!(refusal.starts_with(&reply.code.to_string()));
        assert_eq!(bench.sent(), "QUIT\r\n");
    }
    let mut bench = Bench::with(wants(StartTls::IfOffered));
    bench.hear(&[GREETING, OFFER].concat());
    bench.hear("421 4.3.2 bye\r\n");
    assert!(matches!(bench.failure(), SessionFailure { phase: Phase::Tls, kind: FailureKind::Remote(_) }));
}

#[test]
fn seed_157_a_server_that_does_not_offer_tls() {
    let mut bench = Bench::with(wants(StartTls::IfOffered));
    bench.hear(&[GREETING, NO_OFFER].concat());
    assert_eq!(bench.actions, [Action::Ready]);
    let mut bench = Bench::with(wants(StartTls::Never));
    bench.hear(&[GREETING, OFFER].concat());
    assert_eq!(bench.actions, [Action::Ready], "it is not wanted");
    for offer in [NO_OFFER, "502 what?\r\n250 mx.example\r\n"] {
        let mut bench = Bench::with(wants(StartTls::Required));
        bench.hear(&[GREETING, offer].concat());
        let what = "STARTTLS is not offered".to_owned();
        let kind = FailureKind::Unmet { status: EnhancedCode(4, 7, 4), what };
        assert_eq!(bench.failure(), &SessionFailure { phase: Phase::Tls, kind });
        assert!(bench.sent().ends_with("QUIT\r\n"));
    }
}

/// SEED-026: the exchanges of all mechanisms, with the last word of the server.
#[test]
fn seed_026_the_login_is_shown_before_the_first_message() {
    let cram = "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n";
    for (offer, mechanism, challenges, said) in [
        ("PLAIN", None, &[][..], "AUTH PLAIN AHRpbQBzM2NyZXQ=\r\n"),
        (
            "PLAIN LOGIN",
            Some(Mechanism::Login),
            &["334 VXNlcg==\r\n", "334 UGFzcw==\r\n"],
            "AUTH LOGIN\r\ndGlt\r\nczNjcmV0\r\n",
        ),
        (
            "PLAIN CRAM-MD5",
            None,
            &[cram],
            "AUTH CRAM-MD5\r\ndGltIGU2YzI0ZGVlYzFhYWQyOWM0YzUyM2MxMDNjMDI3YzU2\r\n",
        ),
        (
            "XOAUTH2",
            Some(Mechanism::XOAuth2),
            &[],
            "AUTH XOAUTH2 dXNlcj10aW0BYXV0aD1CZWFyZXIgczNjcmV0AQE=\r\n",
        ),
    ] {
        let mut bench = Bench::with(knows(mechanism));
        bench.hear(&format!("{GREETING}250-mx.example\r\n250 AUTH {offer}\r\n"));
        for challenge in challenges {
            bench.hear(challenge);
        }
        let sent = bench.sent();
        assert_eq!(sent.strip_prefix("EHLO gw.example\r\n"), Some(said));
        bench.hear("235 2.7.0 welcome\r\n");
        assert_eq!(bench.actions, [Action::Ready]);
        bench.start(delivery(&["x@m.example"], "x\r\n"));
        assert!(bench.sent().starts_with("MAIL FROM"));
        bench.hear("550 not for s3cret\r\n");
        let shown = format!("{:?}", bench.results());
        assert!(shown.contains("not for [withheld]"), "{shown}");
    }
}

#[test]
fn seed_026_a_refused_login_is_a_reply_and_the_end() {
    for reply in ["535 5.7.8 s3cret is wrong\r\n", "454 4.7.0 ask later about AHRpbQBzM2NyZXQ=\r\n"] {
        let mut bench = Bench::with(knows(None));
        bench.hear(&format!("{GREETING}250-mx.example\r\n250 AUTH PLAIN\r\n"));
        bench.sent();
        bench.hear(reply);
        let SessionFailure { phase: Phase::Auth, kind: FailureKind::Remote(told) } = bench.failure() else {
            panic!("{:?}", bench.actions)
        };
        assert!(told.text.contains("[withheld]"), "{}", told.text);
        assert_eq!(bench.sent(), "QUIT\r\n");
    }
    // XOAUTH2 says why in a challenge; the refusal follows an empty answer.
    let mut bench = Bench::with(knows(Some(Mechanism::XOAuth2)));
    bench.hear(&format!("{GREETING}250-mx.example\r\n250 AUTH XOAUTH2\r\n"));
    bench.sent();
    bench.hear("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n");
    assert_eq!(bench.sent(), "\r\n");
    bench.hear("535 5.7.8 no\r\n");
    assert!(matches!(bench.failure(), SessionFailure { phase: Phase::Auth, kind: FailureKind::Remote(_) }));
}

#[test]
fn seed_026_no_login_where_it_cannot_be_shown() {
    let plain_text = |config: &mut ClientConfig| {
        knows(None)(config);
        config.is_secure = false;
    };
    for (bench, offer, words) in [
        (Bench::with(plain_text), "AUTH PLAIN", "the login is not sent in the clear"),
        (Bench::with(knows(None)), "AUTH GSSAPI", "no mechanism of AUTH that we know is offered"),
        (Bench::with(knows(None)), "DSN", "no mechanism of AUTH that we know is offered"),
        (Bench::with(knows(Some(Mechanism::Plain))), "AUTH LOGIN", "AUTH PLAIN is not offered"),
    ] {
        let mut bench = bench;
        bench.hear(&format!("{GREETING}250-mx.example\r\n250 {offer}\r\n"));
        let kind = FailureKind::Unmet { status: EnhancedCode(4, 7, 4), what: words.to_owned() };
        assert_eq!(bench.failure(), &SessionFailure { phase: Phase::Auth, kind });
        assert_eq!(bench.sent(), "EHLO gw.example\r\nQUIT\r\n");
    }
    // A challenge too many is no reply to what was asked.
    let mut bench = Bench::with(knows(Some(Mechanism::Plain)));
    bench.hear(&format!("{GREETING}250-mx.example\r\n250 AUTH PLAIN\r\n334 \r\n"));
    assert!(matches!(
        bench.failure(),
        SessionFailure { phase: Phase::Auth, kind: FailureKind::NoReply { silence: Silence::Protocol, .. } }
    ));
}

/// SEED-026: AUTH follows TLS, and what was offered in the clear counts for nothing.
#[test]
fn seed_026_the_login_follows_tls() {
    let mut bench = Bench::with(|config| {
        knows(None)(config);
        config.is_secure = false;
        config.starttls = StartTls::Required;
    });
    bench.hear(&format!("{GREETING}250-mx.example\r\n250-AUTH LOGIN\r\n250 STARTTLS\r\n220 go\r\n"));
    assert_eq!(bench.sent(), "EHLO gw.example\r\nSTARTTLS\r\n");
    bench.handle(Event::Secured);
    bench.hear("250-mx.example\r\n250 AUTH PLAIN\r\n");
    assert_eq!(bench.sent(), "EHLO gw.example\r\nAUTH PLAIN AHRpbQBzM2NyZXQ=\r\n");
}

/// What is written may be a secret, so an action does not show it.
#[test]
fn seed_026_a_secret_is_not_shown() {
    let mut session = {
        let mut bench = Bench::with(knows(None));
        bench.hear(GREETING);
        bench.session
    };
    session.handle(Event::Input(b"250-mx.example\r\n250 AUTH PLAIN\r\n"), start());
    let shown = format!("{:?}", session.next_action());
    assert!(shown.contains("Write(") && !shown.contains("AHRpbQBzM2NyZXQ"), "{shown}");
    assert!(!format!("{session:?}").contains("AHRpbQBzM2NyZXQ"));
}

proptest! {
    /// Cutting what the server says anywhere changes nothing.
    #[test]
    fn cuts_change_nothing(cuts in proptest::collection::vec(1..40_usize, 1..30)) {
        let clear = "220 mx.example\r\n250-mx.example\r\n250-AUTH LOGIN\r\n250 STARTTLS\r\n220 go\r\n";
        let secret = "250-mx.example\r\n250-PIPELINING\r\n250 AUTH LOGIN\r\n334 VXNlcg==\r\n\
                      334 UGFzcw==\r\n235 2.7.0 welcome\r\n";
        let mut bench = Bench::with(|config| {
            knows(None)(config);
            config.is_secure = false;
            config.starttls = StartTls::Required;
        });
        let mut cuts = cuts.into_iter().cycle();
        for (part, is_last) in [(clear, false), (secret, true)] {
            let mut rest = part;
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                bench.hear(piece);
                rest = behind;
            }
            if !is_last {
                prop_assert_eq!(&bench.actions, &[Action::StartTls]);
                bench.actions.clear();
                bench.handle(Event::Secured);
            }
        }
        prop_assert_eq!(&bench.actions, &[Action::Ready]);
        let said = "EHLO gw.example\r\nSTARTTLS\r\nEHLO gw.example\r\nAUTH LOGIN\r\ndGlt\r\nczNjcmV0\r\n";
        prop_assert_eq!(bench.sent(), said);
    }
}

/// Whoever watches must not be shown a secret because the server has gone on before it was written.
#[test]
fn a_secret_is_one_whatever_the_server_says_too_early() {
    for (mechanism, early) in [
        (Mechanism::Plain, "250-mx.example\r\n250 AUTH PLAIN\r\n535 5.7.8 no\r\n"),
        (
            Mechanism::Login,
            "250-mx.example\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 yes\r\n",
        ),
    ] {
        let mut bench = Bench::with(knows(Some(mechanism)));
        bench.hear(GREETING);
        bench.hear(early);
        let expected = match mechanism {
            Mechanism::Login => vec![Part::Commands, Part::Login, Part::Login, Part::Login],
            Mechanism::CramMd5 | Mechanism::Plain | Mechanism::XOAuth2 => vec![Part::Commands, Part::Login],
        };
        assert_eq!(bench.parts.get(..expected.len()), Some(&*expected), "{:?}", bench.sent);
        assert!(!bench.session.is_logging_in());
    }
    let mut bench = Bench::ready(&[]);
    bench.start(delivery(&["x@m.example"], "x\r\n"));
    bench.hear("250 a\r\n250 b\r\n354 go\r\n451 no\r\n");
    let of_content = bench.parts.iter().filter(|part| **part == Part::Content).count();
    assert!(of_content > 0, "{:?}", bench.sent);
}
