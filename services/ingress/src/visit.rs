//! One connection in the mail log: its name stands in all of its events, and its end says what came of it.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use hikyaku_mail_log::{
    Event, connections_are_wanted,
    event::{Connected, Disconnected},
    record,
};
use hikyaku_types::{address::Mailbox, origin::Listener};

#[derive(Debug)]
pub(crate) struct Visit {
    name: String,
    began: Instant,
    accepted: AtomicU32,
    refused: AtomicU32,
    guest: Mutex<Guest>,
}

/// What the client has said and shown so far.
#[derive(Debug, Clone)]
struct Guest {
    client: IpAddr,
    helo: Option<String>,
    identity: Option<String>,
    tls: &'static str,
}

impl Visit {
    pub(crate) fn begin(client: IpAddr, port: Option<u16>, listener: Listener) -> Self {
        let name = format!("{:016x}", rand::random::<u64>());
        if connections_are_wanted() {
            record(|| {
                let (client, listener) = (client.to_string(), listener.name().to_owned());
                Event::Connected(Connected { session: name.clone(), client, port, listener })
            });
        }
        let guest = Mutex::new(Guest { client, helo: None, identity: None, tls: "none" });
        let (accepted, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { name, began: Instant::now(), accepted, refused, guest }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The client may be another one than before, when a proxy says so.
    pub(crate) fn is_of(&self, client: IpAddr, helo: &str, identity: Option<&Mailbox>, tls: &'static str) {
        if !connections_are_wanted() {
            return;
        }
        let (helo, identity) = (Some(helo.to_owned()), identity.map(ToString::to_string));
        *self.guest.lock().unwrap_or_else(PoisonError::into_inner) = Guest { client, helo, identity, tls };
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !connections_are_wanted() {
            return;
        }
        let guest = self.guest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        record(|| {
            Event::Disconnected(Disconnected {
                session: std::mem::take(&mut self.name),
                client: guest.client.to_string(),
                helo: guest.helo,
                identity: guest.identity,
                tls: guest.tls.to_owned(),
                accepted: *self.accepted.get_mut(),
                refused: *self.refused.get_mut(),
                seconds: self.began.elapsed().as_secs_f64(),
            })
        });
    }
}
