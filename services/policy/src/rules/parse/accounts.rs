//! `accounts`: an address a line, then what is said of it as `key=value`, separated by TABs
//! (SEED-043, SEED-119). An account is a valid recipient; with a line in `credentials` it may log in.

use hikyaku_types::address::Mailbox;

use super::lines::{Line, data_lines};
use crate::{
    problem::Findings,
    rules::table::{
        accounts::{Account, Accounts},
        address::is_same,
    },
};

pub(crate) fn parse(text: &str, findings: &mut Findings) -> Accounts {
    let mut table = Accounts::default();
    for line in data_lines(text) {
        let Some((mailbox, account)) = account(line, findings) else { continue };
        if let Some(earlier) = table.insert(&mailbox, account) {
            findings.error(line.number, "E-AC-DUP", format!("same address as line {earlier}"));
        }
    }
    table
}

fn account(line: Line<'_>, findings: &mut Findings) -> Option<(Mailbox, Account)> {
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
    let mut account = Account { line: line.number, may_send: true, may_receive: true };
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
            Some(_) | None => {
                let reason = format!("{field:?} is not name=, smtp=on|off or receive=on|off");
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
        let of = |text: &str| table.of(&text.parse().unwrap()).copied();
        assert_eq!(of("USER1@domain.co.jp"), Some(Account { line: 1, may_send: true, may_receive: true }));
        assert_eq!(of("bucho@test.jp"), Some(Account { line: 2, may_send: false, may_receive: true }));
        assert_eq!(of("old@test.jp"), Some(Account { line: 3, may_send: true, may_receive: false }));
        assert_eq!(of("nobody@test.jp"), None);
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
                "accounts:5: error E-AC-FIELD: \"x\" is not name=, smtp=on|off or receive=on|off",
                "accounts:7: error E-AC-DUP: same address as line 6",
            ]
        );
    }
}
