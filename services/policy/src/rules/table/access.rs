//! The access table: which client or sender is trusted, refused or held to the built-in rules. The
//! first line that fits decides (SEED-077).

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
};

use hikyaku_types::{
    address::{Mailbox, ReversePath},
    domain::Domain,
    traffic::Rate,
};
use ipnet::IpNet;

use super::{
    address::{AddressKey, address_key},
    networks::Networks,
};

/// The word on the right side of a line (SEED-071).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// SEED-072.
    True,
    /// SEED-073.
    False,
    /// SEED-074.
    Default,
    /// SEED-075: as [`Value::True`], and the table ends here.
    Only,
    /// SEED-076: never relays, not even with AUTH.
    NoRelay,
    /// SEED-076: relays with AUTH only; receives without.
    NoRelayWithoutAuth,
}

/// What a line gives to whom it fits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Right {
    pub(crate) value: Value,
    /// SEED-081.
    pub(crate) rate: Option<Rate>,
}

/// The left side of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Client(IpNet),
    Sender(SenderPattern),
}

/// What is looked for in MAIL FROM (SEED-080).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SenderPattern {
    /// `domain` or `*@domain`.
    Domain(Domain),
    /// `*.domain`: one or more labels below it.
    Below(Domain),
    Address(Mailbox),
}

/// What the table says of a client and its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Accepted and relayed because of the address.
    Trusted,
    Refused,
    /// The built-in rules.
    Default,
    NoRelay,
    NoRelayWithoutAuth,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trusted => "trusted because of its address",
            Self::Refused => "refused",
            Self::Default => "held to the built-in rules",
            Self::NoRelay => "never relays",
            Self::NoRelayWithoutAuth => "relays with AUTH only",
        })
    }
}

/// A standing and the line that gives it; no line: none fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) standing: Standing,
    pub(crate) line: Option<u32>,
    /// Messages of each client that the line fits (SEED-081).
    pub(crate) rate: Option<Rate>,
}

#[derive(Debug, Default)]
pub(crate) struct AccessTable {
    clients: Networks,
    addresses: HashMap<AddressKey, u32>,
    domains: HashMap<Domain, u32>,
    below: HashMap<Box<str>, u32>,
    rights: BTreeMap<u32, Right>,
    /// Line of the `only` that ends the table.
    end: Option<u32>,
}

impl AccessTable {
    /// The line that is before this one and fits whatever this one fits.
    pub(crate) fn covering(&self, pattern: &Pattern) -> Option<u32> {
        match pattern {
            Pattern::Client(network) => self.clients.first_around(*network),
            Pattern::Sender(SenderPattern::Address(mailbox)) => self.first_for_sender(mailbox),
            Pattern::Sender(SenderPattern::Domain(domain)) => self.first_for_domain(domain),
            Pattern::Sender(SenderPattern::Below(domain)) => {
                let same = self.below.get(domain.as_str()).copied();
                same.into_iter().chain(self.above(domain)).min()
            }
        }
    }

    pub(crate) fn insert(&mut self, pattern: Pattern, right: Right, line: u32) {
        match pattern {
            Pattern::Client(network) => {
                self.clients.insert(network, line);
            }
            Pattern::Sender(SenderPattern::Domain(domain)) => {
                self.domains.entry(domain).or_insert(line);
            }
            Pattern::Sender(SenderPattern::Below(domain)) => {
                self.below.entry(domain.as_str().into()).or_insert(line);
            }
            Pattern::Sender(SenderPattern::Address(mailbox)) => {
                if let Some(key) = address_key(&mailbox) {
                    self.addresses.entry(key).or_insert(line);
                }
            }
        }
        self.rights.insert(line, right);
        if right.value == Value::Only {
            self.end.get_or_insert(line);
        }
    }

    /// `client` must not be an IPv4-mapped address. Without a sender only clients are looked at.
    pub(crate) fn find(&self, client: IpAddr, sender: Option<&ReversePath>) -> Access {
        let sender = match sender {
            Some(ReversePath::Mailbox(mailbox)) => self.first_for_sender(mailbox),
            Some(ReversePath::Null) | None => None,
        };
        let client = self.clients.first_around(IpNet::from(client));
        let first = client.into_iter().chain(sender).min();
        match first.and_then(|line| Some((line, *self.rights.get(&line)?))) {
            Some((line, Right { value, rate })) => {
                Access { standing: standing(value), line: Some(line), rate }
            }
            None => match self.end {
                // SEED-075: who does not fit may hand in mail for us and nothing else.
                Some(end) => Access { standing: Standing::NoRelay, line: Some(end), rate: None },
                None => Access { standing: Standing::Default, line: None, rate: None },
            },
        }
    }

    /// Whether the sender can make a difference.
    pub(crate) fn looks_at_senders(&self) -> bool {
        !(self.addresses.is_empty() && self.domains.is_empty() && self.below.is_empty())
    }

    /// The lines that may decide for some client of `network` whatever its sender.
    pub(crate) fn line_for_network(&self, network: IpNet) -> Option<(u32, Value)> {
        let line = self.clients.first_around(network).or(self.end)?;
        Some((line, self.rights.get(&line)?.value))
    }

    fn first_for_sender(&self, mailbox: &Mailbox) -> Option<u32> {
        let address = address_key(mailbox).and_then(|key| self.addresses.get(&key).copied());
        address.into_iter().chain(self.first_for_domain(mailbox.domain()?)).min()
    }

    fn first_for_domain(&self, domain: &Domain) -> Option<u32> {
        self.domains.get(domain).copied().into_iter().chain(self.above(domain)).min()
    }

    fn above<'t>(&'t self, domain: &'t Domain) -> impl Iterator<Item = u32> + 't {
        let parent = |name: &&'t str| name.split_once('.').map(|(_, parent)| parent);
        std::iter::successors(domain.parent(), parent).filter_map(|parent| self.below.get(parent).copied())
    }
}

fn standing(value: Value) -> Standing {
    match value {
        Value::True | Value::Only => Standing::Trusted,
        Value::False => Standing::Refused,
        Value::Default => Standing::Default,
        Value::NoRelay => Standing::NoRelay,
        Value::NoRelayWithoutAuth => Standing::NoRelayWithoutAuth,
    }
}
