use std::time::Duration;

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    relay::Relay,
};
use serde_json::Value;

use crate::lab::{CONTENT, Lab, SOON};

fn destination(mx: &ScriptedMx) -> String {
    format!("[{}]:{}", mx.address().ip(), mx.address().port())
}

async fn json(relay: &Relay, words: &[&str]) -> anyhow::Result<Value> {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    Ok(serde_json::from_str(&relay.ctl(&words).await?)?)
}

/// The home of the senders, a server that defers, and mail that waits for it.
async fn deferred() -> anyhow::Result<(Lab, Relay, ScriptedMx, ScriptedMx, Vec<String>)> {
    let mut lab = Lab::new().await?;
    let home = ScriptedMx::start(Script::Accept).await?;
    let away = ScriptedMx::start(Script::RefuseRcpt("451 4.3.2 closed for repair")).await?;
    lab.own_domain("home.test", &home);
    lab.own_domain("away.test", &away);
    let relay = lab.up().await?;
    let mut ids = Vec::new();
    for local_part in ["b", "c", "d"] {
        let to = format!("{local_part}@away.test");
        let id = send_one(relay.smtp(), "a@home.test", &[&to], CONTENT).await?;
        relay.wait_for_mail_log("deferred", &id, SOON).await;
        ids.push(id);
    }
    eventually(SOON, async || {
        let count = relay.ctl(&["queue", "count", "--json"]).await.map_err(|error| error.to_string())?;
        let count: Value = serde_json::from_str(&count).map_err(|error| error.to_string())?;
        // The broker removes what was acknowledged a moment later.
        let waits_only = count["scheduled"] == 3 && count["busy"] == 0 && count["fresh"] == 0;
        if !waits_only {
            return Err(count.to_string());
        }
        // The names of the stream may lag behind its counts.
        for id in &ids {
            let shown = json(&relay, &["queue", "show", id]).await.map_err(|error| error.to_string())?;
            if shown["entries"].as_array().map(Vec::len) != Some(1) {
                return Err(shown.to_string());
            }
        }
        Ok(())
    })
    .await;
    Ok((lab, relay, home, away, ids))
}

#[tokio::test]
async fn a_held_entry_is_not_attempted_until_it_is_released() -> anyhow::Result<()> {
    let (_lab, relay, _home, away, ids) = deferred().await?;
    away.set(Script::Accept);
    let held = json(&relay, &["queue", "hold", &ids[1], "--reason", "look at it"]).await?;
    assert_eq!((&held["before"], &held["done"]), (&1.into(), &1.into()), "{held}");
    let listed = json(&relay, &["queue", "list", "--state", "held"]).await?;
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(1), "{listed}");
    let retried = json(&relay, &["queue", "retry", "--destination", &destination(&away)]).await?;
    assert_eq!((&retried["done"], &retried["held"]), (&2.into(), &1.into()), "{retried}");
    eventually(SOON, async || match away.received_count() {
        2 => Ok(()),
        count => Err(format!("{count} received")),
    })
    .await;
    let released = relay.ctl(&["queue", "release", &ids[1]]).await?;
    assert!(released.starts_with("1 entry released; 1 before, 0 now"), "{released}");
    eventually(SOON, async || match away.received().last() {
        Some(mail) if mail.recipients == ["c@away.test"] => Ok(()),
        other => Err(format!("{:?}", other.map(|mail| &mail.recipients))),
    })
    .await;
    assert_eq!(relay.mail_log("operator", None).len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_destination_says_what_is_known_of_it() -> anyhow::Result<()> {
    let (_lab, relay, _home, away, _) = deferred().await?;
    let name = destination(&away);
    let listed = relay.ctl(&["destination", "list"]).await?;
    assert!(listed.lines().any(|line| line.starts_with(&name) && line.ends_with('-')), "{listed}");
    let shown = json(&relay, &["dest", "show", &name]).await?;
    assert_eq!((&shown["scheduled"], &shown["attempts"]), (&3.into(), &1.into()), "{shown}");
    assert_eq!(shown["last_failure_class"], "temp");
    assert!(shown["last_failure"].as_str().is_some_and(|it| it.ends_with("451 4.3.2 closed for repair")));
    assert!(shown["last_attempt_at"].is_string() && shown["next_attempt_at"].is_string(), "{shown}");

    // One record, whatever waits; known to who lists, and who would retry hears of it.
    let hold = ["queue", "hold", "--destination", &name, "--for", "4h", "--reason", "new host"];
    assert_eq!(json(&relay, &hold).await?["before"], 3);
    let shown = relay.ctl(&["destination", "show", &name]).await?;
    assert!(shown.contains("  hold          held until 2") && shown.contains("because: new host"), "{shown}");
    let refused = relay.ctl(&["queue", "retry", "--destination", &name]).await.unwrap_err().to_string();
    assert!(refused.contains("is held; release it first"), "{refused}");
    relay.ctl(&["queue", "release", "--destination", &name]).await?;
    assert!(relay.ctl(&["destination", "show", &name]).await?.contains("tries         1"), "not held");
    Ok(())
}

/// The time in which nothing was attempted does not count (SEED-186).
#[tokio::test]
async fn a_hold_stops_the_clock_after_which_mail_is_returned() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let home = ScriptedMx::start(Script::Accept).await?;
    let away = ScriptedMx::start(Script::RefuseRcpt("451 4.3.2 closed for repair")).await?;
    lab.own_domain("home.test", &home);
    lab.own_domain("away.test", &away);
    // Ten seconds.
    lab.configure("[delivery]\nretry_clock_rate = 1080\nrouted_give_up_seconds = 10800\n")?;
    let relay = lab.up().await?;
    let name = destination(&away);
    relay.ctl(&["queue", "hold", "--destination", &name]).await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@away.test"], CONTENT).await?;
    let held = relay.wait_for_mail_log("held", &id, SOON).await;
    assert!(held["until"].is_null(), "{held}");
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(away.attempts().len(), 0);
    relay.ctl(&["queue", "release", "--destination", &name]).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;
    relay.wait_for_mail_log("bounced", &id, SOON).await;
    assert!(away.attempts().len() > 1);
    Ok(())
}

