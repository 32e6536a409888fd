//! STARTTLS, implicit TLS and certificates, as the clients of Python and OpenSSL see them.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    relay::{Relay, ctl, program},
};

use crate::lab::{CONTENT, Certificates, Lab, SOON, python};

/// Prints the version and the serial number of the certificate for a name; with `-` for no name.
const CERTIFICATE: &str = r"
import socket, ssl, sys
port, trusted, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=trusted)
context.check_hostname = name != '-'
with socket.create_connection(('127.0.0.1', port)) as plain:
    with context.wrap_socket(plain, server_hostname=None if name == '-' else name) as stream:
        greeting = stream.recv(1000)
        assert greeting.startswith(b'220 gw.test ESMTP\r\n'), greeting
        print(stream.version(), stream.getpeercert()['serialNumber'], stream.getpeercert()['subjectAltName'])
";

/// RFC 3207: whatever stands behind STARTTLS in the clear is not obeyed.
const INJECTION: &str = r"
import socket, ssl, sys
plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
plain.recv(1000)
plain.sendall(b'EHLO client.test\r\n')
while b'STARTTLS' not in plain.recv(1000): pass
plain.sendall(b'STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@client.test>\r\nRCPT TO:<b@own.test>\r\n')
reply = plain.recv(1000)
assert reply.startswith(b'220 2.0.0 ') and reply.count(b'\r\n') == 1, reply
context = ssl.create_default_context(cafile=sys.argv[2])
stream = context.wrap_socket(plain, server_hostname='gw.test')
for command, code in [(b'MAIL FROM:<a@client.test>', b'503'), (b'EHLO client.test', b'250'),
                      (b'RCPT TO:<b@own.test>', b'503'), (b'STARTTLS', b'503'), (b'QUIT', b'221')]:
    stream.sendall(command + b'\r\n')
    reply = stream.recv(1000)
    assert reply.startswith(code), (command, reply)
    assert b'STARTTLS' not in reply, reply
assert stream.recv(1000) == b''
";

const OLD_VERSION: &str = r"
import smtplib, ssl, sys, warnings
warnings.simplefilter('ignore')
def connect(version):
    context = ssl.create_default_context(cafile=sys.argv[2])
    context.set_ciphers('ALL:@SECLEVEL=0')
    context.minimum_version = version
    context.maximum_version = version
    with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as client:
        client._host = 'gw.test'
        client.starttls(context=context)
        return client.sock.version()
for version in [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1]:
    try:
        print('accepted', connect(version))
    except ssl.SSLError as error:
        print('refused', error.reason)
print(connect(ssl.TLSVersion.TLSv1_2), connect(ssl.TLSVersion.TLSv1_3))
";

/// Connects to each port with what the one before gave for taking the session up again.
const RESUME: &str = r"
import socket, ssl, sys
version, trusted, ports = sys.argv[1], sys.argv[2], sys.argv[3:]
context = ssl.create_default_context(cafile=trusted)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
session = None
for port in ports:
    with socket.create_connection(('127.0.0.1', int(port))) as plain:
        with context.wrap_socket(plain, server_hostname='gw.test', session=session) as stream:
            assert stream.recv(1000).startswith(b'220 ')
            print('resumed' if stream.session_reused else 'new', end=' ')
            session = stream.session
";

const SEND: &str = r"
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as client:
    client._host = 'gw.test'
    client.starttls(context=context)
    client.sendmail('python@client.test', ['b@own.test'], 'Subject: over TLS\r\n\r\nbody\r\n')
";

fn trusted(certificates: &Certificates) -> &str {
    certificates.trusted.to_str().unwrap_or_default()
}

async fn shown(relay: &Relay, certificates: &Certificates, name: &str) -> anyhow::Result<Option<String>> {
    let port = relay.address("submissions")?.port().to_string();
    python(CERTIFICATE, &[&port, trusted(certificates), name]).await
}

#[tokio::test]
async fn port_25_offers_starttls_and_says_so_in_received() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    lab.configure(&certificates.configuration(&["gw.test"]))?;
    let relay = lab.up().await?;
    let (port, trusted) = (relay.smtp().port().to_string(), trusted(&certificates));
    if python(INJECTION, &[&port, trusted]).await?.is_none() {
        return Ok(());
    }
    python(SEND, &[&port, trusted]).await?;
    eventually(SOON, async || {
        let received = inner.received();
        let only = received.first().ok_or("nothing has come")?;
        let text = only.text();
        if text.contains("by gw.test with ESMTPS id") && received.len() == 1 { Ok(()) } else { Err(text) }
    })
    .await;

    let said = python(OLD_VERSION, &[&port, trusted]).await?.unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("refused") && lines[1].starts_with("refused"), "{said}");
    assert_eq!(lines[2], "TLSv1.2 TLSv1.3");
    Ok(())
}

