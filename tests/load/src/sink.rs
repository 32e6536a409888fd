//! Accepts everything at once and notes the id in the header.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::ledger::Ledger;

pub async fn start(port: u16, ledger: Ledger) -> anyhow::Result<JoinHandle<()>> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let _ = serve(stream, &ledger).await; // the relay left
            });
        }
    }))
}

async fn serve(stream: TcpStream, ledger: &Ledger) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let (mut line, mut replies) = (Vec::new(), Vec::from(&b"220 sink.test ESMTP\r\n"[..]));
    loop {
        if stream.buffer().is_empty() && !replies.is_empty() {
            stream.get_mut().write_all(&replies).await?;
            replies.clear();
        }
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"EHLO" => replies.extend_from_slice(
                b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600\r\n",
            ),
            b"DATA" => {
                replies.extend_from_slice(b"354 go ahead\r\n");
                stream.get_mut().write_all(&replies).await?;
                replies.clear();
                content(&mut stream, &mut line, ledger).await?;
                replies.extend_from_slice(b"250 2.0.0 stored\r\n");
            }
            b"QUIT" => {
                replies.extend_from_slice(b"221 2.0.0 bye\r\n");
                return stream.get_mut().write_all(&replies).await;
            }
            _ => replies.extend_from_slice(b"250 2.0.0 ok\r\n"),
        }
    }
}

async fn content(
    stream: &mut BufReader<TcpStream>,
    line: &mut Vec<u8>,
    ledger: &Ledger,
) -> std::io::Result<()> {
    let mut id = None;
    loop {
        line.clear();
        if stream.read_until(b'\n', line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            if let Some(id) = id {
                ledger.arrived(id);
            }
            return Ok(());
        }
        if id.is_none() {
            let text = std::str::from_utf8(line).unwrap_or_default();
            id = text.strip_prefix("X-Load-Id: ").and_then(|id| id.trim().parse().ok());
        }
    }
}