#[tokio::test]
async fn returned_mail_says_why_and_what_the_server_said() -> anyhow::Result<()> {
    let (_lab, relay, home, away, ids) = deferred().await?;
    let name = destination(&away);
    let text = relay.ctl(&["queue", "bounce", "--destination", &name, "--reason", "gone for good"]).await?;
    assert!(text.starts_with("3 entries returned; 3 before, 0 now"), "{text}");
    eventually(SOON, async || match home.received_count() {
        3 => Ok(()),
        count => Err(format!("{count} reports")),
    })
    .await;
    let report = home.received()[0].text().replace("\r\n ", " ");
    for part in
        ["Status: 5.7.1", "x-local; returned by the administrator: gone for good", "closed for repair"]
    {
        assert!(report.contains(part), "{part} is missing in {report}");
    }
    assert_eq!(relay.mail_log("bounced", Some(&ids[0]))[0]["class"], "policy");
    assert_eq!(away.received_count(), 0);
    assert!(relay.ctl(&["queue", "show", &ids[0]]).await.is_err());
    Ok(())
}

/// The route of its recipients still says the old host.
#[tokio::test]
async fn moved_mail_goes_where_it_was_moved() -> anyhow::Result<()> {
    let (_lab, relay, _home, away, ids) = deferred().await?;
    let other = ScriptedMx::start(Script::RefuseRcpt("451 4.3.2 not yet")).await?;
    let moved = relay.ctl(&["queue", "move", &ids[0], "--to", &destination(&other)]).await?;
    assert!(moved.starts_with("1 entry moved; 1 before, 0 now"), "{moved}");
    eventually(SOON, async || match other.attempts().len() {
        0 => Err("no attempt".to_owned()),
        _ => Ok(()),
    })
    .await;
    other.set(Script::Accept);
    eventually(SOON, async || {
        relay.ctl(&["queue", "retry", &ids[0]]).await.map_err(|error| error.to_string())?;
        if other.received_count() == 1 { Ok(()) } else { Err("not at the other host".to_owned()) }
    })
    .await;
    assert_eq!(other.received()[0].recipients, ["b@away.test"]);
    assert_eq!(relay.mail_log("rerouted", Some(&ids[0])), Vec::<Value>::new());
    assert_eq!(away.received_count(), 0);
    tokio::time::timeout(Duration::from_secs(10), relay.terminate()).await??;
    Ok(())
}
