//! Writes events by natural group commit: one publish is in flight at a time, and what comes
//! meanwhile forms the next batch. A caller waits for the acknowledgement of its batch, but not
//! for long, and not at all while the stream is known to take nothing: then events wait in
//! memory, within a limit, and the mail goes on.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{
    Client,
    jetstream::{
        self,
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
    },
};
use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{Event, codec};
use crate::{
    metrics::{CUSTODY_LATE, CUSTODY_LOST, OPERATION_DURATION, operation},
    subject,
    topology::CUSTODY_STREAM,
};

/// One stream message holds at most so many events, or bytes and the item that passes them.
const BATCH_EVENTS: usize = 1_000;
const BATCH_BYTES: usize = 256 * 1024;
/// Events that travel together: with the longest addresses these and a batch stay below the
/// broker's largest message.
const ITEM_EVENTS: usize = 16;
/// Events that wait in memory, in bytes.
const ROOM: usize = 16 * 1024 * 1024;
/// The room is what limits the number of items: each takes at least this of it.
const SMALLEST_ITEM: usize = 64;
/// A broker that takes longer is in trouble: nobody waits for it any more.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries to write a batch.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest that mail waits for its event.
const PATIENCE: Duration = Duration::from_secs(3);

/// The way to the custody stream; cheap to clone.
#[derive(Clone)]
pub struct Custody {
    items: mpsc::Sender<Item>,
    room: Arc<Semaphore>,
    /// The last try to write did not succeed.
    failing: Arc<AtomicBool>,
}

impl fmt::Debug for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custody").field("failing", &self.failing).finish_non_exhaustive()
    }
}

struct Item {
    events: usize,
    bytes: Bytes,
    written: oneshot::Sender<()>,
    _room: OwnedSemaphorePermit,
}

impl Custody {
    pub(crate) fn start(client: &Client, jetstream: jetstream::Context) -> Self {
        let (items, receiver) = mpsc::channel(ROOM / SMALLEST_ITEM);
        let failing = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            jetstream,
            items: receiver,
            failing: Arc::clone(&failing),
            name: client.new_inbox(),
            batches: 0,
        };
        tokio::spawn(writer.run());
        Self { items, room: Arc::new(Semaphore::new(ROOM)), failing }
    }

    /// Writes events and waits for that, within limits. A failure is logged and counted here,
    /// because mail goes on without its events.
    pub async fn record(&self, events: &[Event]) {
        let deadline = self.deadline();
        let waiting: Vec<_> = futures::future::join_all(
            events.chunks(ITEM_EVENTS).map(|events| self.hand_over(events, deadline)),
        )
        .await;
        for (written, events) in waiting.into_iter().flatten() {
            // The writer drops what it cannot write only at the end of the process.
            if tokio::time::timeout_at(deadline, written).await.is_err() {
                metrics::counter!(CUSTODY_LATE).increment(events as u64);
            }
        }
    }

    /// Writes events that nobody needs to wait for.
    pub(crate) async fn note(&self, events: &[Event]) {
        let deadline = self.deadline();
        for events in events.chunks(ITEM_EVENTS) {
            self.hand_over(events, deadline).await;
        }
    }

    /// Waits until everything that was handed over before is written.
    pub(crate) async fn flush(&self) {
        if let Some((written, _)) = self.hand_over(&[], self.deadline()).await {
            let _ = written.await; // the writer has ended: nothing is left to write
        }
    }

    fn deadline(&self) -> tokio::time::Instant {
        let patience = if self.failing.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
        tokio::time::Instant::now() + patience
    }

    async fn hand_over(
        &self,
        events: &[Event],
        deadline: tokio::time::Instant,
    ) -> Option<(oneshot::Receiver<()>, usize)> {
        let bytes = codec::encode(events);
        let room = u32::try_from(bytes.len().max(SMALLEST_ITEM)).ok()?;
        let room = tokio::time::timeout_at(deadline, Arc::clone(&self.room).acquire_many_owned(room)).await;
        let (written, receiver) = oneshot::channel();
        let handed_over = room.is_ok_and(|room| {
            room.is_ok_and(|room| {
                self.items.try_send(Item { events: events.len(), bytes, written, _room: room }).is_ok()
            })
        });
        if handed_over {
            return Some((receiver, events.len()));
        }
        lost(events.len());
        None
    }
}

struct Writer {
    jetstream: jetstream::Context,
    items: mpsc::Receiver<Item>,
    failing: Arc<AtomicBool>,
    /// With the number of the batch, what a repeated publish is recognised by.
    name: String,
    batches: u64,
}

impl Writer {
    /// Until nobody can hand anything over any more.
    async fn run(mut self) {
        while let Some(first) = self.items.recv().await {
            let mut bytes = BytesMut::from(&first.bytes[..]);
            let mut events = first.events;
            let mut batch = vec![first];
            while events < BATCH_EVENTS
                && bytes.len() < BATCH_BYTES
                && let Ok(item) = self.items.try_recv()
            {
                bytes.extend_from_slice(&item.bytes);
                events += item.events;
                batch.push(item);
            }
            if !bytes.is_empty() && !self.write(bytes.freeze()).await {
                lost(events);
            }
            for item in batch {
                let _ = item.written.send(()); // the caller had no patience
            }
        }
    }

    /// Tries until the stream has acknowledged; false: it never will.
    async fn write(&mut self, batch: Bytes) -> bool {
        self.batches += 1;
        let message_id = format!("{}/{}", self.name, self.batches);
        let start = Instant::now();
        loop {
            let message = PublishMessage::build()
                .message_id(&message_id)
                .expected_stream(CUSTODY_STREAM)
                .payload(batch.clone());
            match tokio::time::timeout(ACK_TIMEOUT, self.publish(message)).await {
                Ok(Ok(())) => {
                    metrics::histogram!(OPERATION_DURATION, "messaging.operation.name" => operation::CUSTODY)
                        .record(start.elapsed());
                    if self.failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("custody is written again");
                    }
                    return true;
                }
                Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => return false,
                Ok(Err(error)) => self.failed(&error.to_string()),
                Err(_) => self.failed("no acknowledgement came in time"),
            }
            // The process ends, and the broker is gone.
            if self.items.is_closed() {
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn publish(&self, message: PublishMessage) -> Result<(), PublishError> {
        // First await: handed to the connection. Second await: stored by the stream.
        self.jetstream.send_publish(subject::CUSTODY_BATCH, message).await?.await?;
        Ok(())
    }

    fn failed(&self, error: &str) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(error, "custody is not written; mail goes on and its events wait in memory");
        }
    }
}

fn lost(events: usize) {
    metrics::counter!(CUSTODY_LOST).increment(events as u64);
    tracing::error!(events, "custody events were lost; an audit will miss them");
}
