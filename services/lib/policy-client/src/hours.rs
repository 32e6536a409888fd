//! Recipients whose mail is delivered within hours only (SEED-118).

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use hikyaku_proto::policy::v1 as proto;
use hikyaku_types::{address::Mailbox, hours::Hours};

use crate::{error::PolicyUnavailable, wire::unusable};

#[derive(Debug, Clone, Default)]
pub struct MailHours {
    /// 0 before the first answer.
    pub(crate) version: u64,
    of: HashMap<Mailbox, Arc<Hours>>,
}

impl MailHours {
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// When mail for this address may be delivered; `None`: now.
    pub fn opens_at(&self, address: &Mailbox, now: SystemTime) -> Option<SystemTime> {
        self.of.get(&address.canonical())?.opens_at(now)
    }
}

pub(crate) fn mail_hours(response: proto::ListHoursResponse) -> Result<MailHours, PolicyUnavailable> {
    let mut of = HashMap::new();
    for proto::RecipientHours { hours, addresses } in response.hours {
        let hours: Arc<Hours> = Arc::new(hours.parse().map_err(unusable("hours"))?);
        for address in addresses {
            let address: Mailbox = address.parse().map_err(unusable("address with hours"))?;
            of.insert(address.canonical(), Arc::clone(&hours));
        }
    }
    Ok(MailHours { version: response.version, of })
}
