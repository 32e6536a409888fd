//! What is remembered, and by which question it is found again.

use std::sync::Arc;

use hikyaku_types::{
    address::{ForwardPath, Mailbox, ReversePath},
    domain::Domain,
    origin::Asker,
    reply::Reply,
};

use crate::{
    answer::{RecipientAnswer, RecipientVerdict, Verdict},
    error::PolicyUnavailable,
    wire::{AcceptedRecipient, Reach, Scope},
};

/// A question in the spellings under which its answer may be found, the widest first. A spelling is made when it
/// is looked for: the widest is nearly always there.
#[derive(Debug)]
pub(crate) struct Keys<F> {
    /// Never empty.
    reaches: &'static [Reach],
    key: F,
}

impl<K, F: Fn(Reach) -> K> Keys<F> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = K> {
        self.reaches.iter().map(|reach| (self.key)(*reach))
    }

    /// The spelling for an answer of this reach; the narrowest when there is none.
    pub(crate) fn of_reach(self, reach: Reach) -> K {
        let narrowest = self.reaches.last().copied().unwrap_or(Reach::ADDRESS);
        (self.key)(if self.reaches.contains(&reach) { reach } else { narrowest })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum SenderKey {
    Domain(Asker, Domain),
    Address(Asker, ReversePath),
}

impl SenderKey {
    pub(crate) fn of(asker: &Asker, reverse_path: &ReversePath) -> Keys<impl Fn(Reach) -> Self> {
        let domain = match reverse_path {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => mailbox.domain(),
        };
        let reaches: &[Reach] =
            if domain.is_some() { &[Reach::DOMAIN, Reach::ADDRESS] } else { &[Reach::ADDRESS] };
        let key = move |reach: Reach| match (reach.scope, domain) {
            (Scope::Domain, Some(domain)) => Self::Domain(asker.clone(), domain.clone()),
            (Scope::Domain | Scope::Address, _) => Self::Address(asker.clone(), reverse_path.clone()),
        };
        Keys { reaches, key }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum RecipientKey {
    Domain(Asker, Option<ReversePath>, Domain),
    Address(Asker, Option<ReversePath>, ForwardPath),
}

/// For every sender before for this one.
const RECIPIENT_REACHES: [Reach; 4] = [
    Reach { scope: Scope::Domain, sender_bound: false },
    Reach { scope: Scope::Domain, sender_bound: true },
    Reach { scope: Scope::Address, sender_bound: false },
    Reach { scope: Scope::Address, sender_bound: true },
];

impl RecipientKey {
    pub(crate) fn of(
        asker: &Asker,
        reverse_path: &ReversePath,
        recipient: &ForwardPath,
    ) -> Keys<impl Fn(Reach) -> Self> {
        // What a domain is answered does not hold for `user%host` in it.
        let domain = mailbox(recipient).filter(|it| !it.asks_to_be_routed()).and_then(Mailbox::domain);
        let reaches = if domain.is_some() { &RECIPIENT_REACHES[..] } else { &RECIPIENT_REACHES[2..] };
        let key = move |reach: Reach| {
            let sender = reach.sender_bound.then(|| reverse_path.clone());
            match (reach.scope, domain) {
                (Scope::Domain, Some(domain)) => Self::Domain(asker.clone(), sender, domain.clone()),
                (Scope::Domain | Scope::Address, _) => {
                    Self::Address(asker.clone(), sender, recipient.clone())
                }
            }
        };
        Keys { reaches, key }
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
