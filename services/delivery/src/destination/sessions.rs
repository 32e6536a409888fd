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
    /// `used`: it has carried a message.
    Ready { since: Instant, used: bool },
    /// With an entry of this client.
    Busy(u64),
    /// It takes nothing more and is not gone yet.
    Closing,
}

impl Session {
    fn is_alive(self) -> bool {
        !matches!(self, Self::Opening(_))
    }
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

    /// A session that was told to close stays so.
    pub(crate) fn ready(&mut self, session: SessionId, used: bool, now: Instant) {
        if let Some((_, state)) = self.all.get_mut(&session)
            && *state != Session::Closing
        {
            *state = Session::Ready { since: now, used };
        }
    }

    /// It counts until it is gone.
    pub(crate) fn closing(&mut self, session: SessionId) {
        if let Some((_, state)) = self.all.get_mut(&session) {
            *state = Session::Closing;
        }
    }

    pub(crate) fn remove(&mut self, session: SessionId) -> Option<EgressId> {
        self.all.remove(&session).map(|(egress, _)| egress)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those that have had their greeting.
    pub(crate) fn alive(&self) -> usize {
        self.all.values().filter(|(_, state)| state.is_alive()).count()
    }

    pub(crate) fn any_alive(&self, egress: EgressId) -> bool {
        self.all.values().any(|(of, state)| *of == egress && state.is_alive())
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
            Session::Opening(_) | Session::Ready { .. } | Session::Busy(_) | Session::Closing => None,
        })
    }

    pub(crate) fn any(&self, egress: EgressId) -> bool {
        self.all.values().any(|(of, state)| *of == egress && *state != Session::Closing)
    }

    pub(crate) fn any_ready(&self, egress: EgressId) -> bool {
        self.all.values().any(|(of, state)| *of == egress && matches!(state, Session::Ready { .. }))
    }

    pub(crate) fn all_ready(&self) -> Vec<(SessionId, EgressId)> {
        self.ready_where(|_| true)
    }

    /// Those of the ready ones that have carried a message.
    pub(crate) fn all_used(&self) -> Vec<(SessionId, EgressId)> {
        self.ready_where(|used| used)
    }

    fn ready_where(&self, wanted: impl Fn(bool) -> bool) -> Vec<(SessionId, EgressId)> {
        let ready = self
            .all
            .iter()
            .filter(|(_, (_, state))| matches!(state, Session::Ready { used, .. } if wanted(*used)));
        ready.map(|(session, (egress, _))| (*session, *egress)).collect()
    }

    /// Those that were not told to close.
    pub(crate) fn staying(&self) -> usize {
        self.all.values().filter(|(_, state)| *state != Session::Closing).count()
    }

    pub(crate) fn all_opening(&self) -> Vec<SessionId> {
        self.those(|state| matches!(state, Session::Opening(_)))
    }

    pub(crate) fn idle_since(&self, now: Instant, time: Duration) -> Vec<SessionId> {
        self.those(|state| match state {
            Session::Ready { since, .. } => now.duration_since(*since) >= time,
            Session::Opening(_) | Session::Busy(_) | Session::Closing => false,
        })
    }

    fn those(&self, wanted: impl Fn(&Session) -> bool) -> Vec<SessionId> {
        self.all.iter().filter(|(_, (_, state))| wanted(state)).map(|(session, _)| *session).collect()
    }
}
