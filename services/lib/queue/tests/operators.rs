//! What operators do, on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod support;

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hikyaku_queue::{
    Nats,
    body_store::{BodyStore, INLINE_LIMIT},
    browse::{Browser, Content, Filter, Selector, State, Tally, Waits},
    dead::{DeadLetters, DeadSelector},
    holds::{Hold, HoldScope, HoldStore},
    publish::Publisher,
    pull::LanePuller,
    reschedule::Rescheduler,
    tenure::Tenure,
};
use hikyaku_testkit::{eventually::eventually, nats::NatsServer};
use hikyaku_types::{
    destination::Destination,
    envelope::{Envelope, Lane},
    ids::EntryId,
};
use support::{LIMIT, envelope, every, next, progress, queue, shards};

struct Queue {
    nats: Nats,
    publisher: Publisher,
    rescheduler: Rescheduler,
    browser: Browser,
    _server: NatsServer,
}

fn hold(until: Option<SystemTime>) -> Hold {
    Hold { until, since: SystemTime::now(), reason: "planned work".to_owned(), who: "ann".to_owned() }
}

fn selected(text: &str) -> Selector {
    Selector::Destination(text.parse().unwrap())
}

impl Queue {
    async fn start() -> Self {
        let server = NatsServer::start().unwrap();
        let nats = queue(&server).await;
        let publisher = Publisher::new(nats.clone(), shards(2));
        Self {
            rescheduler: Rescheduler::new(nats.clone(), publisher.clone()),
            browser: Browser::new(nats.clone(), shards(2)),
            publisher,
            nats,
            _server: server,
        }
    }

    /// Ready in the fresh lane.
    async fn accept(&self, id: u128, destination: &str) -> Envelope {
        let envelope = envelope(id, destination, Bytes::from(format!("content {id}")));
        self.publisher.accept(None, vec![envelope.clone()]).await.unwrap();
        envelope
    }

    /// As after a 451: it waits for an hour.
    async fn defer(&self, destination: &str) -> EntryId {
        let lease = next(&self.nats, destination, Lane::Fresh).await;
        let later = Envelope { attempt: lease.envelope().attempt + 1, ..lease.envelope().clone() };
        let entry = later.entry;
        let at = SystemTime::now() + Duration::from_secs(3_600);
        self.rescheduler.retry_at(&lease, &later, at).await.unwrap();
        assert!(lease.done().await);
        entry
    }

    async fn tally(&self, change: impl AsyncFnOnce(&Browser, &hikyaku_queue::browse::Progress)) -> Tally {
        let progress = progress();
        change(&self.browser, &progress).await;
        *progress.borrow()
    }
}

#[tokio::test]
async fn counts_are_told_without_reading() {
    let queue = Queue::start().await;
    // A puller asks for all that is ready, so the one that is deferred is alone.
    queue.accept(0, "example.org").await;
    queue.defer("example.org").await;
    for id in 1..5 {
        queue.accept(id, "example.org").await;
    }
    queue.accept(9, "other.example").await;
    let leased = next(&queue.nats, "example.org", Lane::Fresh).await;
    let counts = queue.browser.count(&selected("example.org")).await.unwrap();
    assert_eq!((counts.fresh, counts.scheduled, counts.all()), (4, 1, 5));
    assert!(counts.busy >= 1, "{counts:?}");
    assert_eq!(queue.browser.count(&Selector::All).await.unwrap().all(), 6);
    let entry = Selector::QueueId(leased.envelope().entry.queue_id);
    assert_eq!(queue.browser.count(&entry).await.unwrap().all(), 1);
    let destinations = queue.browser.destinations().await.unwrap();
    let names: Vec<String> =
        destinations.iter().map(|(name, counts)| format!("{name} {}", counts.all())).collect();
    assert_eq!(names, ["example.org 5", "other.example 1"]);
    leased.done().await;
}

#[tokio::test]
async fn pages_and_filters() {
    let queue = Queue::start().await;
    for id in 0..25 {
        queue.accept(id, if id % 2 == 0 { "example.org" } else { "[192.0.2.1]:25" }).await;
    }
    let (mut seen, mut from, mut pages) = (HashSet::new(), None, 0);
    loop {
        let page = queue.browser.list(&Selector::All, &Filter::default(), 10, from).await.unwrap();
        assert!(page.entries.len() <= 10);
        seen.extend(page.entries.iter().map(|found| found.envelope.entry));
        pages += 1;
        from = page.next.map(|token| token.to_string().parse().unwrap());
        if from.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (25, 3));
    let count = async |filter: Filter| {
        queue.browser.list(&Selector::All, &filter, 100, None).await.unwrap().entries.len()
    };
    let sender = |text: &str| Filter { sender: Some(text.to_owned()), ..Filter::default() };
    assert_eq!(count(sender("A@Example.net")).await, 25);
    assert_eq!(count(sender("<>")).await, 0);
    assert_eq!(count(Filter { recipient: Some("@nobody".to_owned()), ..Filter::default() }).await, 0);
    let accepted = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    assert_eq!(count(Filter { accepted_before: Some(accepted), ..Filter::default() }).await, 0);
    assert_eq!(count(Filter { state: Some(State::Ready(Lane::Fresh)), ..Filter::default() }).await, 25);
    assert_eq!(count(Filter { state: Some(State::Held), ..Filter::default() }).await, 0);
}

