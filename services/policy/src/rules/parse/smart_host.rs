//! `smart-host`: at most one line `host[:port]`, equal to a final `*` route (SEED-020).

use super::{
    Surroundings,
    lines::clean_lines,
    routes::{is_outside, next_hop},
};
use crate::{
    problem::Findings,
    rules::table::routes::{RouteTarget, SmartHost},
};

pub(crate) fn parse(text: &str, surroundings: &Surroundings, findings: &mut Findings) -> Option<SmartHost> {
    let lines = clean_lines(text, findings);
    let (first, rest) = lines.split_first()?;
    for line in rest {
        findings.error(line.number, "E-SH-LINES", format!("the smart host is on line {}", first.number));
    }
    let (host, port) = split_port(first.text);
    // No port is the usual case here (SEED-020), so it needs no note.
    let next_hop = next_hop(host, port.unwrap_or("25"), first.number, findings)?;
    is_outside(&RouteTarget::Everything, &next_hop.host, surroundings, first.number, findings)
        .then_some(SmartHost { line: first.number, next_hop })
}

/// `host`, `host:port`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:port`.
fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, port)) = text.rsplit_once("]:") {
        return (host.trim_start_matches('['), Some(port));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        Some(_) | None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::report;

    fn parsed(text: &str) -> (Option<String>, Vec<String>) {
        let surroundings = Surroundings {
            own_addresses: vec!["198.51.100.11".parse().unwrap()],
            dns_servers: vec!["192.168.0.53".parse().unwrap()],
            ..Surroundings::default()
        };
        let (route, problems) = report("smart-host", |findings| parse(text, &surroundings, findings));
        (route.map(|route| route.next_hop.destination().to_string()), problems)
    }

    #[test]
    fn a_host_with_or_without_port() {
        for (text, hop) in [
            ("192.168.0.100\n", Some("[192.168.0.100]:25")),
            ("; up\n192.168.0.100:587", Some("[192.168.0.100]:587")),
            ("up.example:20025", Some("[up.example]:20025")),
            ("2001:db8::1", Some("[2001:db8::1]:25")),
            ("[2001:db8::1]:587", Some("[2001:db8::1]:587")),
            ("[2001:db8::1]", Some("[2001:db8::1]:25")),
            ("", None),
            ("' nothing\n", None),
        ] {
            assert_eq!(parsed(text), (hop.map(str::to_owned), Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn refused() {
        for (text, problem) in [
            ("a.example\nb.example", "smart-host:2: error E-SH-LINES: the smart host is on line 1"),
            ("a.example:0", "smart-host:1: error E-GW-PORT: \"0\" is not 1-65535"),
            (
                "192.168.0.x",
                "smart-host:1: error E-GW-NEXTHOP: \"192.168.0.x\" looks like an IPv4 address but is not one",
            ),
            ("a b", "smart-host:1: error E-GW-NEXTHOP: \"a b\" is not a host name or an address"),
            (
                "198.51.100.11:2525",
                "smart-host:1: error E-GW-SELF: next hop is one of this cluster's own addresses",
            ),
            (
                "192.168.0.53",
                "smart-host:1: error E-GW-DNSIP: catch-all points at a DNS server; delete the line, \
                fall-through is built in",
            ),
        ] {
            assert_eq!(parsed(text).1, [problem], "{text:?}");
        }
        assert_eq!(parsed("a.example:").1, ["smart-host:1: note N-GW-PORT25: port missing, 25 used"]);
    }
}
