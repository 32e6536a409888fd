//! RCPT TO: access verdict, alias rewrite, own domain and recipient, right to relay, rules of the sender,
//! next hop (SEED-032).

use std::time::SystemTime;

use hikyaku_types::{
    address::{ForwardPath, MailHost, Mailbox, ReversePath},
    destination::{Destination, HostName},
    reply::Reply,
};

use super::{
    Asker, Rules, must_authenticate,
    resolve::{Resolved, is_postmaster},
    sender_mailbox,
    standing::Grounds,
    trace::{StepName, Trace},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    document::DocumentName,
    rules::{
        decision::{DecidedBy, Reach, RecipientDecision, RecipientVerdict, Scope, Unconfirmed, replies},
        table::{access::Standing, aliases::DomainRule, sender_rules::Permission},
    },
};

/// A recipient that may be delivered to, next hop not yet known.
struct Admitted {
    deliver_to: Mailbox,
    decided_by: DecidedBy,
    unconfirmed: Option<Unconfirmed>,
}

/// An own recipient that is valid.
struct Own {
    decided_by: DecidedBy,
    unconfirmed: Option<Unconfirmed>,
}

struct Refused {
    reply: Reply,
    decided_by: DecidedBy,
}

/// One question on its way.
struct Walk<'r, 't> {
    rules: &'r Rules,
    asker: &'r Asker,
    reverse_path: &'r ReversePath,
    now: SystemTime,
    trace: Trace<'t>,
}

impl Rules {
    pub fn check_recipient(
        &self,
        asker: &Asker,
        reverse_path: &ReversePath,
        recipient: &ForwardPath,
        now: SystemTime,
    ) -> RecipientDecision {
        self.trace_recipient(asker, reverse_path, recipient, now, Trace::default())
    }

    pub(crate) fn trace_recipient(
        &self,
        asker: &Asker,
        reverse_path: &ReversePath,
        recipient: &ForwardPath,
        now: SystemTime,
        trace: Trace<'_>,
    ) -> RecipientDecision {
        let mut walk = Walk { rules: self, asker, reverse_path, now, trace };
        let reach =
            Reach { scope: self.scope_of(asker, recipient), sender_bound: self.is_sender_bound(asker) };
        match walk.admit(recipient).and_then(|admitted| walk.send_on(admitted)) {
            Ok((Admitted { deliver_to, decided_by, unconfirmed }, destination)) => {
                let verdict = RecipientVerdict::Accept { deliver_to, destination };
                RecipientDecision { verdict, decided_by, reach, unconfirmed }
            }
            Err(Refused { reply, decided_by }) => {
                let verdict = RecipientVerdict::Refuse(reply);
                RecipientDecision { verdict, decided_by, reach, unconfirmed: None }
            }
        }
    }

    /// Whether the answer is the same for every address of the domain.
    fn scope_of(&self, asker: &Asker, recipient: &ForwardPath) -> Scope {
        let ForwardPath::Mailbox(mailbox) = recipient else { return Scope::Address };
        let Some(domain) = mailbox.domain() else { return Scope::Address };
        let by_address = mailbox.asks_to_be_routed()
            || self.accounts.table.has_domain(domain)
            || self.sources.table.has_recipients(domain)
            || (self.restricted_sender(asker).is_some() && !self.sender_rules.table.is_empty());
        match (self.aliases.table.domain_rule(domain), self.is_own(mailbox)) {
            (DomainRule::Unlisted, false) | (DomainRule::EveryAddress { .. }, true) if !by_address => {
                Scope::Domain
            }
            (DomainRule::Unlisted | DomainRule::EveryAddress { .. } | DomainRule::ByAddress, _) => {
                Scope::Address
            }
        }
    }

    /// Who is to be asked about an address of ours that no document names for itself.
    pub(super) fn asked_elsewhere(&self, address: &Mailbox) -> Option<Unconfirmed> {
        let source = self.sources.table.of(address.domain()?)?;
        let is_named = is_postmaster(address) || self.aliases.table.has_exact(address);
        let recipients = source.recipients.clone().filter(|_| self.is_own(address) && !is_named)?;
        Some(Unconfirmed { source: recipients, when_down: source.when_down, line: source.line })
    }

