//! Golden transcripts: reads a `.smtp` file and plays it over a [`Wire`].
//!
//! A transcript is a header, then a conversation. `#` begins a comment line.
//!
//! ```text
//! own: example.org               a domain of ours; repeated for more
//! known: user@example.org        a mailbox there; with none given, every mailbox exists
//! client: 192.0.2.1              address of the client
//! relay: 192.0.2.0/24            clients that may relay
//! refuse-sender: a@bad.example   550 5.7.1 at MAIL
//! max-size: 100                  octets of content
//! max-recipients: 3
//! max-errors: 5
//! listener: submission           AUTH is required; without this line it is port 25
//! tls: starttls                  TLS can be had; `implicit` is TLS from the start
//! auth: cram-md5                 AUTH is offered; with nothing behind the colon without CRAM-MD5
//! account: a@example.org secret  a login and its password
//! default-domain: example.org    completes a login
//!
//! S: 220                         one whole reply, compared by code and enhanced status
//! S+ 250 SIZE 100                the reply before has this line; code and text are compared
//! C: EHLO client.example         a line with CRLF; neighbouring C lines are sent in one write
//! C> half a li                   octets as they are, no CRLF
//! M: content line                a line of the message that must be stored
//! handshake                      the client begins TLS
//! closed                         the server closes the connection
//! ```
//!
//! In `C` and `M` lines: `\r \n \t \\ \0`, `\xHH`, and `\{2100*x}` for a text many times.
//!
//! Included by path, so that one reader serves the session in memory and the service over TCP.

#![allow(dead_code, unreachable_pub, reason = "included by path; each test uses its part")]

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Something that takes octets and says some. An empty `receive` is the end of the connection.
pub trait Wire {
    fn send(&mut self, octets: &[u8]) -> io::Result<()>;
    fn receive(&mut self) -> io::Result<Vec<u8>>;
    /// Goes on over TLS.
    fn secure(&mut self) -> io::Result<()>;
}

/// The world that a transcript assumes.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    pub own: Vec<String>,
    pub known: Vec<String>,
    pub client: Option<IpAddr>,
    pub relay: Vec<(IpAddr, u8)>,
    pub refused_senders: Vec<String>,
    pub max_size: Option<u64>,
    pub max_recipients: Option<usize>,
    pub max_errors: Option<u32>,
    pub is_submission: bool,
    pub tls: Tls,
    pub auth: bool,
    pub cram_md5: bool,
    pub accounts: Vec<(String, String)>,
    pub default_domain: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    None,
    OnDemand,
    Implicit,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Send(Vec<u8>),
    Reply(String),
    ReplyHas(String),
    Handshake,
    Closed,
}

/// Every `.smtp` file below a folder, in order.
pub fn transcripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(transcripts(&path));
        } else if path.extension().is_some_and(|extension| extension == "smtp") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[derive(Debug, Clone)]
pub struct Dialog {
    pub setting: Setting,
    steps: Vec<(usize, Step)>,
    /// Contents that must have been stored, in order.
    pub messages: Vec<Vec<u8>>,
}

impl Setting {
    pub fn client_may_relay(&self) -> bool {
        self.client.is_some_and(|client| self.relay.iter().any(|net| contains(*net, client)))
    }

    /// Is there such a mailbox of ours? `None`: the domain is not ours.
    pub fn knows(&self, mailbox: &str) -> Option<bool> {
        let (_, domain) = mailbox.rsplit_once('@')?;
        let is_own = self.own.iter().any(|own| own == domain);
        is_own.then(|| self.known.is_empty() || self.known.iter().any(|known| known == mailbox))
    }
}

fn contains((network, prefix): (IpAddr, u8), address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, true),
        IpAddr::V6(address) => (address.to_bits(), false),
    };
    let ((network, is_v4), (address, is_also_v4)) = (bits(network), bits(address));
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    is_v4 == is_also_v4 && network & mask == address & mask
}

