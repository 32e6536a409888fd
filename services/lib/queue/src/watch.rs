//! Sessions that an operator watches while they go on (SEED-203). Who watches says so to all processes, again and
//! again; a process keeps the wish in memory, sends the lines of what fits it, and forgets a wish that is not
//! renewed. Where nobody watches, a session costs one comparison.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_nats::{Client, Subject};
use futures::{Stream, StreamExt as _, stream};
use hikyaku_types::destination::Destination;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    Nats,
    ask::{self, Topic},
    subject,
};

/// A wish that is not renewed for so long is over.
const LIFE: Duration = Duration::from_secs(10);
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Wishes at a time; more are not heard.
const MOST: usize = 8;
/// Lines that wait for the broker. Sessions wait for nobody: what does not fit is counted.
const BACKLOG: usize = 4_096;
/// A line is no place for a message.
const LONGEST: usize = 2_000;

/// Which sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Of clients in this network.
    Client(IpNet),
    /// With the next hops of this destination, as it is written.
    Destination(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Wish {
    id: String,
    target: Target,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The client said it: ours to a next hop, or another to us.
    Client,
    Server,
    /// Somebody asked the rules: what, by which line, and what came of it.
    Decision,
    /// What happened to the connection.
    Note,
}

/// Who wanted to send what, so that the way to the answer can be looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub client: IpAddr,
    pub is_submission: bool,
    pub identity: String,
    /// Its fingerprint.
    pub certificate: String,
    pub reverse_path: String,
    /// Empty: only the sender was asked about.
    pub forward_path: String,
}

/// One line of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub node: String,
    pub session: String,
    /// Milliseconds since 1970.
    pub at: u64,
    /// Milliseconds since the session was first seen.
    pub after: u64,
    pub kind: Kind,
    pub text: String,
    pub envelope: Option<Envelope>,
    /// Lines before this one that there was no room for.
    pub lost: u64,
}

/// The wishes of all who watch, in this process. A handle.
#[derive(Clone)]
pub struct Watches(Arc<Inner>);

struct Inner {
    node: String,
    /// So many, read without a lock.
    count: AtomicUsize,
    wishes: Mutex<Vec<Heard>>,
    /// Wishes that were ever heard.
    heard: AtomicU64,
    sessions: AtomicU64,
}

struct Heard {
    id: String,
    target: Target,
    renewed_at: Instant,
    sink: Arc<Sink>,
}

struct Sink {
    lines: mpsc::Sender<Vec<u8>>,
    lost: AtomicU64,
}

/// One session, for those who watch it. Clones are the same session.
#[derive(Clone)]
pub struct Watched(Arc<WatchedSession>);

struct WatchedSession {
    node: String,
    session: String,
    begun: Instant,
    /// The last wish that was looked at.
    heard: u64,
    /// They live as long as the wishes, and not as long as the sessions.
    sinks: Vec<Weak<Sink>>,
}

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches").field("count", &self.0.count).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("session", &self.0.session).finish_non_exhaustive()
    }
}

impl Watches {
    /// `node` stands in each line.
    pub fn new(node: &str) -> Self {
        Self(Arc::new(Inner {
            node: node.to_owned(),
            count: AtomicUsize::new(0),
            wishes: Mutex::default(),
            heard: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
        }))
    }

    /// Hears wishes for ever.
    pub async fn listen(self, nats: Nats) {
        let mut questions = ask::questions(&nats, Topic::Watch);
        let mut ticks = tokio::time::interval(LIFE / 2);
        loop {
            tokio::select! {
                question = questions.next() => {
                    let Some(question) = question else { return };
                    let Ok(wish) = serde_json::from_slice::<Wish>(&question.payload) else { continue };
                    let (client, reply) = question.way_back();
                    self.hear(wish, Instant::now(), || Sink::open(client, reply));
                }
                _ = ticks.tick() => self.forget(Instant::now()),
            }
        }
    }

    /// `before` is what the session has; who has begun to watch since sees it too, under its name.
    pub fn client(&self, client: IpAddr, before: Option<Watched>) -> Option<Watched> {
        self.session(before, |target| match target {
            Target::Client(network) => network.contains(&client),
            Target::Destination(_) => false,
        })
    }

    pub fn destination(&self, destination: &Destination, before: Option<Watched>) -> Option<Watched> {
        self.session(before, |target| match target {
            Target::Client(_) => false,
            Target::Destination(wanted) => destination.to_string().eq_ignore_ascii_case(wanted),
        })
    }

