//! An SMTP client that sends what it is told, right or wrong.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

pub struct SmtpClient {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl SmtpClient {
    /// Connects and reads the greeting.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Self::greeted(Self::over(TcpStream::connect(address).await?)?).await
    }

    /// From a chosen address, for being somebody else.
    pub async fn connect_from(local: SocketAddr, address: SocketAddr) -> anyhow::Result<Self> {
        Self::greeted(Self::silent_from(local, address).await?).await
    }

    /// The same for who speaks first: the greeting is not waited for.
    pub async fn silent_from(local: SocketAddr, address: SocketAddr) -> anyhow::Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(local)?;
        Self::over(socket.connect(address).await?)
    }

    fn over(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(reader), writer })
    }

    async fn greeted(mut client: Self) -> anyhow::Result<Self> {
        let greeting = client.reply().await?;
        anyhow::ensure!(greeting.starts_with("220"), "greeting: {greeting}");
        Ok(client)
    }

    pub async fn send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(octets).await
    }

    /// The last line of a reply; empty at the end of the connection.
    pub async fn reply(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.reader.read_line(&mut line).await? == 0 {
                return Ok(String::new());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.trim_end().to_owned());
            }
        }
    }

    pub async fn command(&mut self, command: &str) -> std::io::Result<String> {
        self.send(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Commands whose reply must begin with 2 or 3.
    pub async fn expect(&mut self, command: &str) -> anyhow::Result<String> {
        let reply = self.command(command).await?;
        anyhow::ensure!(reply.starts_with(['2', '3']), "{command}: {reply}");
        Ok(reply)
    }

    /// A whole transaction. `content` ends with CRLF and has no line that begins with a dot.
    /// Returns the queue id of the 250.
    pub async fn send_mail(&mut self, from: &str, to: &[&str], content: &str) -> anyhow::Result<String> {
        self.expect(&format!("MAIL FROM:<{from}>")).await?;
        for recipient in to {
            self.expect(&format!("RCPT TO:<{recipient}>")).await?;
        }
        self.expect("DATA").await?;
        self.send(content.as_bytes()).await?;
        let reply = self.expect(".").await?;
        Ok(reply.rsplit(' ').next().unwrap_or_default().to_owned())
    }
}

/// Connect, EHLO, one mail, QUIT.
pub async fn send_one(address: SocketAddr, from: &str, to: &[&str], content: &str) -> anyhow::Result<String> {
    let mut client = SmtpClient::connect(address).await?;
    client.expect("EHLO client.test").await?;
    let id = client.send_mail(from, to, content).await?;
    client.expect("QUIT").await?;
    Ok(id)
}
