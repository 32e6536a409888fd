//! `routes`: the grammar of gateway.dat (spec.md 4.1), and a fourth field `expires=TIME` (SEED-024).

use std::{net::IpAddr, time::SystemTime};

use hikyaku_types::{
    destination::{DestinationError, HostName, SMTP_PORT},
    domain::Domain,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Surroundings,
    accounts::address_of,
    lines::{Line, data_lines},
};
use crate::{
    problem::Findings,
    rules::table::routes::{NextHop, Route, RouteSender, RouteTarget, Routes},
};

pub(crate) fn parse(text: &str, surroundings: &Surroundings, findings: &mut Findings) -> Routes {
    let mut table = Routes::default();
    for line in data_lines(text) {
        if is_decoration(line, findings) || !line.is_clean(findings) {
            continue;
        }
        let Some((target, route)) = route(line, surroundings, findings) else { continue };
        if !is_new(&table, &target, &route, findings) {
            continue;
        }
        table.insert(&target, route);
    }
    // SEED-014: whether the product's *.abc.jp means abc.jp too is not known, so it is said.
    for (line, domain, _) in table.wildcards_without_apex() {
        findings.warning(line, "W-GW-APEX", format!("does not cover {domain} itself"));
    }
    table
}

/// Rulers and headings that people paste from the manuals (SEED-011).
fn is_decoration(line: Line<'_>, findings: &mut Findings) -> bool {
    if line.text.len() >= 3 && line.text.bytes().all(|byte| byte == b'-') {
        findings.warning(line.number, "W-RULER", "line of hyphens ignored");
        return true;
    }
    let mut fields = line.text.split(',').map(str::trim);
    let is_heading = fields.next().is_some_and(|first| !first.is_ascii())
        && fields.nth(1).is_some_and(|third| third.parse::<u32>().is_err());
    if is_heading {
        findings.warning(line.number, "W-HEADER", "column heading without comment mark ignored");
    }
    is_heading
}

/// Reports everything that is wrong with the fields of a line.
fn route(
    line: Line<'_>,
    surroundings: &Surroundings,
    findings: &mut Findings,
) -> Option<(RouteTarget, Route)> {
    // Behind the host stands a secret, and commas in it may make fields of it: nothing of the line is shown.
    let (target_text, rest) = line.text.split_once(',').unwrap_or((line.text, ""));
    if rest.contains('|') || target_text.matches('|').count() > 1 {
        let reason = "upstream credentials are not imported; define them in the secret store";
        findings.error(line.number, "E-GW-UPAUTH", reason);
        return None;
    }
    let fields: Vec<&str> = line.text.split(',').map(str::trim).collect();
    let (target, host, port, expires) = match fields[..] {
        [target, host] => (target, host, "", None),
        [target, host, port] => (target, host, port, None),
        [target, host, port, expires] if expires.contains('=') => (target, host, port, Some(expires)),
        _ => {
            findings.error(line.number, "E-GW-FIELDS", format!("{} field(s), want 2 or 3", fields.len()));
            return None;
        }
    };
    let number = line.number;
    let (target, sender) = match target.split_once('|') {
        Some((target, sender)) => (target_of(target, number, findings), sender_of(sender, number, findings)),
        None => (target_of(target, number, findings), Some(RouteSender::Everybody)),
    };
    let next_hop = next_hop(host, port, number, findings);
    let expires = expires.map(|text| expires_of(text, number, findings));
    let (target, next_hop) = (target?, next_hop?);
    let expires = match expires {
        Some(readable) => Some(readable?),
        None => None,
    };
    is_outside(&target, &next_hop.host, surroundings, number, findings)
        .then_some((target, Route { line: number, sender: sender?, next_hop, expires }))
}

fn target_of(text: &str, line: u32, findings: &mut Findings) -> Option<RouteTarget> {
    let domain = |text: &str| text.parse::<Domain>().ok();
    let target = match text.strip_prefix("*.") {
        _ if text == "*" => Some(RouteTarget::Everything),
        Some(domain_text) => domain(domain_text).map(RouteTarget::Below),
        None => domain(text).map(RouteTarget::Domain),
    };
    if target.is_none() {
        findings.error(line, "E-GW-TARGET", format!("{text:?} is not domain, *.domain or *"));
    }
    target
}

