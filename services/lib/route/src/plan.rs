//! The order in which hosts are tried (RFC 5321 5.1). Pure; chance is passed in.

use hikyaku_types::{destination::HostName, domain::Domain};

/// Why there is no host to connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("domain does not exist")]
    NoSuchDomain,
    #[error("domain does not accept mail (null MX)")]
    NullMx,
    #[error("domain has neither MX nor address records")]
    NoAddress,
    #[error("the best MX host is this relay itself")]
    Loop,
    #[error("name server did not answer: {0}")]
    TryAgain(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MxRecord {
    pub(crate) preference: u16,
    /// As in the DNS; `None` is the root, that is ".".
    pub(crate) exchange: Option<Domain>,
}

/// Hosts in preference order, equal ones shuffled by `chance`, without ourselves and
/// without those behind us, to whom only a loop would lead.
pub(crate) fn order(
    records: &[MxRecord],
    own_name: &Domain,
    mut chance: impl FnMut() -> u64,
) -> Result<Vec<HostName>, RouteError> {
    // RFC 7505 3: a single record with the root as exchange.
    if let [MxRecord { exchange: None, .. }] = records {
        return Err(RouteError::NullMx);
    }
    let is_own = |record: &&MxRecord| record.exchange.as_ref() == Some(own_name);
    let own = records.iter().filter(is_own).map(|record| record.preference).min();
    let mut hosts: Vec<(u16, u64, &Domain)> = records
        .iter()
        .filter(|record| own.is_none_or(|own| record.preference < own))
        .filter_map(|record| Some((record.preference, chance(), record.exchange.as_ref()?)))
        .collect();
    if hosts.is_empty() {
        return Err(if own.is_some() { RouteError::Loop } else { RouteError::NoAddress });
    }
    hosts.sort_unstable();
    Ok(hosts.into_iter().map(|(_, _, host)| HostName::Name(host.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(records: &[(u16, &str)]) -> Result<Vec<String>, RouteError> {
        let records: Vec<MxRecord> = records
            .iter()
            .map(|(preference, exchange)| MxRecord {
                preference: *preference,
                exchange: exchange.parse().ok(),
            })
            .collect();
        let mut chance = 100;
        let chance = || {
            chance -= 1;
            chance
        };
        let own = "gw.example".parse().unwrap();
        Ok(order(&records, &own, chance)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn preference_then_chance() {
        let records = [(20, "c.example"), (10, "a.example"), (10, "b.example")];
        assert_eq!(hosts(&records).unwrap(), ["b.example", "a.example", "c.example"]);
    }

    #[test]
    fn null_mx_only_alone() {
        assert_eq!(hosts(&[(0, ".")]), Err(RouteError::NullMx));
        assert_eq!(hosts(&[(0, "."), (5, "a.example")]).unwrap(), ["a.example"]);
    }

    #[test]
    fn hosts_behind_ourselves_are_a_loop() {
        let records = [(10, "a.example"), (20, "gw.example"), (20, "b.example"), (30, "c.example")];
        assert_eq!(hosts(&records).unwrap(), ["a.example"]);
        assert_eq!(hosts(&[(10, "gw.example"), (20, "b.example")]), Err(RouteError::Loop));
    }
}
