use std::net::SocketAddr;

use hikyaku_testkit::{
    balancer::{BALANCER, Backend, Balancer},
    client::SmtpClient,
    mx::{Script, ScriptedMx},
    relay::Relay,
};

use crate::lab::{CONTENT, Certificates, Lab, SOON, smtplib};

const STRANGER: &str = "127.0.0.9";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn from(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 0)
}

/// A relay behind a balancer whose own address may relay, which must not help anybody.
async fn behind_a_balancer(tls: &str) -> anyhow::Result<(Lab, ScriptedMx, Relay)> {
    let mut lab = Lab::empty().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    lab.configure(&format!(
        "relay_from = [\"{BALANCER}/32\", \"127.0.0.1/32\"]\n{tls}\n[ingress]\nproxy_from = [\"{BALANCER}/32\"]\n"
    ))?;
    let relay = lab.up().await?;
    Ok((lab, mx, relay))
}

async fn says(client: &mut SmtpClient, recipient: &str) -> anyhow::Result<String> {
    client.expect("EHLO client.test").await?;
    let reply = client.command("MAIL FROM:<a@client.test>").await?;
    if !reply.starts_with("250") {
        return Ok(reply);
    }
    Ok(client.command(&format!("RCPT TO:<{recipient}>")).await?)
}

/// HAProxy with both versions: what a client may do is decided by its own address.
#[tokio::test]
async fn the_address_that_a_balancer_carries_decides() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let tls = certificates.configuration(&["gw.test"]);
    let (_lab, mx, relay) = behind_a_balancer(&tls).await?;
    let backend = |service: &str, header, greets| {
        let address = if service == "smtp" { Ok(relay.smtp()) } else { relay.address(service) };
        address.map(|address| Backend { address, header, greets })
    };
    let backends = [
        backend("smtp", "send-proxy", true)?,
        backend("smtp", "send-proxy-v2", true)?,
        backend("submissions", "send-proxy-v2", false)?,
    ];
    let balancer = match Balancer::start(&backends).await? {
        Ok(balancer) => balancer,
        Err(why) => {
            println!("skipped: {why}");
            return Ok(());
        }
    };
    for entrance in &balancer.addresses()[..2] {
        let mut stranger = SmtpClient::connect_from(from(STRANGER), *entrance).await?;
        let reply = says(&mut stranger, "far@far.test").await?;
        assert!(reply.starts_with("550 5.7.1"), "{reply}");
        stranger.expect("RCPT TO:<b@own.test>").await?;
        let mut trusted = SmtpClient::connect_from(from("127.0.0.1"), *entrance).await?;
        let reply = says(&mut trusted, "far@far.test").await?;
        assert!(reply.starts_with("250"), "{reply}");
        trusted.expect("RSET").await?;
        let id = trusted.send_mail("a@client.test", &["b@own.test"], CONTENT).await?;
        relay.wait_for_mail_log("delivered", &id, SOON).await;
    }
    let text = mx.received()[0].text();
    assert!(text.contains("[127.0.0.1]") && !text.contains(BALANCER), "{text}");

    // TLS begins behind the header.
    let port = balancer.addresses()[2].port().to_string();
    let trusted = certificates.trusted.to_string_lossy();
    let script = "import sys\nclient = implicit(sys.argv[1], sys.argv[2], '127.0.0.9')\nprint(client.mail('a@own.test')[0])";
    if let Some(code) = smtplib(script, &[&port, &trusted]).await? {
        assert_eq!(code.trim(), "530");
    }
    Ok(())
}

/// A header that is missing, broken or nobody's opens nothing, and neither does one of somebody who is no
/// balancer.
#[tokio::test]
async fn a_forged_header_opens_nothing() -> anyhow::Result<()> {
    let (_lab, _mx, relay) = behind_a_balancer("").await?;
    for start in [
        "EHLO client.test\r\n",
        "PROXY TCP4 127.0.0.1\r\n",
        "PROXY TCP4 127.0.0.1 127.0.0.5 99999 25\r\n",
        "PROXY TCP4 127.0.0.1 127.0.0.5 1 25 extra and no end of the line that is far longer than a header may be, \
         which nobody waits for\r\n",
    ] {
        let mut client = SmtpClient::silent_from(from(BALANCER), relay.smtp()).await?;
        client.send(start.as_bytes()).await?;
        assert_eq!(client.reply().await.unwrap_or_default(), "", "{start:?}");
    }
    // A balancer that names nobody: it is greeted, and hands nothing in.
    for start in [b"PROXY UNKNOWN\r\n".as_slice(), V2_LOCAL] {
        for recipient in ["far@far.test", "b@own.test"] {
            let mut client = SmtpClient::silent_from(from(BALANCER), relay.smtp()).await?;
            client.send(start).await?;
            let greeting = client.reply().await?;
            assert!(greeting.starts_with("220"), "{greeting}");
            let reply = says(&mut client, recipient).await?;
            assert!(reply.starts_with("550 5.7.1"), "{reply}");
        }
    }
    // From elsewhere it is a command that does not exist.
    let mut stranger = SmtpClient::connect_from(from(STRANGER), relay.smtp()).await?;
    let reply = stranger.command("PROXY TCP4 127.0.0.1 127.0.0.5 1 25").await?;
    assert!(reply.starts_with("500"), "{reply}");
    let reply = says(&mut stranger, "far@far.test").await?;
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    Ok(())
}
