//! A connection to a remote address from one of ours, or through the proxy that owns it.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
};

use hikyaku_types::{
    outcome::{LocalError, LocalErrorKind},
    traffic::EgressAddress,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_socks::tcp::Socks5Stream;

use crate::connection::local_error::{describe, of_io};

pub(crate) async fn connect(
    remote: SocketAddr,
    egress: Option<&EgressAddress>,
) -> Result<TcpStream, LocalError> {
    let Some(egress) = egress else {
        return TcpStream::connect(remote).await.map_err(|error| of_io(&error));
    };
    let from = egress.address;
    if from.is_ipv4() != remote.is_ipv4() {
        let what = format!("not reachable from {from}: another address family");
        return Err(LocalError::new(LocalErrorKind::Internal, what));
    }
    match &egress.via {
        Some(proxy) => {
            let address = proxy.to_string();
            let connected = Socks5Stream::connect(address.as_str(), remote).await;
            let stream = connected.map_err(|error| {
                LocalError::new(LocalErrorKind::Internal, format!("proxy {proxy} for {from}: {error}"))
            })?;
            Ok(stream.into_inner())
        }
        None => bound(remote, from).await,
    }
}

async fn bound(remote: SocketAddr, from: IpAddr) -> Result<TcpStream, LocalError> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| of_io(&error))?;
    if let Err(error) = socket.bind(SocketAddr::new(from, 0)) {
        let what = if error.kind() == ErrorKind::AddrNotAvailable {
            format!("this machine does not have the address {from}")
        } else {
            format!("address {from}: {}", describe(&error))
        };
        return Err(LocalError { what, ..of_io(&error) });
    }
    socket.connect(remote).await.map_err(|error| of_io(&error))
}
