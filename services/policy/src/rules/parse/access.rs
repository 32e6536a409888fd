//! `access`: the grammar of effect.dat (spec.md 4.2, SEED-070 to 084). What would make an open relay
//! is refused, whoever asks for it.

use hikyaku_types::{address::Mailbox, domain::Domain, traffic::Rate};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    lines::{Line, clean_lines},
    networks::{is_public, shortest_trusted, unmap, wildcard},
};
use crate::{
    problem::Findings,
    rules::table::{
        access::{AccessTable, Pattern, Right, SenderPattern, Value},
        own_domains::OwnDomains,
    },
};

/// `rate=60/m`: messages of each client that the line fits (SEED-081).
const RATE: &str = "rate=";
/// SEED-079: trust for a wider public network is said aloud.
const WIDEST_PUBLIC_IPV4: u8 = 24;

pub(crate) fn parse(text: &str, own_domains: &OwnDomains, findings: &mut Findings) -> AccessTable {
    let mut table = AccessTable::default();
    let mut end = None;
    for line in clean_lines(text, findings) {
        let mut fields = line.text.split_whitespace();
        let pattern = fields.next().unwrap_or_default();
        let (rates, value): (Vec<&str>, Vec<&str>) = fields.partition(|field| field.starts_with(RATE));
        let rate = rate_of(&rates).map_err(|reason| findings.error(line.number, "E-EFF-RATE", reason));
        let Some(value) = value_of(&value.join(" "), line.number, findings) else { continue };
        let Ok(rate) = rate else { continue };
        if pattern.starts_with('#') {
            pseudo_pattern(pattern, value, line.number, findings);
            continue;
        }
        let Some(parsed) = pattern_of(pattern) else {
            findings.error(line.number, "E-EFF-PATTERN", format!("{pattern:?}"));
            continue;
        };
        let is_harmless = is_harmless(&parsed, pattern, value, own_domains, line, findings);
        if let Some(end) = end {
            if is_harmless {
                let reason = format!("\"only\" on line {end} ends the table");
                findings.warning(line.number, "W-EFF-UNREACHABLE", reason);
            }
            continue;
        }
        if value == Value::Only {
            end = Some(line.number);
        }
        if !is_harmless {
            continue;
        }
        if let Some(earlier) = table.covering(&parsed) {
            let reason = format!("never reached, line {earlier} already covers it");
            findings.warning(line.number, "W-EFF-SHADOW", reason);
        }
        table.insert(parsed, Right { value, rate }, line.number);
    }
    table
}

/// SEED-081.
fn rate_of(fields: &[&str]) -> Result<Option<Rate>, String> {
    match fields {
        [] => Ok(None),
        [field] => {
            let rate = field.strip_prefix(RATE).unwrap_or_default().parse();
            rate.map(Some).map_err(|reason| format!("{field}: {reason}"))
        }
        [_, _, ..] => Err("rate= twice".to_owned()),
    }
}

/// SEED-071; a missing value is true.
fn value_of(text: &str, line: u32, findings: &mut Findings) -> Option<Value> {
    let value = match text.to_ascii_lowercase().as_str() {
        "" | "true" => Some(Value::True),
        "false" => Some(Value::False),
        "default" => Some(Value::Default),
        "only" => Some(Value::Only),
        "norelay" | "norelay,0" => Some(Value::NoRelay),
        "norelay,2" => Some(Value::NoRelayWithoutAuth),
        _ => None,
    };
    if value.is_none() {
        let reason = format!("{text:?} is not true|false|default|only|norelay[,0|,2]");
        findings.error(line, "E-EFF-VALUE", reason);
    }
    value
}

/// `#<>` and `#blank` are built in as `default` and `false`.
fn pseudo_pattern(pattern: &str, value: Value, line: u32, findings: &mut Findings) {
    match (pattern, value) {
        ("#<>", Value::Default) | ("#blank", Value::False) => {}
        ("#<>", _) => {
            let reason = "<> is the sender of failure reports and is always held to the built-in rules";
            findings.error(line, "E-EFF-NULLSENDER", reason);
        }
        ("#blank", _) => {
            findings.error(line, "E-EFF-BLANK", "an empty MAIL FROM without brackets is always refused");
        }
        _ => findings.error(line, "E-EFF-PATTERN", format!("{pattern:?}")),
    }
}

