//! `settings`: `key = value`, one a line. A key that is missing has its default.

use std::{net::IpAddr, num::NonZeroU32};

use super::{
    accounts::address_of,
    lines::{Line, clean_lines},
};
use crate::{
    problem::Findings,
    rules::table::settings::{OwnSenders, SenderTrust, Settings},
};

const KEYS: [&str; 7] = [
    "postmaster",
    "own_senders",
    "sender_trust",
    "max_received",
    "lock_after_failures",
    "lock_minutes",
    "own_addresses",
];

pub(crate) fn parse(text: &str, findings: &mut Findings) -> Settings {
    let mut settings = Settings::default();
    let mut seen: Vec<(&str, u32)> = Vec::new();
    for line in clean_lines(text, findings) {
        let Some((key, value)) = line.text.split_once('=') else {
            findings.error(line.number, "E-SET-FIELDS", "want key = value");
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if let Some((_, earlier)) = seen.iter().find(|(known, _)| *known == key) {
            findings.error(line.number, "E-SET-TWICE", format!("{key} already on line {earlier}"));
            continue;
        }
        seen.push((key, line.number));
        set(&mut settings, key, value, line, findings);
    }
    settings
}

fn set(settings: &mut Settings, key: &str, value: &str, line: Line<'_>, findings: &mut Findings) {
    let wanted = match key {
        "postmaster" => match address_of(value) {
            Some(mailbox) => {
                settings.postmaster = Some((mailbox, line.number));
                return;
            }
            None => "user@domain",
        },
        "own_senders" => match value {
            "protect" => return settings.own_senders = OwnSenders::Protect,
            "accept" => return settings.own_senders = OwnSenders::Accept,
            _ => "protect or accept",
        },
        "sender_trust" => match value {
            "1" => return settings.sender_trust = SenderTrust::Identity,
            "2" => return settings.sender_trust = SenderTrust::Sender,
            "3" => return settings.sender_trust = SenderTrust::Author,
            _ => "1, 2 or 3",
        },
        "max_received" => match number(value, 1..=1_000) {
            Some(count) => return settings.max_received = Some(count),
            None => "a number from 1 to 1000",
        },
        "lock_after_failures" => match number(value, 3..=1_000) {
            Some(count) => return settings.lock.after_failures = count,
            None => "a number from 3 to 1000",
        },
        "lock_minutes" => match number(value, 1..=1_440) {
            Some(count) => return settings.lock.minutes = count,
            None => "a number from 1 to 1440",
        },
        "own_addresses" => match addresses(value) {
            Some(addresses) => return settings.own_addresses = addresses,
            None => "a list of IP addresses",
        },
        _ => {
            let reason = format!("{key:?} is not a setting; there are {}", KEYS.join(", "));
            findings.error(line.number, "E-SET-KEY", reason);
            return;
        }
    };
    findings.error(line.number, "E-SET-VALUE", format!("{key}: {value:?} is not {wanted}"));
}

fn number(text: &str, range: std::ops::RangeInclusive<u32>) -> Option<NonZeroU32> {
    let number: u32 = text.parse().ok()?;
    NonZeroU32::new(number).filter(|_| range.contains(&number))
}

/// Between blanks or commas, at least one.
fn addresses(text: &str) -> Option<Vec<IpAddr>> {
    let is_gap = |c: char| c == ',' || c.is_ascii_whitespace();
    let addresses = text.split(is_gap).filter(|address| !address.is_empty());
    let addresses: Option<Vec<IpAddr>> =
        addresses.map(|text| text.parse::<IpAddr>().ok().map(|address| address.to_canonical())).collect();
    addresses.filter(|addresses| !addresses.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::report;

    fn parsed(text: &str) -> (Settings, Vec<String>) {
        report("settings", |findings| parse(text, findings))
    }

    #[test]
    fn what_may_be_said() {
        let (settings, problems) = parsed(
            "postmaster = admin@domain.jp\nown_senders=accept\nsender_trust = 3\nmax_received = 20\n\
             lock_after_failures = 5\nlock_minutes = 30\nown_addresses = 198.51.100.10, 2001:db8::1 ::ffff:192.0.2.1\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(settings.postmaster.unwrap().0.to_string(), "admin@domain.jp");
        assert_eq!((settings.own_senders, settings.sender_trust), (OwnSenders::Accept, SenderTrust::Author));
        assert_eq!(settings.max_received.unwrap().get(), 20);
        assert_eq!((settings.lock.after_failures.get(), settings.lock.minutes.get()), (5, 30));
        let own: Vec<String> = settings.own_addresses.iter().map(ToString::to_string).collect();
        assert_eq!(own, ["198.51.100.10", "2001:db8::1", "192.0.2.1"]);
    }

    /// SEED-096: X-Relay cannot be switched off.
    #[test]
    fn refused() {
        let (_, problems) = parsed(
            "x_relay = off\nsender_trust\nsender_trust = 4\nsender_trust = 2\nmax_received = 0\n\
             postmaster = admin\nown_addresses = gw.example\n",
        );
        assert_eq!(
            problems,
            [
                "settings:1: error E-SET-KEY: \"x_relay\" is not a setting; there are postmaster, own_senders, \
                 sender_trust, max_received, lock_after_failures, lock_minutes, own_addresses",
                "settings:2: error E-SET-FIELDS: want key = value",
                "settings:3: error E-SET-VALUE: sender_trust: \"4\" is not 1, 2 or 3",
                "settings:4: error E-SET-TWICE: sender_trust already on line 3",
                "settings:5: error E-SET-VALUE: max_received: \"0\" is not a number from 1 to 1000",
                "settings:6: error E-SET-VALUE: postmaster: \"admin\" is not user@domain",
                "settings:7: error E-SET-VALUE: own_addresses: \"gw.example\" is not a list of IP addresses",
            ]
        );
    }
}