#[tokio::test]
async fn a_destination_is_retried_in_the_order_of_arrival() {
    let queue = Queue::start().await;
    for id in [3, 1, 2] {
        queue.accept(id, "example.org").await;
        queue.defer("example.org").await;
    }
    let tally = queue.tally(async |browser, progress| {
        browser.retry(&selected("example.org"), progress).await.unwrap();
    });
    let tally = tally.await;
    assert_eq!(tally, Tally { before: 3, done: 3, ..Tally::default() });
    let mut ids = Vec::new();
    let shard = shards(2).shard_of(&"example.org".parse().unwrap());
    let mut puller = LanePuller::new(
        queue.nats.clone(),
        Tenure::begin(&queue.nats, shard).await.unwrap(),
        Lane::Due,
        Arc::new(SystemTime::now),
    );
    for _ in 0..3 {
        let lease = tokio::time::timeout(LIMIT, puller.next()).await.unwrap();
        assert_eq!(lease.envelope().attempt, 1, "clocks go on");
        ids.push(lease.envelope().entry);
        lease.done().await;
    }
    assert!(ids.is_sorted(), "{ids:?}");
    assert!(every(&queue.browser, &Selector::All).await.is_empty(), "nothing is there twice");
}

#[tokio::test]
async fn one_entry_is_held_and_released() {
    let queue = Queue::start().await;
    queue.accept(2, "other.example").await;
    let waiting = queue.defer("other.example").await;
    let ready = queue.accept(1, "example.org").await;
    for entry in [ready.entry, waiting] {
        let tally = queue
            .tally(async |browser, progress| {
                browser.hold(&Selector::Entry(entry), &hold(None), progress).await.unwrap();
            })
            .await;
        assert_eq!((tally.before, tally.done, tally.after), (1, 1, 1));
        let found = every(&queue.browser, &Selector::Entry(entry)).await;
        let held = found[0].held.unwrap();
        assert_eq!((found.len(), held.until), (1, None));
        assert!(matches!(found[0].waits, Waits::Until(_)));
        // Nothing that retries it ends the hold.
        let tally = queue
            .tally(async |browser, progress| {
                browser.retry(&Selector::Entry(entry), progress).await.unwrap();
            })
            .await;
        assert_eq!((tally.done, tally.held), (0, 1));
    }
    let release = async || {
        queue.tally(async |browser, progress| browser.release(&Selector::All, progress).await.unwrap()).await
    };
    assert_eq!(release().await.done, 2);
    assert_eq!(release().await.done, 0);
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    assert_eq!(*lease.envelope(), ready);
    // Its clocks know of it, and so do those of its next life.
    assert!(lease.origin().held_for() < Duration::from_secs(60));
    lease.done().await;
    next(&queue.nats, "other.example", Lane::Due).await.done().await;
}

#[tokio::test]
async fn the_time_of_a_hold_travels_with_the_entry() {
    let queue = Queue::start().await;
    queue.accept(1, "example.org").await;
    let long_ago = SystemTime::now() - Duration::from_secs(500);
    let entry = Hold { since: long_ago, ..hold(None) };
    let all = selected("example.org");
    queue.browser.hold(&all, &entry, &progress()).await.unwrap();
    queue.browser.release(&all, &progress()).await.unwrap();
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    let held_for = lease.origin().held_for().as_secs();
    assert!((500..530).contains(&held_for), "{held_for}");
    // Its destination is held now, since before it was accepted; a hold is not counted twice.
    let destination = Hold { since: SystemTime::now(), ..hold(None) };
    queue.rescheduler.hold(lease, &destination, SystemTime::now()).await.unwrap();
    let holds = Arc::default();
    queue.browser.release_destinations(&all, holds, &progress()).await.unwrap();
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    let held_for = lease.origin().held_for().as_secs();
    assert!((500..560).contains(&held_for), "{held_for}");
    lease.done().await;
}

