//! Retry now, hold, release and delete. Give-up clocks go on.

use std::{
    collections::{HashSet, VecDeque},
    pin::pin,
    sync::Arc,
    time::SystemTime,
};

use async_nats::{HeaderMap, jetstream::context::PublishErrorKind};
use futures::{StreamExt as _, TryStreamExt as _};
use hikyaku_mail_log::{self as mail_log, event::Deleted};
use hikyaku_types::{ids::EntryId, shard::ShardId};

use super::{BrowseError, Browser, Progress, Selector, Tally, failed, hold_of, take::SetAside};
use crate::{
    custody::Event,
    forward::forwarded,
    holds::{self, HeldBy, HeldMark, Hold, Holds},
    stream,
    subject::{self, Owner, Place, Subject},
    topology::{body_stream, queue_stream},
};

/// Shards in which is worked at the same time.
pub(super) const PARALLEL_SHARDS: usize = 4;
/// Entries of a shard that are read ahead.
const READS: usize = 64;
/// Writes to a shard that wait for their acknowledgement.
const WRITES: usize = 256;
/// Entries of a shard that are held at the same time.
pub(super) const PARALLEL_ENTRIES: usize = 32;

/// Events that are recorded at once.
const EVENTS: usize = 1_000;

/// Which schedules go into their lanes.
#[derive(Debug, Clone)]
enum Forward {
    /// Those that wait for their next attempt.
    Waiting,
    /// Those that are held, whatever for.
    Held,
    /// Those that workers set aside for a hold that is over.
    HeldByDestination(Arc<Holds>),
}

/// What becomes of one schedule.
enum Verdict {
    Forward,
    StaysHeld,
    NothingToDo,
}

impl Forward {
    fn verdict(&self, subject: &Subject, mark: Option<HeldMark>, now: SystemTime) -> Verdict {
        match (self, mark) {
            (Self::Waiting, None) | (Self::Held, Some(_)) => Verdict::Forward,
            (Self::Waiting, Some(_)) => Verdict::StaysHeld,
            (Self::HeldByDestination(holds), Some(mark)) => {
                let over =
                    mark.by == HeldBy::Destination && holds.is_held(&subject.destination, now).is_none();
                if over { Verdict::Forward } else { Verdict::StaysHeld }
            }
            (Self::Held | Self::HeldByDestination(_), None) => Verdict::NothingToDo,
        }
    }
}

impl Browser {
    /// Makes waiting entries due now, in the order of their arrival. Held ones stay.
    pub async fn retry(&self, selector: &Selector, progress: &Progress) -> Result<(), BrowseError> {
        self.forward(selector, &Forward::Waiting, progress).await
    }

    /// Ends the hold of entries, in the order of their arrival; they are due now.
    pub async fn release(&self, selector: &Selector, progress: &Progress) -> Result<(), BrowseError> {
        self.forward(selector, &Forward::Held, progress).await
    }

    /// The same for entries whose destination is not held any more. Those that an operator holds by
    /// themselves stay.
    pub async fn release_destinations(
        &self,
        selector: &Selector,
        holds: Arc<Holds>,
        progress: &Progress,
    ) -> Result<(), BrowseError> {
        self.forward(selector, &Forward::HeldByDestination(holds), progress).await
    }

    async fn forward(
        &self,
        selector: &Selector,
        which: &Forward,
        progress: &Progress,
    ) -> Result<(), BrowseError> {
        futures::stream::iter(self.filters(selector, Some(Place::Retry)))
            .map(|(shard, filter)| async move {
                let mut targets = self.targets(shard, filter).await?;
                progress.send_modify(|tally| tally.before += targets.subjects.len() as u64);
                self.forward_in(std::mem::take(&mut targets.subjects), which, progress).await?;
                let left = self.left(&targets).await?;
                progress.send_modify(|tally| tally.after += left);
                Ok(())
            })
            .buffer_unordered(PARALLEL_SHARDS)
            .try_collect()
            .await
    }

    /// Reads run ahead, writes are sent one after the other and confirmed beside that.
    async fn forward_in(
        &self,
        subjects: Vec<Subject>,
        which: &Forward,
        progress: &Progress,
    ) -> Result<(), BrowseError> {
        let now = SystemTime::now();
        let reads = futures::stream::iter(subjects)
            .map(|subject| async move {
                let message = self.read(&subject).await;
                (subject, message)
            })
            .buffered(READS);
        let mut reads = pin!(reads);
        let mut writes = VecDeque::new();
        while let Some((subject, message)) = reads.next().await {
            let Some(message) = message? else {
                progress.send_modify(|tally| tally.unchanged += 1);
                continue;
            };
            match which.verdict(&subject, hold_of(subject.place, &message), now) {
                Verdict::Forward => {
                    let (target, headers) = forwarded(&message, now)?;
                    let sent = self.nats.jetstream.publish_with_headers(target, headers, message.payload);
                    writes.push_back(sent.await.map_err(failed)?);
                }
                Verdict::StaysHeld => progress.send_modify(|tally| tally.held += 1),
                Verdict::NothingToDo => progress.send_modify(|tally| tally.unchanged += 1),
            }
            if writes.len() >= WRITES
                && let Some(oldest) = writes.pop_front()
            {
                let written = oldest.await;
                progress.send_modify(|tally| *field(tally, &written) += 1);
            }
        }
        for write in writes {
            let written = write.await;
            progress.send_modify(|tally| *field(tally, &written) += 1);
        }
        Ok(())
    }

