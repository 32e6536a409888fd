//! Ports for programs that cannot be asked for theirs.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The kernel gives none of these away by itself (`net.ipv4.ip_local_port_range`), so nothing else has it when the
/// program starts, or starts again.
const PORTS: Range<u32> = 10_000..32_768;

/// At which nothing listens, and that nobody else is told.
pub fn unused() -> io::Result<SocketAddr> {
    // Several test programs run at a time.
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(997)));
    for _ in PORTS {
        let at = NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let port = u16::try_from(PORTS.start + at).map_err(io::Error::other)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
