//! What the DNS says of our domains and addresses (SEED-003, SEED-222).

use std::net::IpAddr;

use crate::{
    code::Code,
    facts::{DomainRecords, Facts, Lookup, MxHost, Sender},
    finding::Finding,
    spf::{self, Opinion},
};

pub(crate) fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.own_addresses.is_empty() && !facts.domains.is_empty() {
        let what = format!("no address is known of {}", facts.own_names.join(", "));
        findings.push(Finding::new(Code::AddressesUnknown, "cluster", what));
    }
    let senders: Vec<IpAddr> = facts.senders.iter().map(|sender| sender.address).collect();
    for domain in &facts.domains {
        findings.extend(mx(domain, &facts.own_addresses));
        findings.extend(of_spf(domain, &senders));
    }
    findings.extend(facts.senders.iter().filter_map(reverse));
    findings
}

fn mx(records: &DomainRecords, own: &[IpAddr]) -> Vec<Finding> {
    let finding = |code, what: String| Finding::new(code, &records.domain, what);
    let hosts = match &records.mx {
        Lookup::Found(hosts) => hosts,
        Lookup::None => return vec![finding(Code::MxNone, "no MX record and no address".to_owned())],
        Lookup::Failed(why) => return vec![finding(Code::DnsSilent, format!("MX: {why}"))],
    };
    if let [MxHost { name, .. }] = &hosts[..]
        && name.is_empty()
    {
        return vec![finding(Code::MxNone, "the null MX: it takes no mail".to_owned())];
    }
    let mut findings = Vec::new();
    let (mut leads_to_us, mut is_certain) = (false, true);
    for MxHost { name, addresses } in hosts {
        let addresses = match addresses {
            Lookup::Found(addresses) => addresses,
            Lookup::None => {
                findings.push(finding(Code::MxDead, format!("MX {name} has no address")));
                continue;
            }
            Lookup::Failed(why) => {
                is_certain = false;
                findings.push(finding(Code::DnsSilent, format!("MX {name}: {why}")));
                continue;
            }
        };
        leads_to_us |= addresses.iter().any(|address| own.contains(address));
        // An inner server that shares a machine with the relay shares its address.
        let inner = addresses.iter().find(|it| records.inner.contains(it) && !own.contains(it));
        if let Some(address) = inner {
            findings.push(finding(Code::MxInner, format!("MX {name} is the inner server, {address}")));
        }
    }
    if !leads_to_us && is_certain && !own.is_empty() {
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        let own: Vec<String> = own.iter().map(ToString::to_string).collect();
        let what = format!("MX {} lead to none of {}", names.join(", "), own.join(", "));
        findings.push(finding(Code::MxNotOurs, what));
    }
    findings
}

fn of_spf(domain: &DomainRecords, senders: &[IpAddr]) -> Vec<Finding> {
    let finding = |code, what: String| vec![Finding::new(code, &domain.domain, what)];
    let record = match &domain.spf {
        Lookup::Failed(why) => return finding(Code::DnsSilent, format!("TXT: {why}")),
        // A domain that does not exist has one fault, not two.
        Lookup::None if domain.mx == Lookup::None => return Vec::new(),
        Lookup::None => return finding(Code::SpfNone, "no SPF record".to_owned()),
        Lookup::Found(records) => match &records[..] {
            [] => return finding(Code::SpfNone, "no SPF record".to_owned()),
            [record] => record,
            [_, _, ..] => return finding(Code::SpfMany, format!("{} SPF records", records.len())),
        },
    };
    if spf::allows_everybody(record) {
        return finding(Code::SpfAll, format!("{record:?} allows everybody"));
    }
    let mx: Vec<IpAddr> = match &domain.mx {
        Lookup::Found(hosts) => hosts.iter().flat_map(addresses).copied().collect(),
        Lookup::None | Lookup::Failed(_) => Vec::new(),
    };
    let opinion = |sender: &IpAddr| spf::opinion(record, *sender, &domain.addresses, &mx);
    let refused: Vec<String> = senders
        .iter()
        .filter(|sender| opinion(sender) == Opinion::NotAllowed)
        .map(ToString::to_string)
        .collect();
    if refused.is_empty() {
        return Vec::new();
    }
    finding(Code::SpfNotOurs, format!("{record:?} does not allow {}", refused.join(", ")))
}

fn addresses(host: &MxHost) -> &[IpAddr] {
    match &host.addresses {
        Lookup::Found(addresses) => addresses,
        Lookup::None | Lookup::Failed(_) => &[],
    }
}

fn reverse(sender: &Sender) -> Option<Finding> {
    let what = match &sender.name {
        Lookup::Found((_, true)) => return None,
        Lookup::Found((name, false)) => format!("its name {name} does not lead back to it"),
        Lookup::None => "has no reverse name".to_owned(),
        Lookup::Failed(why) => {
            return Some(Finding::new(Code::DnsSilent, sender.address.to_string(), format!("PTR: {why}")));
        }
    };
    Some(Finding::new(Code::ReverseDns, sender.address.to_string(), what))
}
