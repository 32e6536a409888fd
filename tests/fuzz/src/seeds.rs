//! What fuzzing begins with: the golden transcripts of `tests/dialogs`, the golden messages, and a few lines
//! that no transcript has.

use std::{fs, path::Path};

use crate::{
    Input, client,
    server::{self, Server, Setting},
};

#[allow(clippy::all, dead_code, reason = "shared with the tests that play the transcripts")]
#[path = "../../../services/lib/smtp/tests/support/dialog.rs"]
mod dialog;

use dialog::{Dialog, Tls};

/// The seeds of a target.
pub fn of(target: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut dialogs = Vec::new();
    for path in dialog::transcripts(&tests.join("dialogs")) {
        dialogs.push(Dialog::parse(&fs::read_to_string(&path)?).map_err(anyhow::Error::msg)?);
    }
    Ok(match target {
        "command" => dialogs.iter().map(of_dialog).chain(named_clients()).collect(),
        "data" | "bdat" => contents(&tests, &dialogs)?,
        "reply" => dialogs.iter().map(of_server).chain(replies()).collect(),
        "address" => {
            dialogs.iter().flat_map(addresses).chain(ADDRESSES.iter().map(|it| it.to_vec())).collect()
        }
        "proxy" => HEADERS.iter().map(|header| Input::made(0, [0; 3], header)).collect(),
        "sasl" => dialogs.iter().flat_map(exchanges).chain(logins()).collect(),
        other => anyhow::bail!("no target {other}"),
    })
}

fn setting(dialog: &Dialog) -> Setting {
    Setting {
        is_submission: dialog.setting.is_submission,
        starttls: dialog.setting.tls == Tls::OnDemand,
        is_secure: dialog.setting.tls == Tls::Implicit,
        auth: dialog.setting.auth,
        is_narrow: dialog.setting.max_size.is_some() || dialog.setting.max_recipients.is_some(),
        has_default_domain: dialog.setting.default_domain.is_some(),
        may_name_client: false,
        is_bound: dialog.setting.tls != Tls::None,
    }
}

fn of_dialog(dialog: &Dialog) -> Vec<u8> {
    Input::made(setting(dialog).flags(), [0; 3], &stream(dialog))
}

/// What the client says, with a mark where it begins TLS.
fn stream(dialog: &Dialog) -> Vec<u8> {
    dialog.flights().join(&server::HANDSHAKE)
}

/// From a proxy that says who its client is.
fn named_clients() -> Vec<Vec<u8>> {
    let setting = Setting { may_name_client: true, is_secure: true, auth: true, ..Setting::default() };
    let named = "EHLO proxy\r\nXCLIENT ADDR=192.0.2.9 NAME=[UNAVAILABLE] PROTO=ESMTP\r\nXCLIENT ADDR=IPV6:2001:db8::1 \
                 LOGIN=a+2Bb@own.example\r\nEHLO c\r\nMAIL FROM:<a@own.example> REQUIRETLS SIZE=3\r\n\
                 XCLIENT ADDR=[UNAVAILABLE]\r\nRCPT TO:<b@own.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";
    vec![Input::made(setting.flags(), [0; 3], named.as_bytes())]
}

/// What our own server says to the client of a transcript, as what a server says to our client.
fn of_server(dialog: &Dialog) -> Vec<u8> {
    let said = Server::play(setting(dialog), &stream(dialog), |octets| vec![octets]).said;
    Input::made(0b1, [2, 9, 0], &said)
}

fn contents(tests: &Path, dialogs: &[Dialog]) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut contents: Vec<Vec<u8>> = dialogs.iter().flat_map(|dialog| dialog.messages.clone()).collect();
    // What stands behind DATA, whatever becomes of it.
    contents.extend(dialogs.iter().filter_map(|dialog| {
        let stream = stream(dialog);
        let at = stream.windows(6).position(|six| six == b"DATA\r\n")?;
        Some(stream[at + 6..].to_vec())
    }));
    for entry in fs::read_dir(tests.join("golden"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            contents.push(fs::read(path)?);
        }
    }
    contents.extend(
        [&b".\r\n"[..], b"..\r\n...\r\n.\r\n", b"a\r\n\0.\r\n.\r\n", b"a\r\n.\0\r\n"].map(<[u8]>::to_vec),
    );
    // As it is, and with its end.
    let ended = contents.clone().into_iter().map(|content| [&content[..], b"\r\n.\r\nQUIT\r\n"].concat());
    let all: Vec<Vec<u8>> = contents.iter().cloned().chain(ended).collect();
    Ok(all.iter().map(|content| Input::made(1, [5, 0, 40], content)).collect())
}

fn addresses(dialog: &Dialog) -> Vec<Vec<u8>> {
    let stream = stream(dialog);
    let paths = stream.split(|octet| *octet == b'<').skip(1);
    paths.filter_map(|rest| Some(rest.split(|octet| b">\r".contains(octet)).next()?.to_vec())).collect()
}

const ADDRESSES: [&[u8]; 12] = [
    b"",
    b"postmaster",
    b"\"q uoted\"@example.org",
    b"\"a\\\"b@\"@example.org",
    b"user%z@own.example",
    b"x@[192.0.2.1]",
    b"x@[IPv6:2001:db8::1]",
    b"x@[ipv6:::ffff:192.0.2.1]",
    "\u{7528}\u{6237}@m\u{fc}nchen.example".as_bytes(),
    "x@stra\u{df}e.example\u{3002}jp".as_bytes(),
    b"@hop.example,@other.example:x@example.org",
    b"[192.0.2.1]:2525",
];

