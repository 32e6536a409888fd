//! `hosts`: `name address...` (SEED-152).

use std::net::IpAddr;

use super::lines::clean_lines;
use crate::{problem::Findings, rules::table::hosts::Hosts};

pub(crate) fn parse(text: &str, findings: &mut Findings) -> Hosts {
    let mut table = Hosts::default();
    for line in clean_lines(text, findings) {
        let mut fields = line.text.split_whitespace();
        let name = fields.next().unwrap_or_default();
        let addresses: Vec<&str> = fields.collect();
        if addresses.is_empty() {
            findings.error(line.number, "E-HO-FIELDS", "1 field(s), want a name and its addresses");
            continue;
        }
        let name = name
            .parse()
            .map_err(|error| {
                findings.error(line.number, "E-HO-NAME", format!("{name:?} is not a host name: {error}"));
            })
            .ok();
        let addresses: Vec<Option<IpAddr>> =
            addresses.into_iter().map(|text| address(text, line.number, findings)).collect();
        if let (Some(name), Some(addresses)) = (name, addresses.into_iter().collect())
            && let Some(earlier) = table.insert(name, line.number, addresses)
        {
            findings.error(line.number, "E-HO-CONFLICT", format!("same name as line {earlier}"));
        }
    }
    table
}

fn address(text: &str, line: u32, findings: &mut Findings) -> Option<IpAddr> {
    let address: Option<IpAddr> = text.parse().ok();
    if address.is_none() {
        findings.error(line, "E-HO-ADDRESS", format!("{text:?} is not an IPv4 or IPv6 address"));
    }
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::report;

    #[test]
    fn names_and_addresses() {
        let text = "; map\nInner.domain.jp 192.168.0.20\t2001:db8::20\nmx.z.example 192.0.2.1\n";
        let (table, problems) = report("hosts", |findings| parse(text, findings));
        assert_eq!(problems, Vec::<String>::new());
        let expected: [IpAddr; 2] = ["192.168.0.20".parse().unwrap(), "2001:db8::20".parse().unwrap()];
        assert_eq!(table.addresses(&"inner.domain.jp".parse().unwrap()), expected);
        assert!(table.addresses(&"other.example".parse().unwrap()).is_empty());
        assert_eq!(table.iter().count(), 2);
    }

    #[test]
    fn refused() {
        let text = "alone\n192.0.2.1 mx.z.example\na.example 192.0.2.x ::1 y\na.example ::1\na.example ::2\n";
        let (_, problems) = report("hosts", |findings| parse(text, findings));
        assert_eq!(
            problems,
            [
                "hosts:1: error E-HO-FIELDS: 1 field(s), want a name and its addresses",
                "hosts:2: error E-HO-NAME: \"192.0.2.1\" is not a host name: domain looks like an IPv4 \
                address; \
                 an address is written [192.0.2.1]",
                "hosts:2: error E-HO-ADDRESS: \"mx.z.example\" is not an IPv4 or IPv6 address",
                "hosts:3: error E-HO-ADDRESS: \"192.0.2.x\" is not an IPv4 or IPv6 address",
                "hosts:3: error E-HO-ADDRESS: \"y\" is not an IPv4 or IPv6 address",
                "hosts:5: error E-HO-CONFLICT: same name as line 4",
            ]
        );
    }
}