    /// SEED-118, for people: why mail for this address is not delivered at once.
    fn waiting_for_hours(&self, address: &Mailbox, now: SystemTime) -> Option<String> {
        let account = self.accounts.table.of(address)?;
        let hours = self.accounts.table.hours(account.receiving?);
        let opens_at = OffsetDateTime::from(hours.opens_at(now)?).format(&Rfc3339).ok()?;
        let line = DecidedBy::Line(DocumentName::Accounts, account.line);
        Some(format!(", and delivered from {opens_at} on ({line})"))
    }

    /// Whether another sender could get another answer.
    fn is_sender_bound(&self, asker: &Asker) -> bool {
        self.access.table.looks_at_senders()
            || self.routes.table.depend_on_sender()
            || (asker.identity.is_none() && !self.sender_rules.table.is_empty())
    }

    /// Whose rules of SEED-117 hold: a user of ours, or whom a trusted client says that it sends for.
    /// Mail that comes in from outside has none.
    pub(super) fn restricted_sender<'a>(&self, asker: &'a Asker) -> Option<Whom<'a>> {
        match (self.identity(asker), self.grounds(asker, None).standing) {
            (Some(identity), _) => Some(Whom::Identity(identity)),
            (None, Standing::Trusted) => Some(Whom::ReversePath),
            (
                None,
                Standing::Refused | Standing::Default | Standing::NoRelay | Standing::NoRelayWithoutAuth,
            ) => None,
        }
    }
}

/// Whose rules hold.
pub(super) enum Whom<'a> {
    Identity(&'a Mailbox),
    ReversePath,
}

impl Walk<'_, '_> {
    fn admit(&mut self, recipient: &ForwardPath) -> Result<Admitted, Refused> {
        let rules = self.rules;
        let grounds = rules.grounds(self.asker, Some(self.reverse_path));
        let standing = grounds.standing;
        self.trace.note(StepName::Access, grounds.decided_by, || standing.to_string());
        if must_authenticate(self.asker, rules.identity(self.asker)) {
            let reply = replies::authentication_required();
            return Err(Refused { reply, decided_by: DecidedBy::Submission });
        }
        if standing == Standing::Refused {
            return Err(Refused { reply: replies::sender_refused(), decided_by: grounds.decided_by });
        }
        let mailbox = match recipient {
            ForwardPath::Mailbox(mailbox) => Some(mailbox.clone()),
            ForwardPath::Postmaster => rules.postmaster(),
        };
        let mailbox =
            mailbox.and_then(|mailbox| self.at_own_literal(mailbox)).ok_or_else(unknown_recipient)?;
        let asked = mailbox.clone();
        let resolved = self.rewrite(mailbox)?;
        let admitted = match self.own_recipient(&resolved)? {
            Some(Own { decided_by, unconfirmed }) => {
                Admitted { deliver_to: resolved.address, decided_by, unconfirmed }
            }
            None => {
                let decided_by = self.relay_right(grounds)?;
                Admitted { deliver_to: resolved.address, decided_by, unconfirmed: None }
            }
        };
        // Neither the address that was named nor the one it stands for may be forbidden.
        if admitted.deliver_to != asked {
            self.sender_rules(&asked)?;
        }
        self.sender_rules(&admitted.deliver_to)?;
        Ok(self.postmaster_elsewhere(admitted))
    }

    /// `user@[address of ours]`: postmaster is there (RFC 5321 4.5.1), nobody else.
    fn at_own_literal(&self, mailbox: Mailbox) -> Option<Mailbox> {
        match mailbox.host() {
            MailHost::Literal(address) if self.rules.own_addresses.contains(&address.to_canonical()) => {
                is_postmaster(&mailbox).then(|| self.rules.postmaster())?
            }
            MailHost::Literal(_) | MailHost::Domain(_) => Some(mailbox),
        }
    }

    fn rewrite(&mut self, mailbox: Mailbox) -> Result<Resolved, Refused> {
        let asked = mailbox.clone();
        let resolved = self.rules.resolve_aliases(mailbox).map_err(|line| Refused {
            reply: replies::alias_chain_too_long(),
            decided_by: DecidedBy::Line(DocumentName::Aliases, line),
        })?;
        let line = self
            .rules
            .aliases
            .table
            .step(&asked)
            .map(|step| DecidedBy::Line(DocumentName::Aliases, step.line));
        self.trace.note(StepName::Alias, line, || {
            if resolved.address == asked {
                format!("{asked} stays")
            } else {
                format!("{asked} becomes {}", resolved.address)
            }
        });
        Ok(resolved)
    }

