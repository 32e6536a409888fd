//! What a process shows at /metrics.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

/// The text. Blocks.
pub fn read(from: SocketAddr) -> anyhow::Result<String> {
    read_as(from, "*/*")
}

/// The same for who takes only `accept`; with the header of the answer.
pub fn read_as(from: SocketAddr, accept: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(from)?;
    // 1.0: the answer is one piece and ends with the connection.
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nAccept: {accept}\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Of the series that is written so; 0 without it.
pub fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}
