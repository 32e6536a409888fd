//! The entries that a change is about. Their names are read first and put into the order in which
//! they arrived; content is read when its turn comes.

use hikyaku_types::{destination::Destination, shard::ShardId};

use super::{BrowseError, Browser, place_of};
use crate::{
    stream::{self, Message},
    subject::Subject,
    topology::queue_stream,
};

/// Entries of one shard.
pub(super) struct Targets {
    pub(super) shard: ShardId,
    pub(super) filter: String,
    /// In the order of arrival.
    pub(super) subjects: Vec<Subject>,
}

impl Browser {
    pub(super) async fn targets(&self, shard: ShardId, filter: String) -> Result<Targets, BrowseError> {
        let mut subjects = Vec::new();
        stream::subjects(&self.nats, &queue_stream(shard), &filter, |name| {
            subjects.extend(place_of(name));
        })
        .await?;
        subjects.sort_unstable_by_key(|subject| subject.entry);
        Ok(Targets { shard, filter, subjects })
    }

    /// Those that are not at `destination`. One that was moved there fits `filter` still, maybe in a
    /// shard whose turn comes later.
    pub(super) async fn targets_elsewhere(
        &self,
        shard: ShardId,
        filter: String,
        destination: Option<&Destination>,
    ) -> Result<Targets, BrowseError> {
        let mut targets = self.targets(shard, filter).await?;
        targets.subjects.retain(|subject| Some(&subject.destination) != destination);
        Ok(targets)
    }

    /// How many of them there still are.
    pub(super) async fn left(&self, targets: &Targets) -> Result<u64, BrowseError> {
        Ok(stream::count_subjects(&self.nats, &queue_stream(targets.shard), &targets.filter).await?)
    }

    pub(super) async fn read(&self, subject: &Subject) -> Result<Option<Message>, BrowseError> {
        Ok(stream::last(&self.nats, &queue_stream(subject.shard), &subject.to_string()).await?)
    }
}
