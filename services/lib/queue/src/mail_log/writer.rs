//! Lines of this process into the stream. Nobody waits for them; while the stream takes nothing they wait in memory,
//! within a limit.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_nats::jetstream::{self, context::PublishErrorKind, message::PublishMessage};
use bytes::{BufMut as _, Bytes, BytesMut};
use hikyaku_mail_log::{Entry, Sink, metrics::lost, sink::Room};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::segment::Gathering;
use crate::{
    Nats, subject,
    topology::{LOG_INDEX_STREAM, LOG_STREAM},
};

/// One message of the stream, with the line that passes it.
const BATCH_BYTES: usize = 256 * 1024;
/// Lines are taken over so often while they are gathered.
const STEP: Duration = Duration::from_millis(20);
/// What happened so long ago can be found. A batch is a write to the broker's disk.
pub(crate) const GATHERED_FOR: Duration = Duration::from_secs(1);
const ACK_TIMEOUT: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(500);
/// As metrics call it.
const STREAM: &str = "stream";

enum Work {
    Line(Arc<Entry>),
    Flush(oneshot::Sender<()>),
}

/// Where the process's log hands its lines over.
#[derive(Debug)]
pub struct Stream {
    work: mpsc::Sender<Work>,
    room: Room,
}

impl Stream {
    /// Octets that are not in the stream yet.
    pub fn waiting(&self) -> usize {
        self.room.waiting()
    }
}

impl Sink for Stream {
    fn write(&self, entry: &Arc<Entry>) {
        let hand_over = || self.work.try_send(Work::Line(Arc::clone(entry))).is_ok();
        if !self.room.put(entry.line.len(), hand_over) {
            lost(STREAM, 1);
        }
    }
}

#[derive(Debug)]
pub struct LogWriter(mpsc::Sender<Work>);

impl LogWriter {
    /// A batch leaves so long after its first line, or when it is full.
    pub fn start(nats: &Nats, gathered_for: Duration) -> (Self, Stream) {
        let (work, lines) = mpsc::channel(Room::LINES);
        let room = Room::default();
        let inbox = nats.client.new_inbox();
        let process = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        let writer = Writer {
            jetstream: nats.jetstream.clone(),
            lines,
            gathered_for,
            room: room.clone(),
            process,
            written: 0,
            gathering: Gathering::default(),
            is_failing: false,
        };
        tokio::spawn(writer.run());
        (Self(work.clone()), Stream { work, room })
    }

    /// Everything that was recorded before is in the stream, and found by its segments.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        if self.0.send(Work::Flush(done)).await.is_ok() {
            let _ = is_done.await; // the writer has ended: nothing is left to write
        }
    }
}

struct Writer {
    jetstream: jetstream::Context,
    lines: mpsc::Receiver<Work>,
    gathered_for: Duration,
    room: Room,
    /// Names this process's batches; a new one for each start.
    process: String,
    /// Messages so far: what a repeated one is recognised by.
    written: u64,
    gathering: Gathering,
    is_failing: bool,
}

impl Writer {
    async fn run(mut self) {
        while let Some(first) = self.next_or_segment().await {
            let mut batch = Vec::new();
            let flushed = self.gather(first, &mut batch).await;
            if !batch.is_empty() {
                self.write(&batch).await;
            }
            if self.gathering.is_due(SystemTime::now()) || flushed.is_some() {
                self.write_segment().await;
            }
            if let Some(done) = flushed {
                let _ = done.send(()); // who asked may not wait any more
            }
        }
    }

    /// The next line. A segment whose time has come does not wait for it.
    async fn next_or_segment(&mut self) -> Option<Work> {
        loop {
            match tokio::time::timeout(Duration::from_secs(30), self.lines.recv()).await {
                Ok(work) => return work,
                Err(_) if self.gathering.is_due(SystemTime::now()) => self.write_segment().await,
                Err(_) => {}
            }
        }
    }

    /// What comes soon after the first line, or as much as a message takes.
    async fn gather(&mut self, first: Work, batch: &mut Vec<Arc<Entry>>) -> Option<oneshot::Sender<()>> {
        let until = Instant::now() + self.gathered_for;
        let mut next = Some(first);
        let mut octets = 0;
        while octets < BATCH_BYTES {
            match next.or_else(|| self.lines.try_recv().ok()) {
                Some(Work::Line(entry)) => {
                    octets += entry.line.len() + 1;
                    batch.push(entry);
                }
                Some(Work::Flush(done)) => return Some(done),
                None if Instant::now() >= until => break,
                // Not by waiting for it: each line would wake this task.
                None => tokio::time::sleep_until(until.min(Instant::now() + STEP)).await,
            }
            next = None;
        }
        None
    }

    async fn write(&mut self, batch: &[Arc<Entry>]) {
        let octets: usize = batch.iter().map(|entry| entry.line.len()).sum();
        let mut lines = BytesMut::with_capacity(octets + batch.len());
        for entry in batch {
            lines.put_slice(&entry.line);
            lines.put_u8(b'\n');
        }
        match self.put(LOG_STREAM, subject::log_batch(&self.process), lines.freeze()).await {
            Some(sequence) => self.gathering.add(sequence, batch),
            None => lost(STREAM, batch.len() as u64),
        }
        self.room.free(octets);
    }

    async fn write_segment(&mut self) {
        let Some(segment) = self.gathering.written() else { return };
        match self.put(LOG_INDEX_STREAM, subject::log_segment(&self.process), segment).await {
            Some(_) => self.gathering.begin_next(),
            None => self.gathering.give_up(),
        }
    }

    /// Tries until the stream has acknowledged, and says where it stands. `None`: it never will.
    async fn put(&mut self, stream: &'static str, subject: String, payload: Bytes) -> Option<u64> {
        self.written += 1;
        let message_id = format!("{}/{}", self.process, self.written);
        loop {
            let message = PublishMessage::build()
                .message_id(&message_id)
                .expected_stream(stream)
                .payload(payload.clone());
            let publish = async {
                // First await: handed to the connection. Second await: stored by the stream.
                self.jetstream.send_publish(subject.clone(), message).await?.await
            };
            let error = match tokio::time::timeout(ACK_TIMEOUT, publish).await {
                Ok(Ok(stored)) => {
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("the mail log is written to its stream again");
                    }
                    return Some(stored.sequence);
                }
                Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    tracing::error!(
                        stream,
                        octets = payload.len(),
                        "a piece of the mail log is too large for the broker"
                    );
                    return None;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no acknowledgement came in time".to_owned(),
            };
            if !std::mem::replace(&mut self.is_failing, true) {
                tracing::warn!(
                    stream,
                    error,
                    "the mail log is not written to its stream; lines wait in memory"
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
