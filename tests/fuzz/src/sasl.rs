//! AUTH: anything as a client's responses, logins and passwords of any kind in well-made exchanges, and our
//! own client against our own server.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hikyaku_smtp::client::{Login, Mechanism, StartTls};
use secrecy::SecretString;

use crate::{
    Input,
    client::Client,
    server::{EXPORTER, NONCE, PASSWORD, PROOF, Seen, Server, Setting},
};

const ALL: Setting = Setting {
    is_submission: true,
    starttls: false,
    is_secure: true,
    auth: true,
    is_narrow: false,
    has_default_domain: false,
    may_name_client: false,
    is_bound: false,
};

pub fn run(input: &[u8]) {
    let Some(input) = Input::read(input) else { return };
    responses(&input);
    let text = String::from_utf8_lossy(input.octets);
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (login, password, authorization) = (part(), part(), part());
    well_made(&input, login, password, authorization);
    our_own(&input, login, password);
}

/// Lines that are responses, as they are or in base64.
fn responses(input: &Input<'_>) {
    let mechanisms = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
    let mechanism = mechanisms[usize::from(input.numbers[0] % 5)];
    let mut stream = format!("EHLO c.example\r\nAUTH {mechanism}\r\n").into_bytes();
    for line in input.octets.split(|octet| *octet == b'\n') {
        match input.flag(3) {
            true => stream.extend_from_slice(line),
            false => stream.extend(STANDARD.encode(line).into_bytes()),
        }
        stream.extend_from_slice(b"\r\n");
    }
    stream.extend_from_slice(b"MAIL FROM:<a@own.example>\r\n");
    let setting = Setting {
        has_default_domain: input.flag(0),
        is_secure: !input.flag(1),
        is_bound: input.flag(7),
        ..ALL
    };
    let whole = Server::play(setting, &stream, |octets| vec![octets]);
    assert_eq!(Server::play(setting, &stream, |octets| input.pieces(octets)), whole);
}

/// Exchanges as the standards have them: who is asked about is who the client says it is, and a password is
/// right only when it is.
fn well_made(input: &Input<'_>, login: &str, password: &str, authorization: &str) {
    let authorization = if input.flag(2) { authorization } else { "" };
    let plain = STANDARD.encode(format!("{authorization}\0{login}\0{password}"));
    let name = STANDARD.encode(login);
    let word = STANDARD.encode(password);
    let cram = STANDARD.encode(format!("{login} {}", "11".repeat(16)));
    let escaped = login.replace('=', "=3D").replace(',', "=2C");
    let bare = format!("n={escaped},r=n");
    let first = STANDARD.encode(format!("n,,{bare}"));
    let nonce = STANDARD.encode(NONCE);
    let last = STANDARD.encode(format!("c=biws,r=n{nonce},p={}", STANDARD.encode(PROOF)));
    let proved = [
        format!("AUTH PLAIN {plain}\r\n"),
        format!("AUTH LOGIN\r\n{name}\r\n{word}\r\n"),
        format!("AUTH CRAM-MD5\r\n{cram}\r\n"),
        format!("AUTH SCRAM-SHA-256 {first}\r\n{last}\r\n\r\n"),
        bound(&bare, &EXPORTER),
        bound(&bare, &[3; 32]),
    ];
    let seen = proved.map(|lines| {
        let setting = Setting { is_bound: lines.contains("-PLUS "), ..ALL };
        Server::play(setting, format!("EHLO c.example\r\n{lines}").as_bytes(), |octets| vec![octets])
    });
    let [plain, by_login, cram, scram, plus, elsewhere] = &seen;
    // Who watches sees no response.
    let lines = seen.iter().flat_map(|seen| &seen.heard);
    let is_shown =
        |line: &&String| !line.starts_with("EHLO ") && !line.starts_with("AUTH ") && *line != "***";
    assert_eq!(lines.clone().find(is_shown), None);
    assert!(lines.clone().all(|line| !line.starts_with("AUTH ") || line.ends_with(" ***")));
    // The same name in all of them, if it is one.
    let given: Vec<&String> = seen.iter().flat_map(|seen| seen.identities.iter()).collect();
    assert!(given.windows(2).all(|pair| pair[0] == pair[1]), "{given:?}");
    for seen in [plain, by_login] {
        let is_asked = !seen.logins.is_empty();
        assert!(is_asked || seen.identities.is_empty());
        assert!(password != PASSWORD || !is_asked || is_later(login) || seen.identities.len() == 1);
    }
    assert!(cram.identities.len() == cram.logins.len() || is_later(login));
    assert_eq!(scram.identities, plus.identities);
    assert!(elsewhere.identities.is_empty(), "a login of another connection");
}

/// The exchange on the connection that `exporter` is of.
fn bound(bare: &str, exporter: &[u8]) -> String {
    let header = "p=tls-exporter,,";
    let (first, nonce) = (STANDARD.encode(format!("{header}{bare}")), STANDARD.encode(NONCE));
    let binding = STANDARD.encode([header.as_bytes(), exporter].concat());
    let last = STANDARD.encode(format!("c={binding},r=n{nonce},p={}", STANDARD.encode(PROOF)));
    format!("AUTH SCRAM-SHA-256-PLUS {first}\r\n{last}\r\n\r\n")
}

fn is_later(login: &str) -> bool {
    login.contains("later") || !login.is_ascii()
}

/// What our client shows of a login, our server reads as that login.
fn our_own(input: &Input<'_>, user: &str, secret: &str) {
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5] {
        let login =
            Login { user: user.to_owned(), secret: SecretString::from(secret), mechanism: Some(mechanism) };
        let mut client = Client::new(StartTls::Never, Some(login), true, Vec::new());
        let mut server = Server::new(ALL);
        let (mut heard, mut told) = (0, 0);
        loop {
            let (said, heard_before) = (server.seen.said.get(heard..).unwrap_or_default().to_vec(), heard);
            heard += said.len();
            for piece in input.pieces(&said) {
                client.hear(piece);
            }
            let told_now = client.seen.said.get(told..).unwrap_or_default().to_vec();
            told += told_now.len();
            for piece in input.pieces(&told_now) {
                server.say(piece);
            }
            if heard == heard_before && told_now.is_empty() {
                break;
            }
        }
        let seen = server.end();
        agrees(mechanism, user, secret, &seen);
        let failed = !client.end().failures.is_empty();
        assert!(failed || !seen.identities.is_empty(), "let in as nobody");
    }
}

fn agrees(mechanism: Mechanism, user: &str, secret: &str, seen: &Seen) {
    // ASCII without controls is what it is after preparation (RFC 4013).
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    let is_mailbox = user.parse::<hikyaku_types::address::Mailbox>();
    let fits = user.len() + secret.len() < 4096;
    if let (true, true, true, Ok(mailbox)) = (is_plain(user), is_plain(secret), fits, is_mailbox) {
        assert_eq!(seen.logins, [mailbox.to_string()], "{mechanism:?}");
    }
}
