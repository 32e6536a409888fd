//! What a session is to be, and how long each of its steps may take (RFC 5321 4.5.3.2).

use std::time::Duration;

use super::{login::Login, state::State};

#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// What we call ourselves in EHLO.
    pub helo_name: String,
    /// TLS began with the connection (RFC 8314 3.3).
    pub is_secure: bool,
    pub starttls: StartTls,
    /// A session that is not secure does not send it: it fails.
    pub login: Option<Login>,
    pub timeouts: Timeouts,
}

/// When the session asks for TLS (RFC 3207).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    Never,
    /// A server that offers it and refuses it gets its mail in the clear.
    IfOffered,
    /// No mail without it.
    Required,
}

/// From the end of our write, or of the reply before, to the end of the next reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub greeting: Duration,
    /// EHLO, HELO, STARTTLS, each step of AUTH, and RSET. The handshake is the driver's.
    pub hello: Duration,
    pub mail: Duration,
    pub rcpt: Duration,
    pub data: Duration,
    /// One [`Action::Write`](super::Action::Write) of content.
    pub block: Duration,
    /// The reply to the end of the content.
    pub final_dot: Duration,
    /// Politeness is not waited for long.
    pub quit: Duration,
    /// One message, from MAIL to its last reply: a host that always says a little holds nobody for ever.
    pub message: Duration,
}

impl Timeouts {
    /// `None`: for as long as it takes.
    pub(crate) fn of(&self, state: State) -> Option<Duration> {
        match state {
            State::Greeted | State::Handshake | State::Ready | State::Closed => None,
            State::Greeting => Some(self.greeting),
            State::Ehlo | State::Helo | State::StartTls | State::Auth | State::Reset => Some(self.hello),
            State::Mail { .. } => Some(self.mail),
            State::Rcpt { .. } | State::RcptMoot => Some(self.rcpt),
            State::Data { .. } => Some(self.data),
            State::Content | State::Chunk => Some(self.block),
            State::FinalDot | State::ChunkSent | State::MootDot => Some(self.final_dot),
            State::Quit => Some(self.quit),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(300),
            hello: Duration::from_secs(300),
            mail: Duration::from_secs(300),
            rcpt: Duration::from_secs(300),
            data: Duration::from_secs(120),
            block: Duration::from_secs(180),
            final_dot: Duration::from_secs(600),
            quit: Duration::from_secs(5),
            message: Duration::from_secs(30 * 60),
        }
    }
}