fn pattern_of(text: &str) -> Option<Pattern> {
    if text.contains(':') {
        return ipv6(text).map(Pattern::Client);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || b".*/".contains(&byte)) {
        return ipv4(text).map(Pattern::Client);
    }
    sender(text).map(Pattern::Sender)
}

fn ipv6(text: &str) -> Option<IpNet> {
    let network: Ipv6Net = if text.contains('/') {
        text.parse().ok()?
    } else {
        Ipv6Net::from(text.parse::<std::net::Ipv6Addr>().ok()?)
    };
    Some(unmap(IpNet::V6(network)).trunc())
}

/// `192.168.1.0/28`, `192.168.0.20`, `192.168.*.*`.
fn ipv4(text: &str) -> Option<IpNet> {
    if text.contains('/') {
        return text.parse::<Ipv4Net>().ok().map(|network| IpNet::V4(network.trunc()));
    }
    wildcard(text).map(IpNet::V4)
}

fn sender(text: &str) -> Option<SenderPattern> {
    if let Some(domain) = text.strip_prefix("*@") {
        return domain.parse().ok().map(SenderPattern::Domain);
    }
    if let Some(domain) = text.strip_prefix("*.") {
        return domain.parse().ok().map(SenderPattern::Below);
    }
    if text.contains('@') {
        let mailbox: Mailbox = text.parse().ok()?;
        let is_address = mailbox.domain().is_some() && !mailbox.local_part().contains('*');
        return is_address.then_some(SenderPattern::Address(mailbox));
    }
    text.parse().ok().map(SenderPattern::Domain)
}

/// SEED-078, 079, 080: reports trust that anybody could take for himself.
fn is_harmless(
    pattern: &Pattern,
    written: &str,
    value: Value,
    own_domains: &OwnDomains,
    line: Line<'_>,
    findings: &mut Findings,
) -> bool {
    let word = match value {
        Value::True => "true",
        Value::Only => "only",
        Value::False | Value::Default | Value::NoRelay | Value::NoRelayWithoutAuth => return true,
    };
    match pattern {
        Pattern::Sender(sender) => {
            let (code, reason) = match own_domain(sender, own_domains) {
                Some(domain) => {
                    ("E-EFF-OWNDOMAIN", format!("{word} for own domain {domain} lets anyone pose as it"))
                }
                None => (
                    "E-EFF-SENDERTRUST",
                    format!("{word} for a sender address is forgeable; trust an IP address"),
                ),
            };
            findings.error(line.number, code, reason);
            false
        }
        Pattern::Client(network) if network.prefix_len() == 0 => {
            let reason = format!("{word} for {written} opens the relay to everyone");
            findings.error(line.number, "E-EFF-OPENRELAY", reason);
            false
        }
        Pattern::Client(network) if network.prefix_len() < shortest_trusted(network) => {
            let reason = format!("{word} for {written} is wider than /{}", shortest_trusted(network));
            findings.error(line.number, "E-EFF-OPENRELAY", reason);
            false
        }
        Pattern::Client(network) => {
            let is_wide = matches!(network, IpNet::V4(_)) && network.prefix_len() < WIDEST_PUBLIC_IPV4;
            if is_wide && is_public(network.addr()) {
                let reason = format!("{word} for the public network {network}: all of it may relay");
                findings.warning(line.number, "W-EFF-PUBLIC", reason);
            }
            true
        }
    }
}

/// The own domain that a pattern is about, or has below it.
fn own_domain<'d>(pattern: &'d SenderPattern, own_domains: &'d OwnDomains) -> Option<&'d Domain> {
    match pattern {
        SenderPattern::Domain(domain) => Some(domain).filter(|domain| own_domains.contains(domain)),
        SenderPattern::Address(mailbox) => mailbox.domain().filter(|domain| own_domains.contains(domain)),
        SenderPattern::Below(domain) => {
            let suffix = format!(".{domain}");
            let below = own_domains.iter().filter(|(own, _)| own.as_str().ends_with(&suffix));
            below.min_by_key(|(_, line)| *line).map(|(own, _)| own)
        }
    }
}

#[cfg(test)]
mod tests;
