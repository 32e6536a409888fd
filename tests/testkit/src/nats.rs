//! A nats-server of one's own: own port, own folder, each write synced unless told otherwise.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::port;

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
        let port = port::unused()?.port();
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

    /// Another server over a copy of a store: what a restored volume has.
    pub fn restored(store: &Path) -> anyhow::Result<Self> {
        let mut server = Self::start()?;
        server.kill()?;
        let _ = fs::remove_dir_all(server.store()); // it may not have come to making one
        copy(store, &server.store())?;
        server.restart()?;
        Ok(server)
    }

    /// Where it keeps its streams.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
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

    /// Keys of a relay's configuration file that name this server.
    pub fn configuration(&self) -> anyhow::Result<String> {
        let file = self.password_file()?;
        Ok(format!(
            "nats = \"{}\"\nnats_login = {{ user = {USER:?}, password_file = {file:?} }}\n\
             nats_system_login = {{ user = {SYSTEM_USER:?}, password_file = {file:?} }}\n",
            self.url()
        ))
    }

    /// Asks the server for something behind the relay's back. Written apart from the client library.
    pub fn ask(&self, subject: &str, payload: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let connect = format!("{{\"user\":{USER:?},\"pass\":{PASSWORD:?},\"verbose\":false}}");
        let length = payload.len();
        write!(stream, "CONNECT {connect}\r\nSUB answer 1\r\n")?;
        write!(stream, "PUB {subject} answer {length}\r\n{payload}\r\n")?;
        let mut lines = BufReader::new(stream).lines();
        while let Some(line) = lines.next().transpose()? {
            anyhow::ensure!(!line.starts_with("-ERR"), "{line}");
            if line.starts_with("MSG ") {
                return lines.next().transpose()?.context("the answer has no payload");
            }
        }
        anyhow::bail!("the server ended the connection")
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

/// A folder with all that is in it.
pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

/// What a broker that is about to go did, when a test fails.
pub fn tell_of(child: &mut Child, log: &Path) {
    const LINES: usize = 20;
    if std::thread::panicking() {
        let text = fs::read_to_string(log).unwrap_or_default();
        let from = text.lines().count().saturating_sub(LINES);
        let last: Vec<&str> = text.lines().skip(from).collect();
        eprintln!("{}, {:?}:\n{}", log.display(), child.try_wait(), last.join("\n"));
    }
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
