//! The entries that a change is about. Their names are read first and put into the order in which
//! they arrived; content is read when its turn comes.

use async_nats::HeaderMap;
use hikyaku_types::shard::ShardId;

use super::{BrowseError, Browser, Selector, direct, is_selected, place_of};
use crate::{
    subject::{Place, Subject},
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
    pub(super) async fn targets(
        &self,
        selector: &Selector,
        place: Option<Place>,
        shard: ShardId,
        filter: String,
    ) -> Result<Targets, BrowseError> {
        let mut subjects = Vec::new();
        direct::subjects(&self.nats, &queue_stream(shard), &filter, |name| {
            subjects.extend(place_of(name).filter(|subject| is_selected(selector, subject.entry)));
        })
        .await?;
        subjects.retain(|subject| place.is_none_or(|place| place == subject.place));
        subjects.sort_unstable_by_key(|subject| subject.entry);
        Ok(Targets { shard, filter, subjects })
    }

    /// How many of them there still are.
    pub(super) async fn left(&self, selector: &Selector, targets: &Targets) -> Result<u64, BrowseError> {
        let stream = queue_stream(targets.shard);
        if !matches!(selector, Selector::QueueId(_)) {
            return direct::count_subjects(&self.nats, &stream, &targets.filter).await;
        }
        let mut left = 0;
        direct::subjects(&self.nats, &stream, &targets.filter, |name| {
            left += u64::from(place_of(name).is_some_and(|subject| is_selected(selector, subject.entry)));
        })
        .await?;
        Ok(left)
    }

    pub(super) async fn read(&self, subject: &Subject) -> Result<Option<direct::Message>, BrowseError> {
        direct::last(&self.nats, &queue_stream(subject.shard), &subject.to_string()).await
    }
}

/// The headers that are not the broker's.
pub(super) fn ours(headers: &HeaderMap) -> HeaderMap {
    let mut own = HeaderMap::new();
    for (name, values) in headers.iter() {
        let text: &str = name.as_ref();
        if !text.starts_with("Nats-") {
            values.iter().for_each(|value| own.append(name.clone(), value.clone()));
        }
    }
    own
}
