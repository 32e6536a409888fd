//! Next hops, as a delivery would reach them: from the same address, with the host map before the DNS.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    net::SocketAddr,
    time::Duration,
};

use futures::StreamExt as _;
use hikyaku_doctor::facts::{Contact, Lookup, Outcome, Peer};
use hikyaku_policy_client::overview::Overview;
use hikyaku_route::resolver::Resolver;
use hikyaku_runtime::{
    error_chain::chain,
    tls::{ClientStream, Trust},
};
use hikyaku_types::{
    address::ReversePath,
    destination::{Destination, HostName, SMTP_PORT},
    domain::Domain,
    outcome::LocalErrorKind,
    traffic::EgressAddress,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::records;
use crate::{
    connection::{local_error::describe, opening::IMPLICIT_TLS_PORT, source},
    context::Context,
};

const CONNECT: Duration = Duration::from_secs(5);
/// Who pauses before the greeting waits some seconds, and no longer than this.
const GREETING: Duration = Duration::from_secs(10);
/// RFC 5321 4.5.3.1.5.
const LONGEST_LINE: usize = 512;
/// Peers at the same time.
const PARALLEL: usize = 100;

pub(super) async fn peers(
    context: &Context,
    resolver: &Resolver,
    hops: &[(String, Destination)],
) -> Vec<Peer> {
    let mut peers = Vec::new();
    for (place, destination) in hops {
        if let Destination::Host { host, port } = destination {
            peers.push(peer(context, resolver, place, destination, host, *port));
        }
    }
    futures::stream::iter(peers).buffered(PARALLEL).collect().await
}

async fn peer(
    context: &Context,
    resolver: &Resolver,
    place: &str,
    destination: &Destination,
    host: &HostName,
    port: u16,
) -> Peer {
    let addresses = match host {
        HostName::Address(address) => Lookup::Found(vec![*address]),
        HostName::Name(name) => match context.policy.hosts().addresses(name) {
            Some(addresses) => Lookup::Found(addresses.to_vec()),
            None => records::addresses(resolver, name).await,
        },
    };
    let contacts = match addresses {
        Lookup::Found(addresses) => {
            let egress = context.egress(&ReversePath::Null, destination);
            let mut contacts = Vec::new();
            for address in addresses {
                let address = SocketAddr::new(address, port);
                contacts.push(contact(context, host, address, egress.as_ref()));
            }
            Lookup::Found(futures::future::join_all(contacts).await)
        }
        Lookup::None => Lookup::None,
        Lookup::Failed(why) => Lookup::Failed(why),
    };
    let name = match host {
        HostName::Address(address) => SocketAddr::new(*address, port).to_string(),
        HostName::Name(name) => format!("{name}:{port}"),
    };
    Peer { seen_from: context.config.node.clone(), place: place.to_owned(), name, contacts }
}

async fn contact(
    context: &Context,
    host: &HostName,
    address: SocketAddr,
    egress: Option<&EgressAddress>,
) -> Contact {
    let outcome = greeting(context, host, address, egress).await;
    let usual = SocketAddr::new(address.ip(), SMTP_PORT);
    let greets_on_25 = outcome == Outcome::Refused
        && usual != address
        && matches!(greeting(context, host, usual, egress).await, Outcome::Said(_));
    Contact { address, outcome, greets_on_25 }
}

async fn greeting(
    context: &Context,
    host: &HostName,
    address: SocketAddr,
    egress: Option<&EgressAddress>,
) -> Outcome {
    let stream = match tokio::time::timeout(CONNECT, source::connect(address, egress)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind == LocalErrorKind::REFUSED => return Outcome::Refused,
        Ok(Err(error)) => return Outcome::Silent(error.what),
        Err(_) => return Outcome::Silent(format!("no connection within {} s", CONNECT.as_secs())),
    };
    let mut stream = ClientStream::Plain(stream);
    if address.port() == IMPLICIT_TLS_PORT {
        stream = match context.tls.secure(stream, &host.to_string(), &Trust::Any).await {
            Ok((stream, _)) => stream,
            Err(error) => return Outcome::Silent(format!("no TLS: {}", chain(&error))),
        };
    }
    let said = tokio::time::timeout(GREETING, first_line(&mut stream)).await;
    // It is closed either way.
    let _ = stream.write_all(b"QUIT\r\n").await;
    let _ = stream.flush().await;
    match said {
        Ok(Ok(line)) if line.is_empty() => Outcome::Silent("it hung up without a greeting".to_owned()),
        Ok(Ok(line)) => Outcome::Said(line),
        Ok(Err(error)) => Outcome::Silent(describe(&error)),
        Err(_) => Outcome::Silent(format!("no greeting within {} s", GREETING.as_secs())),
    }
}

async fn first_line(stream: &mut ClientStream) -> std::io::Result<String> {
    let mut line = Vec::with_capacity(LONGEST_LINE);
    while line.len() < LONGEST_LINE {
        match stream.read_u8().await {
            Ok(b'\n') => break,
            Ok(octet) => line.push(octet),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// The addresses that stand behind the next hop of each own domain.
pub(super) fn inner(peers: &[Peer], overview: &Overview) -> BTreeMap<Domain, BTreeSet<SocketAddr>> {
    let known: BTreeMap<&Destination, &Peer> = overview
        .next_hops
        .iter()
        .filter(|(_, destination)| matches!(destination, Destination::Host { .. }))
        .map(|(_, destination)| destination)
        .zip(peers)
        .collect();
    let addresses = |destination| match known.get(destination).map(|peer| &peer.contacts) {
        Some(Lookup::Found(contacts)) => contacts.iter().map(|contact| contact.address).collect(),
        Some(Lookup::None | Lookup::Failed(_)) | None => BTreeSet::new(),
    };
    overview.own_domains.iter().map(|(domain, hop)| (domain.clone(), addresses(hop))).collect()
}
