//! A nats-server of one's own: own port, own folder, each write synced unless told otherwise.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use tempfile::TempDir;

pub const USER: &str = "hikyaku";
pub const SYSTEM_USER: &str = "system";
pub const PASSWORD: &str = "for-tests-only";

pub struct NatsServer {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl NatsServer {
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with("sync_interval: always")
    }

    /// `jetstream` is added to the JetStream block of the server's configuration.
    pub fn start_with(jetstream: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let store = folder.path().join("store");
        let config = format!(
            "server_name: test\nlisten: \"127.0.0.1:{port}\"\n\
             jetstream {{ store_dir: {store:?}\n{jetstream}\n}}\n\
             accounts {{ SYSTEM {{ users: [ {{ user: {SYSTEM_USER}, password: {PASSWORD} }} ] }}\n\
             HIKYAKU {{ jetstream: enabled, users: [ {{ user: {USER}, password: {PASSWORD} }} ] }} }}\n\
             system_account: SYSTEM\n"
        );
        fs::write(folder.path().join("nats.conf"), config)?;
        let child = spawn(&folder)?;
        Ok(Self { child, folder, port })
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A file with the password, for configurations that name one.
    pub fn password_file(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join("password");
        fs::write(&path, PASSWORD)?;
        Ok(path)
    }

    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// With the same port and folder.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.folder)?;
        Ok(())
    }
}

fn spawn(folder: &TempDir) -> anyhow::Result<Child> {
    Command::new(program())
        .arg("--config")
        .arg(folder.path().join("nats.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("nats-server is not on the PATH")
}

/// NATS_SERVER, or the one on the PATH.
pub fn program() -> PathBuf {
    std::env::var_os("NATS_SERVER").map_or_else(|| PathBuf::from("nats-server"), PathBuf::from)
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
