//! The sessions of this process, shared fairly. A slot belongs to a session that has its
//! greeting; it counts for the client and the lane of the entry that the session is busy with.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hikyaku_types::envelope::Lane;
use tokio::sync::{Notify, oneshot};

use crate::fair::{Candidate, Class, FairQueue, USUAL_SHARE, share};

/// The next message of a session is usually on its way: before, it is not idle.
const IDLE_GRACE: Duration = Duration::from_millis(50);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// Sessions that wait for a slot; idle sessions end then.
    wanted: AtomicUsize,
    make_room: Notify,
}

#[derive(Debug)]
struct Inner {
    total: usize,
    busy: usize,
    lanes: HashMap<Lane, usize>,
    clients: HashMap<u64, usize>,
    waiting: FairQueue<oneshot::Sender<Slot>>,
}

/// Goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    /// `None` once it was given back.
    class: Option<Class>,
}

impl Slots {
    pub(crate) fn new(total: usize) -> Self {
        let inner = Inner {
            total,
            busy: 0,
            lanes: HashMap::new(),
            clients: HashMap::new(),
            waiting: FairQueue::default(),
        };
        Self(Arc::new(Shared {
            inner: Mutex::new(inner),
            wanted: AtomicUsize::new(0),
            make_room: Notify::new(),
        }))
    }

    /// Waits for its turn. Safe to drop while it waits.
    pub(crate) async fn acquire(&self, class: Class) -> Slot {
        let receiver = {
            let mut inner = self.lock();
            if inner.takes(class) {
                return Slot { slots: self.clone(), class: Some(class) };
            }
            let (sender, receiver) = oneshot::channel();
            inner.waiting.push(class, sender);
            receiver
        };
        let _wanted = Wanted::one_more(&self.0.wanted);
        self.0.make_room.notify_waiters();
        match receiver.await {
            Ok(slot) => slot,
            // The other end lives as long as `self` does.
            Err(_) => std::future::pending().await,
        }
    }

    /// Without waiting.
    pub(crate) fn try_acquire(&self, class: Class) -> Option<Slot> {
        let has_place = self.lock().takes(class);
        has_place.then(|| Slot { slots: self.clone(), class: Some(class) })
    }

    /// Returns when somebody waits for a slot, but not before a session counts as idle.
    pub(crate) async fn until_wanted(&self) {
        tokio::time::sleep(IDLE_GRACE).await;
        let notified = self.0.make_room.notified();
        if self.0.wanted.load(Ordering::SeqCst) == 0 {
            notified.await;
        }
    }

    pub(crate) fn set_total(&self, total: usize) {
        let grows = {
            let mut inner = self.lock();
            std::mem::replace(&mut inner.total, total) < total
        };
        if grows {
            self.hand_out();
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.lock().total
    }

    pub(crate) fn busy(&self) -> usize {
        self.lock().busy
    }

    pub(crate) fn wanted(&self) -> usize {
        self.0.wanted.load(Ordering::SeqCst)
    }

    pub(crate) fn is_surplus(&self) -> bool {
        let inner = self.lock();
        inner.busy > inner.total
    }

    /// Gives what is free to who is next.
    fn hand_out(&self) {
        loop {
            let (slot, waiter) = {
                let mut inner = self.lock();
                let Inner { total, busy, lanes, clients, waiting } = &mut *inner;
                let may = |candidate| may_go(*total, *busy, lanes, clients, candidate);
                let Some((class, waiter)) = waiting.pop(may) else { return };
                inner.count(class);
                (Slot { slots: self.clone(), class: Some(class) }, waiter)
            };
            // One that waits no more has no use for it: the next turn finds it free.
            if let Err(mut slot) = waiter.send(slot) {
                slot.give_back();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds the lock can panic half-way.
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn takes(&mut self, class: Class) -> bool {
        let Class { lane, source, share } = class;
        let candidate = Candidate { lane, client: source.client, share };
        let may = may_go(self.total, self.busy, &self.lanes, &self.clients, candidate);
        if may {
            self.count(class);
        }
        may
    }

    fn count(&mut self, class: Class) {
        self.busy += 1;
        *self.lanes.entry(class.lane).or_default() += 1;
        *self.clients.entry(class.source.client).or_default() += 1;
    }

    fn uncount(&mut self, class: Class) {
        self.busy -= 1;
        if let Some(count) = self.lanes.get_mut(&class.lane) {
            *count -= 1;
        }
        if let Some(count) = self.clients.get_mut(&class.source.client) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&class.source.client);
            }
        }
    }
}

fn may_go(
    total: usize,
    busy: usize,
    lanes: &HashMap<Lane, usize>,
    clients: &HashMap<u64, usize>,
    candidate: Candidate,
) -> bool {
    let Candidate { lane, client, share: percent } = candidate;
    let of_lane = lanes.get(&lane).copied().unwrap_or(0);
    let of_client = clients.get(&client).copied().unwrap_or(0);
    busy < total && of_lane < share_of_lane(lane, total) && of_client < share(percent, total)
}

/// SEED-180: retries never have more than half of the slots.
fn share_of_lane(lane: Lane, total: usize) -> usize {
    match lane {
        Lane::Fresh => total,
        Lane::Bulk => share(USUAL_SHARE, total),
        Lane::Due => total.div_ceil(2),
    }
}

impl Slot {
    /// The session takes an entry of another class. This never waits: the share is kept by those
    /// that come after.
    pub(crate) fn now_for(&mut self, class: Class) {
        if self.class != Some(class) {
            {
                let mut inner = self.slots.lock();
                // In one step: in between somebody else would take the place.
                self.class.into_iter().for_each(|old| inner.uncount(old));
                inner.count(class);
            }
            self.class = Some(class);
            self.slots.hand_out();
        }
    }