#[tokio::test]
async fn what_a_worker_has_is_left_alone() {
    let queue = Queue::start().await;
    let accepted = queue.accept(1, "example.org").await;
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    let all = selected("example.org");
    let tally =
        queue.tally(async |browser, progress| browser.hold(&all, &hold(None), progress).await.unwrap()).await;
    assert_eq!(tally, Tally { before: 1, busy: 1, after: 1, ..Tally::default() });
    let to = "[192.0.2.9]:25".parse().unwrap();
    let tally =
        queue.tally(async |browser, progress| browser.move_to(&all, &to, progress).await.unwrap()).await;
    assert_eq!((tally.done, tally.busy), (0, 1));
    assert!(every(&queue.browser, &Selector::Entry(accepted.entry)).await[0].is_busy);
    lease.done().await;
    assert!(every(&queue.browser, &Selector::All).await.is_empty());
}

#[tokio::test]
async fn a_destination_is_held_by_one_record() {
    let queue = Queue::start().await;
    let here: Destination = "example.org".parse().unwrap();
    let (one, other) =
        (HoldStore::open(&queue.nats, 1).await.unwrap(), HoldStore::open(&queue.nats, 1).await.unwrap());
    let scope = HoldScope::Destination(here.clone());
    let until = SystemTime::now() + Duration::from_secs(3_600);
    let first = one.hold(&scope, hold(Some(until))).await.unwrap();
    let longer = one.hold(&scope, hold(None)).await.unwrap();
    assert_eq!(longer.since, first.since, "it goes on");
    let now = SystemTime::now();
    assert!(one.holds().is_held(&here, now).is_some());
    eventually(LIMIT, async || match other.holds().is_held(&here, now) {
        Some(held) if held.until.is_none() && held.reason == "planned work" => Ok(()),
        held => Err(format!("{held:?}")),
    })
    .await;
    let late = HoldStore::open(&queue.nats, 1).await.unwrap();
    assert!(late.holds().is_held(&here, now).is_some(), "known when it is open");

    // A worker sets aside what comes, until it is released.
    let accepted = queue.accept(1, "example.org").await;
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    queue.rescheduler.hold(lease, late.holds().is_held(&here, now).unwrap(), now).await.unwrap();
    let all = Selector::Destination(here.clone());
    let forward = async |store: &HoldStore| {
        let holds = store.holds();
        queue
            .tally(async |browser, progress| {
                browser.release_destinations(&all, holds, progress).await.unwrap();
            })
            .await
    };
    assert_eq!(forward(&one).await.held, 1, "it is held still");
    assert_eq!(one.release(&scope).await.unwrap().unwrap().who, "ann");
    assert_eq!(forward(&one).await.done, 1);
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    assert_eq!(*lease.envelope(), accepted);
    lease.done().await;
    eventually(LIMIT, async || match other.holds().is_held(&here, now) {
        None => Ok(()),
        held => Err(format!("{held:?}")),
    })
    .await;
    assert_eq!(one.release(&scope).await.unwrap(), None);
}

#[tokio::test]
async fn entries_are_moved_and_stay_where_they_were_moved() {
    let queue = Queue::start().await;
    queue.accept(1, "example.org").await;
    queue.defer("example.org").await;
    queue.accept(2, "example.org").await;
    let all = selected("example.org");
    let to: Destination = "[192.0.2.9]:2525".parse().unwrap();
    let tally =
        queue.tally(async |browser, progress| browser.move_to(&all, &to, progress).await.unwrap()).await;
    assert_eq!(tally, Tally { before: 2, done: 2, ..Tally::default() });
    for (lane, attempt) in [(Lane::Due, 1), (Lane::Fresh, 0)] {
        let lease = next(&queue.nats, &to.to_string(), lane).await;
        assert_eq!((lease.envelope().destination.clone(), lease.envelope().attempt), (to.clone(), attempt));
        assert!(lease.origin().is_routed_by_hand());
        // And so it is after the next attempt.
        let again = Envelope { attempt: attempt + 1, ..lease.envelope().clone() };
        queue.rescheduler.retry_at(&lease, &again, SystemTime::now()).await.unwrap();
        lease.done().await;
        let lease = next(&queue.nats, &to.to_string(), Lane::Due).await;
        assert!(lease.origin().is_routed_by_hand());
        lease.done().await;
    }
    assert!(every(&queue.browser, &Selector::All).await.is_empty());
}

#[tokio::test]
async fn what_was_moved_within_its_shard_is_not_counted_as_left() {
    let queue = Queue::start().await;
    let here: Destination = "example.org".parse().unwrap();
    let shard_of = |destination: &Destination| shards(2).shard_of(destination);
    let to = (2_000..).map(|port| format!("[192.0.2.9]:{port}").parse().unwrap());
    let to: Destination = { to }.find(|to| shard_of(to) == shard_of(&here)).unwrap();
    let all = Selector::QueueId(queue.accept(1, "example.org").await.entry.queue_id);
    let move_all = async |browser: &Browser, progress: &hikyaku_queue::browse::Progress| {
        browser.move_to(&all, &to, progress).await.unwrap();
    };
    assert_eq!(queue.tally(move_all).await, Tally { before: 1, done: 1, ..Tally::default() });
    assert_eq!(queue.tally(move_all).await, Tally::default(), "it is there already");
    assert_eq!(every(&queue.browser, &all).await.len(), 1);
}

