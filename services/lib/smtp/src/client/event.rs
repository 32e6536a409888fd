//! What happens to a session, and what it wants done. Actions are performed in order.

use std::fmt;

use bytes::Bytes;

use super::delivery::{DeliveryResult, SessionFailure, Silence};

#[derive(Debug)]
pub enum Event<'a> {
    /// Octets of the server.
    Input(&'a [u8]),
    /// The handshake that [`Action::StartTls`] asked for is done.
    Secured,
    /// The oldest [`Action::Write`] that was not reported yet is in the kernel's hands. It comes before anything
    /// that was read after that: who answers content before its end has answered something else.
    WriteDone,
    /// The time of [`ClientSession::next_deadline`](super::ClientSession::next_deadline) has come.
    TimedOut,
    /// The connection is gone.
    Closed(Cut),
}

/// How a connection ended, as far as the socket tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// End of stream.
    Closed,
    /// The operating system said this, where it has a number, and these words.
    Os(Option<i32>, String),
}

impl Cut {
    pub(crate) const fn silence(&self) -> Silence {
        match self {
            Self::Closed => Silence::Closed,
            Self::Os(number, _) => Silence::Os(*number),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("connection closed by peer"),
            Self::Os(_, words) => f.write_str(words),
        }
    }
}

/// What written octets are a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Commands,
    /// It may be secret.
    Login,
    Content,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Send these octets and report [`Event::WriteDone`]. What they are is said here, because the server may have
    /// moved the session on before they are taken.
    Write(Bytes, Part),
    /// Do the TLS handshake now. What was read in the clear and not yet handed over is no answer of
    /// this server; the driver must not hand it over behind [`Event::Secured`].
    StartTls,
    /// The session can take a delivery.
    Ready,
    /// The delivery is over.
    Done(DeliveryResult),
    /// The session is over and no delivery was under way.
    Failed(SessionFailure),
    /// Close the connection. No action follows.
    Close,
}

/// What is written may be a secret, so it is never shown.
impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(octets, _) => write!(f, "Write({} octets)", octets.len()),
            Self::StartTls => f.write_str("StartTls"),
            Self::Ready => f.write_str("Ready"),
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Self::Close => f.write_str("Close"),
        }
    }
}

/// A delivery can only start while [`ClientSession::is_ready`](super::ClientSession::is_ready).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("session is not ready for a delivery")]
pub struct NotReady;
