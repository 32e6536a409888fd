//! The sessions of one destination.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::destination::brain::{EgressId, SessionId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// For an entry of this client.
    Opening(u64),
    Ready {
        since: Instant,
    },
    /// With an entry of this client.
    Busy(u64),
}

#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: BTreeMap<SessionId, (EgressId, Session)>,
    next: u64,
}

impl Sessions {
    pub(crate) fn open(&mut self, egress: EgressId, client: u64) -> SessionId {
        let session = SessionId(self.next);
        self.next += 1;
        self.all.insert(session, (egress, Session::Opening(client)));
        session
    }

    pub(crate) fn set(&mut self, session: SessionId, egress: EgressId, state: Session) {
        self.all.insert(session, (egress, state));
    }

    /// A session that was closed meanwhile stays closed.
    pub(crate) fn ready(&mut self, session: SessionId, now: Instant) {
        if let Some((_, state)) = self.all.get_mut(&session) {
            *state = Session::Ready { since: now };
        }
    }

    pub(crate) fn remove(&mut self, session: SessionId) {
        self.all.remove(&session);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those that have had their greeting.
    pub(crate) fn alive(&self) -> usize {
        self.all.values().filter(|(_, state)| !matches!(state, Session::Opening(_))).count()
    }

    pub(crate) fn busy(&self) -> usize {
        self.all.values().filter(|(_, state)| matches!(state, Session::Busy(_))).count()
    }

    pub(crate) fn busy_for(&self, client: u64) -> usize {
        self.all.values().filter(|(_, state)| *state == Session::Busy(client)).count()
    }

    pub(crate) fn charged_to(&self, client: u64) -> usize {
        let is_charged =
            |state: &Session| matches!(state, Session::Busy(of) | Session::Opening(of) if *of == client);
        self.all.values().filter(|(_, state)| is_charged(state)).count()
    }

    /// The clients for whom sessions are being opened.
    pub(crate) fn opening_for(&self, egress: EgressId) -> impl Iterator<Item = u64> {
        self.all.values().filter_map(move |(of, state)| match state {
            Session::Opening(client) if *of == egress => Some(*client),
            Session::Opening(_) | Session::Ready { .. } | Session::Busy(_) => None,
        })
    }

    pub(crate) fn any(&self, egress: EgressId) -> bool {
        self.all.values().any(|(of, _)| *of == egress)
    }

    pub(crate) fn any_ready(&self, egress: EgressId) -> bool {
        self.all.values().any(|(of, state)| *of == egress && matches!(state, Session::Ready { .. }))
    }

    pub(crate) fn all_ready(&self) -> Vec<(SessionId, EgressId)> {
        let ready = self.all.iter().filter(|(_, (_, state))| matches!(state, Session::Ready { .. }));
        ready.map(|(session, (egress, _))| (*session, *egress)).collect()
    }

    pub(crate) fn not_busy(&self) -> Vec<SessionId> {
        self.those(|state| !matches!(state, Session::Busy(_)))
    }

    pub(crate) fn idle_since(&self, now: Instant, time: Duration) -> Vec<SessionId> {
        self.those(|state| match state {
            Session::Ready { since } => now.duration_since(*since) >= time,
            Session::Opening(_) | Session::Busy(_) => false,
        })
    }

    fn those(&self, wanted: impl Fn(&Session) -> bool) -> Vec<SessionId> {
        self.all.iter().filter(|(_, (_, state))| wanted(state)).map(|(session, _)| *session).collect()
    }
}
