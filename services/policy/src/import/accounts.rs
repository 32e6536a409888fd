//! The account file and apop.dat (spec.md 4.5, 4.7): recipients, and secrets that become verifiers.

use std::collections::{HashMap, HashSet};

use hikyaku_types::{
    address::{MailHost, Mailbox},
    domain::Domain,
};
use secrecy::SecretString;

use super::{
    File, Kind, NewSecret, Options,
    merge::Drafts,
    report::{FileProblem, of_file},
};
use crate::{
    document::DocumentName,
    problem::Findings,
    rules::{
        parse::{
            self,
            accounts::{account_of, is_about},
            all_lines, ignoring,
        },
        table::address::canonical_address,
    },
};

/// apop.dat held no more (SEED-112).
const SHORT_SECRET: usize = 14;

pub(super) fn import(file: &File, text: &str, options: &Options, drafts: &mut Drafts) -> Vec<FileProblem> {
    let mut findings = Findings::new(DocumentName::Accounts);
    let mut seen: HashMap<String, u32> = HashMap::new();
    let there = drafts.text(DocumentName::Accounts);
    let known = ignoring(DocumentName::Accounts, |findings| parse::accounts::parse(&there, findings));
    let mut rows = Vec::new();
    for line in all_lines(text) {
        if !line.is_bounded(&mut findings) {
            continue;
        }
        let Some(row) = row(line.text, line.number, options, &mut findings) else { continue };
        if let Some(earlier) = seen.insert(canonical_address(&row.mailbox), line.number) {
            findings.error(line.number, "E-AC-DUP", format!("same address as line {earlier}"));
            continue;
        }
        if let Some(domain) = row.mailbox.domain() {
            drafts.own_domain(domain);
        }
        if known.of(&row.mailbox).is_some() && !options.replace {
            let reason = format!("{} is there already and stays as it is", row.mailbox);
            findings.note(line.number, "N-AC-EXISTS", reason);
            continue;
        }
        rows.push((line.number, row));
    }
    drop_accounts(&rows, drafts);
    for (line, row) in rows {
        add(file, line, row, drafts);
    }
    of_file(file, findings.into_problems())
}

struct Row {
    mailbox: Mailbox,
    label: String,
    secret: Option<SecretString>,
}

fn row(text: &str, line: u32, options: &Options, findings: &mut Findings) -> Option<Row> {
    let fields: Vec<&str> = text.split('\t').map(str::trim).collect();
    let [account, secret, label, domain, _, auth, apop, limit, pop3, imap4] = fields[..] else {
        findings.error(line, "E-AC-FIELDS", format!("{} field(s), want 10", fields.len()));
        return None;
    };
    let before = findings.errors();
    let domain = domain_of(domain, line, options, findings);
    let mailbox = domain.and_then(|domain| Mailbox::new(account, MailHost::Domain(domain)).ok());
    // In the document it would be a comment.
    let mailbox = mailbox.filter(|_| !account.starts_with([';', '\'']));
    if mailbox.is_none() && findings.errors() == before {
        findings.error(line, "E-AC-NAME", format!("{account:?}"));
    }
    for (name, flag) in [("SMTP-AUTH", auth), ("APOP", apop), ("POP3", pop3), ("IMAP4", imap4)] {
        if flag != "0" && flag != "1" {
            findings.error(line, "E-AC-FLAG", format!("{name} is {flag:?}, want 0 or 1"));
        }
    }
    if limit.parse::<u64>().is_err() {
        findings.error(line, "E-AC-SIZE", format!("mailbox limit is {limit:?}"));
    }
    if auth == "1" && secret.is_empty() {
        findings.error(line, "E-AC-NOPASS", "SMTP-AUTH is 1 but the password is empty");
    }
    let secret = (auth == "1").then(|| SecretString::from(secret));
    (findings.errors() == before).then_some(())?;
    Some(Row { mailbox: mailbox?, label: label.to_owned(), secret })
}

fn domain_of(text: &str, line: u32, options: &Options, findings: &mut Findings) -> Option<Domain> {
    let written: Option<Domain> = text.parse().ok();
    match &options.domain {
        Some(wanted) if options.force_domain || written.as_ref() == Some(wanted) => Some(wanted.clone()),
        Some(wanted) => {
            let reason = format!("{text:?} is not the domain being imported ({wanted})");
            findings.error(line, "E-AC-DOMAIN", reason);
            None
        }
        None => {
            if written.is_none() {
                findings.error(line, "E-AC-DOMAIN", format!("{text:?} is not a domain"));
            }
            written
        }
    }
}

fn add(file: &File, line: u32, row: Row, drafts: &mut Drafts) {
    let Row { mailbox, label, secret } = row;
    let address = mailbox.to_string();
    let text = if label.is_empty() { address.clone() } else { format!("{address}\tname={label}") };
    drafts.append(DocumentName::Accounts, file, line, text);
    if let Some(secret) = secret {
        drafts.secret(new_secret(address, secret));
    }
}

/// What was said of these accounts goes, verifiers too.
fn drop_accounts(rows: &[(u32, Row)], drafts: &mut Drafts) {
    let replaced: HashSet<String> = rows.iter().map(|(_, row)| canonical_address(&row.mailbox)).collect();
    for document in [DocumentName::Accounts, DocumentName::Credentials] {
        drafts.retain(document, |line| {
            account_of(line).is_none_or(|account| !replaced.contains(&canonical_address(&account)))
        });
    }
}

/// SEED-112: the first line of apop.dat.
pub(super) fn import_secret(file: &File, text: &str, drafts: &mut Drafts) -> Vec<FileProblem> {
    let Kind::Apop(user) = &file.kind else { return Vec::new() };
    let mut findings = Findings::new(DocumentName::Credentials);
    let secret = text.lines().next().unwrap_or_default();
    let there = drafts.text(DocumentName::Accounts);
    let accounts = ignoring(DocumentName::Accounts, |findings| parse::accounts::parse(&there, findings));
    let account = user.parse().ok().filter(|mailbox: &Mailbox| accounts.of(mailbox).is_some());
    let Some(account) = account else {
        findings.error(1, "E-AP-ACCOUNT", format!("{user:?} is not an account"));
        return of_file(file, findings.into_problems());
    };
    if secret.is_empty() {
        findings.error(1, "E-AP-EMPTY", "the first line holds no secret");
    } else {
        if secret.chars().count() > SHORT_SECRET {
            findings.note(
                1,
                "N-AP-LONG",
                "longer than the 14 characters that the product allowed; taken as it is",
            );
        }
        drafts.retain(DocumentName::Credentials, |line| !is_about(line, &account));
        drafts.secret(new_secret(account.to_string(), SecretString::from(secret)));
    }
    of_file(file, findings.into_problems())
}

fn new_secret(address: String, secret: SecretString) -> NewSecret {
    use secrecy::ExposeSecret as _;
    let must_change = secret.expose_secret().chars().count() <= SHORT_SECRET;
    NewSecret { address, secret, must_change }
}
