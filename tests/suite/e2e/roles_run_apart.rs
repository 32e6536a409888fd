//! Each role as a process of its own, as in a cluster, with two workers.

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    relay::Relay,
};

use crate::lab::{CONTENT, SOON};

pub struct Roles {
    _nats: NatsServer,
    pub policy: Relay,
    pub ingress: Relay,
    folder: tempfile::TempDir,
    config: String,
}

impl Roles {
    pub async fn start(own_domain: &str, inner: &ScriptedMx) -> anyhow::Result<Self> {
        let nats = NatsServer::start()?;
        let folder = tempfile::tempdir()?;
        let config = format!("hostname = \"gw.test\"\nsmtp = [\"127.0.0.1:0\"]\n{}", nats.configuration()?);
        let policy = role(&folder, "policy", &config).await?;
        policy.wait_for_message("listening").await;
        let address = policy.address("policy")?;
        let config = format!("{config}policy = \"http://{address}\"\n");
        for (name, text) in [
            ("own-domains", format!("{own_domain}\n")),
            ("relay-networks", "127.0.0.1/32\n".to_owned()),
            ("aliases", format!("*@{own_domain}\t*@{own_domain}\n")),
            ("routes", format!("{own_domain},{},{}\n", inner.address().ip(), inner.address().port())),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text)?;
            ctl(&[
                "--directory-server",
                &format!("http://{address}"),
                "directory",
                "set",
                name,
                &path.to_string_lossy(),
            ])
            .await?;
        }
        let ingress = role(&folder, "ingress", &config).await?;
        ingress.wait_for_message("listening").await;
        Ok(Self { _nats: nats, policy, ingress, folder, config })
    }

    pub async fn worker(&self) -> anyhow::Result<Relay> {
        let worker = role(&self.folder, "delivery", &self.config).await?;
        worker.wait_for_message("listening").await;
        Ok(worker)
    }
}

async fn role(folder: &tempfile::TempDir, role: &str, config: &str) -> anyhow::Result<Relay> {
    let path = folder.path().join(format!("{role}.toml"));
    std::fs::write(&path, config)?;
    Relay::start(folder.path(), &[role, "--config", &path.to_string_lossy()]).await
}

async fn ctl(arguments: &[&str]) -> anyhow::Result<()> {
    let program = hikyaku_testkit::relay::program("hikyakuctl");
    eventually(SOON, async || {
        let output = tokio::process::Command::new(&program).args(arguments).output().await;
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn mail_passes_and_a_second_worker_changes_nothing() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let roles = Roles::start("own.test", &inner).await?;
    let _first = roles.worker().await?;
    let _second = roles.worker().await?;
    for n in 0..20 {
        send_one(roles.ingress.smtp(), "a@client.test", &[&format!("u{n}@own.test")], CONTENT).await?;
    }
    eventually(SOON, async || match inner.received_count() {
        20 => Ok(()),
        count => Err(format!("{count} of 20 arrived")),
    })
    .await;
    assert!(inner.most_sessions() <= 20);
    Ok(())
}

#[tokio::test]
async fn without_the_policy_service_nothing_is_accepted_or_refused_for_good() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let roles = Roles::start("own.test", &inner).await?;
    let smtp = roles.ingress.smtp();
    send_one(smtp, "a@client.test", &["b@own.test"], CONTENT).await?;
    roles.policy.kill().await?;
    eventually(SOON, async || {
        let error = match send_one(smtp, "a@client.test", &["c@own.test"], CONTENT).await {
            Ok(_) => return Err("accepted from memory".to_owned()),
            Err(error) => error.to_string(),
        };
        if error.contains("451 4.3.0") { Ok(()) } else { Err(error) }
    })
    .await;
    Ok(())
}
