//! SEED-203, SEED-204.

use std::{net::SocketAddr, process::Stdio};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    relay::Relay,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

use crate::lab::{Lab, SOON};

const WATCHED: &str = "127.0.0.9:0";
const OTHER: &str = "127.0.0.8:0";
const SECRET: &str = "AHVzZXIAY29ycmVjdCBob3JzZQ==";

/// A `hikyakuctl trace` that runs.
struct Trace {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Trace {
    /// The relay knows that somebody watches when this returns.
    async fn start(relay: &Relay, of: &[&str]) -> anyhow::Result<Self> {
        let before = watchers(relay);
        let mut command = relay.ctl_command(&[&["--json", "trace", "--for", "10m"], of].concat());
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        eventually(SOON, async || match watchers(relay) {
            now if now > before => Ok(()),
            _ => Err("nobody more watches".to_owned()),
        })
        .await;
        Ok(Self { _child: child, lines })
    }

    /// Lines up to the first with this text in it.
    async fn until(&mut self, text: &str) -> anyhow::Result<Vec<Value>> {
        let mut seen: Vec<Value> = Vec::new();
        while !seen.last().is_some_and(|line| line["text"].as_str().is_some_and(|it| it.contains(text))) {
            let next = tokio::time::timeout(SOON, self.lines.next_line()).await;
            let Ok(Ok(Some(line))) = next else { anyhow::bail!("no {text:?} in {seen:#?}") };
            seen.push(serde_json::from_str(&line)?);
        }
        Ok(seen)
    }
}

/// That have begun.
fn watchers(relay: &Relay) -> usize {
    relay.log().iter().filter(|line| line["message"] == "sessions are watched").count()
}

fn texts<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a str> {
    lines.iter().filter(|line| line["kind"] == kind).filter_map(|line| line["text"].as_str()).collect()
}

async fn from(address: &str, relay: &Relay) -> anyhow::Result<SmtpClient> {
    SmtpClient::connect_from(address.parse::<SocketAddr>()?, relay.smtp()).await
}

#[tokio::test]
async fn seed_203_seed_204_one_client_is_watched_and_nobody_else() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    lab.configure("[auth]\ncram_md5 = true\n")?;
    let relay = lab.up().await?;
    // One goes on already when somebody begins to watch.
    let mut client = from(WATCHED, &relay).await?;
    let mut trace = Trace::start(&relay, &["--client", "127.0.0.9"]).await?;
    let mut other = from(OTHER, &relay).await?;
    other.expect("EHLO other.test").await?;
    client.expect("NOOP").await?;
    client.expect("EHLO client.test").await?;
    for secret in ["AUTH CRAM-MD5", SECRET, SECRET] {
        client.command(secret).await?;
    }
    client.expect("MAIL FROM:<a@client.test>").await?;
    client.command("RCPT TO:<b@far.test>").await?;
    client.expect("RCPT TO:<b@own.test>").await?;
    client.expect("DATA").await?;
    client.send(b"Subject: confidential\r\n\r\n").await?;
    client.expect(".").await?;
    client.expect("QUIT").await?;

    let seen = trace.until("221 2.0.0").await?;
    let all = Value::Array(seen.clone()).to_string();
    for hidden in ["other.test", "confidential", SECRET, "334 P"] {
        assert!(!all.contains(hidden), "{hidden} is in {seen:#?}");
    }
    let said = texts(&seen, "client");
    let expected = [
        "EHLO client.test",
        "AUTH CRAM-MD5 ***",
        "***",
        "***",
        "MAIL FROM:<a@client.test>",
        "RCPT TO:<b@far.test>",
        "RCPT TO:<b@own.test>",
        "DATA",
        "[25 octets of content]",
        "QUIT",
    ];
    assert_eq!(
        said.iter().filter(|line| **line != "NOOP").collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    let decided = texts(&seen, "decision");
    let (refused, accepted) = (decided[decided.len() - 2], decided[decided.len() - 1]);
    assert!(refused.starts_with("recipient: refused: 550 5.7.1"), "{decided:?}");
    assert!(accepted.starts_with("recipient: accepted for b@own.test, by [127.0.0.1]:"), "{decided:?}");
    // Each step with its input, its line and its result.
    let steps = |text: &str| {
        let line = seen.iter().find(|line| line["text"] == text).unwrap_or(&Value::Null);
        line["steps"].as_array().cloned().unwrap_or_default()
    };
    assert!(steps(refused).len() > 3 && steps(accepted).len() > 3, "{seen:#?}");
    let lines: Vec<Value> = steps(accepted).iter().map(|step| step["decided_by"].clone()).collect();
    let mut decided_by = lines.iter().filter_map(Value::as_str);
    let is_shown = decided_by.any(|line| !line.is_empty() && accepted.ends_with(&format!("({line})")));
    assert!(is_shown, "the line that decided is among the steps: {accepted} {lines:?}");

    // It ends by itself.
    let (status, text) = relay.ctl_status(&["trace", "--client", "127.0.0.7", "--for", "1s"]).await?;
    assert_eq!((status, text.as_str()), (Some(0), ""));
    Ok(())
}

#[tokio::test]
async fn seed_203_a_destination_is_watched() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    let relay = lab.up().await?;
    let hop = format!("[127.0.0.1]:{}", mx.address().port());
    let mut trace = Trace::start(&relay, &["--destination", &hop]).await?;
    let mut client = from(OTHER, &relay).await?;
    client.expect("EHLO client.test").await?;
    client.send_mail("a@client.test", &["b@own.test"], "Subject: confidential\r\n\r\n").await?;
    let seen = trace.until("octets of content were written").await?;
    assert!(!Value::Array(seen.clone()).to_string().contains("confidential"), "{seen:#?}");
    let (said, heard) = (texts(&seen, "client"), texts(&seen, "server"));
    for line in ["EHLO gw.test", "RCPT TO:<b@own.test>", "DATA"] {
        assert!(said.contains(&line), "{line} is not in {said:?}");
    }
    assert!(
        heard.iter().any(|line| line.starts_with("220 ")) && heard.iter().any(|line| line.starts_with("354"))
    );
    for wrong in
        [&["trace"][..], &["trace", "--client", "nobody"], &["trace", "--client", "::1", "--for", "2h"]]
    {
        assert_ne!(relay.ctl_status(wrong).await?.0, Some(0), "{wrong:?}");
    }
    Ok(())
}

/// A colleague who watches already hides nothing.
#[tokio::test]
async fn seed_203_several_may_watch_the_same_session() -> anyhow::Result<()> {
    let lab = Lab::new().await?;
    let relay = lab.up().await?;
    let mut first = Trace::start(&relay, &["--client", "127.0.0.9"]).await?;
    let mut client = from(WATCHED, &relay).await?;
    client.expect("EHLO client.test").await?;
    first.until("EHLO client.test").await?;
    let mut second = Trace::start(&relay, &["--client", "127.0.0.0/8"]).await?;
    client.expect("NOOP").await?;
    assert!(second.until("NOOP").await?.iter().all(|line| line["text"] != "EHLO client.test"));
    first.until("NOOP").await?;
    Ok(())
}
