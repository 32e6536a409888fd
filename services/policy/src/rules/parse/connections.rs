//! `connections`: `clients accept|refuse`; the first line that fits decides (SEED-095, SEED-100).
//! An accepted client has no limits of connections. It may relay no more than anybody else.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::{
    lines::clean_lines,
    networks::{self, unmap, wildcard},
};
use crate::{
    problem::Findings,
    rules::table::connections::{Connections, Welcome},
};

/// A range needs some networks; more than these are a mistake.
const MAX_NETWORKS: usize = 256;

pub(crate) fn parse(text: &str, findings: &mut Findings) -> Connections {
    let mut table = Connections::default();
    for line in clean_lines(text, findings) {
        let fields: Vec<&str> = line.text.split_whitespace().collect();
        let [clients, welcome] = fields[..] else {
            let reason = format!("{} field(s), want clients and accept or refuse", fields.len());
            findings.error(line.number, "E-CON-FIELDS", reason);
            continue;
        };
        let welcome = match welcome {
            "accept" => Some(Welcome::Accept),
            "refuse" => Some(Welcome::Refuse),
            _ => None,
        };
        if welcome.is_none() {
            findings.error(line.number, "E-CON-VALUE", format!("{:?} is not accept or refuse", fields[1]));
        }
        let networks = networks(clients);
        if networks.is_none() {
            let reason = format!("{clients:?} is not an address, network, range a-b or 192.0.2.*");
            findings.error(line.number, "E-CON-CLIENTS", reason);
        }
        if let (Some(welcome), Some(networks)) = (welcome, networks) {
            let covering: Vec<Option<u32>> =
                networks.iter().map(|network| table.covering(network.trunc())).collect();
            if let Some(earlier) =
                covering.into_iter().collect::<Option<Vec<u32>>>().and_then(|it| it.into_iter().max())
            {
                let reason = format!("never reached, line {earlier} already covers it");
                findings.warning(line.number, "W-CON-SHADOW", reason);
            }
            table.insert(&networks, welcome, line.number);
        }
    }
    table
}

fn networks(text: &str) -> Option<Vec<IpNet>> {
    if let Some((from, to)) = text.split_once('-') {
        return range(from.parse().ok()?, to.parse().ok()?);
    }
    if text.ends_with('*') {
        return wildcard(text).map(|network| vec![IpNet::V4(network)]);
    }
    networks::read(text).ok().map(|network| vec![network.trunc()])
}

/// The fewest networks that make up a range.
fn range(from: IpAddr, to: IpAddr) -> Option<Vec<IpNet>> {
    let networks: Vec<IpNet> = match (from.to_canonical(), to.to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) if from <= to => {
            Ipv4Subnets::new(from, to, 0).take(MAX_NETWORKS + 1).map(IpNet::V4).collect()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) if from <= to => {
            Ipv6Subnets::new(from, to, 0).take(MAX_NETWORKS + 1).map(IpNet::V6).map(unmap).collect()
        }
        (IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_)) => return None,
    };
    (networks.len() <= MAX_NETWORKS).then_some(networks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::report;

    #[test]
    fn the_first_line_that_fits_decides() {
        let text = "123.0.0.0-123.0.0.5 refuse\n123.0.0.* accept\n198.18.0.0/24 accept\n192.0.2.1,255.255.255.0 refuse\n\
                    ::/0 refuse\n198.18.0.7 refuse\n";
        let (table, problems) = report("connections", |findings| parse(text, findings));
        assert_eq!(
            problems,
            ["connections:6: warning W-CON-SHADOW: never reached, line 3 already covers it"]
        );
        for (client, expected) in [
            ("123.0.0.5", Some((Welcome::Refuse, 1))),
            ("123.0.0.6", Some((Welcome::Accept, 2))),
            ("198.18.0.7", Some((Welcome::Accept, 3))),
            ("192.0.2.200", Some((Welcome::Refuse, 4))),
            ("2001:db8::1", Some((Welcome::Refuse, 5))),
            ("203.0.113.9", None),
        ] {
            assert_eq!(table.find(client.parse().unwrap()), expected, "{client}");
        }
    }

    #[test]
    fn refused() {
        let text = "mail.example accept\n10.0.0.1 pass\n10.0.0.5-10.0.0.1 accept\n10.0.0.1\n*.10.0.1 accept\n1.2.3.4-::1 accept\n\
                    1.2.3.4* accept\n1.2.*.4* accept";
        let (_, problems) = report("connections", |findings| parse(text, findings));
        let codes: Vec<&str> = problems.iter().map(|problem| problem.split(": ").nth(1).unwrap()).collect();
        assert_eq!(
            codes,
            [
                "error E-CON-CLIENTS",
                "error E-CON-VALUE",
                "error E-CON-CLIENTS",
                "error E-CON-FIELDS",
                "error E-CON-CLIENTS",
                "error E-CON-CLIENTS",
                "error E-CON-CLIENTS",
                "error E-CON-CLIENTS",
            ]
        );
    }
}