    /// The line or rule by which an own recipient is valid; `None`: it is not one of ours.
    fn own_recipient(&mut self, resolved: &Resolved) -> Result<Option<Own>, Refused> {
        let verdict = self.own_recipient_verdict(resolved);
        let (rules, now, address) = (self.rules, self.now, &resolved.address);
        match &verdict {
            Ok(Some(own)) => self.trace.note(StepName::OwnDomain, own.decided_by, || {
                let condition = match &own.unconfirmed {
                    None => String::new(),
                    Some(Unconfirmed { source, line, .. }) => {
                        format!(" if {source} knows it (sources:{line})")
                    }
                };
                let delivered = rules.waiting_for_hours(address, now).unwrap_or_default();
                format!("{address} is accepted for an own domain{condition}{delivered}")
            }),
            Ok(None) => {
                self.trace.note(StepName::OwnDomain, None, || format!("{address} is not in an own domain"))
            }
            Err(refused) => {
                let reply = refused.reply.text();
                self.trace.note(StepName::OwnDomain, refused.decided_by, || format!("{address}: {reply}"));
            }
        }
        verdict
    }

    fn own_recipient_verdict(&self, resolved: &Resolved) -> Result<Option<Own>, Refused> {
        let Resolved { address, own_entry, is_hop } = resolved;
        let certain = |decided_by| Ok(Some(Own { decided_by, unconfirmed: None }));
        let account = self.rules.accounts.table.of(address).filter(|_| self.rules.is_own(address));
        if let Some(account) = account.filter(|account| !account.may_receive) {
            let decided_by = DecidedBy::Line(DocumentName::Accounts, account.line);
            return Err(Refused { reply: replies::mailbox_disabled(), decided_by });
        }
        let unconfirmed = if account.is_some() { None } else { self.rules.asked_elsewhere(address) };
        // The inner server might send `user%host` on, because it trusts us.
        let is_hop = *is_hop || (unconfirmed.is_some() && address.asks_to_be_routed());
        if is_hop && !self.may_relay() {
            let decided_by = DecidedBy::RoutedLocalPart;
            return Err(Refused { reply: replies::relaying_denied(), decided_by });
        }
        if let Some(line) = own_entry {
            let decided_by = DecidedBy::Line(DocumentName::Aliases, *line);
            return Ok(Some(Own { decided_by, unconfirmed }));
        }
        if let Some(account) = account {
            return certain(DecidedBy::Line(DocumentName::Accounts, account.line));
        }
        if !self.rules.is_own(address) {
            return Ok(None);
        }
        // SEED-111: postmaster needs no entry.
        if is_postmaster(address) {
            return certain(DecidedBy::Postmaster);
        }
        match unconfirmed {
            Some(unconfirmed) => {
                let decided_by = DecidedBy::Line(DocumentName::Sources, unconfirmed.line);
                Ok(Some(Own { decided_by, unconfirmed: Some(unconfirmed) }))
            }
            None => Err(unknown_recipient()),
        }
    }

    fn may_relay(&self) -> bool {
        self.relay_verdict(&self.rules.grounds(self.asker, Some(self.reverse_path)))
    }

    fn relay_verdict(&self, grounds: &Grounds) -> bool {
        match grounds.standing {
            Standing::Trusted => true,
            Standing::Refused | Standing::NoRelay => false,
            Standing::Default | Standing::NoRelayWithoutAuth => self.rules.identity(self.asker).is_some(),
        }
    }

