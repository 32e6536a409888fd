//! `credentials`: `address TAB scheme TAB verifier [TAB must-change]` (SEED-112). No secret can be
//! read from a verifier; a problem never shows one.

use super::{accounts::address_of, lines::clean_lines};
use crate::{
    credential::Verifier,
    problem::Findings,
    rules::table::{accounts::Accounts, credentials::CredentialTable},
};

const MUST_CHANGE: &str = "must-change";

pub(crate) fn parse(text: &str, accounts: &Accounts, findings: &mut Findings) -> CredentialTable {
    let mut table = CredentialTable::default();
    for line in clean_lines(text, findings) {
        let fields: Vec<&str> = line.text.split('\t').map(str::trim).collect();
        let (address, scheme, verifier, must_change) = match fields[..] {
            [address, scheme, verifier] => (address, scheme, verifier, false),
            [address, scheme, verifier, MUST_CHANGE] => (address, scheme, verifier, true),
            _ => {
                let reason = format!("{} field(s), want address, scheme and verifier", fields.len());
                findings.error(line.number, "E-CR-FIELDS", reason);
                continue;
            }
        };
        let mailbox = address_of(address);
        match &mailbox {
            None => findings.error(
                line.number,
                "E-CR-NAME",
                format!("{address:?} is not an address with a domain"),
            ),
            Some(mailbox) if accounts.of(mailbox).is_none() => {
                findings.error(line.number, "E-CR-ACCOUNT", format!("{mailbox} is not in accounts"));
            }
            Some(_) => {}
        }
        let verifier = Verifier::read(scheme, verifier);
        if let Err(reason) = &verifier {
            findings.error(line.number, "E-CR-VERIFIER", format!("{address}: {reason}"));
        }
        if let (Some(mailbox), Ok(verifier)) = (mailbox, verifier)
            && let Err(earlier) = table.insert(&mailbox, verifier, must_change, line.number)
        {
            findings.error(line.number, "E-CR-DUP", format!("same address and scheme as line {earlier}"));
        }
    }
    table
}
