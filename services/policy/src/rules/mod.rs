//! The rules in force: documents in, answers out. Pure: no I/O, no clock.

pub(crate) mod parse; // text -> tables, with every problem
pub(crate) mod table; // tables, ordered for being asked
mod check; // what only shows when documents are read together
pub mod decision; // what an answer says
mod eval; // question -> answer
pub mod explain; // the way to an answer
pub(crate) mod overview; // what a node must know to examine its surroundings
pub mod self_test; // is it an open relay
pub mod grow; // texts with what a new installation needs

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use crate::{
    document::{DocumentName, Documents},
    problem::{Findings, Problem, has_errors},
};

pub use hikyaku_types::origin::Asker;
pub use parse::Surroundings;
use self_test::{Form, Tested};
use table::{
    access::AccessTable,
    accounts::Accounts,
    aliases::Aliases,
    connections::Connections,
    credentials::CredentialTable,
    hosts::Hosts,
    own_domains::OwnDomains,
    relay_list::RelayList,
    routes::{Routes, SmartHost},
    sender_rules::SenderRules,
    settings::Settings,
    sources::Sources,
    traffic::Traffic,
};

/// One version of the directory, ready to be asked.
#[derive(Debug)]
pub struct Rules {
    version: u64,
    own_addresses: Vec<IpAddr>,
    own_domains: Arc<Parsed<OwnDomains>>,
    connections: Arc<Parsed<Connections>>,
    access: Arc<Parsed<AccessTable>>,
    relay_networks: Arc<Parsed<RelayList>>,
    aliases: Arc<Parsed<Aliases>>,
    accounts: Arc<Parsed<Accounts>>,
    sources: Arc<Parsed<Sources>>,
    credentials: Arc<Parsed<CredentialTable>>,
    sender_rules: Arc<Parsed<SenderRules>>,
    routes: Arc<Parsed<Routes>>,
    smart_host: Arc<Parsed<Option<SmartHost>>>,
    hosts: Arc<Parsed<Hosts>>,
    traffic: Arc<Parsed<Traffic>>,
    settings: Arc<Parsed<Settings>>,
}

/// A document that was read; kept as long as its text stays the same.
#[derive(Debug)]
struct Parsed<T> {
    text: Arc<str>,
    table: T,
    problems: Vec<Problem>,
}

/// A document without what was made of it.
struct Read<'a> {
    document: DocumentName,
    text: &'a Arc<str>,
    problems: &'a [Problem],
}

impl<T> Parsed<T> {
    fn read_as(&self, document: DocumentName) -> Read<'_> {
        Read { document, text: &self.text, problems: &self.problems }
    }
}

/// Rules that may come into force, and what the operator should know of them.
#[derive(Debug)]
pub struct Accepted {
    pub rules: Rules,
    /// Warnings and notes.
    pub problems: Vec<Problem>,
}

/// A set of documents with at least one error; none of it comes into force (SEED-023).
#[derive(Debug, thiserror::Error)]
#[error("the documents have errors")]
pub struct Rejected {
    /// Errors, warnings and notes.
    pub problems: Vec<Problem>,
}