    fn relay_right(&mut self, grounds: Grounds) -> Result<DecidedBy, Refused> {
        let is_allowed = self.relay_verdict(&grounds);
        let decided_by = match (&grounds.standing, &self.asker.identity) {
            (Standing::Default, Some(_)) => DecidedBy::Authenticated,
            (
                Standing::Default
                | Standing::Trusted
                | Standing::Refused
                | Standing::NoRelay
                | Standing::NoRelayWithoutAuth,
                _,
            ) => grounds.decided_by,
        };
        self.trace.note(StepName::RelayRight, decided_by, || {
            if is_allowed { "may relay".to_owned() } else { "may not relay".to_owned() }
        });
        if is_allowed {
            Ok(decided_by)
        } else {
            Err(Refused { reply: replies::relaying_denied(), decided_by })
        }
    }

    /// SEED-117.
    fn sender_rules(&mut self, recipient: &Mailbox) -> Result<(), Refused> {
        let sender = match self.rules.restricted_sender(self.asker) {
            Some(Whom::Identity(identity)) => Some(identity),
            Some(Whom::ReversePath) => sender_mailbox(self.reverse_path),
            None => None,
        };
        let Some(sender) = sender else {
            self.trace.note(StepName::SenderRules, None, || "hold for users of ours only".to_owned());
            return Ok(());
        };
        let (permission, line) = self.rules.sender_rules.table.decide(sender, recipient);
        let decided_by = line.map(|line| DecidedBy::Line(DocumentName::SenderRules, line));
        match permission {
            Permission::Allow => {
                self.trace
                    .note(StepName::SenderRules, decided_by, || format!("{sender} may write to {recipient}"));
                Ok(())
            }
            Permission::Deny => {
                let decided_by = decided_by.unwrap_or(DecidedBy::SenderRules);
                self.trace.note(StepName::SenderRules, decided_by, || {
                    format!("{sender} may not write to {recipient}")
                });
                Err(Refused { reply: replies::recipient_not_allowed(), decided_by })
            }
        }
    }

    /// SEED-111: the administrator's address, for the postmaster of a domain that lists none.
    fn postmaster_elsewhere(&self, admitted: Admitted) -> Admitted {
        match (&self.rules.settings.table.postmaster, admitted.decided_by) {
            (Some((mailbox, line)), DecidedBy::Postmaster) => Admitted {
                unconfirmed: None,
                deliver_to: self
                    .rules
                    .resolve_aliases(mailbox.clone())
                    .map_or_else(|_| mailbox.clone(), |resolved| resolved.address),
                decided_by: DecidedBy::Line(DocumentName::Settings, *line),
            },
            (Some(_) | None, _) => admitted,
        }
    }

    fn send_on(&mut self, admitted: Admitted) -> Result<(Admitted, Destination), Refused> {
        let route = self.rules.route_of(&admitted.deliver_to, self.reverse_path, self.now);
        let destination = route.destination;
        self.note_route(route.decided_by, &destination);
        if self.rules.is_at(&destination, self.asker.client()) {
            let reply = replies::next_hop_is_client();
            return Err(Refused { reply, decided_by: DecidedBy::NextHopIsClient });
        }
        Ok((admitted, destination))
    }

    fn note_route(&mut self, decided_by: Option<DecidedBy>, destination: &Destination) {
        let of = |document| decided_by.filter(|by| matches!(by, DecidedBy::Line(it, _) if *it == document));
        for (name, document) in
            [(StepName::Routes, DocumentName::Routes), (StepName::SmartHost, DocumentName::SmartHost)]
        {
            let line = of(document);
            self.trace.note(name, line, || match line {
                Some(_) => format!("goes to {destination}"),
                None => "no line".to_owned(),
            });
        }
        let mapped = match destination {
            Destination::Host { host: HostName::Name(name), .. } | Destination::Mx(name) => {
                self.rules.hosts.table.line_of(name)
            }
            Destination::Host { host: HostName::Address(_), .. } => None,
        };
        let line = mapped.map(|line| DecidedBy::Line(DocumentName::Hosts, line));
        self.trace.note(StepName::Hosts, line, || match mapped {
            Some(_) => format!("{destination} has its addresses from there"),
            None => "no line".to_owned(),
        });
        self.trace.note(StepName::Mx, None, || match destination {
            Destination::Mx(domain) => format!("asked for {domain}"),
            Destination::Host { .. } => "not asked: the next hop is a host".to_owned(),
        });
    }
}

fn unknown_recipient() -> Refused {
    Refused { reply: replies::unknown_recipient(), decided_by: DecidedBy::UnknownRecipient }
}
