use hikyaku_testkit::{
    eventually::eventually,
    mx::{Script, ScriptedMx},
};

use crate::lab::{Lab, SOON};

#[tokio::test]
async fn a_line_of_the_document_and_one_that_is_shipped() -> anyhow::Result<()> {
    let lab = Lab::new().await?;
    let there = ScriptedMx::start(Script::Accept).await?;
    lab.mail_for("there.test", there.address());
    let relay = lab.up().await?;
    let limits = async || relay.ctl(&["destination", "limits", "there.test"]).await;
    let text = limits().await?;
    assert!(text.contains("site  connections  20     traffic-defaults:"), "{text}");
    assert!(text.contains("site   mx.there.test\n"), "{text}");

    let file = lab.folder.path().join("traffic");
    std::fs::write(
        &file,
        "# ours\ndestination there.test rate=5/m retry_base=10s\nsite mx.there.test speed=1\n",
    )?;
    let refused = relay.ctl(&["directory", "set", "traffic", &file.to_string_lossy()]).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("traffic:2: error E-TR-VALUE: retry_base=10s: want 1m to 1h"), "{refused}");
    assert!(refused.contains("traffic:3: error E-TR-KEY: \"speed\" is not a key here"), "{refused}");
    std::fs::write(
        &file,
        "# ours\ndestination there.test rate=5/m retry_base=10m\nsite *.there.test connections=2\n",
    )?;
    relay.ctl(&["directory", "set", "traffic", &file.to_string_lossy()]).await?;
    eventually(SOON, async || {
        let text = limits().await.map_err(|error| error.to_string())?;
        let lines = [
            "destination  rate         5/m    traffic:2",
            "destination  retry_base   10m    traffic:2",
            "site         connections  2      traffic:3",
            "site   *.there.test",
        ];
        if lines.iter().all(|line| text.contains(line)) { Ok(()) } else { Err(text) }
    })
    .await;
    Ok(())
}
