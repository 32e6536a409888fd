//! Is this an open relay (SEED-228)? Forms of MAIL FROM and RCPT TO by which others have been used as one,
//! put to the rules as a stranger on port 25 would put them. All must be refused, before any version comes into force.

use std::{net::IpAddr, time::SystemTime};

use hikyaku_types::{
    address::{ForwardPath, ReversePath},
    domain::Domain,
    origin::Listener,
};

use super::{
    Asker, Rules,
    decision::{RecipientVerdict, Verdict},
};

/// Where the mail would go: reserved (RFC 2606).
const VICTIM: &str = "relay-test.example";
/// Strangers: the documentation networks (RFC 5737, RFC 3849), of which one at least is not trusted.
const STRANGERS: [&str; 4] = ["203.0.113.213", "198.51.100.213", "192.0.2.213", "2001:db8:213::1"];
/// A form takes some microseconds, and there may be very many domains.
const MOST_DOMAINS: usize = 1_000;
/// When there is no own domain.
const NO_DOMAIN: &str = "own-domain.example";

/// One form, as it stands between the brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub mail_from: String,
    pub rcpt_to: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    pub form: Form,
    pub refused: bool,
    /// What was said, and by which rule; the words for a form that is no address.
    pub said: String,
}

impl Rules {
    /// The forms with this as the own domain.
    fn open_relay_forms(&self, own: &str) -> Vec<Form> {
        let literal = self.own_addresses.first().map_or_else(|| "127.0.0.1".to_owned(), IpAddr::to_string);
        let stranger = "stranger@elsewhere.example".to_owned();
        let victim = format!("victim@{VICTIM}");
        let by_sender = [
            String::new(),
            stranger.clone(),
            victim.clone(),
            format!("postmaster@{own}"),
            format!("made.up@{own}"),
            format!("stranger@[{literal}]"),
            "stranger@localhost".to_owned(),
            format!("stranger@{own}.elsewhere.example"),
        ];
        let by_recipient = [
            format!("victim%{VICTIM}@{own}"),
            format!("\"victim%{VICTIM}\"@{own}"),
            format!("\"victim@{VICTIM}\"@{own}"),
            format!("victim@{VICTIM}@{own}"),
            format!("@{own}:victim@{VICTIM}"),
            format!("@{own},@elsewhere.example:victim@{VICTIM}"),
            format!("{VICTIM}!victim@{own}"),
            format!("{VICTIM}!victim"),
            format!("{own}!{VICTIM}!victim"),
            format!("victim%{VICTIM}"),
            format!("\"victim@{VICTIM}\""),
            format!("victim%{VICTIM}@[{literal}]"),
            format!("\"victim@{VICTIM}\"@[{literal}]"),
            format!("{VICTIM}!victim@[{literal}]"),
            format!("victim%{VICTIM}@localhost"),
            format!("victim%{VICTIM}%{own}@{own}"),
            "victim@[198.51.100.77]".to_owned(),
            "victim@[IPv6:2001:db8:77::1]".to_owned(),
            format!("victim@{VICTIM}."),
            format!("VICTIM@{}", VICTIM.to_ascii_uppercase()),
            format!("victim@{own}.{VICTIM}"),
            "victim".to_owned(),
        ];
        let forms_of_senders =
            by_sender.into_iter().map(|mail_from| Form { mail_from, rcpt_to: victim.clone() });
        let forms_of_recipients =
            by_recipient.into_iter().map(|rcpt_to| Form { mail_from: stranger.clone(), rcpt_to });
        forms_of_senders.chain(forms_of_recipients).collect()
    }

    /// Every form with the first own domain.
    pub fn test_for_open_relay(&self, now: SystemTime) -> Vec<Tested> {
        let own = self.own_domains.table.first().map_or(NO_DOMAIN, |domain| domain.as_str());
        self.test_domain(own, now)
    }

    /// Every form with each of the own domains, the first of them when there are very many.
    pub(super) fn test_all_domains(&self, now: SystemTime) -> Vec<Tested> {
        let mut domains: Vec<(&Domain, u32)> = self.own_domains.table.iter().collect();
        if domains.is_empty() {
            return self.test_domain(NO_DOMAIN, now);
        }
        domains.sort_unstable_by_key(|(_, line)| *line);
        let domains = domains.into_iter().take(MOST_DOMAINS);
        domains.flat_map(|(domain, _)| self.test_domain(domain.as_str(), now)).collect()
    }

