//! The rules row by row.

use hikyaku_types::{origin::Listener, reply::Reply};

use super::*;
use crate::{
    document::DocumentName,
    rules::{
        decision::{RecipientVerdict, Scope, Verdict},
        tests::rules,
    },
};

mod standing; // what the client may do
mod recipients; // aliases and accounts
mod senders; // users
mod routes; // next hops

pub(super) const EXT: &str = "203.0.113.9";
pub(super) const INNER: &str = "192.168.0.20";
const DEVICE: &str = "192.168.0.50";

/// Gateway of the specification: mode A, mode B and a rewriting, one smart host.
fn gateway() -> Rules {
    rules(&[
        (DocumentName::OwnDomains, "domain.jp\ndomain.co.jp\nbare.jp\n"),
        (DocumentName::RelayNetworks, "192.168.0.0/24\n2001:db8:1::/48\n"),
        (
            DocumentName::Aliases,
            "*@domain.jp\t*@domain.jp\nuser1@domain.co.jp\tuser1@domain.co.jp\n\
             info@domain.co.jp\tuser1@domain.jp\nout@domain.co.jp\tx@z.example\nboss@y.example\tboss@z.example\n\
             help@y.example\tuser1@domain.co.jp\nnobody@y.example\tuser9@domain.co.jp\n\
             *@w.example\t*@w.example\nliteral@domain.co.jp\tinfo@domain.co.jp\n",
        ),
        (DocumentName::Routes, "domain.jp,192.168.0.20,25\n*.domain.co.jp,192.168.0.21,25\n"),
    ])
}

fn client(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn anonymous(client: &str) -> Asker {
    Asker::new(client.parse().unwrap(), Listener::Relay, None)
}

pub(super) fn user(client: &str, listener: Listener, identity: &str) -> Asker {
    Asker::new(client.parse().unwrap(), listener, Some(identity.parse().unwrap()))
}

pub(super) fn code(reply: &Reply) -> String {
    format!("{} {}", reply.code(), reply.enhanced().unwrap())
}

/// `250 deliver_to via destination` or the reply code, then what decided.
pub(super) fn recipient(rules: &Rules, from: &str, to: &str) -> (String, String) {
    recipient_of(rules, &anonymous(from), "a@x.example", to)
}

pub(super) fn recipient_of(rules: &Rules, asker: &Asker, reverse_path: &str, to: &str) -> (String, String) {
    let decision =
        rules.check_recipient(asker, &reverse_path.parse().unwrap(), &to.parse().unwrap(), SystemTime::now());
    let verdict = match &decision.verdict {
        RecipientVerdict::Accept { deliver_to, destination } => format!("250 {deliver_to} via {destination}"),
        RecipientVerdict::Refuse(reply) => code(reply),
    };
    (verdict, decision.decided_by.to_string())
}

pub(super) fn sender(rules: &Rules, from: &str, reverse_path: &str) -> (String, String) {
    sender_of(rules, &anonymous(from), reverse_path)
}

fn sender_of(rules: &Rules, asker: &Asker, reverse_path: &str) -> (String, String) {
    let decision = rules.check_sender(asker, &reverse_path.parse().unwrap(), SystemTime::now()).decision;
    let verdict = match &decision.verdict {
        Verdict::Accept => "250".to_owned(),
        Verdict::Refuse(reply) => code(reply),
    };
    (verdict, decision.decided_by.to_string())
}

/// An access table for each row of SEED-082; the client is the same in all.
fn with_access(access: &str) -> Rules {
    rules(&[
        (DocumentName::OwnDomains, "domain.jp\ndomain.co.jp\n"),
        (DocumentName::Access, access),
        (DocumentName::Aliases, "alias1@domain.co.jp\tuser1@domain.co.jp\n"),
        (DocumentName::Accounts, "user1@domain.co.jp\nuser2@domain.co.jp\nold@domain.co.jp\treceive=off\n"),
    ])
}