const HEADERS: [&[u8]; 9] = [
    b"PROXY TCP4 203.0.113.9 198.51.100.11 4660 25\r\nEHLO c\r\n",
    b"PROXY TCP6 2001:db8::9 2001:db8::1 4660 25\r\nEHLO c\r\n",
    b"PROXY UNKNOWN\r\nEHLO c\r\n",
    b"PROXY UNKNOWN ffff:f::ffff ffff::1 65535 65535\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc6\x33\x64\x0b\x12\x34\0\x19EHLO c\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xcb\0\x71\x09\xc6\x33\x64\x0b\x12\x34\0\x19\x04\0\x02abEHLO c\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34\0\x19",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0EHLO c\r\n",
    b"EHLO client.example\r\n",
];

/// Sessions of servers. `|` ends a flight, `~` is silence.
fn replies() -> Vec<Vec<u8>> {
    let offer = "220 mx.example ESMTP\r\n|250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n\
                 250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-REQUIRETLS\r\n250 LIMITS RCPTMAX=2\r\n|";
    let group =
        "250 2.1.0 ok\r\n250 2.1.5 ok\r\n550-5.1.1 no\r\n550 5.1.1 such\r\n354 go\r\n|250 2.0.0 kept\r\n|";
    let moot = "250 ok\r\n550 a\r\n550 b\r\n354 go\r\n|250 ok\r\n|";
    let chunk = "250 ok\r\n250 ok\r\n250 ok\r\n|250 2.0.0 kept\r\n|";
    let slow = "220 a\r\n|250-a\r\n250 SIZE\r\n|250 a\r\n|250 b\r\n|250 c\r\n|354 d\r\n|250 e\r\n|";
    let tls = "220 a\r\n|250-a\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n|220 go\r\n|250-a\r\n250-PIPELINING\r\n\
               250 AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2\r\n|";
    let sessions = [
        (0, [2, 9, 0], format!("{offer}{group}{chunk}{moot}")),
        (1 << 5, [2, 9, 0], format!("{offer}{group}{chunk}{group}")),
        (1 << 6, [2, 9, 0], format!("{offer}{moot}{group}{group}")),
        (0, [1, 9, 0], slow.to_owned()),
        (0b1011, [2, 1, 0], format!("{tls}235 welcome\r\n|{group}")),
        (0b1011, [2, 2, 0], format!("{tls}334 VXNlcg==\r\n|334 UGFzcw==\r\n|235 ok\r\n|{group}")),
        (0b1011, [2, 0, 0], format!("{tls}334 PDFAYT4=\r\n|235 ok\r\n|")),
        (0b1011, [2, 3, 0], format!("{tls}334 e30=\r\n|535 5.7.8 no s3cret/t0ken\r\n|")),
        (0b0001, [2, 9, 0], "220 a\r\n|250-a\r\n250 STARTTLS\r\n|454 no\r\n|".to_owned()),
        (0, [2, 9, 0], "220 a\r\n|502 what\r\n|250 a\r\n|421 bye\r\n|".to_owned()),
        (0, [2, 9, 0], format!("{offer}250 ok\r\n~")),
        (0, [2, 9, 0], "554 go away\r\n".to_owned()),
    ];
    sessions.into_iter().map(|(flags, numbers, text)| Input::made(flags, numbers, &marked(&text))).collect()
}

fn marked(text: &str) -> Vec<u8> {
    let mark = |octet| match octet {
        b'|' => client::NEXT,
        b'~' => client::SILENCE,
        other => other,
    };
    text.bytes().map(mark).collect()
}

/// Lines in an exchange of a transcript, for each mechanism.
fn exchanges(dialog: &Dialog) -> Vec<Vec<u8>> {
    let stream = stream(dialog);
    let Some(at) = stream.windows(5).position(|five| five.eq_ignore_ascii_case(b"AUTH ")) else {
        return Vec::new();
    };
    let lines: Vec<u8> = stream[at..].iter().copied().filter(|octet| *octet != b'\r').collect();
    (0..5).map(|mechanism| Input::made(0x80, [mechanism, 0, 0], &lines)).collect()
}

fn logins() -> Vec<Vec<u8>> {
    let texts = [
        "a@own.example\nsecret\na@own.example",
        "a@own.example\nwrong\nb@own.example",
        "bucho\nsecret\n",
        "\u{7528}\u{6237}@own.example\np\u{a0}ss\n",
        "later@own.example\nsecret",
        "a=b,c@own.example\n s p \n",
        "n,,n=a@own.example,r=n\nc=biws,r=nBwcHBwcHBwcHBwcHBwcHBwcH,p=AAA=\n",
        "a@own.example 11111111111111111111111111111111\n",
        "\0a@own.example\0secret",
    ];
    let made =
        |text: &str| (0..5).map(|mechanism| Input::made(0x84, [mechanism, 0, 0], text.as_bytes())).collect();
    texts.into_iter().flat_map(|text| -> Vec<Vec<u8>> { made(text) }).collect()
}
