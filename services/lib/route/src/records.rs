//! What the DNS says of a name, as it stands there: for people who look for faults. Mail is sent by
//! [`crate::resolver::Resolver::hosts`].

use std::net::IpAddr;

use hickory_resolver::{
    net::NetError,
    proto::rr::{RData, Record},
};
use hikyaku_types::domain::Domain;

use crate::{
    answer::absence,
    plan::RouteError,
    resolver::{Resolver, mx_records},
};

/// No record is an answer; an error is none.
pub type Records<T> = Result<Vec<T>, NoAnswer>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the DNS gave no answer: {0}")]
pub struct NoAnswer(String);

impl Resolver {
    /// All exchanges in the order of their preference, ourselves too; `None` is the null MX.
    pub async fn mx(&self, domain: &Domain) -> Records<Option<Domain>> {
        let mut records =
            answered(self.dns.mx_lookup(format!("{domain}.")).await.map(|it| mx_records(it.answers())))?;
        records.sort_by_key(|record| record.preference);
        Ok(records.into_iter().map(|record| record.exchange).collect())
    }

    pub async fn host_addresses(&self, host: &Domain) -> Records<IpAddr> {
        match self.address_records(host).await {
            Ok(records) => Ok(records.iter().filter_map(|record| record.data.ip_addr()).collect()),
            Err(RouteError::TryAgain(why)) => Err(NoAnswer(why)),
            Err(RouteError::NoSuchDomain | RouteError::NoAddress | RouteError::NullMx | RouteError::Loop) => {
                Ok(Vec::new())
            }
        }
    }

    /// The texts of TXT records, each in one piece.
    pub async fn texts(&self, domain: &Domain) -> Records<String> {
        self.texts_of(&format!("{domain}.")).await
    }

    pub(crate) async fn texts_of(&self, name: &str) -> Records<String> {
        let lookup = self.dns.txt_lookup(name).await;
        answered(lookup.map(|lookup| {
            let text = |record: &Record| {
                let RData::TXT(txt) = &record.data else { return None };
                Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned())
            };
            lookup.answers().iter().filter_map(text).collect()
        }))
    }

    /// The reverse names of an address.
    pub async fn names(&self, address: IpAddr) -> Records<Domain> {
        answered(self.dns.reverse_lookup(address).await.map(|lookup| {
            let name = |record: &Record| {
                let RData::PTR(name) = &record.data else { return None };
                name.to_ascii().parse().ok()
            };
            lookup.answers().iter().filter_map(name).collect()
        }))
    }
}

fn answered<T>(lookup: Result<Vec<T>, NetError>) -> Records<T> {
    match lookup {
        Ok(records) => Ok(records),
        Err(error) if absence(&error).is_some() => Ok(Vec::new()),
        Err(error) => Err(NoAnswer(error.to_string())),
    }
}
