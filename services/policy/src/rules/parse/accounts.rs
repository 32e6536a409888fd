//! `accounts`: an address a line, then what is said of it as `key=value`, separated by TABs
//! (SEED-043, SEED-118, SEED-119). An account is a valid recipient; with a line in `credentials` it may log in.

use hikyaku_types::{address::Mailbox, hours::HoursError};

use super::lines::{Line, data_lines};
use crate::{
    problem::Findings,
    rules::table::{
        accounts::{Account, Accounts},
        address::is_same,
    },
};

/// Every delivery worker knows the accounts whose mail waits.
const MAX_WAITING: usize = 50_000;
const FIELDS: &str = "name=, smtp=on|off, receive=on|off, hours=, send_hours= or receive_hours=";

pub(crate) fn parse(text: &str, findings: &mut Findings) -> Accounts {
    let mut table = Accounts::default();
    for line in data_lines(text) {
        let Some((mailbox, account)) = account(line, &mut table, findings) else { continue };
        if let Some(earlier) = table.insert(&mailbox, account) {
            findings.error(line.number, "E-AC-DUP", format!("same address as line {earlier}"));
        }
    }
    if table.waiting().0.map(|(_, accounts)| accounts.len()).sum::<usize>() > MAX_WAITING {
        let reason = format!("more than {MAX_WAITING} accounts with hours for their mail");
        findings.error(0, "E-AC-HOURS", reason);
    }
    table
}

fn account(line: Line<'_>, table: &mut Accounts, findings: &mut Findings) -> Option<(Mailbox, Account)> {
    let mut fields = line.text.split('\t').map(str::trim);
    let address = fields.next().unwrap_or_default();
    let mailbox = address_of(address);
    // A label may be Japanese; nothing else may.
    if !address.is_ascii() {
        findings.error(line.number, "E-NONASCII", "non-ASCII character in a data field");
        return None;
    }
    if mailbox.is_none() {
        findings.error(line.number, "E-AC-NAME", format!("{address:?} is not an address with a domain"));
    }
    let mut account =
        Account { line: line.number, may_send: true, may_receive: true, sending: None, receiving: None };
    let mut is_clean = line.is_bounded(findings);
    for field in fields {
        match field.split_once('=') {
            Some(("name", _)) => {}
            Some(("smtp", "on")) => account.may_send = true,
            Some(("smtp", "off")) => account.may_send = false,
            Some(("receive", "on")) => account.may_receive = true,
            Some(("receive", "off")) => account.may_receive = false,
            Some(("smtp" | "receive", _)) => {
                findings.error(line.number, "E-AC-FLAG", format!("{field:?}: want on or off"));
                is_clean = false;
            }
            Some((key @ ("hours" | "send_hours" | "receive_hours"), value)) => match value.parse() {
                Ok(hours) => {
                    let hours = Some(table.keep(hours));
                    if key != "receive_hours" {
                        account.sending = hours;
                    }
                    if key != "send_hours" {
                        account.receiving = hours;
                    }
                }
                Err(reason) => {
                    let reason: HoursError = reason;
                    findings.error(line.number, "E-AC-HOURS", format!("{key}: {reason}"));
                    is_clean = false;
                }
            },
            Some(_) | None => {
                let reason = format!("{field:?} is not {FIELDS}");
                findings.error(line.number, "E-AC-FIELD", reason);
                is_clean = false;
            }
        }
    }
    mailbox.filter(|_| is_clean).map(|mailbox| (mailbox, account))
}

/// The account that a line of `accounts` or `credentials` is about, as it is spelled there.
pub(crate) fn account_of(line: &str) -> Option<Mailbox> {
    address_of(line.split('\t').next()?.trim())
}

/// However it is spelled.
pub(crate) fn is_about(line: &str, account: &Mailbox) -> bool {
    account_of(line).is_some_and(|mailbox| is_same(&mailbox, account))
}

