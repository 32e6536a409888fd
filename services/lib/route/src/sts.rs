//! MTA-STS (RFC 8461): a domain says over HTTPS which hosts are its own and that they speak TLS.

mod fetch; // domain -> policy, by HTTPS
mod text; // what is published; pure

pub use fetch::{FetchError, PolicyFetcher};
pub use text::{PolicyError, StsMode, StsPolicy};

use hikyaku_types::domain::Domain;

use crate::{records::NoAnswer, resolver::Resolver, sts::text::policy_id};

impl Resolver {
    /// The id of the policy that a domain has now; `None`: it says nothing of one (RFC 8461 3.1).
    pub async fn sts_id(&self, domain: &Domain) -> Result<Option<String>, NoAnswer> {
        let texts = self.texts_of(&format!("_mta-sts.{domain}.")).await?;
        Ok(policy_id(&texts))
    }
}
