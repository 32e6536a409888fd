//! `relay-networks`: `address`, `network/length` or `IPv4,mask` (spec.md 4.6, SEED-092 to 094), or `certificate=` and
//! the SHA-256 fingerprint of a client's.
//! A network that would make an open relay is refused.

use hikyaku_types::fingerprint::NotAFingerprint;
use ipnet::IpNet;

use super::{
    lines::{Line, clean_lines},
    networks::{Malformed, read, shortest_trusted},
};
use crate::{problem::Findings, rules::table::relay_list::RelayList};

const CERTIFICATE: &str = "certificate=";

pub(crate) fn parse(text: &str, findings: &mut Findings) -> RelayList {
    let mut table = RelayList::default();
    for line in clean_lines(text, findings) {
        if let Some(written) = line.text.strip_prefix(CERTIFICATE) {
            certificate(line.number, written, &mut table, findings);
        } else if let Some(network) = network(line, findings)
            && let Some(earlier) = table.networks.insert(network, line.number)
        {
            findings.warning(line.number, "W-DUP", format!("same network as line {earlier}"));
        }
    }
    table
}

fn certificate(number: u32, written: &str, table: &mut RelayList, findings: &mut Findings) {
    match written.parse() {
        Ok(fingerprint) => {
            if let Some(earlier) = table.insert_certificate(fingerprint, number) {
                findings.warning(number, "W-DUP", format!("same certificate as line {earlier}"));
            }
        }
        Err(NotAFingerprint) => {
            findings.error(number, "E-PM-CERTIFICATE", format!("{written:?}: {NotAFingerprint}"));
        }
    }
}

fn network(line: Line<'_>, findings: &mut Findings) -> Option<IpNet> {
    let written = match read(line.text) {
        Ok(network) => network,
        Err(Malformed::Shape) => {
            findings.error(line.number, "E-PM-FORMAT", format!("{:?}", line.text));
            return None;
        }
        Err(Malformed::Mask(mask)) => {
            findings.error(line.number, "E-PM-MASK", format!("mask {mask} has holes"));
            return None;
        }
    };
    let network = written.trunc();
    let shortest = shortest_trusted(&network);
    if network.prefix_len() == 0 {
        findings.error(line.number, "E-PM-OPENRELAY", format!("{network} opens the relay to everyone"));
        return None;
    }
    if network.prefix_len() < shortest {
        findings.error(line.number, "E-PM-WIDE", format!("{network} is wider than /{shortest}"));
        return None;
    }
    if written.addr() != network.addr() {
        findings.warning(line.number, "W-PM-HOSTBITS", format!("read as {network}"));
    }
    Some(network)
}

#[cfg(test)]
mod tests {
    use hikyaku_types::origin::Asker;

    use super::*;
    use crate::rules::tests::report;

    fn allows(table: &RelayList, client: &str) -> Option<u32> {
        table.networks.narrowest(client.parse().unwrap())
    }

    #[test]
    fn the_examples_of_the_specification() {
        let text = "192.168.0.100,255.255.255.255\n192.168.1.1,255.255.255.0\n203.0.113.0/28\n::1/128\n\
                    2001:db8:10::/48\n";
        let (table, problems) = report("relay-networks", |findings| parse(text, findings));
        assert_eq!(problems, ["relay-networks:2: warning W-PM-HOSTBITS: read as 192.168.1.0/24"]);
        for (client, line) in [
            ("192.168.0.100", Some(1)),
            ("192.168.0.101", None),
            ("192.168.1.1", Some(2)),
            ("192.168.1.77", Some(2)),
            ("192.168.1.255", Some(2)),
            ("192.168.2.1", None),
            ("203.0.113.15", Some(3)),
            ("203.0.113.16", None),
            ("::1", Some(4)),
            ("::2", None),
            ("2001:db8:10:5::5", Some(5)),
            ("2001:db8:2::5", None),
        ] {
            assert_eq!(allows(&table, client), line, "{client}");
        }
    }

