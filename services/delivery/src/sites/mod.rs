//! Destinations that share MX hosts are one site with one limit, over all workers. The owner of
//! the site's shard keeps the book; each worker asks it for its share and hands that out.

mod book; // who has how much; pure
mod keeper; // asks for shares, answers for the shards that are ours

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hikyaku_types::traffic::Site;
use tokio::sync::Notify;

use crate::{
    destination::Pace,
    fair::{Class, Slot, Slots},
    traffic::per_second,
};
use book::Need;
pub(crate) use keeper::{Books, answer, keep};

/// A site without a rule at all; the rules that come with the program have one for every site.
const DEFAULT_LIMIT: u32 = 20;
/// A share that was not confirmed for so long may be somebody else's: one session remains.
const SHARE_LASTS: Duration = Duration::from_secs(3);
const FORGET_AFTER: Duration = Duration::from_secs(60);
const PACE_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(crate) struct Sites {
    all: Mutex<HashMap<String, Known>>,
    /// Somebody waits at a site that has no share yet.
    asked: Notify,
}

#[derive(Debug)]
struct Known {
    slots: Slots,
    limit: usize,
    rate: Option<f64>,
    pace: Pace,
    confirmed: Option<Instant>,
    used_at: Instant,
}

/// One session's place at a site; goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    site: String,
    slot: Slot,
    slots: Slots,
}

impl Sites {
    /// Waits for a place. Safe to drop while it waits.
    pub(crate) async fn enter(&self, site: &Site, class: Class) -> Place {
        let slots = self.slots_of(site, Instant::now());
        let slot = match slots.try_acquire(class) {
            Some(slot) => slot,
            None => {
                self.asked.notify_one();
                slots.acquire(class).await
            }
        };
        Place { site: site.name.clone(), slot, slots }
    }

    fn slots_of(&self, site: &Site, now: Instant) -> Slots {
        let limit = usize::try_from(site.connections.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX).max(1);
        let rate = site.rate.map(per_second);
        let mut all = self.lock();
        let known = all.entry(site.name.clone()).or_insert_with(|| Known {
            slots: Slots::new(0),
            limit,
            rate,
            pace: Pace::new(rate, now),
            confirmed: None,
            used_at: now,
        });
        if known.rate != rate {
            known.rate = rate;
            known.pace = Pace::new(rate, now);
        }
        known.limit = limit;
        known.used_at = now;
        known.slots.clone()
    }

    /// What this worker has and wants of each site, or of those where somebody waits.
    fn needs(&self, waiting_only: bool, now: Instant) -> Vec<Need> {
        let mut all = self.lock();
        all.retain(|_, known| {
            let is_idle = known.slots.busy() == 0 && known.slots.wanted() == 0;
            let is_old = now.saturating_duration_since(known.used_at) >= FORGET_AFTER;
            !(is_idle && is_old && known.pace.is_full(now))
        });
        let need = |(site, known): (&String, &Known)| Need {
            site: site.clone(),
            limit: known.limit,
            used: known.slots.busy(),
            wanted: known.slots.wanted(),
            has: known.slots.total(),
        };
        all.iter().filter(|(_, known)| !waiting_only || known.slots.wanted() > 0).map(need).collect()
    }

    fn granted(&self, site: &str, granted: usize, now: Instant) {
        if let Some(known) = self.lock().get_mut(site) {
            known.confirmed = Some(now);
            known.slots.set_total(granted);
        }
    }

    /// The keeper of the site does not answer: what it said last holds for a while, and then one
    /// session, because mail must go on.
    fn unanswered(&self, site: &str, now: Instant) {
        if let Some(known) = self.lock().get_mut(site)
            && known.confirmed.is_none_or(|at| now.saturating_duration_since(at) >= SHARE_LASTS)
        {
            known.slots.set_total(1);
        }
    }

    /// Returns when the rate of the site lets one more message go.
    pub(crate) async fn pace(&self, place: &Place) {
        loop {
            {
                let now = Instant::now();
                let mut all = self.lock();
                let Some(known) = all.get_mut(&place.site) else { return };
                if !known.pace.is_spent(now) {
                    known.pace.spend(now);
                    return;
                }
            }
            tokio::time::sleep(PACE_PAUSE).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        // Nothing that holds the lock can panic half-way.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(crate) fn now_for(&mut self, class: Class) {
        self.slot.now_for(class);
    }

    /// Returns when another session waits for a place at this site.
    pub(crate) async fn until_wanted(&self) {
        self.slots.until_wanted().await;
    }

    /// The share has become smaller than what is open.
    pub(crate) fn is_surplus(&self) -> bool {
        self.slots.is_surplus()
    }
}
