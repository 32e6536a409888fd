//! Ports for programs that cannot be asked for theirs.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The kernel gives none of these away by itself (`net.ipv4.ip_local_port_range`), and `hikyaku up` takes none for its
/// broker, so nothing else has it when the program starts, or starts again.
const PORTS: Range<u32> = 10_000..20_000;

/// At which nothing listens, and that nobody else is told.
pub fn unused() -> io::Result<SocketAddr> {
    unused_at(Ipv4Addr::LOCALHOST.into())
}

pub fn unused_at(address: IpAddr) -> io::Result<SocketAddr> {
    // Several test programs run at a time.
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(997)));
    for _ in PORTS {
        let at = NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let port = u16::try_from(PORTS.start + at).map_err(io::Error::other)?;
        let place = SocketAddr::from((address, port));
        if TcpListener::bind(place).is_ok() {
            return Ok(place);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