/// SEED-127: no restart, no connection lost, and nothing bad is taken.
#[tokio::test]
async fn certificates_are_renewed_without_a_restart() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let other_key = certificates.renew("mail.other.test")?.key;
    let mut lab = Lab::new().await?;
    lab.configure(&certificates.configuration(&["gw.test", "mail.other.test"]))?;
    let relay = lab.up().await?;
    let Some(first) = shown(&relay, &certificates, "gw.test").await? else { return Ok(()) };
    assert!(first.contains("TLSv1.3") && first.contains("'gw.test'"), "{first}");
    assert_eq!(shown(&relay, &certificates, "-").await?.as_ref(), Some(&first), "the first is the default");
    let other = shown(&relay, &certificates, "mail.other.test").await?.unwrap_or_default();
    assert!(other.contains("'mail.other.test'"), "{other}");
    let mut open = SmtpClient::connect(relay.smtp()).await?;

    fs::write(&other_key, "no key")?;
    relay.wait_for_message("the new certificates cannot be used; those before stay").await;
    assert_eq!(shown(&relay, &certificates, "gw.test").await?, Some(first.clone()));
    assert_eq!(shown(&relay, &certificates, "mail.other.test").await?, Some(other));

    certificates.renew("mail.other.test")?;
    certificates.renew("gw.test")?;
    eventually(SOON, async || match shown(&relay, &certificates, "gw.test").await {
        Ok(Some(now)) if now != first => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    open.expect("EHLO client.test").await?;
    open.expect("QUIT").await?;
    Ok(())
}

#[tokio::test]
async fn a_test_certificate_is_one_command() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let folder = lab.folder.path().to_owned();
    let make = async || {
        let out = folder.display().to_string();
        let made =
            ctl().args(["certificate", "test", "gw.test", "127.0.0.1", "--out", &out]).output().await?;
        anyhow::Ok((made.status.success(), String::from_utf8_lossy(&made.stderr).into_owned()))
    };
    assert_eq!(make().await?, (true, String::new()));
    let key = folder.join("gw.test.key");
    assert_eq!(fs::metadata(&key)?.permissions().mode() & 0o777, 0o600);
    let (is_made_again, said) = make().await?;
    assert!(!is_made_again && said.contains("gw.test.key: File exists"), "{said}");
    let certificate = folder.join("gw.test.crt");
    lab.configure(&format!(
        "submissions = [\"127.0.0.1:0\"]\n[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"
    ))?;
    let relay = lab.up().await?;
    let port = relay.address("submissions")?.port().to_string();
    let said = python(CERTIFICATE, &[&port, &certificate.display().to_string(), "gw.test"]).await?;
    assert!(said.is_none_or(|said| said.contains("('DNS', 'gw.test'), ('IP Address', '127.0.0.1')")));
    Ok(())
}

/// In a cluster the next connection comes to any node: a session of one is unknown to the others, which is a
/// whole handshake and no error.
#[tokio::test]
async fn sessions_are_taken_up_again_by_their_own_node_only() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let configuration = certificates.configuration(&["gw.test"]);
    let (mut lab, mut other_lab) = (Lab::new().await?, Lab::new().await?);
    lab.configure(&configuration)?;
    other_lab.configure(&configuration)?;
    let (one, other) = (lab.up().await?, other_lab.up().await?);
    let port = |relay: &Relay| anyhow::Ok(relay.address("submissions")?.port().to_string());
    let (one, other) = (port(&one)?, port(&other)?);
    for version in ["TLSv1_2", "TLSv1_3"] {
        let ports = [version, trusted(&certificates), &one, &one, &other, &other, &one];
        let Some(said) = python(RESUME, &ports).await? else { return Ok(()) };
        assert_eq!(said.trim(), "new resumed new resumed new", "{version}");
    }
    Ok(())
}

/// A client that says nothing is not waited for, and takes nothing from others.
#[tokio::test]
async fn a_handshake_that_never_ends_is_ended() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let config = certificates.configuration(&["gw.test"]) + "handshake_timeout_seconds = 1\n";
    lab.configure(&config)?;
    let relay = lab.up().await?;
    let mut silent = tokio::net::TcpStream::connect(relay.address("submissions")?).await?;
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    client.send_mail("a@client.test", &["b@own.test"], CONTENT).await?;
    client.expect("STARTTLS").await?;
    let mut octets = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut octets).await?;
    assert_eq!(octets, b"", "nothing is said in the clear");
    assert_eq!(client.reply().await?, "");
    Ok(())
}

/// SEED-131, and passwords are never taken in the clear.
#[tokio::test]
async fn what_cannot_be_listened_on_is_named() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let files = certificates.renew("gw.test")?;
    let (certificate, key) = (files.certificate.display().to_string(), files.key.display().to_string());
    let folder = tempfile::tempdir()?;
    let data = folder.path().display().to_string();
    let tls = ["--tls-certificate", &certificate, "--tls-key", &key];
    let missing = ["--tls-certificate", "/nowhere/gw.pem", "--tls-key", &key];
    for (flags, said) in [
        (&["--submission", "127.0.0.1:0"][..], "submission: [\"127.0.0.1:0\"]: needs tls.certificate"),
        (
            &[&["--submission", "192.0.2.1:587"], &tls[..]].concat(),
            "submission: 192.0.2.1:587 is not an address",
        ),
        (&["--smtp", "192.0.2.1:25"], "smtp: 192.0.2.1:25 is not an address of this machine"),
        (&[&["--submissions", "127.0.0.1:0"], &missing[..]].concat(), "/nowhere/gw.pem"),
    ] {
        let output = tokio::process::Command::new(program("hikyaku"))
            .args(["up", "--data-dir", &data, "--hostname", "gw.test"])
            .args(if flags.contains(&"--smtp") { &[][..] } else { &["--smtp", "127.0.0.1:0"] })
            .args(flags)
            .env("HIKYAKU__NATS_SERVER", hikyaku_testkit::nats::program())
            .env("HIKYAKU__POLICY_LISTEN", "127.0.0.1:0")
            .env("HIKYAKU__ADMIN_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .output()
            .await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(said), "{flags:?}: {errors}");
    }
    Ok(())
}
