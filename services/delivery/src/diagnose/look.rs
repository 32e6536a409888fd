//! Resolvers, hosts and addresses, and a call at each.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::SystemTime,
};

use futures::StreamExt as _;
use hikyaku_doctor::{
    diagnose::{
        View,
        view::{Contact, Envelope, Host, Names, Origin, ResolverSeen, Said},
    },
    facts::Lookup,
};
use hikyaku_route::{
    plan::RouteError,
    resolver::Resolver,
    sts::{StsMode, StsPolicy},
    way::{ServerHealth, Waypoint},
};
use hikyaku_types::{
    address::Mailbox,
    destination::{Destination, HostName},
};

use super::{
    Limits, Question,
    contact::{Caller, is_positive},
    dialog::Dialog,
};
use crate::{
    connection::{demand, opening::IMPLICIT_TLS_PORT, security::TlsPolicy},
    context::Context,
};

/// As a delivery does (SEED-151).
const MAX_HOSTS: usize = 5;
/// Addresses of one destination that are called.
const MAX_ADDRESSES: usize = 50;
/// At the same time.
const PARALLEL: usize = 16;

/// A host, why it is one, and its addresses with their lifetime.
type Found = (HostName, Origin, Result<Addresses, RouteError>);

struct Addresses {
    all: Vec<IpAddr>,
    ttl: Option<u32>,
    is_mapped: bool,
}

pub(super) async fn look(context: &Context, question: &Question) -> View {
    let limits = Limits::new(question.patience);
    // Names are asked afresh: who has mended a record sees it.
    let resolver = context.resolver.afresh().unwrap_or_else(|_| context.resolver.clone());
    let destination = &question.destination;
    let domain = match destination {
        Destination::Mx(domain) => Some(domain),
        Destination::Host { host: HostName::Name(name), .. } => Some(name),
        Destination::Host { host: HostName::Address(_), .. } => None,
    };
    let half = limits.left(question.patience / 2);
    let hosts = async {
        let found = tokio::time::timeout(half, hosts(context, &resolver, destination)).await;
        let why = || RouteError::TryAgain(format!("no answer of the DNS within {} s", half.as_secs()));
        found.unwrap_or_else(|_| Err(why()))
    };
    let (servers, hosts) = tokio::join!(resolver.servers(domain), hosts);
    let caller = caller(context, question, limits);
    let (sts, published) = sts(&caller, destination).await;
    let (names, envelope) = match hosts {
        Ok(hosts) => call(&caller, question, hosts, sts.as_ref()).await,
        Err(RouteError::TryAgain(why)) => (Names::Unanswered(why), not_possible(question)),
        Err(error) => (Names::Never(error.to_string()), not_possible(question)),
    };
    let port = caller.port;
    let is_alike = |other: &Destination| port_of(context, other) == port;
    let mut past = context.history.past(destination, std::time::Instant::now(), is_alike);
    let holds = context.holds.holds();
    past.held = holds.is_held(destination, SystemTime::now()).map(|hold| hold.reason.clone());
    View {
        node: context.config.node.clone(),
        resolvers: servers.into_iter().map(resolver_seen).collect(),
        destination: destination.to_string(),
        decided_by: question.decided_by.clone(),
        names,
        published,
        envelope,
        past,
    }
}

fn caller<'a>(context: &'a Context, question: &Question, limits: Limits) -> Caller<'a> {
    let port = port_of(context, &question.destination);
    let is_implicit = matches!(question.destination, Destination::Host { port: IMPLICIT_TLS_PORT, .. });
    Caller {
        context,
        security: context.security(&question.destination),
        egress: context.egress(&question.sender, &question.destination),
        port,
        is_implicit,
        limits,
    }
}

fn port_of(context: &Context, destination: &Destination) -> u16 {
    match destination {
        Destination::Mx(_) => context.config.mx_port,
        Destination::Host { port, .. } => *port,
    }
}

