//! What is set once for the whole relay.

use std::{net::IpAddr, num::NonZeroU32};

use hikyaku_types::address::Mailbox;

/// What becomes of an own-domain sender from outside without AUTH (SEED-082, SEED-086).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OwnSenders {
    /// 530 5.7.0.
    #[default]
    Protect,
    /// Mail for own recipients is taken; it still relays nothing.
    Accept,
}

/// What an authenticated client may say of its sender (SEED-115).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SenderTrust {
    /// Level 1: anything.
    Identity,
    /// Level 2: MAIL FROM is the user or an alias of the user.
    #[default]
    Sender,
    /// Level 3: the From field too.
    Author,
}

/// When an account is locked (SEED-116).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) after_failures: NonZeroU32,
    pub(crate) minutes: NonZeroU32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where postmaster of a domain goes that lists none, and its line (SEED-111).
    pub(crate) postmaster: Option<(Mailbox, u32)>,
    pub(crate) own_senders: OwnSenders,
    pub(crate) sender_trust: SenderTrust,
    /// Instead of what each node has (SEED-137).
    pub(crate) max_received: Option<NonZeroU32>,
    pub(crate) lock: Lock,
    /// Addresses of this cluster that no listener names, such as a load balancer's.
    pub(crate) own_addresses: Vec<IpAddr>,
}

impl Default for Lock {
    fn default() -> Self {
        const FAILURES: NonZeroU32 = NonZeroU32::new(10).unwrap();
        const MINUTES: NonZeroU32 = NonZeroU32::new(15).unwrap();
        Self { after_failures: FAILURES, minutes: MINUTES }
    }
}
