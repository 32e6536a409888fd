//! Scenario 5: mail of people and programs with an account, by the clients that they use.

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Received, Script, ScriptedMx},
    nats::NatsServer,
    relay::Relay,
};

use crate::{
    lab::{Certificates, Lab, SOON, SUBMISSION, set_accounts, smtplib},
    rig::{self, Brokers, Rig},
};

const USER: &str = "user1@own.test";
const PASSWORD: &str = "correct horse";

/// What is said before TLS, PLAIN and LOGIN over STARTTLS and over implicit TLS.
const MECHANISMS: &str = r"
import sys
submission, submissions, trusted, user, password = sys.argv[1:]
stranger = '127.0.0.9' # no address that may relay

def send(client, subject):
    client.sendmail(user, ['far@far.test'], f'From: {user}\r\nSubject: {subject}\r\n\r\nbody\r\n')

with smtplib.SMTP('127.0.0.1', int(submission), source_address=(stranger, 0)) as client:
    client.ehlo('client.test')
    assert 'PLAIN' not in client.esmtp_features.get('auth', ''), client.esmtp_features
    for command, code in [(plain(user, password), 538), ('AUTH LOGIN', 538), (f'MAIL FROM:<{user}>', 530)]:
        assert client.docmd(command)[0] == code, command

with starttls(submission, trusted, stranger) as client:
    assert client.esmtp_features['auth'].split() == ['PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-256',
                                                     'SCRAM-SHA-256-PLUS']
    assert client.docmd(f'MAIL FROM:<{user}>') [0] == 530
    for login, word in [(user, 'wrong'), ('nobody@own.test', password)]:
        code, text = client.docmd(plain(login, word))
        assert (code, text[:5]) == (535, b'5.7.8'), (code, text)
    client.user, client.password = user, password
    code, text = client.auth('PLAIN', client.auth_plain)
    assert (code, text[:5]) == (235, b'2.7.0'), (code, text)
    assert client.docmd(plain(user, password))[0] == 503
    code, text = client.mail('user2@own.test')
    assert (code, text[:5]) == (553, b'5.7.1'), (code, text)
    send(client, 'PLAIN')

with starttls(submission, trusted, stranger) as client:
    client.user, client.password = user, password
    assert client.auth('LOGIN', client.auth_login)[0] == 235
    send(client, 'LOGIN')

with implicit(submissions, trusted, stranger) as client:
    client.login(user, password)
    send(client, 'implicit')
";

/// RFC 5802 by the standard library, with the server's proof checked.
const SCRAM: &str = r"
import hashlib, hmac, sys
port, trusted, user, password = sys.argv[1:]
b64, unb64 = lambda octets: base64.b64encode(octets).decode(), base64.b64decode
digest = lambda key, text: hmac.new(key, text.encode(), 'sha256').digest()
client = starttls(port, trusted, '127.0.0.9')

def scram(password):
    bare = f'n={user},r=clientnonce'
    code, text = client.docmd('AUTH SCRAM-SHA-256 ' + b64(f'n,,{bare}'.encode()))
    assert code == 334, text
    first = unb64(text).decode()
    fields = dict(field.split('=', 1) for field in first.split(','))
    assert fields['r'].startswith('clientnonce') and len(fields['r']) > 30, first
    salted = hashlib.pbkdf2_hmac('sha256', password.encode(), unb64(fields['s']), int(fields['i']))
    without_proof = 'c=biws,r=' + fields['r']
    message = ','.join([bare, first, without_proof])
    key = digest(salted, 'Client Key')
    signature = digest(hashlib.sha256(key).digest(), message)
    proof = bytes(a ^ b for a, b in zip(key, signature))
    code, text = client.docmd(b64(f'{without_proof},p={b64(proof)}'.encode()))
    if code != 334:
        return code
    assert unb64(text).decode() == 'v=' + b64(digest(digest(salted, 'Server Key'), message)), text
    return client.docmd('')[0]

