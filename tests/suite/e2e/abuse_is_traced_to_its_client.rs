//! SEED-102: from the header of a message that somebody complains about to who handed it in, with the real
//! programs.

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    relay::Relay,
};

use crate::lab::{CONTENT, Lab, SOON};

async fn trace(
    relay: &Relay,
    folder: &std::path::Path,
    message: &str,
) -> anyhow::Result<(Option<i32>, String)> {
    let file = folder.join("spam.eml");
    std::fs::write(&file, message)?;
    relay.ctl_status(&["trace", "--header", &file.to_string_lossy()]).await
}

#[tokio::test]
async fn seed_102_the_header_leads_to_the_client() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    let world = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    lab.mail_for("there.test", world.address());
    lab.configure(&format!("[delivery]\nmx_port = {}", world.address().port()))?;
    let relay = lab.up().await?;
    let folder = lab.folder.path();

    // The client forges a field of ours, with the id of a message that is not its own (a second one would be
    // taken for a loop), and one of another relay.
    let mut first = SmtpClient::connect(relay.smtp()).await?;
    first.expect("EHLO client.test").await?;
    let other = first.send_mail("a@x.test", &["info@own.test"], CONTENT).await?;
    let forged = format!(
        "Received: from bank.test ([192.0.2.77])\r\n\tby gw.test with ESMTP id {other};\r\n\tThu, 13 Nov 2025 \
         02:13:20 +0000\r\nReceived: from bank.test ([192.0.2.78])\r\n\tby gw2.test with ESMTP id \
         01ARZ3NDEKTSV4RRFFQ69G5FAV;\r\n\tSat, 30 Jul 2016 23:54:10 +0000\r\n"
    );
    let mut second = SmtpClient::connect(relay.smtp()).await?;
    second.expect("EHLO id").await?;
    let id = second.send_mail("", &["b@there.test", "c@own.test"], &format!("{forged}{CONTENT}")).await?;
    eventually(SOON, async || match world.received_count() {
        1 => Ok(()),
        count => Err(format!("{count} of 1")),
    })
    .await;

    // Another server has put its field on top, and the file has line ends of its own.
    let received = world.received()[0].text();
    let message =
        format!("Received: from gw.test by mx.there.test id 4fZ; x\n{}", received.replace("\r\n", "\n"));
    let (status, said) = trace(&relay, folder, &message).await?;
    assert_eq!(status, Some(0), "{said}");
    let expected = format!("Received 2: by gw.test id {id}: confirmed\n  accepted at   ");
    assert!(said.starts_with(&expected), "{said}");
    for line in [
        "  origin        client",
        "  client        127.0.0.1",
        "  logged in as  nobody",
        "  let in by     relay-networks:1",
        "  recipient     b@there.test",
        "  recipient     c@own.test",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert_eq!(said.matches(": confirmed").count(), 1, "{said}");
    assert!(said.contains(&format!("Received 3: by gw.test id {other}: made up")), "{said}");
    assert!(said.contains("Received 4: by gw2.test id 01ARZ3NDEKTSV4RRFFQ69G5FAV: not known"), "{said}");

    // What a client has copied whole but for itself does not fit, and alone confirms nothing.
    let copied = inner.received()[0].text().replace("127.0.0.1", "192.0.2.77");
    let (status, said) = trace(&relay, folder, &copied).await?;
    assert!(status == Some(1) && said.contains(": known, but this field is not the one"), "{said}");
    let (status, said) = trace(&relay, folder, CONTENT).await?;
    assert!(status == Some(1) && said.contains("has no Received field of this relay"), "{said}");

    // The same from the mail log, without the cluster.
    let log: String = relay.log().iter().map(|line| format!("{line}\n")).collect();
    let (file, mail) = (folder.join("relay.log"), folder.join("mail.eml"));
    std::fs::write(&file, log)?;
    std::fs::write(&mail, message)?;
    let arguments = ["--json", "trace", "--header"].map(str::to_owned).into_iter();
    let arguments =
        arguments.chain([mail.display().to_string(), "--log".to_owned(), file.display().to_string()]);
    let output = hikyaku_testkit::relay::ctl().args(arguments).output().await?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let accepted = &said["passages"][0]["accepted"];
    assert_eq!(
        (&said["passages"][0]["verdict"], &accepted["client"]),
        (&"confirmed".into(), &"127.0.0.1".into())
    );
    assert_eq!(accepted["admitted_by"], "relay-networks:1");
    assert_eq!(accepted["recipients"].as_array().map(Vec::len), Some(2));
    Ok(())
}
