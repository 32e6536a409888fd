//! What an answer of the DNS means. With DNSSEC a proven absence is an error of its own kind, and each record
//! says what its signatures prove.
//!
//! The library looks at each record for itself. So records of a name that proves nothing may stand in an
//! answer about one that is signed, and whether an answer is about what was asked is looked at here.

use hickory_resolver::{
    net::{DnsError, NetError, NoRecords},
    proto::{
        dnssec::Proof,
        op::ResponseCode,
        rr::{Name, RData, Record, RecordType},
    },
};

use crate::resolver::Resolver;

/// Names that the library answers by itself (RFC 6761).
const OF_NOBODY: [&str; 3] = ["invalid.", "localhost.", "onion."];

/// What is not there, as an answer and not as silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// NXDOMAIN.
    Name,
    /// The name exists and has no such records.
    Records,
}

/// What the signatures of an answer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proven {
    /// They lead from the trust anchor to all of it.
    Signed,
    /// That some of it is in a zone without signatures.
    Unsigned,
}

/// Who says that there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Witness {
    /// A zone that proves it, or one around the name that has no signatures.
    Good,
    /// Zones that have nothing to do with the name.
    Foreign,
    Nobody,
}

impl Resolver {
    /// `None`: nobody has said that there is nothing, or nobody who may say it.
    pub(crate) async fn absence(&self, error: &NetError) -> Option<Absence> {
        let absence = absence(error)?;
        let NetError::Dns(DnsError::NoRecordsFound(none)) = error else { return Some(absence) };
        if !self.is_validating() {
            return Some(absence);
        }
        match witness(none) {
            Witness::Good => Some(absence),
            Witness::Foreign => None,
            Witness::Nobody => self.is_unsigned(none.query.name()).await.then_some(absence),
        }
    }

    /// Whether it is proven that the zone around this name has no signatures.
    async fn is_unsigned(&self, name: &Name) -> bool {
        if OF_NOBODY.iter().any(|special| Name::from_ascii(special).is_ok_and(|it| it.zone_of(name))) {
            return true;
        }
        match self.dns.lookup(name.clone(), RecordType::SOA).await {
            Ok(lookup) => {
                let soa = proven(lookup.answers(), name, RecordType::SOA);
                soa.is_some_and(|(proven, _)| proven == Proven::Unsigned)
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                authorities(&none).any(|record| is_around(&record, name) && record.proof == Proof::Insecure)
            }
            Err(_) => false,
        }
    }
}

/// What an answer says, whoever has given it.
pub(crate) fn absence(error: &NetError) -> Option<Absence> {
    let of = |code| if code == ResponseCode::NXDomain { Absence::Name } else { Absence::Records };
    let NetError::Dns(error) = error else { return None };
    match error {
        DnsError::NoRecordsFound(none) => Some(of(none.response_code)),
        DnsError::Nsec { response, proof, .. } => {
            (*proof != Proof::Bogus).then(|| of(response.response_code))
        }
        // What is bogus, refused or broken says nothing.
        DnsError::ResponseCode(_) | DnsError::DnssecBogus | _ => None,
    }
}

fn witness(none: &NoRecords) -> Witness {
    let mut witness = Witness::Nobody;
    for record in authorities(none) {
        match record.proof {
            // The library takes nothing of a signed zone without proof that there is nothing.
            Proof::Secure => return Witness::Good,
            Proof::Insecure if is_around(&record, none.query.name()) => return Witness::Good,
            Proof::Insecure | Proof::Bogus | Proof::Indeterminate => witness = Witness::Foreign,
        }
    }
    witness
}

fn authorities(none: &NoRecords) -> impl Iterator<Item = Record> {
    let soa = none.soa.as_ref().map(|soa| soa.as_ref().clone().into_record_of_rdata());
    let authorities = none.authorities.iter().flat_map(|records| records.iter().cloned());
    authorities.chain(soa)
}

fn is_around(record: &Record, name: &Name) -> bool {
    record.name.zone_of(name)
}

/// The records of this kind that the name has, or the one that its CNAME records lead to, and what is proven of
/// all of it. `None`: they are forged, or the answer is about something else.
pub(crate) fn proven(records: &[Record], name: &Name, kind: RecordType) -> Option<(Proven, Vec<Record>)> {
    let mut name = name;
    let mut proven = Proven::Signed;
    // Each CNAME leads on once, so there are no more steps than records.
    for _ in 0..=records.len() {
        let of_name = |wanted: RecordType| -> Vec<&Record> {
            let is_wanted = |record: &&Record| record.name == *name && record.record_type() == wanted;
            records.iter().filter(is_wanted).collect()
        };
        let found = of_name(kind);
        let is_end = !found.is_empty();
        let found = if is_end { found } else { of_name(RecordType::CNAME) };
        for record in &found {
            match record.proof {
                Proof::Secure => {}
                Proof::Insecure => proven = Proven::Unsigned,
                Proof::Bogus | Proof::Indeterminate => return None,
            }
        }
        if is_end {
            return Some((proven, found.into_iter().cloned().collect()));
        }
        let RData::CNAME(target) = &found.first()?.data else { return None };
        name = &target.0;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(owner: &str, target: Option<&str>, proof: Proof) -> Record {
        let data = match target {
            Some(target) => RData::CNAME(CNAME(name(target))),
            None => RData::A(A(Ipv4Addr::LOCALHOST)),
        };
        let mut record = Record::from_rdata(name(owner), 60, data);
        record.proof = proof;
        record
    }

    #[test]
    fn only_what_was_asked_for_is_proven() {
        let (secure, insecure, bogus) = (Proof::Secure, Proof::Insecure, Proof::Bogus);
        let (signed, unsigned) = (Some(Proven::Signed), Some(Proven::Unsigned));
        for (records, expected) in [
            (vec![], None),
            (vec![record("a.test.", None, secure)], signed),
            (vec![record("A.Test.", None, secure)], signed),
            (vec![record("a.test.", None, insecure)], unsigned),
            (vec![record("a.test.", None, bogus)], None),
            (vec![record("a.test.", None, Proof::Indeterminate)], None),
            (vec![record("a.test.", None, secure), record("a.test.", None, bogus)], None),
            // What a name that proves nothing says of itself.
            (vec![record("b.test.", None, insecure)], None),
            (vec![record("c.test.", None, insecure), record("a.test.", None, secure)], signed),
            (vec![record("a.test.", Some("b.test."), secure), record("b.test.", None, secure)], signed),
            (vec![record("a.test.", Some("b.test."), insecure), record("b.test.", None, secure)], unsigned),
            (vec![record("a.test.", Some("b.test."), secure), record("b.test.", None, insecure)], unsigned),
            (vec![record("a.test.", Some("b.test."), secure)], None),
            (vec![record("a.test.", Some("a.test."), secure)], None),
        ] {
            let found = proven(&records, &name("a.test."), RecordType::A);
            assert_eq!(found.as_ref().map(|(proven, _)| *proven), expected, "{records:?}");
            let others = found.into_iter().flat_map(|(_, found)| found);
            let is_foreign = |record: &Record| record.name == name("c.test.");
            assert!(!others.into_iter().any(|record| is_foreign(&record)), "{records:?}");
        }
    }
}
