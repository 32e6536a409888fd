//! RFC 3461 from end to end: what a client asks for at MAIL and RCPT decides who is told what.

use std::time::{Duration, Instant};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Received, Script, ScriptedMx},
    relay::Relay,
};

use crate::lab::{CONTENT, Lab, SOON};

struct Case {
    _lab: Lab,
    relay: Relay,
    /// The server of the sender, which gets the reports.
    home: ScriptedMx,
    away: ScriptedMx,
    /// Takes everything and offers nothing.
    _other: ScriptedMx,
}

impl Case {
    async fn new(away: Script, home: Script, toml: &str) -> anyhow::Result<Self> {
        let mut lab = Lab::new().await?;
        let (home, away) = (ScriptedMx::start(home).await?, ScriptedMx::start(away).await?);
        lab.own_domain("home.test", &home);
        let other = ScriptedMx::start(Script::Accept).await?;
        lab.own_domain("away.test", &away);
        lab.own_domain("other.test", &other);
        lab.configure(toml)?;
        let relay = lab.up().await?;
        Ok(Self { _lab: lab, relay, home, away, _other: other })
    }

    /// One message of a@home.test, with these parameters at MAIL and RCPT. Returns its queue id.
    async fn send(&self, at_mail: &str, recipients: &[&str]) -> anyhow::Result<String> {
        let mut client = SmtpClient::connect(self.relay.smtp()).await?;
        client.expect("EHLO client.test").await?;
        client.expect(&format!("MAIL FROM:<a@home.test>{at_mail}")).await?;
        for recipient in recipients {
            client.expect(&format!("RCPT TO:{recipient}")).await?;
        }
        client.expect("DATA").await?;
        client.send(CONTENT.as_bytes()).await?;
        let reply = client.expect(".").await?;
        Ok(reply.rsplit(' ').next().unwrap_or_default().to_owned())
    }

    async fn report(&self, number: usize) -> Received {
        eventually(SOON, async || {
            let received = self.home.received();
            received.get(number).cloned().ok_or_else(|| format!("{} reports", received.len()))
        })
        .await
    }

