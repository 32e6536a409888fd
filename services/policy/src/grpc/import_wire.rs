//! Files of an import: wire to ours and back.

use hikyaku_proto::directory::v1 as proto;
use hikyaku_types::{address::Mailbox, domain::Domain};
use secrecy::SecretString;
use tonic::Request;

use super::{
    directory_wire::{self, severity},
    status::CallError,
};
use crate::{
    import::{File, Kind, NewSecret, Options, report::FileProblem},
    store::{ImportOutcome, commit::Author},
};

pub(super) fn author(request: &Request<proto::ImportFilesRequest>) -> Result<Author, CallError> {
    let names: Vec<&str> = request.get_ref().files.iter().map(|file| file.name.as_str()).collect();
    let mut comment = format!("import of {}", names.join(", "));
    comment.retain(|c| !c.is_control());
    directory_wire::author(request, comment.chars().take(200).collect())
}

pub(super) fn files(files: Vec<proto::LegacyFile>) -> Result<Vec<File>, CallError> {
    files.into_iter().map(file).collect()
}

fn file(file: proto::LegacyFile) -> Result<File, CallError> {
    let kind = file.kind();
    let proto::LegacyFile { name, user, content: octets, .. } = file;
    let kind = match kind {
        proto::LegacyKind::Unspecified => return Err(CallError::LegacyKind(name)),
        proto::LegacyKind::Gateway => Kind::Gateway,
        proto::LegacyKind::Effect => Kind::Effect,
        proto::LegacyKind::Sender if user.is_empty() => Kind::Sender(None),
        proto::LegacyKind::Sender => Kind::Sender(Some(user)),
        proto::LegacyKind::Aliases => Kind::Aliases,
        proto::LegacyKind::Accounts => Kind::Accounts,
        proto::LegacyKind::Pmail => Kind::Pmail,
        proto::LegacyKind::PmailConnect => Kind::PmailConnect,
        proto::LegacyKind::Apop => Kind::Apop(user),
        proto::LegacyKind::Settings => Kind::Scalars,
        proto::LegacyKind::Usetime => Kind::Usetime,
    };
    Ok(File { kind, name, octets })
}

pub(super) fn options(options: proto::ImportOptions) -> Result<Options, CallError> {
    let proto::ImportOptions {
        domain,
        force_domain,
        replace,
        sync,
        idn,
        wildcard_includes_apex,
        strict,
        mailbox_host,
        cram_md5,
    } = options;
    let domain: Option<Domain> = match domain.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| CallError::ImportDomain(domain.clone()))?),
    };
    let mailbox_host = Some(mailbox_host).filter(|host| !host.is_empty());
    Ok(Options {
        domain,
        force_domain,
        replace,
        sync,
        idn,
        wildcard_includes_apex,
        strict,
        mailbox_host,
        cram_md5,
    })
}

pub(super) fn response(outcome: ImportOutcome) -> proto::ImportFilesResponse {
    let ImportOutcome { version, accepted, problems, migration } = outcome;
    let problems = problems.into_iter().map(|problem| {
        let FileProblem { file, line, severity: grade, code, reason } = problem;
        proto::Problem {
            document: file,
            line,
            severity: severity(grade).into(),
            code: code.to_owned(),
            reason,
        }
    });
    proto::ImportFilesResponse { version, accepted, problems: problems.collect(), migration }
}

/// An empty one takes the secret away.
pub(super) fn secret(account: &Mailbox, secret: String) -> Option<NewSecret> {
    let is_given = !secret.is_empty();
    let secret = SecretString::from(secret);
    is_given.then(|| NewSecret { address: account.to_string(), secret, must_change: false })
}
