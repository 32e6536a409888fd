//! SEED-210, SEED-211, SEED-215: what a server said is logged as its reply, and what happened on our side as an
//! error of our side, with its name, number, octets and time.

use std::{net::SocketAddr, time::Duration};

use hikyaku_testkit::{client::send_one, relay::Relay};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::lab::{CONTENT, Lab, SOON};

/// How long a server that says nothing is waited for before it ends the connection.
const LULL: Duration = Duration::from_millis(300);

/// Answers all commands up to the one that begins so; that one with this, as it is, and then ends.
async fn serve(listener: TcpListener, last: &'static str, answer: &'static str) -> anyhow::Result<()> {
    loop {
        let mut stream = BufReader::new(listener.accept().await?.0);
        stream.write_all(b"220 mx.test ESMTP\r\n").await?;
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 0 {
            if line.starts_with(last) {
                stream.write_all(answer.as_bytes()).await?;
                tokio::time::sleep(LULL).await;
                break;
            }
            stream.write_all(b"250 mx.test\r\n").await?;
            line.clear();
        }
    }
}

async fn deferred_by(address: SocketAddr) -> anyhow::Result<(Lab, Relay, Value)> {
    let mut lab = Lab::new().await?;
    lab.own_domain_at("away.test", address);
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@client.test", &["b@away.test"], CONTENT).await?;
    let deferred = relay.wait_for_mail_log("deferred", &id, SOON).await;
    Ok((lab, relay, deferred))
}

#[tokio::test]
async fn seed_210_a_server_that_leaves_has_said_nothing() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener, "RCPT", "25"));
    let (_lab, _relay, deferred) = deferred_by(address).await?;
    assert_eq!(deferred["phase"], "rcpt");
    assert_eq!((&deferred["local_error"], &deferred["bytes"]), (&"EOF".into(), &2.into()), "{deferred}");
    let after = deferred["after_seconds"].as_f64();
    assert!(after.is_some_and(|after| after >= 0.9 * LULL.as_secs_f64()), "{deferred}");
    assert_eq!((&deferred["remote"], &deferred["errno"]), (&Value::Null, &Value::Null), "{deferred}");
    let cause = deferred["cause"].as_str().unwrap_or_default();
    assert!(cause.ends_with("connection closed by peer while waiting for RCPT reply"), "{cause}");
    assert!(!deferred.to_string().contains("451"), "{deferred}");
    server.abort();
    Ok(())
}

#[tokio::test]
async fn seed_211_errors_have_their_name_and_number() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    drop(listener);
    assert!(TcpStream::connect(address).await.is_err());
    let (_lab, relay, deferred) = deferred_by(address).await?;
    let seen = (&deferred["phase"], &deferred["local_error"], &deferred["errno"], &deferred["status"]);
    assert_eq!(seen, (&"connect".into(), &"ECONNREFUSED".into(), &111.into(), &"4.4.1".into()));
    let entry = relay.queue().await?.pop().unwrap_or_default();
    assert!(entry.to_string().contains("ECONNREFUSED"), "the queue tells it too: {entry}");
    Ok(())
}

#[tokio::test]
async fn seed_215_a_reply_is_logged_word_for_word() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener, "MAIL", "421-4.7.0 come\r\n421 4.7.0 back later\r\n"));
    let (_lab, _relay, deferred) = deferred_by(address).await?;
    let remote = deferred["remote"].as_str().unwrap_or_default();
    assert!(remote.ends_with(": 421 4.7.0 come back later"), "{deferred}");
    for ours in ["local_error", "errno", "bytes", "after_seconds"] {
        assert_eq!(deferred[ours], Value::Null, "{ours}: {deferred}");
    }
    server.abort();
    Ok(())
}