    /// Spec.md 4.6 example 6; its first line, a single address, is accepted here.
    #[test]
    fn what_is_refused() {
        let text = "192.168.0.100\n192.168.0.1,255.0.255.0\n10.0.0.0/33\n::1/CIDR\n0.0.0.0,0.0.0.0\n::/0\n\
                    192.168.0.1, 255.255.255.255 # note\n0.0.0.0/0\n10.0.0.0/7\n10.0.0.0/8\n2001::/31\n\
                    2001:db8::/32\n::ffff:0.0.0.0/96\n::ffff:10.0.0.0/103\n::/1\nlocalhost";
        let (table, problems) = report("relay-networks", |findings| parse(text, findings));
        assert_eq!(
            problems,
            [
                "relay-networks:2: error E-PM-MASK: mask 255.0.255.0 has holes",
                "relay-networks:3: error E-PM-FORMAT: \"10.0.0.0/33\"",
                "relay-networks:4: error E-PM-FORMAT: \"::1/CIDR\"",
                "relay-networks:5: error E-PM-OPENRELAY: 0.0.0.0/0 opens the relay to everyone",
                "relay-networks:6: error E-PM-OPENRELAY: ::/0 opens the relay to everyone",
                "relay-networks:7: error E-PM-FORMAT: \"192.168.0.1, 255.255.255.255 # note\"",
                "relay-networks:8: error E-PM-OPENRELAY: 0.0.0.0/0 opens the relay to everyone",
                "relay-networks:9: error E-PM-WIDE: 10.0.0.0/7 is wider than /8",
                "relay-networks:11: error E-PM-WIDE: 2001::/31 is wider than /32",
                "relay-networks:13: error E-PM-OPENRELAY: 0.0.0.0/0 opens the relay to everyone",
                "relay-networks:14: error E-PM-WIDE: 10.0.0.0/7 is wider than /8",
                "relay-networks:15: error E-PM-WIDE: ::/1 is wider than /32",
                "relay-networks:16: error E-PM-FORMAT: \"localhost\"",
            ]
        );
        assert_eq!(allows(&table, "192.168.0.100"), Some(1));
        assert_eq!(allows(&table, "192.168.0.1"), None);
    }

    #[test]
    fn ipv6_and_mapped_addresses() {
        let text = "2001:db8:1::/48\n::ffff:192.168.0.20\n192.168.0.20\n10.0.0.0/8\n10.1.0.0/16";
        let (table, problems) = report("relay-networks", |findings| parse(text, findings));
        assert_eq!(problems, ["relay-networks:3: warning W-DUP: same network as line 2"]);
        assert_eq!(allows(&table, "2001:db8:1::5"), Some(1));
        assert_eq!(allows(&table, "2001:db8:2::5"), None);
        assert_eq!(allows(&table, "192.168.0.20"), Some(2));
        assert_eq!(allows(&table, "10.1.2.3"), Some(5), "the narrowest network decides");
        assert_eq!(allows(&table, "10.2.2.3"), Some(4));
    }

    #[test]
    fn certificates_of_clients() {
        let (one, other) = ("aB".repeat(32), "01:".repeat(31) + "02");
        let text = format!(
            "192.168.0.0/24\ncertificate={one}\ncertificate={other}\ncertificate={}\n",
            one.to_uppercase()
        );
        let (table, problems) = report("relay-networks", |findings| parse(&text, findings));
        assert_eq!(problems, ["relay-networks:4: warning W-DUP: same certificate as line 2"]);
        let line_of = |client: &str, certificate: Option<&str>| {
            let certificate = certificate.map(|text| text.parse().unwrap());
            table.line_of(&Asker::anonymous(client.parse().unwrap()).showing(certificate))
        };
        assert_eq!(line_of("203.0.113.9", Some(&one)), Some(2));
        assert_eq!(line_of("203.0.113.9", Some(&other)), Some(3));
        assert_eq!(line_of("203.0.113.9", Some(&"00".repeat(32))), None);
        assert_eq!(line_of("203.0.113.9", None), None);
        assert_eq!(line_of("192.168.0.9", Some(&one)), Some(1), "its address says it already");
        let (_, problems) = report("relay-networks", |findings| parse("certificate=aabb", findings));
        assert!(
            problems[0].starts_with("relay-networks:1: error E-PM-CERTIFICATE: \"aabb\": want"),
            "{problems:?}"
        );
    }
}
