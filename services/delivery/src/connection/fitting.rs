//! A message as the peer can take it: where the rules say so, without octets that it does not take
//! (RFC 6152 3, RFC 3030 3).

use bytes::Bytes;
use hikyaku_mail::seven_bit::{self, NotConvertible};
use hikyaku_smtp::client::Capabilities;
use hikyaku_types::envelope::{BodyKind, Envelope, Transfer};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fitted {
    pub(crate) content: Vec<Bytes>,
    pub(crate) size: u64,
    pub(crate) transfer: Transfer,
}

impl Fitted {
    /// As it was accepted.
    fn unchanged(envelope: &Envelope, content: Vec<Bytes>) -> Self {
        Self { content, size: envelope.body.size(), transfer: envelope.transfer.clone() }
    }
}

/// `encodes`: what the peer does not take is encoded.
pub(crate) async fn fitted(
    envelope: &Envelope,
    content: Vec<Bytes>,
    offer: &Capabilities,
    encodes: bool,
) -> Result<Fitted, NotConvertible> {
    let unchanged = Fitted::unchanged(envelope, content);
    let takes_it = match envelope.transfer.body {
        // Not everybody declares what is sent.
        BodyKind::SevenBit | BodyKind::EightBitMime => offer.eight_bit_mime,
        BodyKind::BinaryMime => offer.chunking && offer.binary_mime,
    };
    if takes_it || !encodes {
        return Ok(unchanged);
    }
    // It may be long, and others wait for this thread.
    let content = unchanged.content.clone();
    let converted = tokio::task::spawn_blocking(move || seven_bit::convert(&content.concat())).await;
    let content = match converted {
        Ok(converted) => converted?,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    let transfer = Transfer { body: BodyKind::SevenBit, ..unchanged.transfer };
    Ok(match content {
        None => Fitted { transfer, ..unchanged },
        Some(content) => {
            let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
            Fitted { content: vec![content.into()], size, transfer }
        }
    })
}
