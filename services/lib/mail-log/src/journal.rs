//! The process's log.

use std::{
    fmt,
    sync::{Arc, OnceLock, RwLock},
    time::SystemTime,
};

use crate::{Entry, Event, Place, Sink};

struct Journal {
    place: Place,
    connections: bool,
    sinks: RwLock<Vec<Arc<dyn Sink>>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("place", &self.place).finish_non_exhaustive()
    }
}

static JOURNAL: OnceLock<Journal> = OnceLock::new();

/// Events before this go nowhere; a second call changes nothing. `connections` says whether connections are recorded.
pub fn begin(place: Place, connections: bool, sinks: Vec<Arc<dyn Sink>>) {
    let _ = JOURNAL.set(Journal { place, connections, sinks: RwLock::new(sinks) });
}

/// One more, for what happens from now on.
pub fn add(sink: Arc<dyn Sink>) {
    if let Some(journal) = JOURNAL.get()
        && let Ok(mut sinks) = journal.sinks.write()
    {
        sinks.push(sink);
    }
}

/// Connections are events too.
pub fn connections_are_wanted() -> bool {
    JOURNAL.get().is_some_and(|journal| journal.connections)
}

/// `event` is made only when somebody wants it.
pub fn record(event: impl FnOnce() -> Event) {
    let Some(journal) = JOURNAL.get() else { return };
    let Ok(sinks) = journal.sinks.read() else { return };
    if sinks.is_empty() {
        return;
    }
    match Entry::new(event(), &journal.place, SystemTime::now()) {
        Ok(entry) => {
            let entry = Arc::new(entry);
            sinks.iter().for_each(|sink| sink.write(&entry));
        }
        // Never: no key of these types is anything but text.
        Err(error) => tracing::error!(%error, "an event of the mail log cannot be written"),
    }
}

/// Before the process ends.
pub fn flush() {
    if let Some(journal) = JOURNAL.get()
        && let Ok(sinks) = journal.sinks.read()
    {
        sinks.iter().for_each(|sink| sink.flush());
    }
}