impl Dialog {
    /// The error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut dialog = Self { setting: Setting::default(), steps: Vec::new(), messages: Vec::new() };
        let mut in_message = false;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                in_message = false;
                continue;
            }
            let was_in_message = std::mem::take(&mut in_message);
            if let Some(text) = line.strip_prefix("C:") {
                let mut octets = unescape(text.strip_prefix(' ').unwrap_or(text), number)?;
                octets.extend_from_slice(b"\r\n");
                dialog.push_octets(number, octets);
            } else if let Some(text) = line.strip_prefix("C> ") {
                dialog.push_octets(number, unescape(text, number)?);
            } else if let Some(reply) = line.strip_prefix("S: ") {
                dialog.steps.push((number, Step::Reply(reply.trim().to_owned())));
            } else if let Some(text) = line.strip_prefix("S+ ") {
                dialog.steps.push((number, Step::ReplyHas(text.trim().to_owned())));
            } else if let Some(text) = line.strip_prefix("M:") {
                let mut octets = unescape(text.strip_prefix(' ').unwrap_or(text), number)?;
                octets.extend_from_slice(b"\r\n");
                match dialog.messages.last_mut().filter(|_| was_in_message) {
                    Some(message) => message.extend(octets),
                    None => dialog.messages.push(octets),
                }
                in_message = true;
            } else if line.trim() == "handshake" {
                dialog.steps.push((number, Step::Handshake));
            } else if line.trim() == "closed" {
                dialog.steps.push((number, Step::Closed));
            } else {
                dialog.setting.header(line).ok_or_else(|| format!("line {number}: cannot read {line:?}"))?;
            }
        }
        Ok(dialog)
    }

    fn push_octets(&mut self, number: usize, octets: Vec<u8>) {
        match self.steps.last_mut() {
            Some((_, Step::Send(before))) => before.extend(octets),
            _ => self.steps.push((number, Step::Send(octets))),
        }
    }

    /// What the client says; a handshake begins the next one.
    pub fn flights(&self) -> Vec<Vec<u8>> {
        let mut flights = vec![Vec::new()];
        for (_, step) in &self.steps {
            match (step, flights.last_mut()) {
                (Step::Send(octets), Some(flight)) => flight.extend_from_slice(octets),
                (Step::Handshake, _) => flights.push(Vec::new()),
                (Step::Send(_) | Step::Reply(_) | Step::ReplyHas(_) | Step::Closed, _) => {}
            }
        }
        flights
    }

    /// Plays the conversation; the error names the line that came out otherwise.
    pub fn run(&self, wire: &mut impl Wire) -> Result<(), String> {
        let mut heard = Heard::default();
        for (number, step) in &self.steps {
            let outcome = match step {
                Step::Send(octets) => wire.send(octets).map_err(|error| error.to_string()),
                Step::Reply(expected) => heard.next_reply(wire).and_then(|()| heard.compare(expected)),
                Step::ReplyHas(text) => heard.has_line(text),
                Step::Handshake => heard.secure(wire),
                Step::Closed => heard.is_closed(wire),
            };
            outcome.map_err(|error| format!("line {number}: {error}"))?;
        }
        match heard.rest.is_empty() {
            true => Ok(()),
            false => Err(format!("the server said more: {:?}", String::from_utf8_lossy(&heard.rest))),
        }
    }
}

impl Setting {
    fn header(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once(':')?;
        let value = value.trim();
        match key {
            "own" => self.own.push(value.to_owned()),
            "known" => self.known.push(value.to_owned()),
            "client" => self.client = Some(value.parse().ok()?),
            "relay" => {
                let (network, prefix) = value.split_once('/')?;
                self.relay.push((network.parse().ok()?, prefix.parse().ok()?));
            }
            "refuse-sender" => self.refused_senders.push(value.to_owned()),
            "max-size" => self.max_size = Some(value.parse().ok()?),
            "max-recipients" => self.max_recipients = Some(value.parse().ok()?),
            "max-errors" => self.max_errors = Some(value.parse().ok()?),
            "listener" if value == "submission" => self.is_submission = true,
            "tls" if value == "starttls" => self.tls = Tls::OnDemand,
            "tls" if value == "implicit" => self.tls = Tls::Implicit,
            "auth" if matches!(value, "" | "cram-md5") => {
                self.auth = true;
                self.cram_md5 = value == "cram-md5";
            }
            "account" => {
                let (login, password) = value.split_once(' ')?;
                self.accounts.push((login.to_owned(), password.to_owned()));
            }
            "default-domain" => self.default_domain = Some(value.to_owned()),
            _ => return None,
        }
        Some(())
    }
}

