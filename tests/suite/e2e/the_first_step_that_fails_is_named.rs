//! `hikyakuctl diagnose`: one fault for each step of a delivery, with the real programs.

use std::time::Duration;

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    port,
    relay::Relay,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpSocket, UdpSocket},
};

use crate::lab::{CONTENT, Lab, SOON};

/// STARTTLS, and then octets that are no TLS.
const BROKEN: Script = Script::AnswersStartTls(b"220 2.0.0 go on\r\nnonsense\r\n");
/// Longer than a sender needs to fill the buffers.
const STALL: Duration = Duration::from_millis(500);
const USER_UNKNOWN: &str = "550 5.7.1 not from you";

/// Exit status, and the JSON document.
async fn diagnose(relay: &Relay, arguments: &[&str]) -> anyhow::Result<(i32, Value)> {
    let (status, text) = relay.ctl_status(&[&["--json", "diagnose"], arguments].concat()).await?;
    let said = serde_json::from_str(&text).map_err(|error| anyhow::anyhow!("{error}: {text}"))?;
    Ok((status.unwrap_or(-1), said))
}

/// Step and help of the first that fails.
fn first_fail(said: &Value) -> (&str, &str) {
    let first = &said["first_fail"];
    (first["step"].as_str().unwrap_or_default(), first["help"].as_str().unwrap_or_default())
}

/// All that was seen in a step of the first node.
fn seen(said: &Value, step: &str) -> String {
    let steps = said["nodes"][0]["steps"].as_array().cloned().unwrap_or_default();
    let step = steps.into_iter().find(|shown| shown["step"] == step).unwrap_or_default();
    format!("{} {}", step["mark"].as_str().unwrap_or_default(), step["seen"])
}

async fn set(lab: &Lab, relay: &Relay, document: &str, text: &str) -> anyhow::Result<()> {
    let path = lab.folder.path().join(document);
    std::fs::write(&path, text)?;
    relay.ctl(&["directory", "set", document, &path.to_string_lossy()]).await?;
    Ok(())
}

