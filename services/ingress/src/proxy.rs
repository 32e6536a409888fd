//! Who a connection is from, when a load balancer says it (PROXY protocol, versions 1 and 2). The header
//! comes before everything, TLS too. Peers that are named must send one; from others it is no SMTP.

use std::{io, net::SocketAddr, time::Duration};

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A balancer sends it with its first packet.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The beginning of both versions; a header of the first one is at least this long.
const START: usize = 12;
const SIGNATURE: &[u8; START] = b"\r\n\r\n\0\r\nQUIT\n";
/// The second version: signature, version and command, family, length of the rest.
const FIXED: usize = 16;
/// Version and command of a health probe.
const LOCAL: u8 = 0x20;
/// With its extensions; a certificate of a client among them is long.
const MAX_HEADER: usize = 16 * 1024;
/// The first version, with its line end.
const MAX_LINE: usize = 107;
const PARSE: ParseConfig = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxied {
    Client(SocketAddr),
    /// The balancer itself looks whether somebody is there (LOCAL), or does not know who it is (UNKNOWN).
    Nobody,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("no PROXY header came within {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error("the connection ended before its PROXY header")]
    Io(#[from] io::Error),
    #[error("it does not begin with a PROXY header")]
    Missing,
    #[error("the PROXY header is longer than {0} octets")]
    TooLong(usize),
    #[error("the PROXY header cannot be read")]
    Unreadable,
    #[error("the PROXY header is not about a TCP connection")]
    NotTcp,
}

/// Takes the header and nothing behind it.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Proxied, ProxyError> {
    let header = tokio::time::timeout(TIMEOUT, header(stream));
    parse(&header.await.map_err(|_| ProxyError::TimedOut)??)
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, ProxyError> {
    let mut header = vec![0; START];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        header.resize(FIXED, 0);
        stream.read_exact(&mut header[START..]).await?;
        let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
        if FIXED + rest > MAX_HEADER {
            return Err(ProxyError::TooLong(MAX_HEADER));
        }
        header.resize(FIXED + rest, 0);
        stream.read_exact(&mut header[FIXED..]).await?;
    } else if header.starts_with(b"PROXY ") {
        // Octet by octet, because what is behind the line is not ours.
        while !header.ends_with(b"\n") {
            if header.len() == MAX_LINE {
                return Err(ProxyError::TooLong(MAX_LINE));
            }
            header.push(stream.read_u8().await?);
        }
    } else {
        return Err(ProxyError::Missing);
    }
    Ok(header)
}

fn parse(octets: &[u8]) -> Result<Proxied, ProxyError> {
    // A balancer that looks for itself is let in, whatever it writes behind that word.
    if octets.starts_with(SIGNATURE) && octets.get(START) == Some(&LOCAL) {
        return Ok(Proxied::Nobody);
    }
    let (header, length) = ProxyHeader::parse(octets, PARSE).map_err(|_| ProxyError::Unreadable)?;
    if length != octets.len() {
        return Err(ProxyError::Unreadable);
    }
    match header.proxied_address() {
        None => Ok(Proxied::Nobody),
        Some(address) if address.protocol != Protocol::Stream => Err(ProxyError::NotTcp),
        Some(address) => Ok(Proxied::Client(address.source)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V2_TCP4: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc6\x33\x64\x0b\x12\x34\0\x19";
    const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

    async fn read_all(octets: &[u8]) -> (Result<Proxied, ProxyError>, Vec<u8>) {
        let mut rest = octets;
        let proxied = read(&mut rest).await;
        (proxied, rest.to_vec())
    }

    fn client(text: &str) -> Proxied {
        Proxied::Client(text.parse().unwrap())
    }

    #[tokio::test]
    async fn headers_of_both_versions() {
        let v6 = [
            b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".as_slice(),
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0x12, 0x34, 0, 25],
        ]
        .concat();
        // An extension (PP2_TYPE_NOOP) behind the addresses.
        let mut extended = V2_TCP4.to_vec();
        extended[15] += 5;
        extended.extend(b"\x04\0\x02ab");
        for (header, expected) in [
            (b"PROXY TCP4 203.0.113.9 198.51.100.11 4660 25\r\n".as_slice(), client("203.0.113.9:4660")),
            (b"PROXY TCP6 2001:db8::9 2001:db8::1 4660 25\r\n", client("[2001:db8::9]:4660")),
            (b"PROXY UNKNOWN\r\n", Proxied::Nobody),
            (b"PROXY UNKNOWN ffff:f::ffff ffff::1 65535 65535\r\n", Proxied::Nobody),
            (V2_TCP4, client("203.0.113.9:4660")),
            (&extended, client("203.0.113.9:4660")),
            (&v6, client("[2001:db8::9]:4660")),
            (V2_LOCAL, Proxied::Nobody),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x03abc", Proxied::Nobody),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\xff\0\0", Proxied::Nobody),
        ] {
            let octets = [header, b"EHLO client\r\n"].concat();
            for cut in 0..=octets.len() {
                // A read ends there.
                let (mut front, mut rest) = (&octets[..cut], &octets[cut..]);
                let proxied = read(&mut (&mut front).chain(&mut rest)).await;
                assert_eq!(proxied.unwrap(), expected, "{} cut at {cut}", header.escape_ascii());
                let rest = [front, rest].concat();
                assert_eq!(rest, b"EHLO client\r\n", "nothing of the session is taken");
            }
        }
    }

    #[tokio::test]
    async fn refused() {
        let udp =
            V2_TCP4.iter().enumerate().map(|(at, octet)| if at == 13 { 0x12 } else { *octet }).collect();
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let huge = [SIGNATURE.as_slice(), b"\x21\x11\xff\xff"].concat();
        for octets in [
            b"EHLO client.example\r\n".to_vec(),
            b"PROXX TCP4 203.0.113.9 198.51.100.11 1 25\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.900 198.51.100.11 1 25\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::9 198.51.100.11 1 25\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 198.51.100.11 1\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 198.51.100.11 1 25\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 198.51.100.11 99999 25\r\n".to_vec(),
            V2_TCP4[..20].to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x02ab".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x25\x11\0\0".to_vec(),
            Vec::new(),
            udp,
            long,
            huge,
        ] {
            for cut in 0..=octets.len() {
                let proxied = read(&mut octets[..cut].chain(&octets[cut..])).await;
                assert!(proxied.is_err(), "{} cut at {cut}: {proxied:?}", octets.escape_ascii());
            }
        }
    }

    /// An address family that we do not know is nobody's address, and never the balancer's.
    #[tokio::test]
    async fn a_unix_socket_is_nobody() {
        let header = [SIGNATURE.as_slice(), b"\x21\x31\0\xd8", &[b'x'; 216]].concat();
        assert_eq!(read_all(&header).await.0.unwrap(), Proxied::Nobody);
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_is_not_waited_for() {
        let (mut near, _far) = tokio::io::duplex(64);
        assert!(matches!(read(&mut near).await, Err(ProxyError::TimedOut)));
    }

    proptest! {
        #[test]
        fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..300), is_v2: bool) {
            let start: &[u8] = if is_v2 { SIGNATURE } else { b"PROXY " };
            let octets = [start, &octets].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _ = runtime.block_on(read_all(&octets));
        }
    }
}
