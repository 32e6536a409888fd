//! Documents, problems and questions about them: wire to ours and back.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hikyaku_proto::directory::v1 as proto;
use hikyaku_types::origin::Listener;
use tonic::Request;

use super::{
    policy::{client, mailbox, reverse_path, unreadable},
    status::CallError,
};
use crate::{
    document::{DocumentName, Documents},
    problem::{Problem, Severity},
    rules::{
        Asker, Rules,
        explain::{Explanation, Question},
        parse::{self, accounts::account_of, ignoring},
        self_test::{Form, Tested},
    },
    store::{Manifest, commit::Author},
};

const LONGEST_COMMENT: usize = 500;

/// Who calls, and what for.
pub(super) fn author<T>(request: &Request<T>, comment: String) -> Result<Author, CallError> {
    if comment.chars().count() > LONGEST_COMMENT || comment.contains(char::is_control) {
        return Err(CallError::Comment);
    }
    Ok(Author { name: hikyaku_grpc::who(request), comment })
}

pub(super) fn changes(documents: Vec<proto::Document>) -> Result<Documents, CallError> {
    let mut seen = HashSet::new();
    let mut changes = Documents::default();
    for proto::Document { name, text } in documents {
        let document: DocumentName = name.parse()?;
        if !seen.insert(document) {
            return Err(CallError::Twice(name));
        }
        changes.set(document, text);
    }
    Ok(changes)
}

/// All documents as they were; one that there was not is emptied. Secrets stay as they are, for accounts that are
/// there: what was taken away from somebody must not come back.
pub(super) fn rolled_back(then: &Documents, now: &Documents) -> Documents {
    let listed = then.text(DocumentName::Accounts);
    let accounts = ignoring(DocumentName::Accounts, |findings| parse::accounts::parse(&listed, findings));
    let credentials = now.text(DocumentName::Credentials);
    let kept = credentials
        .lines()
        .filter(|line| account_of(line).is_some_and(|account| accounts.of(&account).is_some()));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    let mut documents: Documents =
        DocumentName::ALL.into_iter().map(|document| (document, then.text(document))).collect();
    documents.set(DocumentName::Credentials, kept);
    documents
}

pub(super) fn problem(problem: Problem) -> proto::Problem {
    let severity = severity(problem.severity);
    proto::Problem {
        document: problem.document.to_string(),
        line: problem.line,
        severity: severity.into(),
        code: problem.code.to_owned(),
        reason: problem.reason,
    }
}

pub(super) fn severity(severity: Severity) -> proto::Severity {
    match severity {
        Severity::Note => proto::Severity::Note,
        Severity::Warning => proto::Severity::Warning,
        Severity::Error => proto::Severity::Error,
    }
}

pub(super) fn version(manifest: Manifest) -> proto::Version {
    let made = manifest.made;
    let at: SystemTime = UNIX_EPOCH + Duration::from_millis(made.at);
    proto::Version {
        version: manifest.version,
        at: Some(at.into()),
        by: made.by,
        comment: made.comment,
        changed: made.changed,
    }
}

/// Lines that contain `text`, at most `limit`, and whether there are more. Verifiers are not searched.
pub(super) fn search(documents: &Documents, text: &str, limit: usize) -> (Vec<proto::FoundLine>, bool) {
    let wanted = text.to_ascii_lowercase();
    let mut found = Vec::new();
    let searched = documents.iter().filter(|(document, _)| *document != DocumentName::Credentials);
    for (document, text) in searched {
        for (number, line) in (1..).zip(text.lines()) {
            if !line.to_ascii_lowercase().contains(&wanted) {
                continue;
            }
            if found.len() == limit {
                return (found, true);
            }
            found.push(proto::FoundLine {
                document: document.to_string(),
                line: number,
                text: line.to_owned(),
            });
        }
    }
    (found, false)
}

pub(super) fn question(question: proto::Question) -> Result<Question, CallError> {
    let proto::Question {
        client: address,
        submission,
        identity,
        reverse_path: sender,
        recipient,
        certificate,
    } = question;
    let certificate = match certificate.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| CallError::Certificate)?),
    };
    let identity = match identity.as_str() {
        "" => None,
        text => Some(mailbox("identity", text)?),
    };
    let listener = if submission { Listener::Submission } else { Listener::Relay };
    Ok(Question {
        asker: Asker::new(client(&address)?, listener, identity).showing(certificate),
        reverse_path: reverse_path(&sender)?,
        recipient: recipient.parse().map_err(unreadable("recipient", &recipient))?,
    })
}

pub(super) fn explanation(version: u64, explanation: Explanation) -> proto::ExplainResponse {
    let sender_reply = explanation.sender_reply();
    let recipient_reply = explanation.recipient_reply();
    let decided_by = explanation.decided_by().to_string();
    let steps = explanation.steps.into_iter().map(|(name, step)| proto::Step {
        name: name.to_string(),
        decided_by: step
            .as_ref()
            .and_then(|step| step.decided_by)
            .map_or_else(String::new, |by| by.to_string()),
        finding: step.map(|step| step.finding).unwrap_or_default(),
    });
    proto::ExplainResponse { version, steps: steps.collect(), sender_reply, recipient_reply, decided_by }
}

pub(super) fn differences(
    questions: &[Question],
    before: &Rules,
    after: &Rules,
    now: SystemTime,
) -> Vec<proto::Difference> {
    let differing = (0..).zip(questions).filter_map(|(place, question)| {
        let (before, after) = (before.outcome(question, now), after.outcome(question, now));
        (before != after).then_some(proto::Difference { question: place, before, after })
    });
    differing.collect()
}

pub(super) fn relay_form(tested: Tested) -> proto::RelayForm {
    let Tested { form: Form { mail_from, rcpt_to }, refused, said } = tested;
    proto::RelayForm { mail_from, rcpt_to, refused, said }
}
