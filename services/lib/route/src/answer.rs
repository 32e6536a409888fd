//! What an answer of the DNS means. With DNSSEC a proven absence is an error of its own kind, and each record
//! says what its signatures prove.

use hickory_resolver::{
    net::{DnsError, NetError},
    proto::{dnssec::Proof, op::ResponseCode, rr::Record},
};

/// What is not there, as an answer and not as silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// NXDOMAIN.
    Name,
    /// The name exists and has no such records.
    Records,
}

/// `None`: nobody has said that there is nothing.
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

/// Whether signatures lead from the trust anchor to each of these.
pub(crate) fn is_secure(records: &[Record]) -> bool {
    !records.is_empty() && records.iter().all(|record| record.proof == Proof::Secure)
}