/// An address with a domain, not with an address literal.
pub(super) fn address_of(text: &str) -> Option<Mailbox> {
    text.parse().ok().filter(|mailbox: &Mailbox| mailbox.domain().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::report;

    #[test]
    fn addresses_with_what_is_said_of_them() {
        let text = "user1@domain.co.jp\nbucho@test.jp\tname=部長\tsmtp=off\nold@test.jp\treceive=off\n";
        let (table, problems) = report("accounts", |findings| parse(text, findings));
        assert_eq!(problems, Vec::<String>::new());
        let said = |line, may_send, may_receive| Account {
            line,
            may_send,
            may_receive,
            sending: None,
            receiving: None,
        };
        let of = |text: &str| table.of(&text.parse().unwrap()).copied();
        assert_eq!(of("USER1@domain.co.jp"), Some(said(1, true, true)));
        assert_eq!(of("bucho@test.jp"), Some(said(2, false, true)));
        assert_eq!(of("old@test.jp"), Some(said(3, true, false)));
        assert_eq!(of("nobody@test.jp"), None);
    }

    /// SEED-118.
    #[test]
    fn seed_118_hours() {
        let office = "Mon-Fri 09:00-18:00 Asia/Tokyo";
        let text = format!(
            "a@d.jp\thours={office}\nb@d.jp\tsend_hours={office}\nc@d.jp\treceive_hours=daily 08:00-20:00 +09:00\n\
             d@d.jp\thours={office}\tsend_hours=daily 00:00-24:00 UTC\ne@d.jp\n"
        );
        let (table, problems) = report("accounts", |findings| parse(&text, findings));
        assert_eq!(problems, Vec::<String>::new());
        let hours = |text: &str| {
            let account = table.of(&text.parse().unwrap()).unwrap();
            [account.sending, account.receiving].map(|id| id.map(|id| table.hours(id).to_string()))
        };
        let office = || Some(office.to_owned());
        assert_eq!(hours("a@d.jp"), [office(), office()]);
        assert_eq!(hours("b@d.jp"), [office(), None]);
        assert_eq!(hours("c@d.jp"), [None, Some("daily 08:00-20:00 +09:00".to_owned())]);
        assert_eq!(hours("d@d.jp"), [Some("daily 00:00-24:00 UTC".to_owned()), office()]);
        assert_eq!(hours("e@d.jp"), [None, None]);
        let waiting: Vec<String> = table
            .waiting()
            .0
            .map(|(hours, accounts)| {
                let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
                format!("{hours}: {}", accounts.join(" "))
            })
            .collect();
        assert_eq!(
            waiting,
            ["Mon-Fri 09:00-18:00 Asia/Tokyo: a@d.jp d@d.jp", "daily 08:00-20:00 +09:00: c@d.jp"]
        );

        let (_, problems) = report("accounts", |findings| {
            parse(
                "a@d.jp\thours=Mon-Fri 9-18 JST\nb@d.jp\tsend_hours=\nc@d.jp\thours=Mon 09:00-10:00 X/Y",
                findings,
            )
        });
        assert_eq!(
            problems,
            [
                "accounts:1: error E-AC-HOURS: hours: \"9-18\" is not a range of times (09:00-18:00)",
                "accounts:2: error E-AC-HOURS: send_hours: want days, times and a time zone: Mon-Fri 09:00-18:00 \
                 Asia/Tokyo",
                "accounts:3: error E-AC-HOURS: hours: \"X/Y\" is not a time zone: want a name (Asia/Tokyo), UTC or \
                 an offset (+09:00)",
            ]
        );
    }

    /// A worker is told anew only when something has changed for it.
    #[test]
    fn the_version_is_that_of_waiting_accounts() {
        let version = |text: &str| report("accounts", |findings| parse(text, findings).waiting().1).0;
        assert_eq!(version("a@d.jp"), version("b@d.jp"));
        let one = version("a@d.jp\treceive_hours=daily 09:00-10:00 UTC");
        assert_eq!(one, version("x@d.jp\na@d.jp\treceive_hours=daily 09:00-10:00 UTC"));
        assert_ne!(one, version("b@d.jp\treceive_hours=daily 09:00-10:00 UTC"));
        assert_ne!(one, version("a@d.jp\treceive_hours=daily 09:00-11:00 UTC"));
        assert_ne!(one, version(""));
    }

    #[test]
    fn refused() {
        let text = "bucho\nuser 2@d.jp\nｕ@d.jp\na@d.jp\tsmtp=0\nb@d.jp\tx\nUSER@d.jp\nuser@d.jp\n";
        let (_, problems) = report("accounts", |findings| parse(text, findings));
        assert_eq!(
            problems,
            [
                "accounts:1: error E-AC-NAME: \"bucho\" is not an address with a domain",
                "accounts:2: error E-AC-NAME: \"user 2@d.jp\" is not an address with a domain",
                "accounts:3: error E-NONASCII: non-ASCII character in a data field",
                "accounts:4: error E-AC-FLAG: \"smtp=0\": want on or off",
                "accounts:5: error E-AC-FIELD: \"x\" is not name=, smtp=on|off, receive=on|off, hours=, send_hours= or \
                 receive_hours=",
                "accounts:7: error E-AC-DUP: same address as line 6",
            ]
        );
    }
}
