//! A load balancer that says who its clients are: HAProxy with the PROXY protocol.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{eventually::eventually, peers::Skipped, port};

/// Where it connects from.
pub const BALANCER: &str = "127.0.0.5";
const STARTED_WITHIN: Duration = Duration::from_secs(20);

/// A place behind it.
#[derive(Debug, Clone, Copy)]
pub struct Backend {
    pub address: SocketAddr,
    /// `send-proxy` or `send-proxy-v2`.
    pub header: &'static str,
    /// Its health is that it greets; otherwise that it takes connections.
    pub greets: bool,
}

pub struct Balancer {
    child: Child,
    addresses: Vec<SocketAddr>,
    _folder: TempDir,
}

impl Balancer {
    /// Ready when every backend has passed its health check.
    pub async fn start(backends: &[Backend]) -> anyhow::Result<Result<Self, Skipped>> {
        let program = Path::new("/usr/sbin/haproxy");
        if !program.exists() {
            return Ok(Err(format!("no {}; tests/get-peers installs it", program.display())));
        }
        let folder = tempfile::tempdir()?;
        let mut text =
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n".to_owned();
        let mut addresses = Vec::new();
        for (number, Backend { address, header, greets }) in backends.iter().enumerate() {
            let place = port::unused()?;
            let check = if *greets { " option smtpchk EHLO probe.test\n" } else { "" };
            text += &format!(
                "listen mail{number}\n bind {place}\n{check} \
                 server relay {address} {header} check check-send-proxy inter 200 rise 2 source {BALANCER}\n"
            );
            addresses.push(place);
        }
        let status = port::unused()?;
        text += &format!("frontend status\n mode http\n bind {status}\n stats enable\n stats uri /\n");
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text)?;
        let mut command = Command::new(program);
        let child =
            command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let balancer = Self { child, addresses, _folder: folder };
        eventually(STARTED_WITHIN, async || healthy(status, backends.len()).await).await;
        Ok(Ok(balancer))
    }

    /// In the order of the backends.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// HAProxy's own table, as CSV: name, server, ..., status, ..., check.
async fn healthy(status: SocketAddr, wanted: usize) -> Result<(), String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(status).await?;
        stream.write_all(b"GET /;csv HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = ask.await.map_err(|error| error.to_string())?;
    let passed = answer
        .lines()
        .filter(|line| line.contains(",relay,") && line.contains(",L7OK,") || line.contains(",L4OK,"));
    if passed.count() == wanted { Ok(()) } else { Err(format!("not all backends are healthy: {answer}")) }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}