assert scram('wrong') == 535
assert scram(password) == 235
client.sendmail(user, ['far@far.test'], 'Date: x\r\nMessage-ID: <mine@client.test>\r\nSubject: SCRAM\r\n\r\nbody\r\n')
client.quit()
";

const FAILURES: &str = r"
import sys
port, trusted, user = sys.argv[1:]
client = starttls(port, trusted, '127.0.0.9')
codes = [client.docmd(plain(user, f'wrong{n}'))[0] for n in range(5)]
print(codes, client.sock.recv(10))
";

/// SEED-115, level 3: whose From field it may be.
const AUTHORS: &str = r"
import sys
port, trusted, user, password = sys.argv[1:]
client = starttls(port, trusted, '127.0.0.9')
client.login(user, password)
for header, expected in [(f'From: User <{user}>', None), ('From: user2@own.test', 550), ('X: y', 550),
                         (f'From: {user}\r\nFrom: <ceo@own.test>', 550), (f'From: sales@own.test', None)]:
    try:
        client.sendmail(user, ['far@far.test'], f'{header}\r\nSubject: x\r\n\r\nbody\r\n')
        said = None
    except smtplib.SMTPDataError as error:
        said = error.smtp_code
        assert error.smtp_error.startswith(b'5.7.1 '), error
    assert said == expected, (header, said)
client.quit()
";

struct Submission {
    relay: Relay,
    far: ScriptedMx,
    certificates: Certificates,
    lab: Lab,
}

impl Submission {
    /// A relay with accounts, in front of own.test; far.test is elsewhere.
    async fn start(more: &str) -> anyhow::Result<Self> {
        let certificates = Certificates::new()?;
        let mut lab = Lab::new().await?;
        let (inner, far) =
            (ScriptedMx::start(Script::Accept).await?, ScriptedMx::start(Script::Accept).await?);
        lab.own_domain("own.test", &inner);
        lab.mail_for("far.test", far.address());
        let config = certificates.configuration(&["gw.test"]);
        let port = far.address().port();
        lab.configure(&format!("{config}[auth]\ncram_md5 = true\n[delivery]\nmx_port = {port}\n{more}"))?;
        let relay = lab.up().await?;
        set_accounts(&relay, &[(USER, PASSWORD), ("user2@own.test", "other secret")]).await?;
        Ok(Self { relay, far, certificates, lab })
    }

    fn port(&self, service: &str) -> anyhow::Result<String> {
        Ok(self.relay.address(service)?.port().to_string())
    }

    fn trusted(&self) -> &str {
        self.certificates.trusted.to_str().unwrap_or_default()
    }

    /// SEED-102: the operator finds out who it was, also where the field does not tell.
    async fn is_traced(&self, mail: &Received) -> anyhow::Result<()> {
        let file = self.lab.folder.path().join("mail.eml");
        std::fs::write(&file, &mail.content)?;
        let said = self.relay.ctl(&["trace", "--header", &file.to_string_lossy()]).await?;
        for line in ["  client        127.0.0.9\n", &format!("  logged in as  {USER}\n"), ": confirmed\n"] {
            assert!(said.contains(line), "{line}: {said}");
        }
        Ok(())
    }

