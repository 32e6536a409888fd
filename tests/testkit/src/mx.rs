//! An SMTP server that does what its script says and remembers what it got. Written apart
//! from the relay's own protocol code, so that it is an honest peer.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    task::JoinHandle,
};

const ENDS_ARE_SEEN: Duration = Duration::from_millis(5);

/// What the server does. It can be changed while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    Accept,
    /// Offers DSN (RFC 3461) and accepts.
    OffersDsn,
    /// Offers CHUNKING and BINARYMIME (RFC 3030) and accepts.
    OffersChunks,
    /// Offers these LIMITS (RFC 9422), MAILMAX and RCPTMAX, and bears no more.
    Limits(usize, usize),
    /// 451 to each (client, sender, recipient) for so long after its first contact.
    Greylist(Duration),
    /// This reply to every RCPT.
    RefuseRcpt(&'static str),
    /// This reply to the recipients with this local part, acceptance of others.
    RefuseLocalPart(&'static str, &'static str),
    /// This reply after the content.
    RefuseContent(&'static str),
    /// Accepts the connection and says nothing.
    Silent,
    /// This greeting, then the end.
    Greeting(&'static str),
    /// Takes the content, then closes without a reply.
    CutAfterContent,
    /// Takes so long to answer the content.
    SlowContent(Duration),
    /// 421 in one packet with the answer to EHLO, then the end.
    LeavesAfterEhlo,
    /// 421 to the second MAIL of a session.
    OneMessagePerSession,
    /// Speaks only HELO.
    HeloOnly,
    /// Offers STARTTLS and answers it so; what comes then is octets in the clear.
    AnswersStartTls(&'static [u8]),
}

#[derive(Debug, Clone)]
pub struct Received {
    pub sender: String,
    pub recipients: Vec<String>,
    /// MAIL and RCPT as they were said.
    pub commands: Vec<String>,
    pub content: Vec<u8>,
    /// Where it came from.
    pub peer: IpAddr,
    pub at: Instant,
}

impl Received {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

#[derive(Debug)]
struct Memory {
    script: Mutex<Script>,
    received: Mutex<Vec<Received>>,
    /// Each RCPT with its reply code, in order.
    attempts: Mutex<Vec<(Instant, String, u16)>>,
    first_contact: Mutex<HashMap<(IpAddr, String, String), Instant>>,
    sessions: AtomicUsize,
    most_sessions: AtomicUsize,
    total_sessions: AtomicUsize,
}

pub struct ScriptedMx {
    memory: Arc<Memory>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl ScriptedMx {
    pub async fn start(script: Script) -> anyhow::Result<Self> {
        Self::start_at("127.0.0.1:0".parse()?, script).await
    }

    pub async fn start_at(address: SocketAddr, script: Script) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let memory = Arc::new(Memory {
            script: Mutex::new(script),
            received: Mutex::default(),
            attempts: Mutex::default(),
            first_contact: Mutex::default(),
            sessions: AtomicUsize::new(0),
            most_sessions: AtomicUsize::new(0),
            total_sessions: AtomicUsize::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&memory)));
        Ok(Self { memory, address, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, script: Script) {
        *self.memory.script.lock().unwrap() = script;
    }

    pub fn received(&self) -> Vec<Received> {
        self.memory.received.lock().unwrap().clone()
    }

    /// Those alone that are wanted, for who waits for little among much.
    pub fn received_where(&self, is_wanted: impl Fn(&Received) -> bool) -> Vec<Received> {
        self.memory.received.lock().unwrap().iter().filter(|mail| is_wanted(mail)).cloned().collect()
    }

    pub fn received_count(&self) -> usize {
        self.memory.received.lock().unwrap().len()
    }

    pub fn attempts(&self) -> Vec<(Instant, String, u16)> {
        self.memory.attempts.lock().unwrap().clone()
    }

    /// Each client, sender and recipient that a greylist knows.
    pub fn contacts(&self) -> Vec<(IpAddr, String, String)> {
        self.memory.first_contact.lock().unwrap().keys().cloned().collect()
    }

    pub fn most_sessions(&self) -> usize {
        self.memory.most_sessions.load(Ordering::SeqCst)
    }

    pub fn total_sessions(&self) -> usize {
        self.memory.total_sessions.load(Ordering::SeqCst)
    }
}

impl Drop for ScriptedMx {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, memory: Arc<Memory>) {
    while let Ok((stream, peer)) = listener.accept().await {
        let memory = Arc::clone(&memory);
        tokio::spawn(async move {
            // The end of an earlier connection may be there, and not be seen yet.
            tokio::time::sleep(ENDS_ARE_SEEN).await;
            memory.total_sessions.fetch_add(1, Ordering::SeqCst);
            let now = memory.sessions.fetch_add(1, Ordering::SeqCst) + 1;
            memory.most_sessions.fetch_max(now, Ordering::SeqCst);
            let _ = serve(stream, peer.ip(), &memory).await; // the peer left
            memory.sessions.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn serve(stream: TcpStream, peer: IpAddr, memory: &Memory) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let (mut reader, mut writer) = (BufReader::new(reader), BufWriter::new(writer));
    let script = || memory.script.lock().unwrap().clone();
    match script() {
        Script::Silent => {
            reader.read_to_end(&mut Vec::new()).await?;
            return Ok(());
        }
        Script::Greeting(text) => {
            writer.write_all(format!("{text}\r\n").as_bytes()).await?;
            return writer.flush().await;
        }
        _ => writer.write_all(b"220 mx.test ESMTP\r\n").await?,
    }
    let (mut sender, mut recipients, mut senders) = (String::new(), Vec::new(), 0);
    let (mut commands, mut chunks) = (Vec::new(), Vec::new());
    let mut line = String::new();
    loop {
        if reader.buffer().is_empty() {
            writer.flush().await?;
        }
        line.clear();
        if reader.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" if script() == Script::HeloOnly => "502 5.5.1 not known here".to_owned(),
            "EHLO" if script() == Script::LeavesAfterEhlo => {
                writer.write_all(b"250 mx.test\r\n421 4.3.2 not today\r\n").await?;
                return writer.flush().await;
            }
            "EHLO" if script() == Script::OffersDsn => "250-mx.test\r\n250-PIPELINING\r\n250 DSN".to_owned(),
            "EHLO" if matches!(script(), Script::AnswersStartTls(_)) => {
                "250-mx.test\r\n250-PIPELINING\r\n250 STARTTLS".to_owned()
            }
            "EHLO" if script() == Script::OffersChunks => {
                "250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 BINARYMIME".to_owned()
            }
            "EHLO" if matches!(script(), Script::Limits(..)) => {
                let Script::Limits(mails, recipients) = script() else { continue };
                format!("250-mx.test\r\n250-PIPELINING\r\n250 LIMITS MAILMAX={mails} RCPTMAX={recipients}")
            }
            "EHLO" => "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES".to_owned(),
            "STARTTLS" if matches!(script(), Script::AnswersStartTls(_)) => {
                let Script::AnswersStartTls(answer) = script() else { continue };
                writer.write_all(answer).await?;
                writer.flush().await?;
                if !answer.starts_with(b"2") {
                    continue;
                }
                // Behind a 220 come octets that are no line of SMTP.
                if reader.read(&mut [0; 512]).await? > 0 {
                    writer.write_all(b"500 5.5.2 what\r\n").await?;
                    writer.flush().await?;
                }
                return Ok(());
            }
            "HELO" => "250 mx.test".to_owned(),
            "MAIL" if senders == 1 && script() == Script::OneMessagePerSession => {
                writer.write_all(b"421 4.7.0 enough for one session\r\n").await?;
                return writer.flush().await;
            }
            "MAIL" if matches!(script(), Script::Limits(mails, _) if senders >= mails) => {
                "550 5.7.1 more than MAILMAX".to_owned()
            }
            "RCPT" if matches!(script(), Script::Limits(_, most) if recipients.len() >= most) => {
                "550 5.5.3 more than RCPTMAX".to_owned()
            }
            "MAIL" => {
                senders += 1;
                chunks.clear();
                sender = path(&command);
                recipients.clear();
                commands = vec![command.clone()];
                "250 2.1.0 ok".to_owned()
            }
            "RCPT" => {
                let recipient = path(&command);
                commands.push(command.clone());
                let reply = memory.rcpt(&script(), peer, &sender, &recipient);
                if reply.starts_with('2') {
                    recipients.push(recipient);
                }
                reply
            }
            "BDAT" => {
                let mut words = command.split_ascii_whitespace().skip(1);
                let size = words.next().and_then(|size| size.parse().ok()).unwrap_or(0);
                let begin = chunks.len();
                chunks.resize(begin + size, 0);
                reader.read_exact(&mut chunks[begin..]).await?;
                if recipients.is_empty() {
                    "503 5.5.1 not now".to_owned()
                } else if words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST")) {
                    let received = Received {
                        sender: sender.clone(),
                        recipients: std::mem::take(&mut recipients),
                        commands: std::mem::take(&mut commands),
                        content: std::mem::take(&mut chunks),
                        peer,
                        at: Instant::now(),
                    };
                    memory.received.lock().unwrap().push(received);
                    "250 2.0.0 stored".to_owned()
                } else {
                    "250 2.0.0 more".to_owned()
                }
            }
            "DATA" if recipients.is_empty() => "554 5.5.1 no valid recipients".to_owned(),
            "DATA" => {
                writer.write_all(b"354 go ahead\r\n").await?;
                writer.flush().await?;
                let content = content(&mut reader).await?;
                if let Script::SlowContent(time) = script() {
                    tokio::time::sleep(time).await;
                }
                match script() {
                    Script::CutAfterContent => return Ok(()),
                    Script::RefuseContent(reply) => reply.to_owned(),
                    _ => {
                        let received = Received {
                            sender: sender.clone(),
                            recipients: std::mem::take(&mut recipients),
                            commands: std::mem::take(&mut commands),
                            content,
                            peer,
                            at: Instant::now(),
                        };
                        memory.received.lock().unwrap().push(received);
                        "250 2.0.0 stored".to_owned()
                    }
                }
            }
            "RSET" => {
                recipients.clear();
                "250 2.0.0 ok".to_owned()
            }
            "NOOP" => "250 2.0.0 ok".to_owned(),
            "QUIT" => {
                writer.write_all(b"221 2.0.0 bye\r\n").await?;
                return writer.flush().await;
            }
            _ => "500 5.5.2 what".to_owned(),
        };
        writer.write_all(reply.as_bytes()).await?;
        writer.write_all(b"\r\n").await?;
    }
}

impl Memory {
    fn rcpt(&self, script: &Script, peer: IpAddr, sender: &str, recipient: &str) -> String {
        let reply = match script {
            Script::RefuseRcpt(reply) => (*reply).to_owned(),
            Script::RefuseLocalPart(local_part, reply) if recipient.split('@').next() == Some(local_part) => {
                (*reply).to_owned()
            }
            Script::Greylist(window) => {
                let key = (peer, sender.to_owned(), recipient.to_owned());
                let mut contacts = self.first_contact.lock().unwrap();
                let first = *contacts.entry(key).or_insert_with(Instant::now);
                if first.elapsed() < *window {
                    "451 4.7.1 greylisted, try again later".to_owned()
                } else {
                    "250 2.1.5 ok".to_owned()
                }
            }
            _ => "250 2.1.5 ok".to_owned(),
        };
        let code = reply.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
        self.attempts.lock().unwrap().push((Instant::now(), recipient.to_owned(), code));
        reply
    }
}

fn path(command: &str) -> String {
    let inner = command.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(path, _)| path.to_owned()).unwrap_or_default()
}

async fn content(reader: &mut BufReader<OwnedReadHalf>) -> std::io::Result<Vec<u8>> {
    let (mut content, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(content);
        }
        let unstuffed = line.strip_prefix(b".").unwrap_or(&line);
        content.extend_from_slice(unstuffed);
    }
}
