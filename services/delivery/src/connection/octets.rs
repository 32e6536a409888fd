//! The next octets of a connection, in whichever direction they can move.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hikyaku_runtime::tls::ClientStream;
use hikyaku_smtp::client::Cut;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use crate::connection::local_error::describe;

/// Pieces that one call hands over.
const MAX_SLICES: usize = 16;

/// What happened.
pub(crate) enum Moved {
    /// So many octets are in the buffer.
    Read(usize),
    Written(usize),
    /// Nothing is held back.
    Flushed,
    Broken(Cut),
}

/// Reading comes first: what a server says while we write may end the writing.
pub(crate) fn poll_move(
    stream: &mut ClientStream,
    incoming: &mut [u8],
    outgoing: &VecDeque<Bytes>,
    may_write: bool,
    is_unflushed: bool,
    cx: &mut Context<'_>,
) -> Poll<Moved> {
    let mut buffer = ReadBuf::new(incoming);
    let mut stream = Pin::new(stream);
    if let Poll::Ready(read) = stream.as_mut().poll_read(cx, &mut buffer) {
        return Poll::Ready(match (read, buffer.filled().len()) {
            (Ok(()), 0) => Moved::Broken(Cut::Closed),
            (Ok(()), count) => Moved::Read(count),
            (Err(error), _) => broken(error),
        });
    }
    if may_write && !outgoing.is_empty() {
        let pieces: Vec<IoSlice<'_>> =
            outgoing.iter().take(MAX_SLICES).map(|piece| IoSlice::new(piece)).collect();
        let written = stream.poll_write_vectored(cx, &pieces);
        return written.map(|written| written.map_or_else(broken, Moved::Written));
    }
    if may_write && is_unflushed {
        return stream.poll_flush(cx).map(|flushed| flushed.map_or_else(broken, |()| Moved::Flushed));
    }
    Poll::Pending
}

fn broken(error: io::Error) -> Moved {
    // TLS that ended without saying so is an end.
    let is_end = error.kind() == ErrorKind::UnexpectedEof;
    Moved::Broken(if is_end { Cut::Closed } else { Cut::Os(error.raw_os_error(), describe(&error)) })
}
