//! Each role as a process of its own, as in a cluster, over one broker or three.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use hikyaku_testkit::{
    eventually::eventually, mx::ScriptedMx, nats::NatsServer, nats_cluster::NatsCluster, relay::Relay,
};
use tempfile::TempDir;

use crate::lab::SOON;

pub enum Brokers {
    One(NatsServer),
    Three(NatsCluster),
}

pub struct Rig {
    pub brokers: Brokers,
    pub policy: Relay,
    folder: TempDir,
    config: String,
    tables: String,
    roles: usize,
}

impl Rig {
    /// Mail for each of the domains goes to its server. `tables` is added to the configuration.
    pub async fn start(
        brokers: Brokers,
        domains: &[(String, SocketAddr)],
        tables: &str,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (url, file, replicas) = match &brokers {
            Brokers::One(server) => (server.url(), server.password_file()?, 1),
            Brokers::Three(cluster) => (cluster.url(), cluster.password_file()?, 3),
        };
        let config = |url: &str| {
            format!(
                "hostname = \"gw.test\"\nsmtp = [\"127.0.0.1:0\"]\nnats = \"{url}\"\nreplicas = {replicas}\n\
                 nats_login = {{ user = \"hikyaku\", password_file = {file:?} }}\n\
                 nats_system_login = {{ user = \"system\", password_file = {file:?} }}\n"
            )
        };
        let policy = role(&folder, "policy", "policy", &config(&url), &[])?;
        policy.wait_for_message("listening").await;
        let address = policy.address("policy")?;
        set_documents(&folder, address, domains).await?;
        let config = format!("{}policy = \"http://{address}\"\n", config(&url));
        Ok(Self { brokers, policy, folder, config, tables: tables.to_owned(), roles: 0 })
    }

    pub async fn ingress(&mut self) -> anyhow::Result<Relay> {
        let ingress = self.role_in("ingress", "", &[])?;
        ingress.wait_for_message("listening").await;
        Ok(ingress)
    }

    pub async fn worker(&mut self) -> anyhow::Result<Relay> {
        self.worker_with("").await
    }

    /// With more in its environment.
    pub async fn worker_in(&mut self, environment: &[(&str, String)]) -> anyhow::Result<Relay> {
        let worker = self.role_in("delivery", "", environment)?;
        Self::begun(worker).await
    }

    /// `config` stands in front of the tables and goes before what all have in common.
    pub async fn worker_with(&mut self, config: &str) -> anyhow::Result<Relay> {
        let worker = self.role_in("delivery", config, &[])?;
        Self::begun(worker).await
    }

    async fn begun(worker: Relay) -> anyhow::Result<Relay> {
        worker.wait_for_message("listening").await;
        worker.wait_for_message("worker begins").await;
        Ok(worker)
    }

    fn role_in(&mut self, name: &str, config: &str, environment: &[(&str, String)]) -> anyhow::Result<Relay> {
        self.roles += 1;
        let mut lines: Vec<String> = config.lines().map(str::to_owned).collect();
        let is_given = |line: &str| {
            let key = line.split(" =").next().unwrap_or_default();
            config.lines().any(|given| given.split(" =").next() == Some(key))
        };
        lines.extend(self.config.lines().filter(|line| !is_given(line)).map(str::to_owned));
        lines.push(format!("node = \"{name}-{}\"", self.roles));
        lines.push(self.tables.clone());
        role(&self.folder, name, &format!("{name}{}", self.roles), &lines.join("\n"), environment)
    }

    /// Another text of a document of the directory.
    pub async fn document(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        set(self.policy.address("policy")?, name, &path).await
    }

    pub fn cluster(&mut self) -> anyhow::Result<&mut NatsCluster> {
        match &mut self.brokers {
            Brokers::Three(cluster) => Ok(cluster),
            Brokers::One(_) => anyhow::bail!("there is only one broker"),
        }
    }
}

fn role(
    folder: &TempDir,
    role: &str,
    file: &str,
    config: &str,
    environment: &[(&str, String)],
) -> anyhow::Result<Relay> {
    let path = folder.path().join(format!("{file}.toml"));
    std::fs::write(&path, config)?;
    Relay::start_in(folder.path(), &[role, "--config", &path.to_string_lossy()], environment)
}

async fn set_documents(
    folder: &TempDir,
    policy: SocketAddr,
    domains: &[(String, SocketAddr)],
) -> anyhow::Result<()> {
    let mut own = String::new();
    let mut aliases = String::new();
    let mut routes = String::new();
    for (domain, server) in domains {
        own += &format!("{domain}\n");
        aliases += &format!("*@{domain}\t*@{domain}\n");
        routes += &format!("{domain},{},{}\n", server.ip(), server.port());
    }
    let documents = [
        ("own-domains", own),
        ("relay-networks", "127.0.0.0/8\n".to_owned()),
        ("aliases", aliases),
        ("routes", routes),
    ];
    for (name, text) in documents {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        set(policy, name, &path).await?;
    }
    Ok(())
}

async fn set(policy: SocketAddr, name: &str, path: &Path) -> anyhow::Result<()> {
    let program: PathBuf = hikyaku_testkit::relay::program("hikyakuctl");
    let server = format!("http://{policy}");
    eventually(SOON, async || {
        let mut command = tokio::process::Command::new(&program);
        command.args(["--directory-server", &server, "directory", "set", name]).arg(path);
        let output = command.output().await.map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    })
    .await;
    Ok(())
}

/// One domain whose mail goes to one server.
pub fn domain(name: &str, server: &ScriptedMx) -> Vec<(String, SocketAddr)> {
    vec![(name.to_owned(), server.address())]
}
