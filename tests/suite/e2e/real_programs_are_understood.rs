//! Mail programs that administrators use: swaks, curl and Python in; Postfix and Exim out.

use std::process::{Command, Output};

use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    eventually::eventually,
    mx::{Script, ScriptedMx},
    peers::{Peer, Skipped},
};

use crate::lab::{CONTENT, Lab, SOON, listening};

const PYTHON: &str = r"
import smtplib, sys
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as client:
    client.sendmail('python@client.test', ['python@own.test'],
                    'From: python@client.test\r\nSubject: from python\r\n\r\n.dot\r\nbody\r\n')
";

fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: {program}: {error}; tests/get-peers gets it");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaks_curl_and_python_send() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let port = relay.smtp().port().to_string();
    let file = lab.folder.path().join("mail.txt");
    std::fs::write(&file, CONTENT)?;
    let (server, url) = (format!("127.0.0.1:{port}"), format!("smtp://127.0.0.1:{port}/client.test"));
    let commands: [(&str, Vec<&str>); 3] = [
        ("swaks", vec!["--server", &server, "--from", "swaks@client.test", "--to", "swaks@own.test"]),
        (
            "curl",
            vec![
                "--silent",
                "--show-error",
                "--url",
                &url,
                "--mail-from",
                "curl@client.test",
                "--mail-rcpt",
                "curl@own.test",
                "--upload-file",
                file.to_str().unwrap_or_default(),
            ],
        ),
        ("python3", vec!["-c", PYTHON, &port]),
    ];
    let mut expected = Vec::new();
    for (program, arguments) in commands {
        let Some(output) = run(program, &arguments) else { continue };
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&said));
        expected.push(format!("{}@own.test", program.trim_end_matches('3')));
    }
    eventually(SOON, async || {
        let mut arrived: Vec<String> =
            inner.received().into_iter().flat_map(|mail| mail.recipients).collect();
        arrived.sort();
        expected.sort();
        if arrived == expected { Ok(()) } else { Err(format!("{arrived:?} instead of {expected:?}")) }
    })
    .await;
    Ok(())
}

async fn passes_to(peer: Result<Peer, Skipped>) -> anyhow::Result<()> {
    let Some(peer) = listening(peer).await else { return Ok(()) };
    let mut lab = Lab::new().await?;
    lab.own_domain_at("own.test", peer.address());
    let relay = lab.up().await?;
    // Whether it offers DSN or not, what the client asked for is no obstacle.
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    client.expect("MAIL FROM:<a@client.test> RET=HDRS ENVID=QQ+2B1").await?;
    client.expect("RCPT TO:<n1@own.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb@far.test").await?;
    client.expect("RCPT TO:<n2@own.test> NOTIFY=NEVER ORCPT=utf-8;\\x{7528}@far.test").await?;
    client.expect("DATA").await?;
    client.send(CONTENT.replace("hello", "asking").as_bytes()).await?;
    let reply = client.expect(".").await?;
    let id = reply.rsplit(' ').next().unwrap_or_default();
    relay.wait_for_mail_log("delivered", id, SOON).await;
    for n in 0..5 {
        let to = format!("u{n}@own.test");
        let id = send_one(relay.smtp(), "a@client.test", &[&to], CONTENT).await?;
        relay.wait_for_mail_log("delivered", &id, SOON).await;
    }
    eventually(SOON, async || {
        let mail = peer.mail();
        let messages = mail.matches("Subject: hello").count();
        if messages == 5 && mail.contains("X-Relay: gw.test") { Ok(()) } else { Err(mail) }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn postfix_receives() -> anyhow::Result<()> {
    passes_to(Peer::postfix()?).await
}

#[tokio::test]
async fn exim_receives() -> anyhow::Result<()> {
    passes_to(Peer::exim()?).await
}