/// SEED-025.
fn sender_of(text: &str, line: u32, findings: &mut Findings) -> Option<RouteSender> {
    let sender = match text.strip_prefix("*@") {
        _ if text == "*" => Some(RouteSender::Everybody),
        Some(domain) => domain.parse().ok().map(RouteSender::Domain),
        None => address_of(text).map(|mailbox| RouteSender::Address(Box::new(mailbox))),
    };
    if sender.is_none() {
        findings.error(line, "E-GW-SENDER", format!("{text:?} is not *, *@domain or user@domain"));
    }
    sender
}

fn expires_of(text: &str, line: u32, findings: &mut Findings) -> Option<SystemTime> {
    let time = text.strip_prefix("expires=").map(|time| OffsetDateTime::parse(time, &Rfc3339));
    let Some(Ok(time)) = time else {
        let reason = format!("{text:?} is not expires= with a time such as 2030-12-31T23:59:00+09:00");
        findings.error(line, "E-GW-EXPIRES", reason);
        return None;
    };
    Some(time.into())
}

/// Host and port. Also read by the smart host, which is a final `*` route (SEED-020).
pub(super) fn next_hop(host: &str, port: &str, line: u32, findings: &mut Findings) -> Option<NextHop> {
    let host = host_of(host, line, findings);
    let port = port_of(port, line, findings);
    Some(NextHop { host: host?, port: port? })
}

fn host_of(text: &str, line: u32, findings: &mut Findings) -> Option<HostName> {
    match text.parse() {
        Ok(HostName::Address(address)) => Some(HostName::Address(address.to_canonical())),
        Ok(HostName::Name(name)) => Some(HostName::Name(name)),
        Err(DestinationError::Address) => {
            let reason = format!("{text:?} looks like an IPv4 address but is not one");
            findings.error(line, "E-GW-NEXTHOP", reason);
            None
        }
        Err(DestinationError::Shape | DestinationError::Port) => {
            findings.error(line, "E-GW-NEXTHOP", format!("{text:?} is not a host name or an address"));
            None
        }
    }
}

fn port_of(text: &str, line: u32, findings: &mut Findings) -> Option<u16> {
    if text.is_empty() {
        findings.note(line, "N-GW-PORT25", "port missing, 25 used");
        return Some(SMTP_PORT);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| is_number && *port > 0);
    if port.is_none() {
        findings.error(line, "E-GW-PORT", format!("{text:?} is not 1-65535"));
    }
    port
}

/// A next hop that is a resolver or this cluster itself would be a dead end or a loop.
pub(super) fn is_outside(
    target: &RouteTarget,
    host: &HostName,
    surroundings: &Surroundings,
    line: u32,
    findings: &mut Findings,
) -> bool {
    let HostName::Address(address) = host else { return true };
    let is_among = |addresses: &[IpAddr]| addresses.iter().any(|known| known.to_canonical() == *address);
    if *target == RouteTarget::Everything && is_among(&surroundings.dns_servers) {
        let reason = "catch-all points at a DNS server; delete the line, fall-through is built in";
        findings.error(line, "E-GW-DNSIP", reason);
        return false;
    }
    if is_among(&surroundings.own_addresses) {
        findings.error(line, "E-GW-SELF", "next hop is one of this cluster's own addresses");
        return false;
    }
    true
}

/// A target that is there already is not taken again; one that cannot be reached is, so that
/// it is known when the same target comes once more.
fn is_new(table: &Routes, target: &RouteTarget, route: &Route, findings: &mut Findings) -> bool {
    let line = route.line;
    if let Some(earlier) = table.same(target, route) {
        if earlier.next_hop == route.next_hop {
            findings.warning(line, "W-DUP", format!("same route as line {}", earlier.line));
        } else {
            findings.error(line, "E-GW-CONFLICT", format!("same target as line {}", earlier.line));
        }
        return false;
    }
    if let Some(earlier) = table.covering(target, &route.sender) {
        let everything = table.plain_of_target(&RouteTarget::Everything);
        let what = if everything == Some(earlier) { "matches everything" } else { "matches first" };
        findings.warning(line, "W-GW-SHADOW", format!("never reached, line {} {what}", earlier.line));
    }
    true
}

#[cfg(test)]
mod tests;