/// What the server said and was not compared yet.
#[derive(Default)]
struct Heard {
    rest: Vec<u8>,
    reply: Vec<String>,
}

impl Heard {
    fn next_reply(&mut self, wire: &mut impl Wire) -> Result<(), String> {
        self.reply.clear();
        loop {
            let Some(end) = self.rest.windows(2).position(|pair| pair == b"\r\n") else {
                let more = wire.receive().map_err(|error| error.to_string())?;
                if more.is_empty() {
                    return Err("the server says nothing more".to_owned());
                }
                self.rest.extend(more);
                continue;
            };
            let line: Vec<u8> = self.rest.drain(..end + 2).take(end).collect();
            let line = String::from_utf8_lossy(&line).into_owned();
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            self.reply.push(line);
            if is_last {
                return Ok(());
            }
        }
    }

    /// `250 2.1.0` is the front of the last line; so is `250`, in front of any text.
    fn compare(&self, expected: &str) -> Result<(), String> {
        let last = self.reply.last().map_or("", String::as_str);
        let is_front =
            last.strip_prefix(expected).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        if is_front { Ok(()) } else { Err(format!("expected {expected:?}, got {:?}", self.reply)) }
    }

    fn has_line(&self, expected: &str) -> Result<(), String> {
        let split = |line: &str| Some((line.get(..3)?.to_owned(), line.get(4..)?.to_owned()));
        let has = self.reply.iter().any(|line| split(line) == split(expected));
        if has { Ok(()) } else { Err(format!("no line {expected:?} in {:?}", self.reply)) }
    }

    /// What was not read in the clear is not there over TLS either.
    fn secure(&mut self, wire: &mut impl Wire) -> Result<(), String> {
        if self.rest.is_empty() {
            wire.secure().map_err(|error| error.to_string())
        } else {
            Err(format!("the server said more: {:?}", String::from_utf8_lossy(&self.rest)))
        }
    }

    fn is_closed(&mut self, wire: &mut impl Wire) -> Result<(), String> {
        if self.rest.is_empty() {
            self.rest = wire.receive().map_err(|error| error.to_string())?;
        }
        if self.rest.is_empty() { Ok(()) } else { Err("the server goes on".to_owned()) }
    }
}

fn unescape(text: &str, number: usize) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        octets.extend_from_slice(&rest.as_bytes()[..at]);
        let (octet, behind) = escape(&rest[at + 1..]).ok_or_else(|| format!("line {number}: bad escape"))?;
        octets.extend(octet);
        rest = behind;
    }
    octets.extend_from_slice(rest.as_bytes());
    Ok(octets)
}

fn escape(text: &str) -> Option<(Vec<u8>, &str)> {
    let kind = text.chars().next()?;
    let rest = &text[kind.len_utf8()..];
    match kind {
        'r' => Some((vec![b'\r'], rest)),
        'n' => Some((vec![b'\n'], rest)),
        't' => Some((vec![b'\t'], rest)),
        '0' => Some((vec![0], rest)),
        '\\' => Some((vec![b'\\'], rest)),
        'x' => Some((vec![u8::from_str_radix(rest.get(..2)?, 16).ok()?], rest.get(2..)?)),
        '{' => {
            let (inner, rest) = rest.split_once('}')?;
            let (count, text) = inner.split_once('*')?;
            Some((text.repeat(count.parse().ok()?).into_bytes(), rest))
        }
        _ => None,
    }
}