fn resolver_seen(health: ServerHealth) -> ResolverSeen {
    let answer = health.answer.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    ResolverSeen { server: health.server.to_string(), answer }
}

/// Those of a delivery, with their addresses.
async fn hosts(
    context: &Context,
    resolver: &Resolver,
    destination: &Destination,
) -> Result<Vec<Found>, RouteError> {
    let map = context.policy.hosts();
    let mut way: Vec<(Waypoint, Origin)> = match (resolver.way(destination).await, destination) {
        // A domain without MX records may have its addresses in the host map alone (SEED-152).
        (Err(_), Destination::Mx(domain)) if map.addresses(domain).is_some() => {
            vec![(Waypoint { host: HostName::Name(domain.clone()), mx: None }, Origin::Domain)]
        }
        (way, _) => {
            let with_origin = |point: Waypoint| {
                let origin = origin(destination, &point);
                (point, origin)
            };
            way?.into_iter().take(MAX_HOSTS).map(with_origin).collect()
        }
    };
    if let Destination::Mx(domain) = destination {
        let host = HostName::Name(domain.clone());
        let is_wanted = context.policy.traffic().destination(destination).a_after_mx_failure == Some(true);
        if is_wanted && !way.iter().any(|(point, _)| point.host == host) {
            way.push((Waypoint { host, mx: None }, Origin::BehindMx));
        }
    }
    let found = way.into_iter().map(|(point, origin)| {
        let mapped = match &point.host {
            HostName::Name(name) => map.addresses(name).map(<[IpAddr]>::to_vec),
            HostName::Address(_) => None,
        };
        async move {
            let addresses = match mapped {
                Some(all) => Ok(Addresses { all, ttl: None, is_mapped: true }),
                None => resolver.addresses_with_ttl(&point.host).await.map(|(all, ttl)| Addresses {
                    all,
                    ttl,
                    is_mapped: false,
                }),
            };
            (point.host, origin, addresses)
        }
    });
    Ok(futures::future::join_all(found).await)
}

fn origin(destination: &Destination, point: &Waypoint) -> Origin {
    match (destination, point.mx) {
        (Destination::Host { .. }, _) => Origin::Route,
        (Destination::Mx(_), Some((preference, ttl))) => Origin::Mx { preference, ttl },
        (Destination::Mx(_), None) => Origin::Domain,
    }
}

/// Each address is called; about sender and recipient the first is asked that a delivery would use.
async fn call(
    caller: &Caller<'_>,
    question: &Question,
    found: Vec<Found>,
    sts: Option<&Arc<StsPolicy>>,
) -> (Names, Envelope) {
    let policies = found.iter().map(|(host, ..)| policy(caller, question, host, sts));
    let policies = futures::future::join_all(policies).await;
    let mut calls = Vec::new();
    for (place, ((host, _, addresses), policy)) in found.iter().zip(&policies).enumerate() {
        let Ok(addresses) = addresses else { continue };
        for address in &addresses.all {
            let address = SocketAddr::new(*address, caller.port);
            calls.push(async move { (place, caller.call(host, address, addresses.is_mapped, policy).await) });
        }
    }
    calls.truncate(MAX_ADDRESSES);
    let mut called: Vec<Vec<Contact>> = found.iter().map(|_| Vec::new()).collect();
    let mut dialogs = Vec::new();
    let mut calling = futures::stream::iter(calls).buffered(PARALLEL);
    while let Some((place, (contact, dialog))) = calling.next().await {
        dialogs.extend(dialog.map(|dialog| (contact.address, dialog)));
        if let Some(of_host) = called.get_mut(place) {
            of_host.push(contact);
        }
    }
    drop(calling);
    let envelope = envelope(caller, question, dialogs).await;
    let hosts = found.into_iter().zip(called).map(|((host, origin, addresses), contacts)| {
        let ttl = addresses.as_ref().ok().and_then(|addresses| addresses.ttl);
        let addresses = match addresses {
            Ok(_) => Lookup::Found(contacts),
            Err(RouteError::TryAgain(why)) => Lookup::Failed(why),
            Err(RouteError::NoSuchDomain | RouteError::NullMx | RouteError::NoAddress | RouteError::Loop) => {
                Lookup::None
            }
        };
        Host { name: host.to_string(), origin, addresses, ttl }
    });
    (Names::Hosts(hosts.collect()), envelope)
}

