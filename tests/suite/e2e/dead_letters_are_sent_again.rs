use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
};
use serde_json::Value;

use crate::lab::{CONTENT, Lab, SOON};

/// SEED-194. The content is larger than what travels in an envelope, and the entry's other recipient
/// got it: the letter has it still.
#[tokio::test]
async fn list_show_resend_delete() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::RefuseLocalPart("bad", "550 5.1.1 no such user")).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let content = format!("{CONTENT}{}", "0123456789abcdef\r\n".repeat(8_000));
    let first = send_one(relay.smtp(), "", &["bad@own.test", "good@own.test"], &content).await?;
    let second = send_one(relay.smtp(), "", &["bad@own.test"], CONTENT).await?;
    for id in [&first, &second] {
        relay.wait_for_mail_log("bounced", id, SOON).await;
    }
    let list = relay.ctl(&["dead", "list"]).await?;
    assert!(list.contains(&first) && list.contains(&second) && list.contains("bad@own.test"), "{list}");
    let shown = relay.ctl(&["dead", "show", &first]).await?;
    assert!(shown.contains("550 5.1.1 no such user") && !shown.contains("good@own.test"), "{shown}");
    let wrong = relay.ctl(&["dead", "resend", &first, "--recipient", "good@own.test"]).await.unwrap_err();
    assert!(wrong.to_string().contains("good@own.test is not a recipient"), "{wrong}");

    inner.set(Script::Accept);
    let sent: Value = serde_json::from_str(&relay.ctl(&["dead", "resend", &first, "--json"]).await?)?;
    let entry = sent["entries"][0].as_str().unwrap_or_default().to_owned();
    assert!(!entry.starts_with(&first), "a new entry has a new id");
    let new = entry.rsplit_once('-').map(|(id, _)| id.to_owned()).unwrap_or_default();
    relay.wait_for_mail_log("delivered", &new, SOON).await;
    let resent = inner.received().into_iter().rfind(|mail| mail.recipients == ["bad@own.test"]);
    assert!(resent.is_some_and(|mail| mail.sender.is_empty() && mail.text().ends_with(&content)));
    assert!(relay.ctl(&["dead", "show", &first]).await.is_err(), "the letter went with the acknowledgement");

    // To somebody else, who has another next hop.
    let elsewhere = ScriptedMx::start(Script::Accept).await?;
    let file = lab.folder.path().join("routes");
    let line =
        |domain: &str, mx: &ScriptedMx| format!("{domain},{},{}\n", mx.address().ip(), mx.address().port());
    std::fs::write(&file, line("own.test", &inner) + &line("there.test", &elsewhere))?;
    relay.ctl(&["directory", "set", "routes", &file.to_string_lossy()]).await?;
    relay.ctl(&["dead", "resend", &second, "--to", "postmaster@there.test"]).await?;
    eventually(SOON, async || match elsewhere.received().first() {
        Some(mail) if mail.recipients == ["postmaster@there.test"] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(relay.ctl(&["dead", "list"]).await?, "no dead letters\n");
    assert!(relay.ctl(&["dead", "delete", &second]).await.is_err());
    Ok(())
}
