use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    peers::Peer,
    relay::Relay,
};
use serde_json::Value;

use crate::lab::{CONTENT, Certificates, Lab, SOON, smtplib};

const SEND: &str = r"
import sys
client = starttls(sys.argv[1], sys.argv[2], '127.0.0.1')
print(client.has_extn('requiretls'))
content = 'Subject: secret\r\n\r\nhello\r\n'
client.sendmail('a@client.test', [sys.argv[3]], content, mail_options=['REQUIRETLS'])
";

/// Hands in one message for `to` that must stay protected; `false` where there is no Python.
async fn send(relay: &Relay, certificates: &Certificates, to: &str) -> anyhow::Result<bool> {
    let (port, trusted) = (relay.smtp().port().to_string(), certificates.trusted.to_string_lossy());
    let said = smtplib(SEND, &[&port, &trusted, to]).await?;
    assert_ne!(said.as_deref(), Some("False\n"), "REQUIRETLS is offered over TLS");
    Ok(said.is_some())
}

/// The line that says how it ended.
async fn ended(relay: &Relay, event: &str, to: &str) -> Value {
    let found = || {
        let lines = relay.mail_log(event, None);
        lines.into_iter().find(|line| line.to_string().contains(to))
    };
    eventually(SOON, async || {
        if found().is_some() { Ok(()) } else { Err(format!("{:#?}", relay.mail_log("attempt", None))) }
    })
    .await;
    found().unwrap_or_default()
}

/// RFC 8689 4.2.1.
#[tokio::test]
async fn requiretls_goes_to_hosts_that_keep_it_or_comes_back() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    certificates.renew("inner.test")?;
    let plain = ScriptedMx::start(Script::Accept).await?;

    // The next hop is a relay that offers it, and whose own next hop does not.
    let mut inner = Lab::new().await?;
    inner.own_domain("kept.test", &plain);
    inner.configure(&certificates.section(&["inner.test"]))?;
    let inner = inner.up().await?;

    let mut lab = Lab::new().await?;
    lab.own_domain_by_name("kept.test", "inner.test", inner.smtp());
    lab.own_domain("clear.test", &plain);
    let careless = Peer::postfix_over_tls(&certificates.renew("careless.test")?, "may")?;
    if let Ok(careless) = &careless {
        eventually(SOON, async || {
            SmtpClient::connect(careless.address()).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        lab.own_domain_by_name("careless.test", "careless.test", careless.address());
    }
    lab.mail_for("unproven.test", plain.address());
    lab.configure(&format!(
        "{}[delivery]\nmx_port = {}\n[delivery.tls]\nca = {:?}\n",
        certificates.section(&["gw.test"]),
        plain.address().port(),
        certificates.trusted
    ))?;
    let relay = lab.up().await?;

    if !send(&relay, &certificates, "b@kept.test").await? {
        return Ok(());
    }
    let delivered = ended(&relay, "delivered", "b@kept.test").await;
    assert_eq!((&delivered["tls_policy"], &delivered["tls_verified"]), (&"verified".into(), &true.into()));
    let returned = ended(&inner, "bounced", "b@kept.test").await;
    assert!(returned.to_string().contains("5.7.10"), "{returned}");

    for (to, status) in [("b@clear.test", "5.7.10"), ("b@unproven.test", "5.7.10")] {
        send(&relay, &certificates, to).await?;
        let returned = ended(&relay, "bounced", to).await;
        assert!(returned.to_string().contains(status), "{to}: {returned}");
    }
    if careless.is_ok() {
        send(&relay, &certificates, "b@careless.test").await?;
        let returned = ended(&relay, "bounced", "b@careless.test").await;
        assert!(returned.to_string().contains("5.7.30"), "{returned}");
    }
    assert!(plain.received().is_empty(), "nothing has gone in the clear");

    // The same session carries what needs nothing, and a client in the clear cannot ask for it.
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    let reply = client.command("MAIL FROM:<a@client.test> REQUIRETLS").await?;
    assert!(reply.starts_with("555 5.5.4"), "{reply}");
    client.send_mail("a@client.test", &["b@clear.test"], CONTENT).await?;
    eventually(SOON, async || if plain.received().len() == 1 { Ok(()) } else { Err("not there".to_owned()) })
        .await;
    Ok(())
}

/// RFC 8689 5: nor does a report for administrators tell in the clear what the message says.
#[tokio::test]
async fn a_digest_repeats_nothing_of_it() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let mut lab = Lab::new().await?;
    let plain = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("home.test", &plain);
    let digest = "[delivery]\nfailure_digest_to = \"admin@home.test\"\n";
    lab.configure(&format!("{}{digest}", certificates.section(&["gw.test"])))?;
    let relay = lab.up().await?;
    if !send(&relay, &certificates, "b@home.test").await? {
        return Ok(());
    }
    ended(&relay, "bounced", "b@home.test").await;
    assert_eq!(relay.terminate().await?, Some(0));
    let _relay = lab.up().await?;
    let digest =
        eventually(SOON, async || plain.received().pop().ok_or_else(|| "no digest".to_owned())).await;
    let text = digest.text();
    assert!(text.contains("to <b@home.test>") && text.contains("5.7.10"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    Ok(())
}
