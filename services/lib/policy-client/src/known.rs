//! What is remembered, and by which question it is found again.

use std::{net::IpAddr, sync::Arc};

use hikyaku_types::{
    address::{ForwardPath, Mailbox, ReversePath},
    domain::Domain,
    reply::Reply,
};

use crate::{
    answer::{RecipientAnswer, RecipientVerdict, Verdict},
    error::PolicyUnavailable,
    wire::{AcceptedRecipient, Scope},
};

/// A question in both spellings under which its answer may be found.
#[derive(Debug)]
pub(crate) struct Keys<K> {
    /// Absent when the question is about no domain: null sender, `<Postmaster>`, address literal.
    pub(crate) domain: Option<K>,
    pub(crate) address: K,
}

impl<K> Keys<K> {
    pub(crate) fn of_scope(self, scope: Scope) -> K {
        match scope {
            Scope::Domain => self.domain.unwrap_or(self.address),
            Scope::Address => self.address,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum SenderKey {
    Domain(IpAddr, Domain),
    Address(IpAddr, ReversePath),
}

impl SenderKey {
    pub(crate) fn of(client: IpAddr, reverse_path: &ReversePath) -> Keys<Self> {
        let domain = match reverse_path {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => mailbox.domain(),
        };
        Keys {
            domain: domain.map(|domain| Self::Domain(client, domain.clone())),
            address: Self::Address(client, reverse_path.clone()),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum RecipientKey {
    Domain(IpAddr, Domain),
    Address(IpAddr, ReversePath, ForwardPath),
}

impl RecipientKey {
    pub(crate) fn of(client: IpAddr, reverse_path: &ReversePath, recipient: &ForwardPath) -> Keys<Self> {
        let domain = mailbox(recipient).and_then(Mailbox::domain);
        Keys {
            domain: domain.map(|domain| Self::Domain(client, domain.clone())),
            address: Self::Address(client, reverse_path.clone(), recipient.clone()),
        }
    }
}

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
    pub(crate) fn narrow(&self, scope: Scope) -> Scope {
        match &self.verdict {
            KnownVerdict::Accept(AcceptedRecipient { deliver_to: Some(_), .. }) => Scope::Address,
            KnownVerdict::Accept(AcceptedRecipient { deliver_to: None, .. }) | KnownVerdict::Refuse(_) => {
                scope
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
