//! The scenarios of the requirements that are about who may send what, and where it goes, with the real
//! programs. Addresses of the requirements stand for addresses of 127/8 here: 192.168.0.20 is 127.0.0.20,
//! 192.168.1.5 is 127.0.1.5, and the client from outside is 127.9.0.9.

mod two_directions; // 1, 7
mod forged_bounces; // 2
mod account_file; // 3
mod access_table; // 4
mod submission; // 5
mod changes_under_load; // 6
mod name_resolution; // 9
mod relay_list; // 11
mod doctor; // none of them is taken for a fault

use std::net::{IpAddr, SocketAddr};

use hikyaku_testkit::{
    client::SmtpClient,
    mx::{Script, ScriptedMx},
    relay::Relay,
};

use crate::lab::Lab;

pub const EXT: &str = "127.9.0.9";
pub const INNER: &str = "127.0.0.20";

/// A relay with an empty directory; `inner` takes everything, and `world` is the MX of z.test.
pub struct Gateway {
    pub lab: Lab,
    pub relay: Relay,
    pub inner: ScriptedMx,
    pub world: ScriptedMx,
}

impl Gateway {
    pub async fn start() -> anyhow::Result<Self> {
        let mut lab = Lab::empty().await?;
        let (inner, world) =
            (ScriptedMx::start(Script::Accept).await?, ScriptedMx::start(Script::Accept).await?);
        lab.mail_for("z.test", world.address());
        // Some scenarios guess very many recipients.
        lab.configure(&format!(
            "[delivery]\nmx_port = {}\n[ingress]\ntarpit_seconds = 0\n",
            world.address().port()
        ))?;
        let relay = lab.up().await?;
        Ok(Self { lab, relay, inner, world })
    }

    /// `hikyakuctl import` of these texts; what it prints, with its exit status.
    pub async fn import(&self, files: &[(&str, &str, &str)], more: &[&str]) -> anyhow::Result<String> {
        let mut arguments = vec!["import".to_owned()];
        for (option, name, text) in files {
            let path = self.lab.folder.path().join(name);
            std::fs::write(&path, text)?;
            let path = path.display();
            match option.split_once('=') {
                Some((option, user)) => arguments.extend([format!("--{option}"), format!("{user}={path}")]),
                None => arguments.extend([format!("--{option}"), path.to_string()]),
            }
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.relay.ctl(&arguments).await
    }

    /// The one for which the command exits with 1.
    pub async fn refused(&self, files: &[(&str, &str, &str)]) -> String {
        self.import(files, &[]).await.expect_err("it should have been refused").to_string()
    }

    pub async fn version(&self) -> anyhow::Result<u64> {
        let said: serde_json::Value =
            serde_json::from_str(&self.relay.ctl(&["--json", "directory", "get"]).await?)?;
        Ok(said["version"].as_u64().unwrap_or_default())
    }

    pub fn inner_address(&self) -> SocketAddr {
        self.inner.address()
    }

    /// A client with this address, after EHLO.
    pub async fn client(&self, from: &str) -> anyhow::Result<SmtpClient> {
        let from: IpAddr = from.parse()?;
        let mut client = SmtpClient::connect_from(SocketAddr::from((from, 0)), self.relay.smtp()).await?;
        client.expect("EHLO client.test").await?;
        Ok(client)
    }

    /// What a client hears to each command in a session of its own: code and enhanced code.
    pub async fn says(&self, from: &str, commands: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut client = self.client(from).await?;
        let mut said = Vec::new();
        for command in commands {
            let reply = client.command(command).await?;
            said.push(reply.split(' ').take(2).collect::<Vec<_>>().join(" "));
        }
        Ok(said)
    }
}
