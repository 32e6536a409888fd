//! What the DNS says of the certificates of a host (RFC 7672): only where DNSSEC proves all that led there.

use std::sync::Arc;

use hickory_resolver::proto::rr::{
    Name, RData, Record, RecordType,
    rdata::tlsa::{CertUsage, Matching, Selector, TLSA},
};
use hikyaku_types::{
    destination::{Destination, HostName},
    domain::Domain,
    tlsa::{TlsaData, TlsaRecord, TlsaSelector, TlsaUsage},
};

use crate::{
    answer::{Proven, proven},
    plan::RouteError,
    resolver::{Resolver, forged, read_name},
};

/// What a host's certificate is held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dane {
    /// Nothing is published, or nothing that is proven.
    Absent,
    /// Records, none of which can be used: TLS, with any certificate (RFC 7672 2.2).
    Unusable,
    /// One of these must fit; never empty.
    Records(Arc<[TlsaRecord]>),
}

impl Resolver {
    /// For a host of this destination. An answer that cannot be had, or is forged, is no answer: the host is
    /// not to be used now.
    pub async fn dane(
        &self,
        destination: &Destination,
        host: &HostName,
        port: u16,
    ) -> Result<Dane, RouteError> {
        let HostName::Name(host) = host else { return Ok(Dane::Absent) };
        if !self.is_validating() {
            return Ok(Dane::Absent);
        }
        if let Destination::Mx(domain) = destination
            && !self.is_proven(domain, RecordType::MX).await?
            && domain != host
        {
            return Ok(Dane::Absent);
        }
        // Servers of unsigned zones often do not answer questions for TLSA, so they are not asked.
        let a = self.is_proven(host, RecordType::A).await?;
        if !a && !self.is_proven(host, RecordType::AAAA).await? {
            return Ok(Dane::Absent);
        }
        self.tlsa(host, port).await
    }

    /// Whether DNSSEC proves which hosts take the mail of this domain.
    pub async fn proves_hosts_of(&self, domain: &Domain) -> Result<bool, RouteError> {
        Ok(self.is_validating() && self.is_proven(domain, RecordType::MX).await?)
    }

    async fn is_proven(&self, name: &Domain, kind: RecordType) -> Result<bool, RouteError> {
        Ok(self.published(&read_name(name.as_str())?, kind).await?.is_some())
    }

    /// Records that are proven; `None`: there are none, or none that are.
    async fn published(&self, name: &Name, kind: RecordType) -> Result<Option<Vec<Record>>, RouteError> {
        match self.dns.lookup(name.clone(), kind).await {
            Ok(lookup) => match proven(lookup.answers(), name, kind) {
                Some((Proven::Signed, records)) => Ok(Some(records)),
                Some((Proven::Unsigned, _)) => Ok(None),
                None => Err(forged()),
            },
            Err(error) => match self.absence(&error).await {
                Some(_) => Ok(None),
                None => Err(RouteError::TryAgain(error.to_string())),
            },
        }
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Dane, RouteError> {
        let name = read_name(&format!("_{port}._tcp.{host}"))?;
        let records = self.published(&name, RecordType::TLSA).await?;
        Ok(records.map_or(Dane::Absent, |records| usable(&records)))
    }
}

/// Records that nobody can use are as good as none where others can be used (RFC 7671 4.1).
fn usable(records: &[Record]) -> Dane {
    let tlsa = |record: &Record| {
        let RData::TLSA(tlsa) = &record.data else { return None };
        Some(read(tlsa))
    };
    let all: Vec<Option<TlsaRecord>> = records.iter().filter_map(tlsa).collect();
    let usable: Arc<[TlsaRecord]> = all.iter().flatten().cloned().collect();
    match (all.is_empty(), usable.is_empty()) {
        (true, _) => Dane::Absent,
        (false, true) => Dane::Unusable,
        (false, false) => Dane::Records(usable),
    }
}

fn read(tlsa: &TLSA) -> Option<TlsaRecord> {
    let usage = match tlsa.cert_usage {
        CertUsage::DaneTa => TlsaUsage::DaneTa,
        CertUsage::DaneEe => TlsaUsage::DaneEe,
        CertUsage::PkixTa | CertUsage::PkixEe | CertUsage::Unassigned(_) | CertUsage::Private => return None,
    };
    let selector = match tlsa.selector {
        Selector::Full => TlsaSelector::Certificate,
        Selector::Spki => TlsaSelector::PublicKey,
        Selector::Unassigned(_) | Selector::Private => return None,
    };
    let octets = &tlsa.cert_data;
    let data = match tlsa.matching {
        Matching::Raw if !octets.is_empty() => TlsaData::Whole(octets.clone()),
        Matching::Sha256 => TlsaData::Sha256(octets.as_slice().try_into().ok()?),
        Matching::Sha512 => TlsaData::Sha512(octets.as_slice().try_into().ok()?),
        Matching::Raw | Matching::Unassigned(_) | Matching::Private => return None,
    };
    Some(TlsaRecord { usage, selector, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(usage: u8, selector: u8, matching: u8, octets: &[u8]) -> Record {
        let tlsa = TLSA::new(usage.into(), selector.into(), matching.into(), octets.to_vec());
        Record::from_rdata(Name::root(), 60, RData::TLSA(tlsa))
    }

    /// RFC 7672 3.1: what a mail server may be held to, and what of it is a record that says nothing.
    #[test]
    fn records_that_can_be_used() {
        let (short, long) = ([7; 32], [9; 64]);
        for (usage, selector, matching, octets, expected) in [
            (3, 1, 1, short.as_slice(), true),
            (3, 0, 2, long.as_slice(), true),
            (2, 0, 1, short.as_slice(), true),
            (2, 0, 0, b"der".as_slice(), true),
            (0, 1, 1, short.as_slice(), false),
            (1, 1, 1, short.as_slice(), false),
            (4, 1, 1, short.as_slice(), false),
            (255, 1, 1, short.as_slice(), false),
            (3, 2, 1, short.as_slice(), false),
            (3, 1, 3, short.as_slice(), false),
            (3, 1, 1, b"too short".as_slice(), false),
            (3, 1, 0, b"".as_slice(), false),
        ] {
            let found = usable(&[record(usage, selector, matching, octets)]);
            match expected {
                true => assert!(matches!(&found, Dane::Records(records) if records.len() == 1), "{usage}"),
                false => assert_eq!(found, Dane::Unusable, "{usage} {selector} {matching}"),
            }
        }
        assert_eq!(usable(&[]), Dane::Absent);
        let mixed = usable(&[record(1, 1, 1, &short), record(3, 1, 1, &short)]);
        assert!(matches!(mixed, Dane::Records(records) if records.len() == 1));
    }
}
