//! The directory as plain files in a folder, one for each document: for git, and for backups.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::Context as _;
use hikyaku_proto::directory::v1::{CommitDocumentsRequest, Document, GetDirectoryRequest, Problem};

use super::{Client, Report, Shown, get};
use crate::{End, input::Unreadable, output::Output, server::refusal};

const CREDENTIALS: &str = "credentials";

pub(super) async fn export(
    client: &mut Client,
    folder: &Path,
    with_credentials: bool,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let request = GetDirectoryRequest { version: 0, with_credentials };
    let response = client.get_directory(request).await.map_err(refusal)?.into_inner();
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for document in &response.documents {
        let path = folder.join(&document.name);
        write(&path, document).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let count = response.documents.len();
    let json = serde_json::json!({ "version": response.version, "documents": count });
    output.print(&json, |writer| writeln!(writer, "{count} documents of version {}", response.version))?;
    Ok(End::Done)
}

/// Verifiers are for their owner's eyes only.
fn write(path: &Path, document: &Document) -> io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let mode = if document.name == CREDENTIALS { 0o600 } else { 0o644 };
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // The file may have been there, open to others.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(document.text.as_bytes())
}

/// All files of the folder in one commit. What there is no file for stays as it is.
pub(super) async fn apply(
    client: &mut Client,
    folder: &Path,
    validate_only: bool,
    comment: String,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let there = get(client).await?;
    let names = there.documents.into_iter().map(|document| document.name).chain([CREDENTIALS.to_owned()]);
    let mut documents = Vec::new();
    for name in names {
        let path = folder.join(&name);
        match fs::read_to_string(&path) {
            Ok(text) => documents.push(Document { name, text }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Unreadable::new(&path, source).into()),
        }
    }
    anyhow::ensure!(!documents.is_empty(), "{} has no file with the name of a document", folder.display());
    let request = CommitDocumentsRequest { base_version: there.version, documents, validate_only, comment };
    let shown_as = |name: &str| folder.join(name).display().to_string();
    report(client, request, shown_as).await?.print(validate_only, output)
}

pub(super) async fn check_in_force(
    client: &mut Client,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let base_version = get(client).await?.version;
    let request =
        CommitDocumentsRequest { base_version, validate_only: true, ..CommitDocumentsRequest::default() };
    report(client, request, str::to_owned).await?.print(true, output)
}

/// Problems have the names of their documents' files.
async fn report(
    client: &mut Client,
    request: CommitDocumentsRequest,
    shown_as: impl Fn(&str) -> String,
) -> anyhow::Result<Report> {
    let response = client.commit_documents(request).await.map_err(refusal)?.into_inner();
    let shown = |problem: Problem| {
        let (name, file) = (problem.document.clone(), shown_as(&problem.document));
        Shown::new(problem, &name, &file)
    };
    let problems = response.problems.into_iter().map(shown).collect();
    Ok(Report { version: Some(response.version), accepted: response.accepted, problems })
}