/// What a delivery would ask of this host, or why it would send nothing there.
async fn policy(
    caller: &Caller<'_>,
    question: &Question,
    host: &HostName,
    sts: Option<&Arc<StsPolicy>>,
) -> Result<TlsPolicy, String> {
    let Caller { context, security, port, limits, .. } = caller;
    let asking = demand::of_host(context, &question.destination, sts, host, *port, &security.tls);
    let limit = limits.left(limits.reply);
    match tokio::time::timeout(limit, asking).await {
        Ok(Ok(demand)) => Ok(demand.policy),
        Ok(Err(failure)) => Err(failure.cause.to_string()),
        Err(_) => {
            Err(format!("whether host {host} has TLSA records was not known within {} s", limit.as_secs()))
        }
    }
}

fn not_possible(question: &Question) -> Envelope {
    match question.recipient {
        Some(_) => Envelope::NotPossible("there is no session to ask in".to_owned()),
        None => Envelope::NotAsked,
    }
}

async fn envelope(caller: &Caller<'_>, question: &Question, dialogs: Vec<(SocketAddr, Dialog)>) -> Envelope {
    let mut dialogs = dialogs.into_iter();
    let envelope = match &question.recipient {
        None => Envelope::NotAsked,
        Some(_) if caller.security.login.is_some() => Envelope::NotPossible(
            "the rules name a login for this destination, which is not tried".to_owned(),
        ),
        Some(recipient) => match dialogs.next() {
            Some((at, mut dialog)) => {
                let envelope = asked(at, &mut dialog, question, recipient).await;
                dialog.quit().await;
                envelope
            }
            None => not_possible(question),
        },
    };
    futures::future::join_all(dialogs.map(|(_, dialog)| dialog.quit())).await;
    envelope
}

/// RSET and QUIT follow, never DATA.
async fn asked(at: SocketAddr, dialog: &mut Dialog, question: &Question, recipient: &Mailbox) -> Envelope {
    let mail = dialog.say(&format!("MAIL FROM:<{}>", question.sender)).await;
    let rcpt = match is_positive(&mail) {
        true => Some(dialog.say(&format!("RCPT TO:<{recipient}>")).await),
        false => None,
    };
    if !matches!(rcpt, Some(Said::Nothing(_))) && is_positive(&mail) {
        dialog.say("RSET").await;
    }
    Envelope::Asked { at, mail, rcpt }
}

/// The policy that deliveries go by, and what is said of it.
async fn sts(caller: &Caller<'_>, destination: &Destination) -> (Option<Arc<StsPolicy>>, Vec<String>) {
    let Destination::Mx(domain) = destination else { return (None, Vec::new()) };
    if caller.security.tls == TlsPolicy::Off {
        return (None, Vec::new());
    }
    let limit = caller.limits.left(caller.limits.reply);
    match tokio::time::timeout(limit, caller.context.sts_policy(domain)).await {
        Ok(Some(policy)) => {
            let mode = match policy.mode {
                StsMode::Enforce => "enforced",
                StsMode::Testing => "being tested",
                StsMode::None => "withdrawn",
            };
            let said = format!("the MTA-STS policy of {domain} is {mode}");
            (Some(policy), vec![said])
        }
        Ok(None) => (None, Vec::new()),
        Err(_) => {
            (None, vec![format!("the MTA-STS policy of {domain} was not had within {} s", limit.as_secs())])
        }
    }
}
