use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Received, Script, ScriptedMx},
    relay::Relay,
};

use crate::lab::{CONTENT, Lab, SOON};

/// The sender's own server, the refusing server and the relay between them.
async fn refusing(script: Script) -> anyhow::Result<(Lab, Relay, ScriptedMx, ScriptedMx)> {
    let mut lab = Lab::new().await?;
    let (home, away) = (ScriptedMx::start(Script::Accept).await?, ScriptedMx::start(script).await?);
    lab.own_domain("home.test", &home);
    lab.own_domain("away.test", &away);
    let relay = lab.up().await?;
    Ok((lab, relay, home, away))
}

async fn the_report(home: &ScriptedMx) -> Received {
    eventually(SOON, async || home.received().first().cloned().ok_or_else(|| "no report".to_owned())).await
}

#[tokio::test]
async fn it_says_what_the_remote_server_said() -> anyhow::Result<()> {
    let (_lab, relay, home, away) = refusing(Script::RefuseRcpt("550 5.1.1 user unknown here")).await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@away.test"], CONTENT).await?;
    let report = the_report(&home).await;
    assert_eq!((report.sender.as_str(), report.recipients.as_slice()), ("", &["a@home.test".to_owned()][..]));
    let text = report.text();
    for part in [
        "Content-Type: multipart/report; report-type=delivery-status",
        "Final-Recipient: rfc822; b@away.test",
        "Action: failed",
        "Status: 5.1.1",
        "Diagnostic-Code: smtp; 550 5.1.1 user unknown here",
        "Subject: hello",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("X-Relay: gw.test From <>"), "a report is not relayed mail");
    let bounced = relay.wait_for_mail_log("bounced", &id, SOON).await;
    assert!(bounced["cause"].as_str().unwrap().ends_with("550 5.1.1 user unknown here"), "{bounced}");
    assert_eq!(away.attempts().len(), 1, "a permanent refusal is not tried again");
    Ok(())
}

/// SEED-192. A relay that ends tells what it has collected.
#[tokio::test]
async fn an_administrator_may_have_a_digest() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let home = ScriptedMx::start(Script::Accept).await?;
    let away = ScriptedMx::start(Script::RefuseRcpt("550 5.1.1 user unknown here")).await?;
    lab.own_domain("home.test", &home);
    lab.own_domain("away.test", &away);
    lab.configure("[delivery]\nfailure_digest_to = \"admin@home.test\"\n")?;
    let relay = lab.up().await?;
    let mut ids = Vec::new();
    for sender in ["a@home.test", "c@home.test"] {
        let id = send_one(relay.smtp(), sender, &["b@away.test"], CONTENT).await?;
        relay.wait_for_mail_log("bounced", &id, SOON).await;
        ids.push(id);
    }
    assert_eq!(relay.terminate().await?, Some(0));
    let _relay = lab.up().await?;
    let digest = eventually(SOON, async || {
        let mail = home.received().into_iter().find(|mail| mail.recipients == ["admin@home.test"]);
        mail.ok_or_else(|| "no digest".to_owned())
    })
    .await;
    let text = digest.text();
    assert_eq!(digest.sender, "");
    for part in ["Subject: 2 recipients", "550 5.1.1 user unknown here", "| Subject: hello", &ids[0], &ids[1]]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("Hello, world"), "{text}");
    Ok(())
}

#[tokio::test]
async fn only_the_refused_recipient_is_reported() -> anyhow::Result<()> {
    let (_lab, relay, home, away) = refusing(Script::RefuseLocalPart("bad", "550 5.1.1 no")).await?;
    send_one(relay.smtp(), "a@home.test", &["good@away.test", "bad@away.test"], CONTENT).await?;
    let text = the_report(&home).await.text();
    assert!(text.contains("Final-Recipient: rfc822; bad@away.test"), "{text}");
    assert!(!text.contains("Final-Recipient: rfc822; good@away.test"), "{text}");
    assert_eq!(away.received()[0].recipients, ["good@away.test"]);
    Ok(())
}

/// SEED-191.
#[tokio::test]
async fn never_a_report_about_a_report() -> anyhow::Result<()> {
    let (_lab, relay, home, away) = refusing(Script::RefuseContent("554 5.6.0 not this")).await?;
    let id = send_one(relay.smtp(), "", &["b@away.test"], CONTENT).await?;
    let bounced = relay.wait_for_mail_log("bounced", &id, SOON).await;
    assert_eq!(bounced["report"], "dead-letter");
    assert_eq!(home.received_count() + away.received_count(), 0);
    Ok(())
}

/// A server that answers EHLO and leaves: one attempt, not one connection after the other.
#[tokio::test]
async fn a_server_that_leaves_after_ehlo_is_tried_again_later() -> anyhow::Result<()> {
    let (_lab, relay, _home, away) = refusing(Script::LeavesAfterEhlo).await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@away.test"], CONTENT).await?;
    let deferred = relay.wait_for_mail_log("deferred", &id, SOON).await;
    assert_eq!(deferred["attempt"], 1);
    assert!(away.total_sessions() <= 2, "{} sessions", away.total_sessions());
    Ok(())
}

/// SEED-210: nothing that happened on our side is dressed as a reply.
#[tokio::test]
async fn a_cut_connection_is_not_a_reply() -> anyhow::Result<()> {
    let (_lab, relay, _home, _away) = refusing(Script::CutAfterContent).await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@away.test"], CONTENT).await?;
    let deferred = relay.wait_for_mail_log("deferred", &id, SOON).await;
    assert_eq!((&deferred["class"], &deferred["status"]), (&"noreply".into(), &"4.4.2".into()));
    let cause = deferred["cause"].as_str().unwrap();
    assert!(cause.contains("connection closed by peer") && !cause.contains("451"), "{cause}");
    Ok(())
}