    fn give_back(&mut self) {
        if let Some(class) = self.class.take() {
            self.slots.lock().uncount(class);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // One that found nobody was given back by who hands out, and who goes on with that.
        if self.class.is_some() {
            self.give_back();
            self.slots.hand_out();
        }
    }
}

/// Counts who waits, on every way out.
struct Wanted<'a>(&'a AtomicUsize);

impl<'a> Wanted<'a> {
    fn one_more(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hikyaku_types::source::Source;

    fn class(lane: Lane, client: u64) -> Class {
        Class { lane, source: Source { client, sender: 0 }, share: 70 }
    }

    /// Those of `classes` that get a slot without waiting.
    async fn fill(slots: &Slots, classes: impl IntoIterator<Item = Class>) -> Vec<Slot> {
        let mut held = Vec::new();
        for class in classes {
            if let Ok(slot) = tokio::time::timeout(Duration::from_millis(1), slots.acquire(class)).await {
                held.push(slot);
            }
        }
        held
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_takes_everything() {
        let slots = Slots::new(10);
        let bulk = fill(&slots, (0..20).map(|_| class(Lane::Fresh, 1))).await;
        assert_eq!(bulk.len(), 7, "one client");
        let due = fill(&slots, (2..20).map(|client| class(Lane::Due, client))).await;
        assert_eq!(due.len(), 3, "what is left");
        drop(bulk);
        let due_again = fill(&slots, (20..40).map(|client| class(Lane::Due, client))).await;
        assert_eq!(due.len() + due_again.len(), 5, "retries");
    }

    #[tokio::test]
    async fn another_entry_in_the_same_session_takes_no_second_place() {
        let slots = Slots::new(1);
        let mut held = slots.acquire(class(Lane::Fresh, 1)).await;
        let waits = tokio::spawn({
            let slots = slots.clone();
            async move { slots.acquire(class(Lane::Fresh, 9)).await }
        });
        tokio::task::yield_now().await;
        for client in 0..100 {
            held.now_for(class(Lane::Fresh, client));
            assert_eq!(slots.busy(), 1);
        }
        drop(held);
        assert!(waits.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_goes_to_the_one_that_has_fewest_turns_before_it() {
        let slots = Slots::new(1);
        let held = slots.acquire(class(Lane::Fresh, 1)).await;
        let crowd: Vec<_> = (0..3)
            .map(|_| {
                let slots = slots.clone();
                tokio::spawn(async move { slots.acquire(class(Lane::Bulk, 1)).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let newcomer = tokio::spawn({
            let slots = slots.clone();
            async move { slots.acquire(class(Lane::Fresh, 2)).await }
        });
        tokio::task::yield_now().await;
        slots.until_wanted().await;
        drop(held);
        drop(newcomer.await.unwrap());
        for waiter in crowd {
            drop(waiter.await.unwrap());
        }
        assert_eq!(slots.lock().busy, 0);
    }

    /// Each that is found gone is passed over by the same loop.
    #[tokio::test(start_paused = true)]
    async fn very_many_that_wait_no_more_are_passed_over() {
        let slots = Slots::new(1);
        let held = slots.acquire(class(Lane::Fresh, 1)).await;
        for client in 2..20_000 {
            let waits = Box::pin(slots.acquire(class(Lane::Fresh, client)));
            assert!(futures::poll!(waits).is_pending());
        }
        drop(held);
        assert_eq!(slots.lock().busy, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waits_no_more_costs_no_slot() {
        let slots = Slots::new(1);
        let held = slots.acquire(class(Lane::Fresh, 1)).await;
        assert!(fill(&slots, [class(Lane::Fresh, 2)]).await.is_empty());
        drop(held);
        assert_eq!(fill(&slots, [class(Lane::Fresh, 3)]).await.len(), 1);
    }
}
