use std::net::SocketAddr;

use hikyaku_testkit::{
    client::SmtpClient,
    mx::{Script, ScriptedMx},
};

use crate::lab::{CONTENT, Lab, SOON, set_accounts};

const PROXY: &str = "127.0.0.5:0";
const TRUSTED: &str = "127.0.0.1";
const STRANGER: &str = "127.0.0.9";

async fn may_relay(client: &mut SmtpClient) -> anyhow::Result<String> {
    client.expect("EHLO client.test").await?;
    let reply = client.command("MAIL FROM:<user@own.test>").await?;
    if !reply.starts_with("250") {
        return Ok(reply);
    }
    Ok(client.command("RCPT TO:<far@far.test>").await?)
}

/// XCLIENT: the address that a named peer gives decides, and nobody else may give one.
#[tokio::test]
async fn the_client_that_a_proxy_names_decides() -> anyhow::Result<()> {
    let mut lab = Lab::empty().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    lab.configure(&format!(
        "relay_from = [\"{TRUSTED}/32\"]\n[ingress]\nxclient_from = [\"127.0.0.5/32\"]\n"
    ))?;
    let relay = lab.up().await?;
    set_accounts(&relay, &[("user@own.test", "secret")]).await?;
    let proxy: SocketAddr = PROXY.parse()?;

    let mut client = SmtpClient::connect_from(proxy, relay.smtp()).await?;
    for (named, expected) in [
        ("ADDR=127.0.0.9", "530 5.7.0"),
        ("ADDR=127.0.0.1", "250"),
        ("ADDR=IPV6:2001:db8::9 NAME=x.test", "530 5.7.0"),
        ("ADDR=[UNAVAILABLE]", "550 5.7.1"),
        ("ADDR=127.0.0.9 LOGIN=user@own.test", "250"),
        ("ADDR=127.0.0.9 LOGIN=[UNAVAILABLE]", "530 5.7.0"),
    ] {
        client.expect("EHLO proxy.test").await?;
        assert_eq!(client.command(&format!("XCLIENT {named}")).await?, "220 gw.test ESMTP");
        let reply = may_relay(&mut client).await?;
        assert!(reply.starts_with(expected), "{named}: {reply}");
        client.expect("RSET").await?;
    }

    client.expect(&format!("XCLIENT ADDR={STRANGER}")).await?;
    client.expect("EHLO client.test").await?;
    let id = client.send_mail("a@client.test", &["b@own.test"], CONTENT).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    let text = mx.received()[0].text();
    assert!(text.contains("[127.0.0.9]") && !text.contains("127.0.0.5"), "{text}");
    assert_eq!(relay.mail_log("accepted", Some(&id))[0]["client"], STRANGER);

    let mut stranger = SmtpClient::connect_from(format!("{STRANGER}:0").parse()?, relay.smtp()).await?;
    stranger.expect("EHLO stranger.test").await?;
    let reply = stranger.command(&format!("XCLIENT ADDR={TRUSTED}")).await?;
    assert!(reply.starts_with("500 5.5.2"), "{reply}");
    assert!(may_relay(&mut stranger).await?.starts_with("530 5.7.0"));
    Ok(())
}

/// Whom a proxy names is counted, and not the proxy; nor does that wait for its greeting.
#[tokio::test]
async fn a_proxy_has_more_clients_than_one() -> anyhow::Result<()> {
    let mut lab = Lab::empty().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    lab.configure(
        "[ingress]\nxclient_from = [\"127.0.0.5/32\"]\nmax_connections_per_client = 1\ngreet_pause_seconds = 60\n",
    )?;
    let relay = lab.up().await?;
    let proxy: SocketAddr = PROXY.parse()?;
    let mut first = SmtpClient::connect_from(proxy, relay.smtp()).await?;
    let mut second = SmtpClient::connect_from(proxy, relay.smtp()).await?;
    let mut third = SmtpClient::connect_from(proxy, relay.smtp()).await?;
    assert_eq!(first.command("XCLIENT ADDR=127.0.0.8").await?, "220 gw.test ESMTP");
    assert_eq!(second.command("XCLIENT ADDR=127.0.0.9").await?, "220 gw.test ESMTP");
    let reply = third.command("XCLIENT ADDR=127.0.0.9").await?;
    assert!(reply.starts_with("421 4.3.2"), "{reply}");
    Ok(())
}

/// A real program speaks it too.
#[tokio::test]
async fn swaks_names_a_client() -> anyhow::Result<()> {
    let mut lab = Lab::empty().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    lab.configure("[ingress]\nxclient_from = [\"127.0.0.5/32\"]\n")?;
    let relay = lab.up().await?;
    let server = relay.smtp();
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    let arguments = [
        "--server",
        &host,
        "--port",
        &port,
        "--local-interface",
        "127.0.0.5",
        "--from",
        "a@client.test",
        "--to",
        "b@own.test",
        "--helo",
        "client.test",
        "--xclient-addr",
        STRANGER,
        "--xclient-name",
        "stranger.test",
    ];
    let output = match tokio::process::Command::new("swaks").args(arguments).output().await {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: swaks: {error}");
            return Ok(());
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(relay.mail_log("accepted", None)[0]["client"], STRANGER, "{said}");
    Ok(())
}
