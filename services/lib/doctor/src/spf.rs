//! What an SPF record (RFC 7208) says of an address, as far as the record itself tells: what it includes from
//! elsewhere is not followed, and then nothing is said.

use std::net::IpAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opinion {
    Allowed,
    NotAllowed,
    /// A part that would have to be looked up might allow it.
    Open,
}

/// `a` and `mx` are the addresses of the domain itself and of its MX hosts.
pub(crate) fn opinion(record: &str, address: IpAddr, a: &[IpAddr], mx: &[IpAddr]) -> Opinion {
    let mut is_open = false;
    for term in record.split_ascii_whitespace().skip(1) {
        let (qualifier, term) = qualifier(term);
        let matches = match term.to_ascii_lowercase().as_str() {
            "all" => true,
            "a" => a.contains(&address),
            "mx" => mx.contains(&address),
            term => match network(term) {
                Some(network) => contains(network, address),
                None => {
                    // An explanation decides nothing; everything else may.
                    is_open |= !term.starts_with("exp=");
                    false
                }
            },
        };
        if matches {
            // RFC 7208 4.6.2: the first mechanism that matches decides.
            return match (qualifier, is_open) {
                ('+', _) => Opinion::Allowed,
                ('?', _) | (_, true) => Opinion::Open,
                (_, false) => Opinion::NotAllowed,
            };
        }
    }
    // RFC 7208 4.7: neutral, which says nothing against it.
    Opinion::Open
}

pub(crate) fn allows_everybody(record: &str) -> bool {
    let terms = record.split_ascii_whitespace().skip(1).map(qualifier);
    terms.filter(|(_, term)| term.eq_ignore_ascii_case("all")).any(|(qualifier, _)| qualifier == '+')
}

fn qualifier(term: &str) -> (char, &str) {
    match term.chars().next() {
        Some(sign @ ('+' | '-' | '~' | '?')) => (sign, &term[1..]),
        Some(_) | None => ('+', term),
    }
}

/// `ip4:192.0.2.0/24`, `ip6:2001:db8::/32`.
fn network(term: &str) -> Option<(IpAddr, u32)> {
    let text = term.strip_prefix("ip4:").or_else(|| term.strip_prefix("ip6:"))?;
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = if length.is_empty() { longest } else { length.parse().ok()? };
    (length <= longest).then_some((address, length))
}

fn contains((network, length): (IpAddr, u32), address: IpAddr) -> bool {
    let cut = |bits: u128, width: u32| bits.checked_shr(width - length).unwrap_or(0);
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            cut(u128::from(network.to_bits()), 32) == cut(u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            cut(network.to_bits(), 128) == cut(address.to_bits(), 128)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(record: &str) -> Opinion {
        let address = |text: &str| text.parse().unwrap();
        opinion(record, address("192.0.2.9"), &[address("192.0.2.8")], &[address("192.0.2.9")])
    }

    #[test]
    fn seed_222_what_a_record_says() {
        for (record, expected) in [
            ("v=spf1 ip4:192.0.2.0/24 -all", Opinion::Allowed),
            ("v=spf1 ip4:192.0.2.9 -all", Opinion::Allowed),
            ("v=spf1 mx -all", Opinion::Allowed),
            ("v=spf1 MX ~all", Opinion::Allowed),
            ("v=spf1 a -all", Opinion::NotAllowed),
            ("v=spf1 a ~all", Opinion::NotAllowed),
            ("v=spf1 -all", Opinion::NotAllowed),
            ("v=spf1 ip4:198.51.100.0/24 -all", Opinion::NotAllowed),
            ("v=spf1 ip4:0.0.0.0/0", Opinion::Allowed),
            ("v=spf1 ip6:2001:db8::/32 -all", Opinion::NotAllowed),
            ("v=spf1 -mx +all", Opinion::NotAllowed),
            ("v=spf1 include:_spf.example -all", Opinion::Open),
            ("v=spf1 a:gw.example -all", Opinion::Open),
            ("v=spf1 redirect=_spf.example", Opinion::Open),
            ("v=spf1 a", Opinion::Open),
            ("v=spf1 a ?all", Opinion::Open),
            ("v=spf1 exp=why.example -all", Opinion::NotAllowed),
        ] {
            assert_eq!(of(record), expected, "{record}");
        }
    }

    #[test]
    fn a_record_for_everybody() {
        for (record, everybody) in [
            ("v=spf1 +all", true),
            ("v=spf1 mx all", true),
            ("v=spf1 mx -all", false),
            ("v=spf1 ?all", false),
            ("v=spf1 include:all", false),
        ] {
            assert_eq!(allows_everybody(record), everybody, "{record}");
        }
    }
}
