//! The listeners that are open. They may change while sessions go on (SEED-130): what is new is bound first,
//! and what is not wanted any more accepts nothing, but ends nobody.

use std::{fmt, net::SocketAddr, sync::Arc};

use tokio::sync::{Mutex, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    app::Context,
    connection::Door,
    listener,
    service::{Listening, Service},
};

/// An address as it is written in the configuration, and what it is for.
pub type Wanted = (SocketAddr, Service);

/// A handle; clones are the same listeners.
#[derive(Clone)]
pub struct Listeners(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    open: Mutex<Vec<Open>>,
    addresses: watch::Sender<Vec<SocketAddr>>,
}

struct Open {
    /// As it is written in the configuration; the port may be 0.
    wanted: SocketAddr,
    bound: SocketAddr,
    service: Service,
    door: watch::Sender<Arc<Door>>,
    _stop: DropGuard,
}

impl Open {
    /// It can go on, perhaps with another banner.
    fn is_as(&self, wanted: SocketAddr, service: &Service) -> bool {
        self.wanted == wanted && self.service.listener == service.listener && self.service.tls == service.tls
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listeners").field(&*self.0.addresses.borrow()).finish()
    }
}

impl Listeners {
    pub(crate) fn new(context: Arc<Context>, bound: &[Listening]) -> Self {
        let addresses = bound.iter().filter_map(|listening| listening.socket.local_addr().ok()).collect();
        let addresses = watch::Sender::new(addresses);
        Self(Arc::new(Inner { context, open: Mutex::default(), addresses }))
    }

    /// Where mail is taken, as it changes.
    pub fn addresses(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.0.addresses.subscribe()
    }

    pub(crate) async fn open(&self, all: Vec<Listening>) {
        let mut open = self.0.open.lock().await;
        open.extend(all.into_iter().filter_map(|listening| self.0.open(listening)));
    }

    /// Those of `wanted` that are to be bound.
    pub async fn missing(&self, wanted: &[Wanted]) -> Vec<Wanted> {
        matched(&self.0.open.lock().await, wanted).missing
    }

    /// Opens those that are `bound` now and closes what is not wanted.
    pub async fn change(&self, wanted: &[Wanted], bound: Vec<Listening>) {
        let mut open = self.0.open.lock().await;
        let mut kept = matched(&open, wanted).kept.into_iter();
        open.retain_mut(|open| {
            let Some(service) = kept.next().flatten() else { return false };
            if open.service != service {
                open.door.send_replace(Arc::new(Door::new(service.clone(), &self.0.context)));
                open.service = service;
            }
            true
        });
        open.extend(bound.into_iter().filter_map(|listening| self.0.open(listening)));
        self.0.addresses.send_replace(open.iter().map(|open| open.bound).collect());
    }
}

struct Matched {
    /// For each that is open, what it goes on as.
    kept: Vec<Option<Service>>,
    missing: Vec<Wanted>,
}

/// The same address may be wanted several times, when its port is any.
fn matched(open: &[Open], wanted: &[Wanted]) -> Matched {
    let mut matched = Matched { kept: vec![None; open.len()], missing: Vec::new() };
    for (address, service) in wanted {
        let free = open.iter().zip(&mut matched.kept).filter(|(_, kept)| kept.is_none());
        match free.into_iter().find(|(open, _)| open.is_as(*address, service)) {
            Some((_, kept)) => *kept = Some(service.clone()),
            None => matched.missing.push((*address, service.clone())),
        }
    }
    matched
}

impl Inner {
    fn open(&self, Listening { socket, address, service }: Listening) -> Option<Open> {
        let bound = socket.local_addr().ok()?;
        let door = watch::Sender::new(Arc::new(Door::new(service.clone(), &self.context)));
        let stop = CancellationToken::new();
        let accepting = listener::accept(socket, door.subscribe(), stop.clone(), Arc::clone(&self.context));
        self.context.tasks.spawn(accepting);
        Some(Open { wanted: address, bound, service, door, _stop: stop.drop_guard() })
    }
}
