//! Does the inner server greet somebody who is not the relay (SEED-003)? Nothing is said to it but QUIT.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hikyaku_doctor::{Finding, inner_probe};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpSocket,
};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Probed {
    /// What was done, in words.
    pub(super) what: String,
    pub(super) finding: Option<Finding>,
}

/// `from`: an address of this machine; else the one that the system takes.
pub(super) async fn probe(inner: SocketAddr, from: Option<IpAddr>, own_addresses: &[IpAddr]) -> Probed {
    let not_tried = |why: &str| Probed {
        what: format!("inner server {inner} was not tried from here: {why}"),
        finding: None,
    };
    let (source, greeting) = match tokio::time::timeout(PATIENCE, greeting(inner, from)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            return not_tried("this machine does not have that address");
        }
        Ok(Err(_)) | Err(_) => {
            let what = format!("inner server {inner} does not greet this machine");
            return Probed { what, finding: None };
        }
    };
    if from.is_none() && source.is_loopback() {
        return not_tried("it is on this machine; --probe-from names another address of it");
    }
    if own_addresses.contains(&source) {
        return not_tried(&format!("{source} is an address of the cluster"));
    }
    let what = format!("inner server {inner} tried from {source}, this machine");
    Probed { what, finding: inner_probe(inner, source, own_addresses, &greeting) }
}

async fn greeting(inner: SocketAddr, from: Option<IpAddr>) -> io::Result<(IpAddr, String)> {
    let socket = if inner.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let mut stream = BufReader::new(socket.connect(inner).await?);
    let source = stream.get_ref().local_addr()?.ip().to_canonical();
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    // It is closed either way.
    let _ = stream.write_all(b"QUIT\r\n").await;
    Ok((source, line))
}
