//! Shares of sites: asked for by every worker, given by the owner of the site's shard.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use hikyaku_queue::ask::{self, Topic};
use hikyaku_types::shard::{ShardCount, ShardId, fnv1a};
use serde::{Deserialize, Serialize};

use super::book::{Book, Need};
use crate::context::Context;

const ASK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    worker: String,
    needs: Vec<Need>,
}

/// In the order of the needs.
type Answer = Vec<usize>;

/// Asks for shares for ever: regularly, and when somebody waits.
pub(crate) async fn keep(context: Arc<Context>, worker: String, shards: ShardCount) {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let waiting_only = tokio::select! {
            _ = ticks.tick() => false,
            () = context.sites.asked.notified() => true,
        };
        let mut by_shard: HashMap<ShardId, Vec<Need>> = HashMap::new();
        for need in context.sites.needs(waiting_only, Instant::now()) {
            by_shard.entry(keeper_of(&need.site, shards)).or_default().push(need);
        }
        let asking = by_shard.into_iter().map(|(shard, needs)| ask_one(&context, &worker, shard, needs));
        futures::future::join_all(asking).await;
    }
}

fn keeper_of(site: &str, shards: ShardCount) -> ShardId {
    let place = fnv1a(site) % u64::from(shards.get());
    ShardId::new(u16::try_from(place).unwrap_or(0)) // always fits: it is below a u16
}

async fn ask_one(context: &Context, worker: &str, shard: ShardId, needs: Vec<Need>) {
    let answer = match context.books.answer(shard, worker, &needs) {
        Some(answer) => Some(answer),
        None => {
            let asked = Asked { worker: worker.to_owned(), needs: needs.clone() };
            // Plain fields cannot fail to be written.
            let payload = serde_json::to_vec(&asked).unwrap_or_default();
            let answer = ask::ask_about_sites(&context.nats, shard, payload.into()).await;
            answer.and_then(|answer| serde_json::from_slice::<Answer>(&answer).ok())
        }
    };
    let now = Instant::now();
    match answer {
        Some(answer) => {
            for (need, granted) in needs.iter().zip(answer) {
                context.sites.granted(&need.site, granted, now);
            }
        }
        None => needs.iter().for_each(|need| context.sites.unanswered(&need.site, now)),
    }
}

/// The books of the shards that are ours.
#[derive(Debug, Default)]
pub(crate) struct Books(Mutex<HashMap<ShardId, Book>>);

impl Books {
    fn answer(&self, shard: ShardId, worker: &str, needs: &[Need]) -> Option<Answer> {
        let now = Instant::now();
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.get_mut(&shard)?;
        book.forget(now);
        Some(needs.iter().map(|need| book.ask(worker, need, now)).collect())
    }

    fn set(&self, shard: ShardId, book: Option<Book>) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match book {
            Some(book) => books.insert(shard, book),
            None => books.remove(&shard),
        };
    }
}

/// Keeps the book of a shard for as long as it is ours; dropped, it closes it.
pub(crate) async fn answer(context: Arc<Context>, shard: ShardId, alone: bool) {
    context.books.set(shard, Some(Book::new(alone, Instant::now())));
    let _closing = CloseBook { context: &context, shard };
    let mut questions = ask::questions(&context.nats, Topic::Sites(shard));
    while let Some(question) = questions.next().await {
        let Ok(asked) = serde_json::from_slice::<Asked>(&question.payload) else { continue };
        // Somebody who may have lost the shard must not give what is another's to give.
        if !context.fence.is_open(Instant::now()) {
            continue;
        }
        if let Some(answer) = context.books.answer(shard, &asked.worker, &asked.needs) {
            question.answer(serde_json::to_vec(&answer).unwrap_or_default().into()).await;
        }
    }
}

struct CloseBook<'a> {
    context: &'a Context,
    shard: ShardId,
}

impl Drop for CloseBook<'_> {
    fn drop(&mut self) {
        self.context.books.set(self.shard, None);
    }
}
