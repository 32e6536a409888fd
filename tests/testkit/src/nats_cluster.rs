//! Three nats-servers in one cluster, each with a folder of its own. What they say to each other
//! goes over wires, so that one can be cut off.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{
    nats::{self, PASSWORD, SYSTEM_USER, USER, program},
    port,
    wire::Wire,
};

pub const NODES: usize = 3;

pub struct NatsCluster {
    folder: TempDir,
    nodes: Vec<Node>,
    /// From the first to the second of each pair.
    wires: Vec<((usize, usize), Wire)>,
}

struct Node {
    client_port: u16,
    monitor_port: u16,
    child: Option<Child>,
}

impl NatsCluster {
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let stores: Vec<PathBuf> =
            (0..NODES).map(|node| folder.path().join(format!("store{node}"))).collect();
        Self::start_with_stores(folder, &stores, "always").await
    }

    /// Each node keeps its streams in the folder that is named for it, and syncs them so.
    pub async fn start_with_stores(
        folder: TempDir,
        stores: &[PathBuf],
        sync_interval: &str,
    ) -> anyhow::Result<Self> {
        let mut cluster_addresses = Vec::new();
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            cluster_addresses.push(port::unused()?);
            nodes.push(Node {
                client_port: port::unused()?.port(),
                monitor_port: port::unused()?.port(),
                child: None,
            });
        }
        let mut wires = Vec::new();
        for from in 0..NODES {
            for to in (0..NODES).filter(|to| *to != from) {
                wires.push(((from, to), Wire::to(cluster_addresses[to]).await?));
            }
        }
        for (node, store) in stores.iter().enumerate() {
            let routes: Vec<String> = wires
                .iter()
                .filter(|((from, _), _)| *from == node)
                .map(|(_, wire)| format!("\"nats-route://{}\"", wire.address()))
                .collect();
            let config = format!(
                "server_name: n{node}\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\n\
                 pid_file: {:?}\nlame_duck_grace_period: 3s\nlame_duck_duration: 30s\n\
                 cluster {{ name: test, listen: \"{}\", no_advertise: true, pool_size: -1, routes: [ {} ] }}\n\
                 jetstream {{ store_dir: {store:?}\nsync_interval: {sync_interval}\n}}\n\
                 accounts {{ SYSTEM {{ users: [ {{ user: {SYSTEM_USER}, password: {PASSWORD} }} ] }}\n\
                 HIKYAKU {{ jetstream: enabled, users: [ {{ user: {USER}, password: {PASSWORD} }} ] }} }}\n\
                 system_account: SYSTEM\n",
                nodes[node].client_port,
                nodes[node].monitor_port,
                folder.path().join(format!("n{node}.pid")),
                cluster_addresses[node],
                routes.join(", "),
            );
            fs::write(folder.path().join(format!("n{node}.conf")), config)?;
        }
        let mut cluster = Self { folder, nodes, wires };
        for node in 0..NODES {
            cluster.restart(node)?;
        }
        Ok(cluster)
    }

    /// All nodes, for clients that go to them directly.
    pub fn url(&self) -> String {
        let urls: Vec<String> = (0..NODES).map(|node| format!("nats://{}", self.address(node))).collect();
        urls.join(",")
    }

    pub fn address(&self, node: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.nodes[node].client_port))
    }

    /// Where it says how it is.
    pub fn monitor(&self, node: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.nodes[node].monitor_port))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file with the password, for configurations that name one.
    pub fn password_file(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join("password");
        fs::write(&path, PASSWORD)?;
        Ok(path)
    }

    /// kill -9.
    pub fn kill(&mut self, node: usize) -> anyhow::Result<()> {
        if let Some(mut child) = self.nodes[node].child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// It hands over its leaders and its clients, and ends by itself.
    pub fn lame_duck(&self, node: usize) -> anyhow::Result<()> {
        let signal = format!("-sl=ldm={}", self.folder.path().join(format!("n{node}.pid")).display());
        let status = Command::new(program()).arg(signal).status()?;
        anyhow::ensure!(status.success(), "nats-server -sl=ldm: {status}");
        Ok(())
    }

    pub fn has_ended(&mut self, node: usize) -> anyhow::Result<bool> {
        let Some(child) = &mut self.nodes[node].child else { return Ok(true) };
        let has_ended = child.try_wait()?.is_some();
        if has_ended {
            self.nodes[node].child = None;
        }
        Ok(has_ended)
    }

    /// With the same ports and the same folder.
    pub fn restart(&mut self, node: usize) -> anyhow::Result<()> {
        let log = fs::File::create(self.folder.path().join(format!("n{node}.log")))?;
        let child = Command::new(program())
            .arg("--config")
            .arg(self.folder.path().join(format!("n{node}.conf")))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("nats-server is not on the PATH")?;
        self.nodes[node].child = Some(child);
        Ok(())
    }

    /// Nothing passes between this node and the others, in either direction.
    pub fn cut_off(&self, node: usize) {
        self.wires_of(node).for_each(Wire::cut);
    }

    pub fn heal(&self, node: usize) {
        self.wires_of(node).for_each(Wire::heal);
    }

    fn wires_of(&self, node: usize) -> impl Iterator<Item = &Wire> {
        self.wires.iter().filter(move |((from, to), _)| *from == node || *to == node).map(|(_, wire)| wire)
    }
}

impl Drop for NatsCluster {
    fn drop(&mut self) {
        for node in 0..NODES {
            if let Some(child) = &mut self.nodes[node].child {
                nats::tell_of(child, &self.folder.path().join(format!("n{node}.log")));
            }
            let _ = self.kill(node);
        }
    }
}
