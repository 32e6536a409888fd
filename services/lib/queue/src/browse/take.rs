//! Takes entries out of the hands of the workers, for what else is done to them.
//!
//! An entry is set aside as a schedule before anything is done to it: a crash then brings it back,
//! and no worker attempts it meanwhile. One that a worker has is left alone. Between the look at
//! what the lane has handed out and the removal from the lane lies one round trip; a worker that
//! takes the entry within it attempts it beside what is done here.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use async_nats::{HeaderMap, header, jetstream::context::PublishErrorKind};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use hikyaku_mail_log::{self as mail_log, event::Moved};
use hikyaku_types::{
    destination::Destination,
    envelope::{Envelope, Lane},
    shard::ShardId,
};

use super::{
    BrowseError, Browser, Progress, Selector,
    change::{PARALLEL_ENTRIES, PARALLEL_SHARDS},
    due, failed,
};
use crate::{
    body_store::BodyStore,
    codec,
    custody::Event,
    forward, holds,
    metrics::operation,
    publish::{PublishError, Publisher},
    reschedule::schedule,
    stream,
    subject::{Place, Subject},
    topology::queue_stream,
    trace,
};

/// What is not finished by then comes back.
const TAKEN_FOR: Duration = Duration::from_secs(600);

/// An entry that no worker has.
#[derive(Debug, Clone)]
pub struct Taken {
    envelope: Envelope,
    shard: ShardId,
    /// Of the schedule that it is now.
    sequence: u64,
    headers: HeaderMap,
}

/// What becomes of the content of an entry that was acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Another entry has it now.
    LivesOn,
    /// It is freed with the entry.
    Ends,
}

pub(super) enum SetAside {
    Done(Written),
    /// A worker has it, or took it in that moment.
    Busy,
}

/// The schedule that an entry has become.
pub(super) struct Written {
    sequence: u64,
    headers: HeaderMap,
    payload: Bytes,
}

impl Taken {
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

impl Browser {
    /// Takes each selected entry and lets `act` do what is to be done; after that the entry is
    /// removed. One that could not be acted on comes back after ten minutes.
    pub async fn take_each<F, R, E>(
        &self,
        selector: &Selector,
        progress: &Progress,
        act: F,
    ) -> Result<(), BrowseError>
    where
        F: Fn(Taken) -> R,
        R: Future<Output = Result<Content, E>>,
        E: fmt::Display,
    {
        self.take_elsewhere(selector, None, progress, act).await
    }

    /// Only what is not at `there`.
    async fn take_elsewhere<F, R, E>(
        &self,
        selector: &Selector,
        there: Option<&Destination>,
        progress: &Progress,
        act: F,
    ) -> Result<(), BrowseError>
    where
        F: Fn(Taken) -> R,
        R: Future<Output = Result<Content, E>>,
        E: fmt::Display,
    {
        let act = &act;
        futures::stream::iter(self.filters(selector, None))
            .map(|(shard, filter)| async move {
                let targets = self.targets_elsewhere(shard, filter, there).await?;
                progress.send_modify(|tally| tally.before += targets.subjects.len() as u64);
                futures::stream::iter(&targets.subjects)
                    .for_each_concurrent(PARALLEL_ENTRIES, |subject| self.take_one(subject, progress, act))
                    .await;
                let left = self.targets_elsewhere(shard, targets.filter, there).await?;
                progress.send_modify(|tally| tally.after += left.subjects.len() as u64);
                Ok(())
            })
            .buffer_unordered(PARALLEL_SHARDS)
            .try_collect()
            .await
    }

