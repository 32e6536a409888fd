//! SEED-146, RFC 6152 3.

use hikyaku_testkit::{
    client::send_one,
    mx::{Received, Script, ScriptedMx},
    relay::Relay,
};

use crate::lab::{Lab, SOON, in_force, set_traffic};

const MAIL: &str = "Subject: hello\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: 8bit\r\n\r\nThe caf\u{e9} around the corner\r\n";
const SIGNED: &str = "Subject: signed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n\
                      --b\r\n\r\nThe caf\u{e9}\r\n--b\r\n\r\nsignature\r\n--b--\r\n";

async fn delivered(relay: &Relay, mx: &ScriptedMx, content: &str) -> anyhow::Result<Received> {
    let id = send_one(relay.smtp(), "a@client.test", &["b@away.test"], content).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    Ok(mx.received().pop().unwrap_or_else(|| unreachable!("the log says so")))
}

#[tokio::test]
async fn seed_146_get_it_as_it_is_or_encoded() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let (takes, takes_not) =
        (ScriptedMx::start(Script::Accept).await?, ScriptedMx::start(Script::OffersDsn).await?);
    lab.own_domain_at("away.test", takes_not.address());
    lab.own_domain_at("modern.test", takes.address());
    let relay = lab.up().await?;

    let mail = delivered(&relay, &takes_not, MAIL).await?;
    assert!(mail.text().ends_with(MAIL.split_once("\r\n").unwrap().1), "{}", mail.text());

    set_traffic(&relay, "destination * seven_bit=yes\n").await?;
    in_force(&relay, &format!("[127.0.0.1]:{}", takes_not.address().port()), "seven_bit yes").await;
    let mail = delivered(&relay, &takes_not, MAIL).await?;
    let expected = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: quoted-printable\r\n\r\nThe caf=C3=A9 around the corner\r\n";
    assert!(mail.text().ends_with(expected), "{}", mail.text());
    assert!(!mail.commands[0].contains("BODY="), "{:?}", mail.commands);

    // RFC 1847: what is signed is not touched, and its sender hears of it.
    let id = send_one(relay.smtp(), "a@client.test", &["b@away.test"], SIGNED).await?;
    let bounced = relay.wait_for_mail_log("bounced", &id, SOON).await;
    assert_eq!(bounced["status"], "5.6.3");
    assert!(bounced["cause"].as_str().unwrap_or_default().contains("signature"), "{bounced}");

    let id = send_one(relay.smtp(), "a@client.test", &["b@modern.test"], SIGNED).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert!(takes.received()[0].text().contains("caf\u{e9}"), "it takes 8 bits");
    Ok(())
}
