//! CHUNKING and BINARYMIME (RFC 3030): in by BDAT, on by BDAT where that is offered, by DATA where the
//! message is text, and back where it is not.

use hikyaku_testkit::{
    eventually::eventually,
    mx::{Received, Script, ScriptedMx},
};

use crate::lab::{Lab, SOON, python};

/// Sends a header and `count` times all octets, in chunks of some size.
const SEND: &str = r"
import smtplib, sys
port, recipient, body, size, count = sys.argv[1:]
header = b'From: a@home.test\r\nSubject: chunks\r\nContent-Transfer-Encoding: binary\r\n\r\n'
line = b'.text\r\n' if body != 'BINARYMIME' else bytes(range(256))
content = header + line * int(count)

with smtplib.SMTP('127.0.0.1', int(port)) as client:
    client.ehlo('client.test')
    assert client.has_extn('CHUNKING') and client.has_extn('BINARYMIME'), client.esmtp_features
    assert client.mail('a@home.test', ['BODY=' + body])[0] == 250
    assert client.rcpt(recipient)[0] == 250
    if body == 'BINARYMIME':
        assert client.docmd('DATA')[0] == 503
    for start in range(0, len(content), int(size)):
        chunk = content[start:start + int(size)]
        client.send(b'BDAT %d\r\n' % len(chunk) + chunk)
        code, text = client.getreply()
        assert code == 250, (code, text)
    code, text = client.docmd('BDAT 0 LAST')
    assert code == 250, (code, text)
    print(text.decode())
";

const HEADER: &[u8] = b"From: a@home.test\r\nSubject: chunks\r\nContent-Transfer-Encoding: binary\r\n\r\n";

fn binary(count: usize) -> Vec<u8> {
    let octets: Vec<u8> = (0..=255).collect();
    [HEADER, &octets.repeat(count)].concat()
}

async fn arrived(mx: &ScriptedMx) -> Received {
    eventually(SOON, async || mx.received().first().cloned().ok_or_else(|| "nothing yet".to_owned())).await
}

/// Our trace fields, and behind them what was sent.
fn is_traced(mail: &Received, content: &[u8]) {
    let front = mail.content.strip_suffix(content).expect("the content is another one");
    let trace = String::from_utf8_lossy(front);
    assert!(trace.starts_with("Received: from client.test") && trace.ends_with("\r\n"), "{trace}");
    assert!(trace.contains(" with ESMTP ") && !trace.contains("\r\n\r\n"), "{trace}");
}

async fn send(lab: &Lab, arguments: [&str; 4]) -> anyhow::Result<Option<hikyaku_testkit::relay::Relay>> {
    let relay = lab.up().await?;
    let port = relay.smtp().port().to_string();
    let [recipient, body, size, count] = arguments;
    let said = python(SEND, &[&port, recipient, body, size, count]).await?;
    Ok(said.map(|_| relay))
}

#[tokio::test]
async fn binary_content_arrives_as_it_was() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::OffersChunks).await?;
    lab.own_domain("own.test", &inner);
    let Some(_relay) = send(&lab, ["b@own.test", "BINARYMIME", "100", "4"]).await? else { return Ok(()) };
    let mail = arrived(&inner).await;
    assert!(mail.commands[0].contains("BODY=BINARYMIME"), "{:?}", mail.commands);
    is_traced(&mail, &binary(4));
    Ok(())
}

/// 25 MiB, in chunks of 1 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_content_arrives_as_it_was() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::OffersChunks).await?;
    lab.own_domain("own.test", &inner);
    let arguments = ["b@own.test", "BINARYMIME", "1048576", "102400"];
    let Some(_relay) = send(&lab, arguments).await? else { return Ok(()) };
    is_traced(&arrived(&inner).await, &binary(102_400));
    Ok(())
}

/// Chunks of 7 octets cut each line somewhere else.
#[tokio::test]
async fn text_goes_on_by_data() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let Some(_relay) = send(&lab, ["b@own.test", "8BITMIME", "7", "50"]).await? else { return Ok(()) };
    let mail = arrived(&inner).await;
    assert!(mail.commands[0].contains("BODY=8BITMIME"), "{:?}", mail.commands);
    is_traced(&mail, &[HEADER, &b".text\r\n".repeat(50)].concat());
    Ok(())
}

/// RFC 3030 3: a host that lacks it gets nothing, and the sender is told, without the octets that no
/// report can carry.
#[tokio::test]
async fn what_cannot_go_on_comes_back() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let (home, away) = (ScriptedMx::start(Script::Accept).await?, ScriptedMx::start(Script::Accept).await?);
    lab.own_domain("home.test", &home);
    lab.own_domain("away.test", &away);
    let Some(_relay) = send(&lab, ["b@away.test", "BINARYMIME", "100", "4"]).await? else { return Ok(()) };
    let report = arrived(&home).await;
    let text = report.text();
    for part in [
        "Final-Recipient: rfc822; b@away.test",
        "Action: failed",
        "Status: 5.6.3",
        "Diagnostic-Code: x-local; ",
        "message needs CHUNKING and BINARYMIME, which the server lacks",
        "Content-Type: text/rfc822-headers",
        "Subject: chunks",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!report.content.contains(&0), "nothing of the body is in {text}");
    assert_eq!((away.received_count(), away.attempts().len()), (0, 0));
    Ok(())
}