    fn session(&self, before: Option<Watched>, is_wanted: impl Fn(&Target) -> bool) -> Option<Watched> {
        if self.0.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        if let Some(before) = &before
            && before.0.heard == self.0.heard.load(Ordering::Relaxed)
            && !before.is_over()
        {
            return Some(before.clone());
        }
        let wishes = self.wishes();
        let heard = self.0.heard.load(Ordering::Relaxed);
        let sinks: Vec<_> = wishes
            .iter()
            .filter(|heard| is_wanted(&heard.target))
            .map(|heard| Arc::downgrade(&heard.sink))
            .collect();
        if sinks.is_empty() {
            return None;
        }
        let (session, begun) = match before {
            Some(before) => (before.0.session.clone(), before.0.begun),
            None => (format!("{:x}", self.0.sessions.fetch_add(1, Ordering::Relaxed)), Instant::now()),
        };
        let node = self.0.node.clone();
        Some(Watched(Arc::new(WatchedSession { node, session, begun, heard, sinks })))
    }

    fn hear(&self, Wish { id, target }: Wish, now: Instant, open: impl FnOnce() -> Sink) {
        let mut wishes = self.wishes();
        let is_full = wishes.len() >= MOST;
        match wishes.iter_mut().find(|heard| heard.id == id) {
            Some(heard) => heard.renewed_at = now,
            None if is_full => {
                tracing::warn!("somebody wants to watch sessions, but too many do already");
            }
            None => {
                tracing::info!(?target, "sessions are watched");
                wishes.push(Heard { id, target, renewed_at: now, sink: Arc::new(open()) });
                self.0.heard.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.0.count.store(wishes.len(), Ordering::Relaxed);
    }

    fn forget(&self, now: Instant) {
        let mut wishes = self.wishes();
        wishes.retain(|heard| now.duration_since(heard.renewed_at) < LIFE);
        self.0.count.store(wishes.len(), Ordering::Relaxed);
    }

    /// Nothing can panic while it is held, so a poisoned lock holds good wishes.
    fn wishes(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.0.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    fn open(client: Client, reply: Subject) -> Self {
        let (lines, mut waiting) = mpsc::channel::<Vec<u8>>(BACKLOG);
        tokio::spawn(async move {
            while let Some(line) = waiting.recv().await {
                if client.publish(reply.clone(), line.into()).await.is_err() {
                    return;
                }
            }
        });
        Self { lines, lost: AtomicU64::new(0) }
    }

    fn is_over(&self) -> bool {
        self.lines.is_closed()
    }
}

impl Watched {
    /// `text` may be what anybody has sent; it is shown as it is, up to a length.
    pub fn line(&self, kind: Kind, text: &str) {
        self.write(kind, text, None);
    }

    pub fn decision(&self, text: &str, envelope: Envelope) {
        self.write(Kind::Decision, text, Some(envelope));
    }

    /// Nobody watches any more.
    fn is_over(&self) -> bool {
        self.0.sinks.iter().all(|sink| sink.upgrade().is_none_or(|sink| sink.is_over()))
    }

    fn write(&self, kind: Kind, text: &str, envelope: Option<Envelope>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = Line {
            node: self.0.node.clone(),
            session: self.0.session.clone(),
            at: milliseconds(now),
            after: milliseconds(self.0.begun.elapsed()),
            kind,
            text: text[..text.floor_char_boundary(LONGEST)].to_owned(),
            envelope,
            lost: 0,
        };
        for sink in self.0.sinks.iter().filter_map(Weak::upgrade) {
            // Sessions that write at the same time must not tell of the same lines.
            let line = Line { lost: sink.lost.swap(0, Ordering::Relaxed), ..line.clone() };
            // Records of plain fields cannot fail to be written.
            let json = serde_json::to_vec(&line).unwrap_or_default();
            match sink.lines.try_send(json) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => _ = sink.lost.fetch_add(line.lost + 1, Ordering::Relaxed),
                Err(TrySendError::Closed(_)) => {}
            }
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The lines of all processes, for as long as it is polled.
pub async fn watch(nats: &Nats, target: Target) -> Option<impl Stream<Item = Line> + Send + use<>> {
    let client = nats.client.clone();
    let inbox = client.new_inbox();
    let messages = client.subscribe(inbox.clone()).await.ok()?;
    let wish = serde_json::to_vec(&Wish { id: inbox.clone(), target }).ok()?;
    let renewal = async move {
        let mut ticks = tokio::time::interval(RENEW_EVERY);
        loop {
            ticks.tick().await;
            let wish = wish.clone().into();
            if client.publish_with_reply(subject::WATCH, inbox.clone(), wish).await.is_err() {
                tracing::debug!("a wish to watch was not renewed");
            }
        }
    };
    let renewal = stream::once(renewal).filter_map(|()| std::future::ready(None));
    // A line of a later version that cannot be read is passed over.
    let lines = messages
        .filter_map(|message| std::future::ready(serde_json::from_slice::<Line>(&message.payload).ok()));
    Some(stream::select(lines, renewal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        Instant::now()
    }

    fn wish(id: &str, target: Target) -> Wish {
        Wish { id: id.to_owned(), target }
    }

    fn sink(room: usize) -> (Sink, mpsc::Receiver<Vec<u8>>) {
        let (lines, waiting) = mpsc::channel(room);
        (Sink { lines, lost: AtomicU64::new(0) }, waiting)
    }

    fn next(waiting: &mut mpsc::Receiver<Vec<u8>>) -> Line {
        serde_json::from_slice(&waiting.try_recv().unwrap()).unwrap()
    }

    #[test]
    fn only_what_fits_is_watched_and_only_as_long_as_it_is_wanted() {
        let watches = Watches::new("gw-1");
        let (now, client) = (start(), IpAddr::from([192, 0, 2, 1]));
        assert!(watches.client(client, None).is_none());
        let (to_us, mut lines) = sink(9);
        watches.hear(wish("a", Target::Client("192.0.2.0/24".parse().unwrap())), now, || to_us);
        let (to_them, _others) = sink(9);
        watches.hear(wish("b", Target::Destination("Example.ORG".to_owned())), now, || to_them);
        assert!(watches.client([198, 51, 100, 1].into(), None).is_none());
        assert!(watches.destination(&"example.org".parse().unwrap(), None).is_some());
        assert!(watches.destination(&"[example.org]:25".parse().unwrap(), None).is_none());
        let watched = watches.client(client, None).unwrap();
        watched.line(Kind::Client, "EHLO x");
        let line = next(&mut lines);
        assert_eq!((line.node.as_str(), line.kind, line.text.as_str()), ("gw-1", Kind::Client, "EHLO x"));

        watches.hear(wish("a", Target::Client("192.0.2.0/24".parse().unwrap())), now + LIFE / 2, || {
            unreachable!("a wish that is known is renewed")
        });
        watches.forget(now + LIFE);
        assert!(watches.destination(&"example.org".parse().unwrap(), None).is_none());
        assert!(watches.client(client, None).is_some() && !watched.is_over());
        drop(lines);
        assert!(watched.is_over());
        watches.forget(now + LIFE * 2);
        assert_eq!(watches.0.count.load(Ordering::Relaxed), 0);
    }

    /// Or long sessions would send lines to nobody, and would not see who watches next.
    #[test]
    fn a_session_knows_that_the_wish_is_over() {
        let (watches, client) = (Watches::new("gw-1"), IpAddr::from([192, 0, 2, 1]));
        let (first, mut lines) = sink(9);
        watches.hear(wish("a", Target::Client(client.into())), start(), || first);
        let watched = watches.client(client, None).unwrap();
        watches.forget(start() + LIFE * 2);
        assert!(watched.is_over());
        watched.line(Kind::Client, "for nobody");
        assert!(matches!(lines.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }

    #[test]
    fn who_begins_to_watch_later_sees_the_same_session() {
        let (watches, client) = (Watches::new("gw-1"), IpAddr::from([192, 0, 2, 1]));
        let ((first, mut lines), (second, mut others)) = (sink(9), sink(9));
        watches.hear(wish("a", Target::Client(client.into())), start(), || first);
        let watched = watches.client(client, None);
        watches.hear(wish("b", Target::Client(client.into())), start(), || second);
        watches.client(client, watched).unwrap().line(Kind::Client, "NOOP");
        assert_eq!(next(&mut lines), next(&mut others));
    }

    #[test]
    fn there_is_an_end_to_wishes_and_to_lines() {
        let watches = Watches::new("gw-1");
        let all: IpNet = "0.0.0.0/0".parse().unwrap();
        let (first, mut lines) = sink(1);
        watches.hear(wish("0", Target::Client(all)), start(), || first);
        for id in 1..20 {
            watches.hear(wish(&id.to_string(), Target::Client(all)), start(), || sink(1).0);
        }
        assert_eq!(watches.wishes().len(), MOST);
        let watched = watches.client([192, 0, 2, 1].into(), None).unwrap();
        for text in ["kept", "lost", "lost"] {
            watched.line(Kind::Server, text);
        }
        assert_eq!(next(&mut lines).lost, 0);
        watched.line(Kind::Server, &"\u{fc}".repeat(LONGEST));
        let line = next(&mut lines);
        assert_eq!((line.lost, line.text.len()), (2, LONGEST));
        watched.line(Kind::Server, "again");
        assert_eq!(next(&mut lines).lost, 0);
    }
}
