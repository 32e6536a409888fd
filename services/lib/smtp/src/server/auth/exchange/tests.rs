use secrecy::ExposeSecret as _;

use super::*;

const SETTING: Setting<'static> =
    Setting { hostname: "gw.example", default_domain: None, exporter: None, nonce: || [0xab; 18] };

fn exchange(mechanism: Mechanism, phase: Phase) -> Exchange {
    Exchange { mechanism, phase }
}

fn asked(step: Step) -> (String, String) {
    let Step::Ask(AuthStep::Password { login, password }) = step else { panic!("{step:?}") };
    (login.to_string(), password.expose_secret().to_owned())
}

/// RFC 4616 4, with full addresses.
#[test]
fn plain_messages() {
    let respond = |message: &str| Exchange::new(Mechanism::Plain).respond(message.as_bytes(), &SETTING);
    let expected = ("tim@a.example".to_owned(), "tanstaaf tanstaaf".to_owned());
    assert_eq!(asked(respond("\0tim@a.example\0tanstaaf tanstaaf")), expected);
    assert_eq!(asked(respond("tim@A.example\0tim@a.example\0tanstaaf tanstaaf")), expected);
    for message in
        ["kurt@a.example\0tim@a.example\0x", "\0tim\0x", "\0tim@a.example\0", "\0tim@a.example\0\u{7}"]
    {
        assert!(matches!(respond(message), Step::Refused), "{message:?}");
    }
    for message in ["", "tim@a.example", "\0tim@a.example", "\0\0x", "\0tim@a.example\0x\0", "\0a@b.c\0a\0b"]
    {
        assert!(matches!(respond(message), Step::Malformed), "{message:?}");
    }
    let not_utf8 = Exchange::new(Mechanism::Plain).respond(b"\0a@b.example\0\xff", &SETTING);
    assert!(matches!(not_utf8, Step::Malformed));
}

#[test]
fn login_asks_for_the_password_whatever_the_name_is() {
    for (name, is_asked) in [("tim@a.example", true), ("tim", false), ("", false), ("a\0b", false)] {
        let mut exchange = Exchange::new(Mechanism::Login);
        assert!(matches!(exchange.begin(&SETTING), Step::Challenge(text) if text == USERNAME));
        assert!(
            matches!(exchange.respond(name.as_bytes(), &SETTING), Step::Challenge(text) if text == PASSWORD)
        );
        let step = exchange.respond(b"secret", &SETTING);
        match is_asked {
            true => assert_eq!(asked(step), (name.to_owned(), "secret".to_owned())),
            false => assert!(matches!(step, Step::Refused), "{name:?}"),
        }
    }
}

/// RFC 2195 2, with its own challenge.
#[test]
fn the_example_of_rfc_2195() {
    let challenge = "<1896.697170952@postoffice.reston.mci.net>";
    let response = sasl::decode(b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw").unwrap();
    let reston = "reston.mci.net".parse().unwrap();
    let setting = Setting { default_domain: Some(&reston), ..SETTING };
    let mut exchange = exchange(Mechanism::CramMd5, Phase::CramMd5(challenge.to_owned()));
    let step = exchange.respond(&response, &setting);
    let Step::Ask(AuthStep::CramMd5 { login, challenge: asked, digest }) = step else { panic!("{step:?}") };
    assert_eq!((login.to_string().as_str(), asked.as_str()), ("tim@reston.mci.net", challenge));
    assert_eq!(digest, 0xb913_a602_c7ed_a7a4_95b4_e6e7_334d_3890_u128.to_be_bytes());
}

#[test]
fn a_cram_md5_challenge_is_a_message_id_of_ours() {
    let mut exchange = Exchange::new(Mechanism::CramMd5);
    let Step::Challenge(text) = exchange.begin(&SETTING) else { panic!() };
    let shown = String::from_utf8(sasl::decode(text.as_bytes()).unwrap().to_vec()).unwrap();
    assert_eq!(shown, format!("<{}@gw.example>", "ab".repeat(18)));
    for (response, is_refused) in [
        ("a@b.example 0123456789abcdef0123456789abcde", false),
        ("a@b.example +123456789abcdef0123456789abcdef", false),
        ("a@b.example", false),
        ("", false),
        ("bare 0123456789abcdef0123456789abcdef", true),
    ] {
        exchange.begin(&SETTING);
        let step = exchange.respond(response.as_bytes(), &SETTING);
        assert_eq!(matches!(step, Step::Refused), is_refused, "{response:?}");
        assert!(is_refused || matches!(step, Step::Malformed), "{response:?}");
    }
}

/// RFC 7677 3, message by message; the numbers are asked for.
#[test]
fn scram_sha_256() {
    let example: Domain = "example.com".parse().unwrap();
    let setting = Setting { default_domain: Some(&example), ..SETTING };
    let mut exchange = Exchange::new(Mechanism::ScramSha256);
    assert!(matches!(exchange.begin(&setting), Step::Challenge(text) if text.is_empty()));
    let step = exchange.respond(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", &setting);
    assert!(
        matches!(step, Step::Ask(AuthStep::ScramStart { login }) if login.to_string() == "user@example.com")
    );
    let first = exchange.challenge(b"salt", 4096, [0; 18]).unwrap();
    let nonce = format!("rOprNGfwEbeRWgbNEkqO{}", "A".repeat(24));
    assert_eq!(first, sasl::encode(format!("r={nonce},s=c2FsdA==,i=4096")));
    let step = exchange.respond(format!("c=biws,r={nonce},p=AA==").as_bytes(), &setting);
    let Step::Ask(AuthStep::ScramFinish { login, auth_message, client_proof }) = step else {
        panic!("{step:?}")
    };
    assert_eq!(client_proof, [0]);
    assert!(auth_message.starts_with("n=user,r=rOprNGfwEbeRWgbNEkqO,r="));
    assert_eq!(exchange.prove(login, b"signature"), sasl::encode("v=c2lnbmF0dXJl"));
    assert!(
        matches!(exchange.respond(b"", &setting), Step::Done(who) if who.to_string() == "user@example.com")
    );
}

#[test]
fn scram_that_cannot_be_right() {
    let respond = |message: &str| Exchange::new(Mechanism::ScramSha256).respond(message.as_bytes(), &SETTING);
    for message in ["n,,n=bare,r=n", "n,a=other@a.example,n=a@a.example,r=n"] {
        assert!(matches!(respond(message), Step::Refused), "{message:?}");
    }
    assert!(matches!(respond("p=tls-unique,,n=a@a.example,r=n"), Step::Malformed));
    let mut exchange = Exchange::new(Mechanism::ScramSha256);
    exchange.respond(b"n,,n=a@a.example,r=n", &SETTING);
    assert!(matches!(exchange.respond(b"", &SETTING), Step::Malformed), "a question is open");
    assert_eq!(exchange.challenge(b"", 1, [0; 18]), None);
}