    async fn take_one<F, R, E>(&self, subject: &Subject, progress: &Progress, act: &F)
    where
        F: Fn(Taken) -> R,
        R: Future<Output = Result<Content, E>>,
        E: fmt::Display,
    {
        let later = |due: Option<SystemTime>| {
            let at = SystemTime::now() + TAKEN_FOR;
            due.map_or(at, |due| due.max(at))
        };
        let failure = match self.set_aside(subject, later, |_| ()).await {
            Ok(SetAside::Done(written)) => match taken(subject, written) {
                Ok(taken) => {
                    let (sequence, body) = (taken.sequence, taken.envelope.body.clone());
                    match act(taken).await {
                        Ok(content) => match self.remove(subject.shard, sequence).await {
                            Ok(()) => {
                                if content == Content::Ends {
                                    BodyStore::new(self.nats.clone()).free(&body).await;
                                }
                                return progress.send_modify(|tally| tally.done += 1);
                            }
                            Err(error) => error.to_string(),
                        },
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => error.to_string(),
            },
            Ok(SetAside::Busy) => return progress.send_modify(|tally| tally.busy += 1),
            Err(error) => error.to_string(),
        };
        tracing::warn!(entry = %subject.entry, error = failure, "entry was not changed");
        progress.send_modify(|tally| tally.failed += 1);
    }

    /// Sends entries to another destination, whatever their routes say from now on. They are due there
    /// at once; attempts and give-up clocks go on.
    pub async fn move_to(
        &self,
        selector: &Selector,
        to: &Destination,
        progress: &Progress,
    ) -> Result<(), BrowseError> {
        let publisher = Publisher::new(self.nats.clone(), self.shards);
        self.take_elsewhere(selector, Some(to), progress, |taken| move_one(&publisher, taken, to)).await
    }

    async fn remove(&self, shard: ShardId, sequence: u64) -> Result<(), BrowseError> {
        stream::delete(&self.nats, &queue_stream(shard), sequence).await?;
        Ok(())
    }

    /// Makes an entry a schedule that comes at `at`, which is told the time that it has now.
    pub(super) async fn set_aside(
        &self,
        subject: &Subject,
        at: impl Fn(Option<SystemTime>) -> SystemTime,
        change: impl Fn(&mut HeaderMap),
    ) -> Result<SetAside, BrowseError> {
        let Some(message) = self.read(subject).await? else { return Ok(SetAside::Busy) };
        let mut headers = forward::own(&message.headers);
        change(&mut headers);
        let kept = headers.clone();
        let Place::Lane(lane) = subject.place else {
            let target = message.headers.get(header::NATS_SCHEDULE_TARGET).map(ToString::to_string);
            let target = target.ok_or_else(|| failed(format!("{subject} is a schedule without a target")))?;
            schedule(&mut headers, at(due(&message)), &target);
            // It may have fired meanwhile.
            headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, message.sequence.to_string());
            let sequence = self.write(subject, headers, message.payload.clone()).await?;
            return Ok(sequence.map_or(SetAside::Busy, |sequence| {
                SetAside::Done(Written { sequence, headers: kept, payload: message.payload })
            }));
        };
        if self.is_handed_out(subject.shard, lane, message.sequence).await? {
            return Ok(SetAside::Busy);
        }
        schedule(&mut headers, at(None), &subject.to_string());
        // A worker may have written a retry.
        headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        let aside = Subject { place: Place::Retry, ..subject.clone() };
        let Some(sequence) = self.write(&aside, headers, message.payload.clone()).await? else {
            return Ok(SetAside::Busy);
        };
        let stream = queue_stream(subject.shard);
        let is_ours = !self.is_handed_out(subject.shard, lane, message.sequence).await?
            && stream::delete(&self.nats, &stream, message.sequence).await?;
        if is_ours {
            return Ok(SetAside::Done(Written { sequence, headers: kept, payload: message.payload }));
        }
        self.remove(subject.shard, sequence).await?;
        Ok(SetAside::Busy)
    }

    async fn is_handed_out(&self, shard: ShardId, lane: Lane, sequence: u64) -> Result<bool, BrowseError> {
        Ok(stream::delivered(&self.nats, &queue_stream(shard), lane.name()).await? >= sequence)
    }

    /// `None`: somebody else was faster.
    async fn write(
        &self,
        subject: &Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Option<u64>, BrowseError> {
        let sent = self.nats.jetstream.publish_with_headers(subject.to_string(), headers, payload);
        match sent.await.map_err(failed)?.await {
            Ok(acknowledgement) => Ok(Some(acknowledgement.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

fn taken(subject: &Subject, written: Written) -> Result<Taken, codec::DecodeError> {
    let Written { sequence, headers, payload } = written;
    Ok(Taken { envelope: codec::decode(payload)?, shard: subject.shard, sequence, headers })
}

async fn move_one(publisher: &Publisher, taken: Taken, to: &Destination) -> Result<Content, PublishError> {
    let Taken { envelope, shard, sequence, mut headers } = taken;
    let from = envelope.destination.clone();
    let moved = Envelope { destination: to.clone(), ..envelope };
    let lane = if moved.attempt == 0 { moved.lane } else { Lane::Due };
    holds::fold(&mut headers, SystemTime::now());
    trace::route_by_hand(&mut headers);
    let message_id = format!("{}>{shard}.{sequence}", moved.entry);
    // Said before the old place is left, as a rerouting worker does.
    publisher.nats.custody().record(&Event::moved(moved.entry, &moved, SystemTime::now())).await;
    publisher.put(&moved, Place::Lane(lane), &message_id, headers, operation::ACCEPT).await?;
    mail_log::record(|| {
        mail_log::Event::Moved(Moved {
            queue_id: moved.entry.queue_id.to_string(),
            entry: moved.entry.to_string(),
            from: from.to_string(),
            to: to.to_string(),
            recipients: Vec::new(),
        })
    });
    Ok(Content::LivesOn)
}