#[tokio::test]
async fn seed_220_each_fault_fails_at_its_step() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let well = ScriptedMx::start(Script::Accept).await?;
    let refusing = ScriptedMx::start(Script::RefuseRcpt(USER_UNKNOWN)).await?;
    let (silent, broken) = (ScriptedMx::start(Script::Silent).await?, ScriptedMx::start(BROKEN).await?);
    let nobody = port::unused()?;
    lab.configure(&format!("[delivery]\nmx_port = {}\n", well.address().port()))?;
    for (domain, mx) in [("silent.test", &silent), ("broken.test", &broken), ("refusing.test", &refusing)] {
        lab.own_domain(domain, mx);
    }
    lab.own_domain_at("closed.test", nobody);
    lab.mail_for("well.test", well.address());
    lab.dns.mx("null.test", 0, ".");
    let relay = lab.up().await?;

    let (status, said) = diagnose(&relay, &["well.test", "--to", "b@well.test"]).await?;
    assert_eq!((status, &said["first_fail"], &said["exit_status"]), (0, &Value::Null, &0.into()), "{said:#}");
    assert!(
        seen(&said, "name").starts_with("OK [\"MX 10 mx.well.test (TTL 60): 127.0.0.1 (TTL 60)"),
        "{said:#}"
    );
    assert!(seen(&said, "tls").contains("STARTTLS is not offered"), "{said:#}");
    assert!(seen(&said, "envelope").contains("RCPT 250 2.1.5 ok"), "{said:#}");
    assert_eq!((well.received_count(), well.attempts().len()), (0, 1), "no message was handed over");

    for (arguments, status, step, words) in [
        (&["gone.test"][..], 11, "name", "domain does not exist"),
        (&["null.test"], 11, "name", "null MX"),
        (&["closed.test"], 12, "tcp", "connection refused (ECONNREFUSED)"),
        (&["silent.test", "--timeout", "6s"], 13, "banner", "silence for 2 s"),
        (
            &["refusing.test", "--from", "a@client.test", "--to", "b@refusing.test"],
            15,
            "envelope",
            USER_UNKNOWN,
        ),
    ] {
        let (ended, said) = diagnose(&relay, arguments).await?;
        assert_eq!((ended, first_fail(&said).0), (status, step), "{arguments:?} {said:#}");
        assert!(seen(&said, step).contains(words), "{said:#}");
        assert!(!first_fail(&said).1.is_empty() && said["first_fail"]["node"].is_string(), "{said:#}");
    }
    // The line that leads there is named.
    let (_, said) = diagnose(&relay, &["b@closed.test"]).await?;
    assert!(seen(&said, "name").contains(&format!("leads to [127.0.0.1]:{}", nobody.port())), "{said:#}");

    // In the clear mail would go; where TLS is required it would not.
    let (status, said) = diagnose(&relay, &["broken.test"]).await?;
    assert_eq!(status, 0, "{said:#}");
    assert!(seen(&said, "tls").starts_with("WARN "), "{said:#}");
    set(&lab, &relay, "traffic", "destination [*] tls=required\n").await?;
    eventually(SOON, async || {
        let (status, said) = diagnose(&relay, &["broken.test"]).await.map_err(|error| error.to_string())?;
        if (status, first_fail(&said).0) == (14, "tls") { Ok(()) } else { Err(format!("{said:#}")) }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn seed_220_dead_resolvers_come_first() -> anyhow::Result<()> {
    let (mut lab, stopped) = (Lab::new().await?, UdpSocket::bind("127.0.0.1:0").await?);
    let well = ScriptedMx::start(Script::Accept).await?;
    lab.configure(&format!("[delivery]\nmx_port = {}\n", well.address().port()))?;
    lab.mail_for("well.test", well.address());
    let stopped = stopped.local_addr()?;
    lab.resolver(stopped);
    // One of two: mail goes, and the dead one is named.
    let relay = lab.up().await?;
    let (status, said) = diagnose(&relay, &["well.test"]).await?;
    assert_eq!(status, 0, "{said:#}");
    assert!(seen(&said, "resolver").contains(&format!("{stopped} is dead")), "{said:#}");
    assert!(seen(&said, "resolver").starts_with("WARN "), "{said:#}");
    drop(relay);

    let relay = Relay::up(
        &lab.folder.path().join("other"),
        &["--hostname", "gw.test", "--relay-from", "127.0.0.1/32", "--dns", &stopped.to_string()],
    )
    .await?;
    let (status, said) = diagnose(&relay, &["well.test"]).await?;
    assert_eq!((status, first_fail(&said).0), (10, "resolver"), "{said:#}");
    Ok(())
}

/// SEED-212: what the sessions of a day came to. The peer leaves after it has the content.
#[tokio::test]
async fn seed_212_ends_without_a_reply_are_counted() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let cutting = ScriptedMx::start(Script::CutAfterContent).await?;
    let slow = ScriptedMx::start(Script::Silent).await?;
    lab.own_domain("cut.test", &cutting);
    lab.own_domain("slow.test", &slow);
    let relay = lab.up().await?;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(send_one(relay.smtp(), "a@client.test", &["b@cut.test"], CONTENT).await?);
    }
    for id in &ids {
        relay.wait_for_mail_log("deferred", id, SOON).await;
    }
    let (status, said) = diagnose(&relay, &["cut.test"]).await?;
    let past = seen(&said, "past");
    assert_eq!(status, 0, "the peer is well now: {said:#}");
    assert!(past.starts_with("WARN ") && past.contains("3 sessions and 3 failures within 0 min"), "{past}");
    let line = "3 of 3 sessions ended without a reply at content after 0.";
    assert!(
        past.contains(line) && past.contains("the limit for content is 600.0 s: a higher limit cannot help"),
        "{past}"
    );

    // Our own limit is what ended this one.
    set(&lab, &relay, "traffic", "destination [*] timeout_greeting=2s\n").await?;
    let destination = format!("[127.0.0.1]:{}", slow.address().port());
    eventually(SOON, async || {
        let limits = relay.ctl(&["destination", "limits", &destination]).await;
        let limits = limits.map_err(|error| error.to_string())?;
        if limits.contains("timeout_greeting") { Ok(()) } else { Err(limits) }
    })
    .await;
    let id = send_one(relay.smtp(), "a@client.test", &["b@slow.test"], CONTENT).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;
    let (status, said) = diagnose(&relay, &["slow.test", "--timeout", "6s"]).await?;
    let past = seen(&said, "past");
    assert_eq!(status, 13, "{said:#}");
    assert!(past.contains("the limit for greeting is 2.0 s: a higher limit may help"), "{past}");
    Ok(())
}

/// Takes the beginning of a message, lets the rest wait and resets the connection.
async fn reset_inside_data(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 mx.test ESMTP\r\n").await?;
            let mut line = String::new();
            while stream.read_line(&mut line).await? > 0 {
                let reply: &[u8] = match line.get(..4) {
                    Some("DATA") => b"354 go on\r\n",
                    Some(_) | None => b"250 mx.test\r\n",
                };
                stream.write_all(reply).await?;
                if line.starts_with("DATA") {
                    stream.read_exact(&mut vec![0; 64 * 1024]).await?;
                    // What is on the way fills the buffers; it is unread, so the end is a reset.
                    tokio::time::sleep(STALL).await;
                    break;
                }
                line.clear();
            }
            anyhow::Ok(())
        });
    }
}

/// SEED-213: what a filter or a packet that is too large does.
#[tokio::test]
async fn seed_213_resets_at_a_constant_byte_count() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 * 1024)?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let listener = socket.listen(16)?;
    lab.own_domain_at("reset.test", listener.local_addr()?);
    let peer = tokio::spawn(reset_inside_data(listener));
    let relay = lab.up().await?;
    for size in [6_000_000, 7_000_000, 9_000_000] {
        let content = format!("{CONTENT}{}", "0123456789abcde\r\n".repeat(size / 17));
        let id = send_one(relay.smtp(), "a@client.test", &["b@reset.test"], &content).await?;
        let deferred = relay.wait_for_mail_log("deferred", &id, SOON).await;
        assert!(
            deferred["cause"].as_str().is_some_and(|cause| cause.contains("reset by peer")),
            "{deferred}"
        );
    }
    let (_, said) = diagnose(&relay, &["reset.test"]).await?;
    let past = seen(&said, "past");
    assert!(past.contains("ended in content at a constant byte count"), "{past}");
    peer.abort();
    Ok(())
}