    /// Keeps entries from being attempted until `hold` ends. Those that a worker has are left alone.
    pub async fn hold(
        &self,
        selector: &Selector,
        hold: &Hold,
        progress: &Progress,
    ) -> Result<(), BrowseError> {
        let mark = HeldMark { until: hold.until, since: hold.since, by: HeldBy::Entry };
        futures::stream::iter(self.filters(selector, None))
            .map(|(shard, filter)| async move {
                let targets = self.targets(shard, filter).await?;
                progress.send_modify(|tally| tally.before += targets.subjects.len() as u64);
                futures::stream::iter(&targets.subjects)
                    .for_each_concurrent(PARALLEL_ENTRIES, |subject| async move {
                        let held =
                            self.set_aside(subject, |_| hold.ends_at(), |headers| hold_on(headers, mark));
                        let outcome = held.await;
                        progress.send_modify(|tally| match &outcome {
                            Ok(SetAside::Done(_)) => tally.done += 1,
                            Ok(SetAside::Busy) => tally.busy += 1,
                            Err(error) => {
                                tracing::warn!(entry = %subject.entry, %error, "entry was not held");
                                tally.failed += 1;
                            }
                        });
                    })
                    .await;
                let left = self.left(&targets).await?;
                progress.send_modify(|tally| tally.after += left);
                Ok(())
            })
            .buffer_unordered(PARALLEL_SHARDS)
            .try_collect()
            .await
    }

    /// Removes entries without a report. What a worker has goes too, and is counted as busy: an
    /// attempt that is running ends as it ends, and a 4yz is the end of the entry too.
    pub async fn delete(&self, selector: &Selector, progress: &Progress) -> Result<(), BrowseError> {
        let removed: Vec<HashSet<EntryId>> = futures::stream::iter(self.filters(selector, None))
            .map(|(shard, filter)| self.delete_in(selector, shard, filter, progress))
            .buffer_unordered(PARALLEL_SHARDS)
            .try_collect()
            .await?;
        let removed: HashSet<EntryId> = removed.into_iter().flatten().collect();
        self.free(&removed).await
    }

    async fn delete_in(
        &self,
        selector: &Selector,
        shard: ShardId,
        filter: String,
        progress: &Progress,
    ) -> Result<HashSet<EntryId>, BrowseError> {
        let stream = queue_stream(shard);
        // What is written from now on is not meant.
        let end = stream::extent(&self.nats, &stream).await?.last + 1;
        let targets = self.targets(shard, filter).await?;
        let before = targets.subjects.len() as u64;
        if before == 0 {
            return Ok(HashSet::new());
        }
        let busy = self.count_in(shard, selector).await?.busy;
        progress.send_modify(|tally| {
            tally.before += before;
            tally.busy += busy;
        });
        // Recorded first: a crash in between leaves entries that are there still and count as queued.
        let at = SystemTime::now();
        let removed: Vec<Event> =
            targets.subjects.iter().map(|subject| Event::Removed { entry: subject.entry, at }).collect();
        for events in removed.chunks(EVENTS) {
            self.nats.custody().record(events).await;
        }
        let purged = stream::purge(&self.nats, &stream, &targets.filter, Some(end)).await?;
        progress.send_modify(|tally| tally.done += purged);
        // A schedule that fired meanwhile is still there, behind the end.
        let left = self.targets(shard, targets.filter).await?;
        progress.send_modify(|tally| tally.after += left.subjects.len() as u64);
        let left: HashSet<EntryId> = left.subjects.iter().map(|subject| subject.entry).collect();
        let mut removed = HashSet::new();
        for Subject { entry, destination, .. } in targets.subjects {
            if !left.contains(&entry) && removed.insert(entry) {
                mail_log::record(|| {
                    let (queue_id, destination) = (entry.queue_id.to_string(), destination.to_string());
                    mail_log::Event::Deleted(Deleted { queue_id, entry: entry.to_string(), destination })
                });
            }
        }
        Ok(removed)
    }

    /// Frees the content of entries that were removed. Those of a whole destination were not read,
    /// but content has the name of its entry.
    async fn free(&self, removed: &HashSet<EntryId>) -> Result<(), BrowseError> {
        if removed.is_empty() {
            return Ok(());
        }
        for shard in self.shards.shards() {
            let stream = body_stream(shard);
            let mut bodies = Vec::new();
            stream::subjects(&self.nats, &stream, &subject::all_bodies(shard), |name| {
                let owner = subject::body_owner(name);
                if matches!(owner, Some(Owner::Entry(entry)) if removed.contains(&entry)) {
                    bodies.push(name.to_owned());
                }
            })
            .await?;
            for body in bodies {
                stream::purge(&self.nats, &stream, &body, None).await?;
            }
        }
        Ok(())
    }
}

/// A hold that goes on goes on since it began.
fn hold_on(headers: &mut HeaderMap, mark: HeldMark) {
    let earlier = HeldMark::read(headers).filter(|it| it.until.is_none_or(|until| until > mark.since));
    let since = earlier.map_or(mark.since, |earlier| earlier.since);
    if earlier.is_none() {
        holds::fold(headers, mark.since);
    }
    holds::put(headers, HeldMark { since, ..mark });
}

type Written =
    Result<async_nats::jetstream::publish::PublishAck, async_nats::jetstream::context::PublishError>;

/// Where a write is counted.
fn field<'t>(tally: &'t mut Tally, written: &Written) -> &'t mut u64 {
    match written {
        Ok(_) => &mut tally.done,
        // It has fired meanwhile: it is due already.
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => &mut tally.unchanged,
        Err(error) => {
            tracing::warn!(%error, "entry was not made due");
            &mut tally.failed
        }
    }
}