impl Rules {
    /// Reads and checks a whole set. What is unchanged since `previous` is not read again.
    pub fn build(
        version: u64,
        documents: &Documents,
        surroundings: &Surroundings,
        previous: Option<&Self>,
    ) -> Result<Accepted, Rejected> {
        let reader = Reader { documents, previous };
        let own_domains =
            reader.read(DocumentName::OwnDomains, |it| &it.own_domains, parse::own_domains::parse);
        let accounts = reader.read(DocumentName::Accounts, |it| &it.accounts, parse::accounts::parse);
        // What is wrong with these depends on other documents too.
        let knows_domains = reader.unless(|it| !Arc::ptr_eq(&it.own_domains, &own_domains));
        let knows_accounts = reader.unless(|it| !Arc::ptr_eq(&it.accounts, &accounts));
        let rules = Self {
            version,
            own_addresses: surroundings.own_addresses.iter().map(IpAddr::to_canonical).collect(),
            connections: reader.read(
                DocumentName::Connections,
                |it| &it.connections,
                parse::connections::parse,
            ),
            access: knows_domains.read(
                DocumentName::Access,
                |it| &it.access,
                |text, findings| parse::access::parse(text, &own_domains.table, findings),
            ),
            relay_networks: reader.read(
                DocumentName::RelayNetworks,
                |it| &it.relay_networks,
                parse::relay_networks::parse,
            ),
            aliases: reader.read(DocumentName::Aliases, |it| &it.aliases, parse::aliases::parse),
            sources: reader.read(
                DocumentName::Sources,
                |it| &it.sources,
                |text, findings| parse::sources::parse(text, surroundings, findings),
            ),
            credentials: knows_accounts.read(
                DocumentName::Credentials,
                |it| &it.credentials,
                |text, findings| parse::credentials::parse(text, &accounts.table, findings),
            ),
            sender_rules: reader.read(
                DocumentName::SenderRules,
                |it| &it.sender_rules,
                parse::sender_rules::parse,
            ),
            routes: reader.read(
                DocumentName::Routes,
                |it| &it.routes,
                |text, findings| parse::routes::parse(text, surroundings, findings),
            ),
            smart_host: reader.read(
                DocumentName::SmartHost,
                |it| &it.smart_host,
                |text, findings| parse::smart_host::parse(text, surroundings, findings),
            ),
            hosts: reader.read(DocumentName::Hosts, |it| &it.hosts, parse::hosts::parse),
            traffic: reader.read(DocumentName::Traffic, |it| &it.traffic, parse::traffic::parse),
            settings: reader.read(DocumentName::Settings, |it| &it.settings, parse::settings::parse),
            own_domains,
            accounts,
        };
        let mut problems = rules.problems();
        if !has_errors(&problems) {
            problems.extend(rules.open_relay());
        }
        if has_errors(&problems) { Err(Rejected { problems }) } else { Ok(Accepted { rules, problems }) }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Those of our listeners, and those that the settings name.
    fn own_addresses(&self) -> Vec<IpAddr> {
        let named = self.settings.table.own_addresses.iter();
        self.own_addresses.iter().chain(named).copied().collect()
    }

    pub fn documents(&self) -> Documents {
        self.each().into_iter().map(|read| (read.document, Arc::clone(read.text))).collect()
    }

    /// The documents as they were read, in the order in which a message meets them.
    fn each(&self) -> [Read<'_>; DocumentName::ALL.len()] {
        use DocumentName as D;
        [
            self.own_domains.read_as(D::OwnDomains),
            self.connections.read_as(D::Connections),
            self.access.read_as(D::Access),
            self.relay_networks.read_as(D::RelayNetworks),
            self.aliases.read_as(D::Aliases),
            self.accounts.read_as(D::Accounts),
            self.sources.read_as(D::Sources),
            self.credentials.read_as(D::Credentials),
            self.sender_rules.read_as(D::SenderRules),
            self.routes.read_as(D::Routes),
            self.smart_host.read_as(D::SmartHost),
            self.hosts.read_as(D::Hosts),
            self.traffic.read_as(D::Traffic),
            self.settings.read_as(D::Settings),
        ]
    }

    /// SEED-228: whatever the documents say, a stranger relays nothing.
    fn open_relay(&self) -> Vec<Problem> {
        let mut findings = Findings::new(DocumentName::Access);
        for Tested { form, refused, said } in self.test_all_domains(SystemTime::UNIX_EPOCH) {
            if !refused {
                let Form { mail_from, rcpt_to } = form;
                let reason = format!("a stranger may send from <{mail_from}> to <{rcpt_to}>: {said}");
                findings.error(0, "E-OPENRELAY", reason);
            }
        }
        findings.into_problems()
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            self.each().into_iter().flat_map(|read| read.problems).cloned().collect();
        problems.extend(check::across_documents(self));
        problems.sort_by_key(|problem| (problem.document, problem.line));
        problems
    }
}

/// Documents, and what was made of earlier ones.
#[derive(Clone, Copy)]
struct Reader<'a> {
    documents: &'a Documents,
    previous: Option<&'a Rules>,
}

impl Reader<'_> {
    /// Forgets what was made of earlier documents when it is not right any more.
    fn unless(self, is_outdated: impl FnOnce(&Rules) -> bool) -> Self {
        Self { previous: self.previous.filter(|previous| !is_outdated(previous)), ..self }
    }

    fn read<T>(
        self,
        document: DocumentName,
        earlier: impl FnOnce(&Rules) -> &Arc<Parsed<T>>,
        parse: impl FnOnce(&str, &mut Findings) -> T,
    ) -> Arc<Parsed<T>> {
        let text = self.documents.text(document);
        if let Some(unchanged) = self.previous.map(earlier).filter(|previous| previous.text == text) {
            return Arc::clone(unchanged);
        }
        let mut findings = Findings::new(document);
        let table = parse(&text, &mut findings);
        Arc::new(Parsed { text, table, problems: findings.into_problems() })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What `parse` makes, and the problems in the operator's words.
    pub(crate) fn report<T>(document: &str, parse: impl FnOnce(&mut Findings) -> T) -> (T, Vec<String>) {
        let mut findings = Findings::new(document.parse().unwrap());
        let table = parse(&mut findings);
        (table, findings.into_problems().iter().map(ToString::to_string).collect())
    }

    /// Rules of texts that must be free of errors.
    pub(crate) fn rules(texts: &[(DocumentName, &str)]) -> Rules {
        let documents = texts.iter().map(|(document, text)| (*document, *text)).collect();
        match Rules::build(1, &documents, &Surroundings::default(), None) {
            Ok(accepted) => accepted.rules,
            Err(rejected) => panic!("{:?}", rejected.problems),
        }
    }

    #[test]
    fn one_error_among_many_lines_refuses_everything() {
        let lines: String =
            (0..500).map(|n| format!("d{n}.jp,192.168.0.20,{}\n", if n == 250 { 0 } else { 25 })).collect();
        let documents = Documents::from_iter([
            (DocumentName::Routes, lines),
            (DocumentName::OwnDomains, "a b".to_owned()),
        ]);
        let rejected = Rules::build(1, &documents, &Surroundings::default(), None).unwrap_err();
        let shown: Vec<String> = rejected.problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 2, "all problems at once");
        assert_eq!(shown[1], "routes:251: error E-GW-PORT: \"0\" is not 1-65535");
    }

    #[test]
    fn an_unchanged_document_is_not_read_again() {
        let first = rules(&[(DocumentName::Aliases, "a@d.jp\ta@d.jp"), (DocumentName::OwnDomains, "d.jp")]);
        let mut documents = first.documents();
        documents.set(DocumentName::OwnDomains, "d.jp\ne.jp");
        let second = Rules::build(2, &documents, &Surroundings::default(), Some(&first)).unwrap().rules;
        assert!(Arc::ptr_eq(&first.aliases, &second.aliases));
        assert!(!Arc::ptr_eq(&first.own_domains, &second.own_domains));
        assert_eq!((second.version(), second.documents()), (2, documents));
    }
}