    /// What arrived, once each of these subjects has.
    async fn arrived(&self, subjects: &[&str]) -> Vec<Received> {
        eventually(SOON, async || {
            let received = self.far.received();
            let has = |subject: &&str| {
                received.iter().any(|mail| mail.text().contains(&format!("\r\nSubject: {subject}\r\n")))
            };
            let missing: Vec<_> = subjects.iter().filter(|subject| !has(subject)).collect();
            if missing.is_empty() { Ok(received) } else { Err(format!("{missing:?} have not come")) }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_clients_log_in_and_send() -> anyhow::Result<()> {
    let submission = Submission::start("").await?;
    let (starttls, implicit) = (submission.port("submission")?, submission.port("submissions")?);
    let arguments = [starttls.as_str(), &implicit, submission.trusted(), USER, PASSWORD];
    if smtplib(MECHANISMS, &arguments).await?.is_none() {
        return Ok(());
    }
    smtplib(SCRAM, &[&starttls, submission.trusted(), USER, PASSWORD]).await?;
    for mail in submission.arrived(&["PLAIN", "LOGIN", "implicit", "SCRAM"]).await {
        let text = mail.text();
        assert!(text.contains("by gw.test with ESMTPSA id") && text.contains("([127.0.0.9])"), "{text}");
        assert!(!text.contains("X-Relay"), "{text}");
        // SEED-097: added where it is missing, and only there.
        for field in ["Date", "Message-ID"] {
            assert_eq!(text.matches(&format!("\r\n{field}: ")).count(), 1, "{field}: {text}");
        }
        assert_eq!(text.contains("@gw.test>\r\n"), !text.contains("SCRAM"), "{text}");
    }
    submission.is_traced(&submission.far.received()[0]).await?;
    let log = submission.relay.mail_log("accepted", None);
    assert!(log.iter().all(|line| line["identity"] == USER), "{log:?}");

    let said = smtplib(FAILURES, &[&starttls, submission.trusted(), "nobody@own.test"]).await?;
    assert_eq!(said.as_deref(), Some("[535, 535, 535, 535, 421] b''\n"));

    let everything: String = submission.relay.log().iter().map(ToString::to_string).collect();
    let base64 = "AHVzZXIxQG93bi50ZXN0AGNvcnJlY3QgaG9yc2U="; // PLAIN
    for secret in [PASSWORD, base64, "Y29ycmVjdCBob3JzZQ=="] {
        assert!(!everything.contains(secret), "a password is in the log");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaks_logs_in_and_sends() -> anyhow::Result<()> {
    let submission = Submission::start("[ingress]\nhide_submission_client = true\n").await?;
    let mut subjects = Vec::new();
    for (service, tls) in [("submission", "--tls"), ("submissions", "--tls-on-connect")] {
        let server = submission.relay.address(service)?.to_string();
        for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
            let subject = format!("{service} {mechanism}");
            let header = format!("Subject: {subject}");
            let mut swaks = tokio::process::Command::new("swaks");
            swaks.args(["--server", &server, tls, "--auth", mechanism, "--auth-user", USER]);
            swaks.args(["--auth-password", PASSWORD, "--from", USER, "--to", "far@far.test"]);
            swaks.args(["--header", &header, "--ehlo", "[192.0.2.77]", "--local-interface", "127.0.0.9"]);
            let output = match swaks.output().await {
                Ok(output) => output,
                Err(error) => {
                    println!("skipped: swaks: {error}; tests/get-peers gets it");
                    return Ok(());
                }
            };
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("235 2.7.0"), "{subject}: {said}");
            subjects.push(subject);
        }
    }
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    for mail in submission.arrived(&subjects).await {
        let text = mail.text();
        assert!(
            text.contains("Received: from unknown (client not shown)\r\n\tby gw.test with ESMTPSA"),
            "{text}"
        );
        let header = text.split("\r\n\r\n").next().unwrap_or_default();
        assert!(!header.contains("192.0.2.77") && !header.contains("127.0.0."), "{header}");
        submission.is_traced(&mail).await?;
    }
    Ok(())
}

/// RFC 9266: GNU SASL binds its login to the connection, and sees that the server knows the password too.
#[tokio::test]
async fn a_login_is_bound_to_its_connection() -> anyhow::Result<()> {
    let submission = Submission::start("").await?;
    let address = submission.relay.address("submission")?;
    let connect = format!("127.0.0.1:{}", address.port());
    for (mechanism, password, is_accepted) in [
        ("SCRAM-SHA-256-PLUS", PASSWORD, true),
        ("SCRAM-SHA-256", PASSWORD, true),
        ("SCRAM-SHA-256-PLUS", "wrong", false),
    ] {
        let mut gsasl = tokio::process::Command::new("gsasl");
        gsasl.args(["--smtp", "--connect", &connect, "--starttls", "--hostname", "gw.test"]);
        gsasl.args(["--x509-ca-file", "", "--mechanism", mechanism, "--authentication-id", USER]);
        gsasl.args(["--password", password, "--quality-of-protection", "qop-auth"]);
        if mechanism == "SCRAM-SHA-256" {
            gsasl.arg("--no-cb");
        }
        let output = match gsasl.stdin(std::process::Stdio::null()).output().await {
            Ok(output) => output,
            Err(error) => {
                println!("skipped: gsasl: {error}; tests/get-peers gets it");
                return Ok(());
            }
        };
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(said.contains("235 2.7.0"), is_accepted, "{mechanism}: {said}");
        assert!(said.contains("SCRAM-SHA-256-PLUS"), "it is offered: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn authors_are_bound_to_their_account() -> anyhow::Result<()> {
    let submission = Submission::start("").await?;
    let folder = tempfile::tempdir()?;
    let aliases = "*@own.test\t*@own.test\nsales@own.test\tuser1@own.test\n";
    for (document, text) in [("settings", "sender_trust = 3\n"), ("aliases", aliases)] {
        let path = folder.path().join(document);
        std::fs::write(&path, text)?;
        submission.relay.ctl(&["directory", "set", document, &path.to_string_lossy()]).await?;
    }
    let port = submission.port("submission")?;
    smtplib(AUTHORS, &[&port, submission.trusted(), USER, PASSWORD]).await?;
    Ok(())
}

/// SEED-116: nobody is called a liar because we cannot look.
#[tokio::test]
async fn a_policy_that_is_away_is_answered_454() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    let brokers = Brokers::One(NatsServer::start()?);
    let domains = rig::domain("own.test", &inner);
    let mut rig = Rig::start(brokers, &domains, &certificates.section(&["gw.test"])).await?;
    let ingress = rig.ingress_with(SUBMISSION).await?;
    ingress.wait_for_service("submissions").await;
    let mut client = SmtpClient::connect(ingress.address("submission")?).await?;
    rig.policy.terminate().await?;
    client.expect("EHLO client.test").await?;
    // n,,n=user1@own.test,r=n
    let reply = client.command("AUTH SCRAM-SHA-256 biwsbj11c2VyMUBvd24udGVzdCxyPW4=").await?;
    assert!(reply.starts_with("454 4.7.0"), "{reply}");
    let reply = client.command("MAIL FROM:<user1@own.test>").await?;
    assert!(reply.starts_with("530 5.7.0"), "{reply}");
    Ok(())
}

/// SEED-099, SEED-110: this machine may relay, on port 25 only, and nobody may pose as postmaster.
#[tokio::test]
async fn a_trusted_address_is_trusted_on_port_25_only() -> anyhow::Result<()> {
    let submission = Submission::start("").await?;
    let mut client = SmtpClient::connect(submission.relay.address("submission")?).await?;
    client.expect("EHLO client.test").await?;
    let reply = client.command("MAIL FROM:<a@client.test>").await?;
    assert!(reply.starts_with("530 5.7.0"), "{reply}");
    let mut client = SmtpClient::connect(submission.relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    client.expect("MAIL FROM:<a@client.test>").await?;
    client.expect("RCPT TO:<far@far.test>").await?;

    let stranger = std::net::SocketAddr::from(([127, 0, 0, 9], 0));
    let mut client = SmtpClient::connect_from(stranger, submission.relay.smtp()).await?;
    client.expect("EHLO stranger.test").await?;
    for sender in ["postmaster@own.test", USER] {
        let reply = client.command(&format!("MAIL FROM:<{sender}>")).await?;
        assert!(reply.starts_with("530 5.7.0"), "{reply}");
    }
    Ok(())
}
