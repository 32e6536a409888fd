//! Next hops: can they be reached, do they speak, are they ourselves? (SEED-004, SEED-222, SEED-229)

use std::net::{IpAddr, SocketAddr};

use crate::{
    code::Code,
    facts::{Contact, Facts, Lookup, Outcome, Peer},
    finding::Finding,
};

/// What several nodes see alike is one finding, with their names.
pub(crate) fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<(Finding, Vec<&str>)> = Vec::new();
    for peer in &facts.peers {
        for finding in of_peer(peer, facts) {
            match findings.iter_mut().find(|(known, _)| *known == finding) {
                Some((_, nodes)) => nodes.push(&peer.seen_from),
                None => findings.push((finding, vec![&peer.seen_from])),
            }
        }
    }
    let with_nodes = |(finding, nodes): (Finding, Vec<&str>)| {
        let what = format!("{} (tried from {})", finding.what, nodes.join(", "));
        Finding { what, ..finding }
    };
    findings.into_iter().map(with_nodes).collect()
}

fn of_peer(peer: &Peer, facts: &Facts) -> Vec<Finding> {
    let finding = |code, what: String| Finding::new(code, &peer.place, what);
    match &peer.contacts {
        Lookup::Found(contacts) => {
            let of = |contact| of_contact(peer, contact, facts);
            contacts.iter().filter_map(of).map(|(code, what)| finding(code, what)).collect()
        }
        Lookup::None => vec![finding(Code::PeerName, format!("peer {} has no address", peer.name))],
        Lookup::Failed(why) => vec![finding(Code::DnsSilent, format!("peer {}: {why}", peer.name))],
    }
}

fn of_contact(peer: &Peer, contact: &Contact, facts: &Facts) -> Option<(Code, String)> {
    let Contact { address, outcome, greets_on_25 } = contact;
    // What a name stands for is said once more.
    let shown = match peer.name == address.to_string() {
        true => format!("peer {address}"),
        false => format!("peer {} at {address}", peer.name),
    };
    match outcome {
        Outcome::Said(greeting) if is_ours(greeting, &facts.own_names) => {
            Some((Code::Loop, format!("{shown} is this relay: it greets {greeting:?}")))
        }
        Outcome::Said(greeting) if greeting.starts_with("220") => None,
        Outcome::Said(greeting) => Some((Code::PeerGreeting, format!("{shown} greets {greeting:?}"))),
        Outcome::Refused => {
            let hint = match (listens_elsewhere(*address, facts), greets_on_25) {
                (Some(ports), _) => format!("; this cluster has that address and listens on {ports}"),
                (None, true) => format!("; {} answers", SocketAddr::new(address.ip(), 25)),
                (None, false) => String::new(),
            };
            Some((Code::PeerRefused, format!("{shown} refused{hint}")))
        }
        Outcome::Silent(why) => Some((Code::PeerSilent, format!("{shown}: {why}"))),
    }
}

/// `220 gw.example ESMTP`.
fn is_ours(greeting: &str, own_names: &[String]) -> bool {
    let name = greeting.get(4..).and_then(|rest| rest.split_ascii_whitespace().next());
    name.is_some_and(|name| own_names.iter().any(|own| own.eq_ignore_ascii_case(name)))
}

/// The ports of our listeners, when the address is one of ours.
fn listens_elsewhere(address: SocketAddr, facts: &Facts) -> Option<String> {
    if !facts.own_addresses.contains(&address.ip()) {
        return None;
    }
    let mut ports: Vec<u16> =
        facts.nodes.iter().flat_map(|node| &node.listeners).map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    Some(ports.join(", ")).filter(|ports| !ports.is_empty())
}

/// SEED-003: the inner server was asked from an address that is not the cluster's. `greeting`: what it said.
pub fn inner_probe(
    inner: SocketAddr,
    from: IpAddr,
    own_addresses: &[IpAddr],
    greeting: &str,
) -> Option<Finding> {
    let is_outside = !own_addresses.contains(&from);
    (is_outside && greeting.starts_with("220")).then(|| {
        let what = format!("greets {from}, which is not an address of this cluster");
        Finding::new(Code::InnerOpen, inner.to_string(), what)
    })
}
