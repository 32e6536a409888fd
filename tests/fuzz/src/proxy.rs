//! PROXY headers: the reader of the ingress against a plain one, cut anywhere.

use std::{
    cell::OnceCell,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    runtime::{Builder, Runtime},
};

use crate::Input;

/// The reader itself; its crate would bring the whole service along.
#[path = "../../../services/ingress/src/proxy.rs"]
mod reader;

use reader::Proxied;

/// Longer ones are refused.
const LONGEST: usize = 16 * 1024;

pub fn run(input: &[u8]) {
    let Some(input) = Input::read(input) else { return };
    let whole = read(vec![input.octets]);
    assert_eq!(read(input.pieces(input.octets)), whole, "how it is cut is visible");
    assert_eq!(read(crate::input::cut(input.octets, &[1])), whole, "read octet by octet");
    match (whole, expected(input.octets)) {
        (Some((proxied, consumed)), Some((wanted, length))) => {
            assert_eq!((proxied, consumed), (wanted, length), "the plain reader reads something else");
        }
        (Some(read), None) => panic!("read {read:?} where the plain reader reads nothing"),
        (None, Some((wanted, length))) => assert!(length > LONGEST, "{wanted:?} is not read"),
        (None, None) => {}
    }
}

/// Pieces, one for each read.
struct Pieces<'a>(Vec<&'a [u8]>, usize);

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(first) = self.0.first_mut() {
            let (taken, rest) = first.split_at(first.len().min(buffer.remaining()));
            buffer.put_slice(taken);
            *first = rest;
            let (count, is_empty) = (taken.len(), rest.is_empty());
            self.1 += count;
            if is_empty {
                self.0.remove(0);
            }
        }
        Poll::Ready(Ok(()))
    }
}

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// What was read, and how many octets that took.
fn read(pieces: Vec<&[u8]>) -> Option<(Proxied, usize)> {
    let mut stream = Pieces(pieces, 0);
    let proxied = RUNTIME.with(|runtime| {
        let runtime = runtime.get_or_init(|| Builder::new_current_thread().enable_time().build().unwrap());
        runtime.block_on(reader::read(&mut stream))
    });
    Some((proxied.ok()?, stream.1))
}

/// What a header says, and how long it is.
fn expected(octets: &[u8]) -> Option<(Proxied, usize)> {
    match octets.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n") {
        Some(rest) => second_version(rest),
        None => first_version(octets),
    }
}

fn first_version(octets: &[u8]) -> Option<(Proxied, usize)> {
    let end = octets.iter().position(|octet| *octet == b'\n')?;
    let line = octets[..end].strip_suffix(b"\r").filter(|line| line.len() <= 105)?;
    // Whatever stands behind it in that line.
    if line.starts_with(b"PROXY UNKNOWN") && !line.contains(&b'\r') {
        return Some((Proxied::Nobody, end + 1));
    }
    let text = str::from_utf8(line).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    let proxied = match words[..] {
        ["PROXY", family, source, destination, source_port, destination_port] => {
            let source: IpAddr = source.parse().ok()?;
            let destination: IpAddr = destination.parse().ok()?;
            let is_as_said = match family {
                "TCP4" => source.is_ipv4() && destination.is_ipv4(),
                "TCP6" => source.is_ipv6() && destination.is_ipv6(),
                _ => false,
            };
            let _: u16 = destination_port.parse().ok()?;
            Proxied::Client(SocketAddr::new(source, source_port.parse().ok().filter(|_| is_as_said)?))
        }
        _ => return None,
    };
    Some((proxied, end + 1))
}

/// Behind the signature.
fn second_version(rest: &[u8]) -> Option<(Proxied, usize)> {
    let (&[command, family, high, low], rest) = rest.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let addresses = rest.get(..length)?;
    let port = |at: usize| Some(u16::from_be_bytes([*addresses.get(at)?, *addresses.get(at + 1)?]));
    let proxied = match (command, family) {
        (0x20, _) => Proxied::Nobody,
        (0x21, 0x11) => {
            let source: [u8; 4] = addresses.get(..4)?.try_into().ok()?;
            addresses.get(..12)?;
            Proxied::Client(SocketAddr::new(Ipv4Addr::from(source).into(), port(8)?))
        }
        (0x21, 0x21) => {
            let source: [u8; 16] = addresses.get(..16)?.try_into().ok()?;
            addresses.get(..36)?;
            Proxied::Client(SocketAddr::new(Ipv6Addr::from(source).into(), port(32)?))
        }
        (0x21, 0x00) => Proxied::Nobody,
        (0x21, 0x31 | 0x32) if length >= 216 => Proxied::Nobody,
        _ => return None,
    };
    Some((proxied, 16 + length))
}