    /// Mail that was sent later has been delivered and reported, and still there are no more reports.
    async fn no_more_reports_than(&self, count: usize) -> anyhow::Result<()> {
        let id = self.send("", &["<last@other.test> NOTIFY=SUCCESS"]).await?;
        self.relay.wait_for_mail_log("reported", &id, SOON).await;
        let last = self.report(count).await.text();
        assert!(last.contains("Final-Recipient: rfc822; last@other.test"), "{last}");
        Ok(())
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[tokio::test]
async fn a_failure_is_reported_in_the_sender_s_own_words() -> anyhow::Result<()> {
    let case = Case::new(Script::RefuseRcpt("550 5.1.1 user unknown"), Script::OffersDsn, "").await?;
    let recipients =
        ["<b@away.test> ORCPT=rfc822;list+2Bb@far.test NOTIFY=FAILURE", "<c@away.test> NOTIFY=NEVER"];
    let id = case.send(" RET=HDRS ENVID=QQ+2B314159", &recipients).await?;
    let report = case.report(0).await;
    let text = report.text();
    has(
        &text,
        &[
            "Original-Envelope-Id: QQ+314159\r\n",
            "Received-From-MTA: dns; [127.0.0.1]\r\n",
            "Original-Recipient: rfc822; list+b@far.test\r\nFinal-Recipient: rfc822; b@away.test\r\nAction: failed\r\n",
            "Status: 5.1.1\r\n",
            "Diagnostic-Code: smtp; 550 5.1.1 user unknown\r\n",
            "Content-Type: text/rfc822-headers",
            "Subject: hello",
        ],
    );
    assert!(!text.contains("Hello, world.") && !text.contains("c@away.test"), "{text}");
    // RFC 3461 6.1: a report about the report is asked of nobody.
    assert_eq!(report.commands, ["MAIL FROM:<>", "RCPT TO:<a@home.test> NOTIFY=NEVER"]);
    let bounced = case.relay.mail_log("bounced", Some(&id));
    let said: Vec<_> = bounced.iter().map(|line| line["report"] == "not-wanted").collect();
    assert_eq!(said, [false, true], "the mail log tells of both: {bounced:?}");
    case.no_more_reports_than(1).await
}

#[tokio::test]
async fn never_is_never() -> anyhow::Result<()> {
    let case = Case::new(Script::RefuseRcpt("550 5.1.1 user unknown"), Script::Accept, "").await?;
    let id = case.send("", &["<b@away.test> NOTIFY=NEVER", "<c@away.test> NOTIFY=SUCCESS,DELAY"]).await?;
    let bounced = case.relay.wait_for_mail_log("bounced", &id, SOON).await;
    assert_eq!(bounced["report"], "not-wanted");
    case.no_more_reports_than(0).await
}

/// SEED-195: four hours of the relay's clock are two seconds here.
#[tokio::test]
async fn a_delay_is_reported_once() -> anyhow::Result<()> {
    const RATE: u32 = 7200;
    let case = Case::new(
        Script::RefuseRcpt("451 4.3.0 not today"),
        Script::Accept,
        &format!("[delivery]\nretry_clock_rate = {RATE}\nrouted_give_up_seconds = 28800"),
    )
    .await?;
    let recipients = ["<b@away.test>", "<c@away.test> NOTIFY=FAILURE"];
    let before = Instant::now();
    let id = case.send(" ENVID=late", &recipients).await?;
    let (first, second) = (case.report(0).await, case.report(1).await);
    let (delayed, failed) = (first.text(), second.text());
    has(
        &delayed,
        &[
            "Subject: Delayed mail",
            "Original-Envelope-Id: late\r\n",
            "Final-Recipient: rfc822; b@away.test\r\nAction: delayed\r\nStatus: 4.3.0\r\n",
            "Diagnostic-Code: smtp; 451 4.3.0 not today\r\n",
            "Will-Retry-Until: ",
            "Content-Type: text/rfc822-headers",
        ],
    );
    assert!(!delayed.contains("c@away.test"), "{delayed}");
    // Scenario 10: the end is told with what was really said.
    has(
        &failed,
        &[
            "Final-Recipient: rfc822; b@away.test\r\nAction: failed\r\nStatus: 5.4.7\r\n",
            "Final-Recipient: rfc822; c@away.test\r\nAction: failed\r\nStatus: 5.4.7\r\n",
            "Diagnostic-Code: smtp; 451 4.3.0 not today\r\n",
            "Hello, world.",
        ],
    );
    let attempts = case.relay.mail_log("attempt", Some(&id)).len();
    assert!(attempts > 3, "{attempts} attempts, of which some were late");
    // Four hours of the message, whose first attempt may have been late on a machine that does much else.
    let late_after = first.at.duration_since(before);
    assert!(
        late_after + Duration::from_millis(100) >= Duration::from_secs(4 * 3600) / RATE,
        "{late_after:?}"
    );
    case.no_more_reports_than(2).await
}

#[tokio::test]
async fn a_hop_without_dsn_is_reported_as_the_end_of_what_we_know() -> anyhow::Result<()> {
    let case = Case::new(Script::Accept, Script::Accept, "").await?;
    let recipients = ["<b@away.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@far.test", "<c@away.test>"];
    let id = case.send(" RET=FULL ENVID=QQ1", &recipients).await?;
    let text = case.report(0).await.text();
    has(
        &text,
        &[
            "Original-Envelope-Id: QQ1\r\n",
            "Original-Recipient: rfc822; b@far.test\r\n",
            "Action: relayed\r\nStatus: 2.0.0\r\n",
            "Diagnostic-Code: smtp; 250 2.0.0 stored\r\n",
            "Content-Type: text/rfc822-headers",
        ],
    );
    assert!(!text.contains("c@away.test") && !text.contains("Hello, world."), "{text}");
    let away = &case.away.received()[0].commands;
    assert!(away.iter().all(|command| !command.contains("NOTIFY") && !command.contains("ENVID")), "{away:?}");
    assert_eq!(case.relay.wait_for_mail_log("reported", &id, SOON).await["kind"], "relayed");
    Ok(())
}

#[tokio::test]
async fn a_hop_with_dsn_is_told_what_was_asked_for() -> anyhow::Result<()> {
    let case = Case::new(Script::OffersDsn, Script::Accept, "").await?;
    let recipients = [
        "<b@away.test> ORCPT=rfc822;list+2Bb@far.test NOTIFY=SUCCESS,DELAY",
        "<c@away.test> NOTIFY=NEVER",
        "<d@away.test>",
    ];
    case.send(" RET=FULL ENVID=QQ+2B314159", &recipients).await?;
    let received = eventually(SOON, async || {
        case.away.received().first().cloned().ok_or_else(|| "nothing arrived".to_owned())
    })
    .await;
    assert_eq!(
        received.commands,
        [
            "MAIL FROM:<a@home.test> RET=FULL ENVID=QQ+2B314159",
            "RCPT TO:<b@away.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;list+2Bb@far.test",
            "RCPT TO:<c@away.test> NOTIFY=NEVER",
            "RCPT TO:<d@away.test>",
        ]
    );
    case.no_more_reports_than(0).await
}