#[tokio::test]
async fn what_is_taken_is_removed_when_it_was_acted_on() {
    let queue = Queue::start().await;
    for id in 1..=3 {
        queue.accept(id, "example.org").await;
    }
    let acted = Mutex::new(Vec::new());
    let tally = queue
        .tally(async |browser, progress| {
            let act = |taken: hikyaku_queue::browse::Taken| {
                acted.lock().unwrap().push(taken.envelope().clone());
                async { Ok::<_, Infallible>(Content::Ends) }
            };
            browser.take_each(&selected("example.org"), progress, act).await.unwrap();
        })
        .await;
    assert_eq!(tally, Tally { before: 3, done: 3, ..Tally::default() });
    assert_eq!(acted.lock().unwrap().len(), 3);
    assert!(every(&queue.browser, &Selector::All).await.is_empty());

    queue.accept(4, "example.org").await;
    let tally = queue
        .tally(async |browser, progress| {
            browser
                .take_each(&Selector::All, progress, async |_| Err::<Content, _>("the disk is full"))
                .await
                .unwrap();
        })
        .await;
    assert_eq!((tally.failed, tally.after), (1, 1));
    let left = every(&queue.browser, &Selector::All).await;
    assert!(matches!(left[0].waits, Waits::Until(at) if at < SystemTime::now() + Duration::from_secs(601)));
}

#[tokio::test]
async fn deleting_frees_large_content() {
    let queue = Queue::start().await;
    let bodies = BodyStore::new(queue.nats.clone());
    let large = Bytes::from(vec![b'x'; INLINE_LIMIT + 1]);
    for (id, destination) in [(1, "example.org"), (2, "example.org"), (3, "other.example")] {
        queue.publisher.accept(None, vec![envelope(id, destination, large.clone())]).await.unwrap();
    }
    let before = every(&queue.browser, &Selector::All).await;
    let tally = queue
        .tally(async |browser, progress| browser.delete(&selected("example.org"), progress).await.unwrap())
        .await;
    assert_eq!(tally, Tally { before: 2, done: 2, ..Tally::default() });
    for found in before {
        let is_gone = bodies.load(&found.envelope.body).await.is_err();
        assert_eq!(is_gone, found.envelope.destination.to_string() == "example.org");
    }
    let tally =
        queue.tally(async |browser, progress| browser.delete(&Selector::All, progress).await.unwrap()).await;
    assert_eq!((tally.before, tally.done, tally.after), (1, 1, 0));
}

#[tokio::test]
async fn a_dead_letter_owns_its_content() {
    let queue = Queue::start().await;
    let letters = DeadLetters::new(queue.nats.clone());
    let bodies = BodyStore::new(queue.nats.clone());
    let large: Bytes = (0..1_200_000).map(|n| u8::try_from(n % 251).unwrap()).collect();
    for (id, content) in [(1, large.clone()), (2, Bytes::from_static(b"small"))] {
        queue.publisher.accept(None, vec![envelope(id, "example.org", content)]).await.unwrap();
    }
    let mut found = every(&queue.browser, &Selector::All).await;
    found.sort_by_key(|found| found.envelope.entry);
    for found in &found {
        queue.publisher.bury(&found.envelope).await.unwrap();
        queue.publisher.bury(&found.envelope).await.unwrap(); // a repeat after a crash
        // The entry has another recipient, which lives on and ends later.
        bodies.free(&found.envelope.body).await;
    }
    let (listed, next) = letters.list(DeadSelector::All, 1, None).await.unwrap();
    assert_eq!(listed[0].envelope.entry, found[0].envelope.entry);
    let token = next.unwrap().to_string().parse().unwrap();
    let (rest, next) = letters.list(DeadSelector::All, 9, Some(token)).await.unwrap();
    assert_eq!((rest.len(), next), (1, None));
    assert_eq!(letters.content(&listed[0]).await.unwrap(), large);
    assert_eq!(letters.content(&rest[0]).await.unwrap(), "small");
    assert!(listed[0].ends_at() > SystemTime::now() + Duration::from_secs(29 * 24 * 3_600));

    let by_id = DeadSelector::QueueId(listed[0].envelope.entry.queue_id);
    assert_eq!(letters.list(by_id, 9, None).await.unwrap().0.len(), 1);
    assert!(letters.delete(&listed[0]).await.unwrap());
    assert!(!letters.delete(&listed[0]).await.unwrap());
    assert!(letters.content(&listed[0]).await.is_err());
    let (left, _) = letters.list(DeadSelector::Entry(rest[0].envelope.entry), 9, None).await.unwrap();
    assert_eq!(left.len(), 1);
}