    /// From every stranger that is not trusted by a line.
    fn test_domain(&self, own: &str, now: SystemTime) -> Vec<Tested> {
        let strangers: Vec<Asker> = STRANGERS
            .iter()
            .filter_map(|text| Some(Asker::new(text.parse().ok()?, Listener::Relay, None)))
            .filter(|asker| !self.check_sender(asker, &ReversePath::Null, now).trusted)
            .collect();
        self.open_relay_forms(own).into_iter().map(|form| self.test_form(form, &strangers, now)).collect()
    }

    fn test_form(&self, form: Form, strangers: &[Asker], now: SystemTime) -> Tested {
        let paths: Result<(ReversePath, ForwardPath), _> =
            form.mail_from.parse().and_then(|from| Ok((from, form.rcpt_to.parse()?)));
        let (from, to) = match paths {
            Ok(paths) => paths,
            Err(error) => return Tested { form, refused: true, said: format!("501 {error}") },
        };
        let mut said = "no stranger is left to test with".to_owned();
        for asker in strangers {
            let sender = self.check_sender(asker, &from, now).decision;
            if let Verdict::Refuse(reply) = sender.verdict {
                said = format!("{reply} ({})", sender.decided_by);
                continue;
            }
            let recipient = self.check_recipient(asker, &from, &to, now);
            match recipient.verdict {
                RecipientVerdict::Refuse(reply) => said = format!("{reply} ({})", recipient.decided_by),
                RecipientVerdict::Accept { deliver_to, .. } => {
                    let said = format!("250 {deliver_to} ({})", recipient.decided_by);
                    return Tested { form, refused: false, said };
                }
            }
        }
        Tested { form, refused: true, said: said.trim_end().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document::DocumentName, rules::tests::rules};

    /// The configurations of the scenarios.
    fn configurations() -> Vec<Rules> {
        vec![
            rules(&[]),
            rules(&[
                (DocumentName::OwnDomains, "domain.jp"),
                (DocumentName::Aliases, "*@domain.jp\t*@domain.jp"),
                (DocumentName::Routes, "domain.jp,192.168.0.20,25"),
                (DocumentName::Access, "192.168.0.20 true"),
            ]),
            rules(&[
                (DocumentName::OwnDomains, "domain.jp"),
                (DocumentName::Aliases, "user1@domain.jp\tuser1@domain.jp"),
                (DocumentName::Routes, "*,192.168.0.20,25"),
            ]),
            rules(&[
                (DocumentName::OwnDomains, "domain.jp"),
                (DocumentName::Accounts, "user1@domain.jp"),
                (DocumentName::SmartHost, "192.168.0.20"),
                (DocumentName::Access, "*.*.*.* norelay,2"),
                (DocumentName::Settings, "own_senders = accept\npostmaster = admin@elsewhere.example"),
            ]),
            rules(&[
                (DocumentName::OwnDomains, "domain.jp"),
                (DocumentName::RelayNetworks, "203.0.113.0/24\n192.168.0.0/16"),
                (DocumentName::Access, "10.1.2.3 only"),
                (DocumentName::Connections, "0.0.0.0/0 accept"),
            ]),
        ]
    }

    #[test]
    fn seed_228_no_form_is_relayed() {
        for (number, rules) in configurations().iter().enumerate() {
            let tested = rules.test_for_open_relay(SystemTime::now());
            assert_eq!(tested.len(), 30);
            for Tested { form, refused, said } in tested {
                assert!(refused, "configuration {number}: {form:?}: {said}");
            }
        }
    }

    #[test]
    fn a_relay_that_is_open_is_found() {
        // No document can say this; it is what a fault of the program would look like.
        let mut open = rules(&[(DocumentName::OwnDomains, "domain.jp")]);
        let mut networks = crate::rules::table::networks::Networks::default();
        networks.insert("0.0.0.0/0".parse().unwrap(), 1);
        let parsed = std::sync::Arc::get_mut(&mut open.relay_networks).unwrap();
        parsed.table.networks = networks;
        // Strangers that a line trusts are no test; the others are still refused.
        assert!(open.test_for_open_relay(SystemTime::now()).iter().all(|tested| tested.refused));
        let mut aliases = rules(&[
            (DocumentName::OwnDomains, "domain.jp"),
            (DocumentName::Aliases, "*@relay-test.example\t*@relay-test.example"),
        ]);
        std::sync::Arc::get_mut(&mut aliases.own_domains)
            .unwrap()
            .table
            .insert("relay-test.example".parse().unwrap(), 2);
        assert!(aliases.test_for_open_relay(SystemTime::now()).iter().any(|tested| !tested.refused));
    }
}
