//! An envelope said to a port, as a stranger would say it, where the dialogue ends before DATA; or a whole message.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Said {
    pub(crate) is_refused: bool,
    pub(crate) text: String,
}

pub(crate) async fn envelope(port: &str, mail_from: &str, rcpt_to: &str) -> anyhow::Result<Said> {
    let dialogue = dialogue(port, mail_from, rcpt_to);
    tokio::time::timeout(PATIENCE, dialogue).await.with_context(|| format!("{port} gave no answer"))?
}

async fn dialogue(port: &str, mail_from: &str, rcpt_to: &str) -> anyhow::Result<Said> {
    let (mut stream, last) = say(port, mail_from, rcpt_to).await?;
    // It is closed either way.
    let _ = stream.write_all(b"QUIT\r\n").await;
    // A port that is busy has not been tested.
    anyhow::ensure!(last.starts_with(['2', '5']), "{port} is not ready for a test: {last}");
    Ok(Said { is_refused: last.starts_with('5'), text: last })
}

/// A message of the null sender; the last answer to it, good or bad. `content` has CRLF at the ends of its lines.
pub(crate) async fn message(port: &str, rcpt_to: &str, content: &str) -> anyhow::Result<String> {
    let dialogue = async {
        let (mut stream, mut last) = say(port, "", rcpt_to).await?;
        if last.starts_with('2') {
            stream.write_all(b"DATA\r\n").await?;
            last = reply(&mut stream).await?;
        }
        if last.starts_with('3') {
            stream.write_all(format!("{content}.\r\n").as_bytes()).await?;
            last = reply(&mut stream).await?;
        }
        let _ = stream.write_all(b"QUIT\r\n").await; // it is closed either way
        anyhow::Ok(last)
    };
    tokio::time::timeout(PATIENCE, dialogue).await.with_context(|| format!("{port} gave no answer"))?
}

/// As far as RCPT, or the first refusal, which is the answer then.
async fn say(port: &str, mail_from: &str, rcpt_to: &str) -> anyhow::Result<(BufReader<TcpStream>, String)> {
    let stream = TcpStream::connect(port).await.with_context(|| format!("cannot connect to {port}"))?;
    let mut stream = BufReader::new(stream);
    let mut last = reply(&mut stream).await?;
    anyhow::ensure!(last.starts_with('2'), "{port} is not ready for a test: {last}");
    let lines = [
        "EHLO relay-test.invalid".to_owned(),
        format!("MAIL FROM:<{mail_from}>"),
        format!("RCPT TO:<{rcpt_to}>"),
    ];
    for line in lines {
        if !last.starts_with('2') {
            break;
        }
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        last = reply(&mut stream).await?;
    }
    Ok((stream, last))
}

/// The last line of a reply.
async fn reply(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    loop {
        let mut line = String::new();
        anyhow::ensure!(stream.read_line(&mut line).await? > 0, "the connection was closed");
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line.trim_end().to_owned());
        }
    }
}
