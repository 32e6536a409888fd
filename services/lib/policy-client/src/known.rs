//! What is remembered, and by which question it is found again.

use std::sync::Arc;

use hikyaku_types::{
    address::{ForwardPath, Mailbox, ReversePath},
    domain::Domain,
    reply::Reply,
};

use crate::{
    answer::{Asker, RecipientAnswer, RecipientVerdict, Verdict},
    error::PolicyUnavailable,
    wire::{AcceptedRecipient, Reach, Scope},
};

/// A question in the spellings under which its answer may be found, the widest first.
#[derive(Debug)]
pub(crate) struct Keys<K>(Vec<(Reach, K)>);

impl<K> Keys<K> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(_, key)| key)
    }

    /// The spelling for an answer of this reach; the narrowest when there is none.
    pub(crate) fn of_reach(mut self, reach: Reach) -> Option<K> {
        let place = self.0.iter().position(|(it, _)| *it == reach);
        let place = place.or(self.0.len().checked_sub(1))?;
        Some(self.0.swap_remove(place).1)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum SenderKey {
    Domain(Asker, Domain),
    Address(Asker, ReversePath),
}

impl SenderKey {
    pub(crate) fn of(asker: &Asker, reverse_path: &ReversePath) -> Keys<Self> {
        let domain = match reverse_path {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => mailbox.domain(),
        };
        let wide = domain.map(|domain| (Reach::DOMAIN, Self::Domain(asker.clone(), domain.clone())));
        let narrow = (Reach::ADDRESS, Self::Address(asker.clone(), reverse_path.clone()));
        Keys(wide.into_iter().chain([narrow]).collect())
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum RecipientKey {
    Domain(Asker, Option<ReversePath>, Domain),
    Address(Asker, Option<ReversePath>, ForwardPath),
}

impl RecipientKey {
    pub(crate) fn of(asker: &Asker, reverse_path: &ReversePath, recipient: &ForwardPath) -> Keys<Self> {
        // What a domain is answered does not hold for `user%host` in it.
        let domain = mailbox(recipient).filter(|it| !it.asks_to_be_routed()).and_then(Mailbox::domain);
        let senders = [(false, None), (true, Some(reverse_path))];
        let wide = domain.into_iter().flat_map(|domain| {
            senders.map(|(sender_bound, sender)| {
                let key = Self::Domain(asker.clone(), sender.cloned(), domain.clone());
                (Reach { scope: Scope::Domain, sender_bound }, key)
            })
        });
        let narrow = senders.map(|(sender_bound, sender)| {
            let key = Self::Address(asker.clone(), sender.cloned(), recipient.clone());
            (Reach { scope: Scope::Address, sender_bound }, key)
        });
        Keys(wide.chain(narrow).collect())
    }
}

/// A recipient domain, for one sender or for all.
pub(crate) type RouteKey = (Domain, Option<ReversePath>);

#[derive(Debug, Clone)]
pub(crate) struct KnownRecipient {
    pub(crate) decided_by: Arc<str>,
    pub(crate) verdict: KnownVerdict,
}

#[derive(Debug, Clone)]
pub(crate) enum KnownVerdict {
    Accept(AcceptedRecipient),
    Refuse(Reply),
}

impl KnownRecipient {
    /// An answer that names an address is for that address, whatever its scope says.
    pub(crate) fn narrow(&self, reach: Reach) -> Reach {
        match &self.verdict {
            KnownVerdict::Accept(AcceptedRecipient { deliver_to: Some(_), .. }) => {
                Reach { scope: Scope::Address, ..reach }
            }
            KnownVerdict::Accept(AcceptedRecipient { deliver_to: None, .. }) | KnownVerdict::Refuse(_) => {
                reach
            }
        }
    }

    pub(crate) fn answer_for(self, recipient: &ForwardPath) -> Result<RecipientAnswer, PolicyUnavailable> {
        let verdict = match self.verdict {
            KnownVerdict::Refuse(reply) => RecipientVerdict::Refuse(reply),
            KnownVerdict::Accept(AcceptedRecipient { deliver_to, destination }) => {
                let deliver_to = deliver_to.or_else(|| mailbox(recipient).cloned()).ok_or_else(|| {
                    PolicyUnavailable::Answer {
                        field: "deliver_to",
                        source: "postmaster alone has no domain to keep".into(),
                    }
                })?;
                RecipientVerdict::Accept { deliver_to, destination }
            }
        };
        Ok(RecipientAnswer { decided_by: self.decided_by, verdict })
    }
}

fn mailbox(recipient: &ForwardPath) -> Option<&Mailbox> {
    match recipient {
        ForwardPath::Postmaster => None,
        ForwardPath::Mailbox(mailbox) => Some(mailbox),
    }
}

/// Value of the metric attribute `decision`.
pub(crate) trait DecisionName {
    fn decision_name(&self) -> &'static str;
}

impl DecisionName for Verdict {
    fn decision_name(&self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Refuse(reply) => refusal_name(reply),
        }
    }
}

impl DecisionName for RecipientVerdict {
    fn decision_name(&self) -> &'static str {
        match self {
            Self::Accept { .. } => "accept",
            Self::Refuse(reply) => refusal_name(reply),
        }
    }
}

fn refusal_name(reply: &Reply) -> &'static str {
    if reply.code() < 500 { "defer" } else { "reject" }
}
