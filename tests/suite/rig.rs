//! Each role as a process of its own, as in a cluster, over one broker or three.

use std::{net::SocketAddr, path::Path};

use hikyaku_testkit::{
    certificates::{Authority, Names},
    eventually::eventually,
    mx::ScriptedMx,
    nats::NatsServer,
    nats_cluster::NatsCluster,
    relay::{self, Relay},
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

/// The name of the policy service in its certificate.
const POLICY_NAME: &str = "policy.test";

impl Rig {
    /// Mail for each of the domains goes to its server. `tables` is added to the configuration.
    pub async fn start(
        brokers: Brokers,
        domains: &[(String, SocketAddr)],
        tables: &str,
    ) -> anyhow::Result<Self> {
        let rig = Self::over(brokers, tables).await?;
        rig.set_documents(domains).await?;
        Ok(rig)
    }

    /// With the directory that the brokers have, if they have one.
    pub async fn over(brokers: Brokers, tables: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (_, line) = relay::token(folder.path(), "operator", "operator").await?;
        std::fs::write(folder.path().join("callers"), line)?;
        let grpc = format!("grpc = {{ callers = {:?} }}", folder.path().join("callers"));
        Self::start_in(folder, brokers, tables, [&grpc, &grpc]).await
    }

    /// With certificates of an authority, which is `ca.crt` in the folder. Each role has one of its
    /// own; that of `ann` is an operator's. Without `client_ca` the policy asks for none, and the others
    /// show it the token of a relay instead.
    pub async fn secured(
        brokers: Brokers,
        domains: &[(String, SocketAddr)],
        client_ca: bool,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        let authority = Authority::new("ours")?;
        authority.write(&path.join("ca.crt"))?;
        let issue = |name: &str, dns: &[&str], uri: &str| {
            let names = Names { common: name, dns, uris: &[uri] };
            authority.issue(&names)?.write(path, name)
        };
        issue("policy", &[POLICY_NAME], "spiffe://rig/policy")?;
        issue("relay", &["admin.test"], "spiffe://rig/relay")?;
        issue("ann", &[], "spiffe://rig/ann")?;
        let mut callers =
            "relay relay uri:spiffe://rig/relay\nann operator uri:spiffe://rig/ann\n".to_owned();
        callers += &relay::token(path, "operator", "operator").await?.1;
        callers += &relay::token(path, "relay", "relay").await?.1;
        std::fs::write(path.join("callers"), callers)?;
        let asks = if client_ca { format!(", client_ca = {:?}", path.join("ca.crt")) } else { String::new() };
        let policy = policy_tls(path, client_ca.then_some("ca.crt"));
        let who = if client_ca {
            format!("{}, {} {asks}", shows(path, "relay"), names(path, "callers"))
        } else {
            format!("token_file = {:?}", path.join("relay-token"))
        };
        let others = format!("grpc = {{ {}, server_name = {POLICY_NAME:?}, {who} }}", names(path, "ca"));
        let rig = Self::start_in(folder, brokers, "", [&policy, &others]).await?;
        rig.set_documents(domains).await?;
        Ok(rig)
    }

    /// `grpc` is that of the policy, and of the others.
    async fn start_in(
        folder: TempDir,
        brokers: Brokers,
        tables: &str,
        [of_policy, of_others]: [&str; 2],
    ) -> anyhow::Result<Self> {
        let (url, file, replicas) = match &brokers {
            Brokers::One(server) => (server.url(), server.password_file()?, 1),
            Brokers::Three(cluster) => (cluster.url(), cluster.password_file()?, 3),
        };
        let config = format!(
            "hostname = \"gw.test\"\nsmtp = [\"127.0.0.1:0\"]\nnats = \"{url}\"\nreplicas = {replicas}\n\
             nats_login = {{ user = \"hikyaku\", password_file = {file:?} }}\n\
             nats_system_login = {{ user = \"system\", password_file = {file:?} }}\n"
        );
        let policy = role(&folder, "policy", "policy", &format!("{config}{of_policy}\n"), &[])?;
        policy.wait_for_message("listening").await;
        let address = policy.address("policy")?;
        let scheme = if of_policy.contains("certificate") { "https" } else { "http" };
        let config = format!("{config}policy = \"{scheme}://{address}\"\n{of_others}\n");
        Ok(Self { brokers, policy, folder, config, tables: tables.to_owned(), roles: 0 })
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// The policy service again, where it was. `grpc` may be another than before.
    pub async fn policy_again(&mut self, grpc: &str) -> anyhow::Result<()> {
        let path = self.folder.path().join("policy.toml");
        let config = std::fs::read_to_string(&path)?;
        let same = config.lines().filter(|line| !line.starts_with("grpc = "));
        let config = same.chain([grpc]).map(|line| format!("{line}\n")).collect::<String>();
        std::fs::write(&path, config)?;
        restart(&mut self.policy).await
    }

    /// Another policy service over the same directory; roles that start later ask it too.
    pub async fn another_policy(&mut self) -> anyhow::Result<Relay> {
        let config = std::fs::read_to_string(self.folder.path().join("policy.toml"))?;
        let policy = role(&self.folder, "policy", "policy", &config, &[])?;
        policy.wait_for_message("listening").await;
        let also = format!("policy = \"http://{}, ", policy.address("policy")?);
        self.config = self.config.replace("policy = \"", &also);
        Ok(policy)
    }

    /// Another policy service over the same directory, at these addresses of its own.
    pub fn policy_at(&self, address: SocketAddr, metrics: SocketAddr) -> anyhow::Result<Relay> {
        let config = std::fs::read_to_string(self.folder.path().join("policy.toml"))?;
        let environment =
            [("HIKYAKU__POLICY_LISTEN", address.to_string()), ("HIKYAKU__METRICS", metrics.to_string())];
        role(&self.folder, "policy", "policy", &config, &environment)
    }

    /// Roles that start later ask the policy services at these addresses, whoever is there by then.
    pub fn asks(&mut self, policies: &[SocketAddr]) {
        let urls: Vec<String> = policies.iter().map(|address| format!("http://{address}")).collect();
        let line = format!("policy = \"{}\"", urls.join(","));
        let others = self.config.lines().filter(|line| !line.starts_with("policy = ")).map(str::to_owned);
        self.config = std::iter::once(line).chain(others).map(|line| line + "\n").collect();
    }

    /// The line of the configuration for a policy service with TLS.
    pub fn policy_tls(&self, client_ca: Option<&str>) -> String {
        policy_tls(self.folder.path(), client_ca)
    }

    pub async fn ingress(&mut self) -> anyhow::Result<Relay> {
        self.ingress_with("").await
    }

    /// `config` stands in front of the tables and goes before what all have in common.
    pub async fn ingress_with(&mut self, config: &str) -> anyhow::Result<Relay> {
        self.ingress_in(config, &[]).await
    }

    /// The same with more in its environment.
    pub async fn ingress_in(
        &mut self,
        config: &str,
        environment: &[(&str, String)],
    ) -> anyhow::Result<Relay> {
        let ingress = self.role_in("ingress", config, environment)?;
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
        let path = self.path(name);
        std::fs::write(&path, text)?;
        eventually(SOON, async || {
            let done = self.policy_ctl(&["directory", "set", name, &path]).await;
            done.map(|_| ()).map_err(|error| error.to_string())
        })
        .await;
        Ok(())
    }

    /// `hikyakuctl` against the policy, as its operator.
    async fn policy_ctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        if !self.config.contains("https://") {
            return self.policy.ctl(arguments).await;
        }
        let (ca, token) = (self.path("ca.crt"), self.path("operator-token"));
        let (certificate, key) = (self.path("relay.crt"), self.path("relay.key"));
        let who = ["--ca", &ca, "--certificate", &certificate, "--key", &key, "--server-name", POLICY_NAME];
        let who: Vec<&str> = who.into_iter().chain(["--token-file", &token]).collect();
        self.policy.ctl_as("https", &who, arguments).await
    }

    async fn set_documents(&self, domains: &[(String, SocketAddr)]) -> anyhow::Result<()> {
        let mut own = String::new();
        let mut aliases = String::new();
        let mut routes = String::new();
        for (domain, server) in domains {
            own += &format!("{domain}\n");
            aliases += &format!("*@{domain}\t*@{domain}\n");
            routes += &format!("{domain},{},{}\n", server.ip(), server.port());
        }
        for (name, text) in [
            ("own-domains", &*own),
            ("relay-networks", "127.0.0.0/8\n"),
            ("aliases", &aliases),
            ("routes", &routes),
        ] {
            self.document(name, text).await?;
        }
        Ok(())
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

fn policy_tls(folder: &Path, client_ca: Option<&str>) -> String {
    let asks = client_ca.map(|file| format!(", client_ca = {:?}", folder.join(file))).unwrap_or_default();
    format!("grpc = {{ {}, {} {asks} }}", shows(folder, "policy"), names(folder, "callers"))
}

/// Keys of `[grpc]`: a certificate and its key.
fn shows(folder: &Path, name: &str) -> String {
    let file = |extension: &str| folder.join(format!("{name}.{extension}"));
    format!("certificate = {:?}, key = {:?}", file("crt"), file("key"))
}

/// A key of `[grpc]` whose file has its name.
fn names(folder: &Path, key: &str) -> String {
    let file = if key == "ca" { "ca.crt" } else { key };
    format!("{key} = {:?}", folder.join(file))
}

/// A policy service again, where it was.
pub async fn restart(policy: &mut Relay) -> anyhow::Result<()> {
    let address = policy.address("policy")?;
    policy.end().await?;
    policy.again(&[("HIKYAKU__POLICY_LISTEN", address.to_string())])?;
    policy.wait_for_message("listening").await;
    Ok(())
}

/// One domain whose mail goes to one server.
pub fn domain(name: &str, server: &ScriptedMx) -> Vec<(String, SocketAddr)> {
    vec![(name.to_owned(), server.address())]
}
