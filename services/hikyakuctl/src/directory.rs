//! `hikyakuctl directory`: read and replace documents.

mod history; // versions
mod folder; // plain files

use std::{
    io::{self, Read, Write},
    path::Path,
    string::FromUtf8Error,
};

use hikyaku_grpc::Channel;
use hikyaku_proto::directory::v1::{
    CommitDocumentsRequest, CommitDocumentsResponse, Document, GetDirectoryRequest, GetDirectoryResponse,
    Problem, Severity, directory_service_client::DirectoryServiceClient,
};
use serde::Serialize;

use crate::{
    End,
    args::DirectoryCommand,
    input,
    output::{Output, harmless, table},
    server::{Server, connect, refusal},
};

pub(crate) type Client = DirectoryServiceClient<Channel>;

pub(crate) async fn run(
    command: DirectoryCommand,
    server: &Server,
    stdin: impl Read,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    match command {
        DirectoryCommand::Get { name: Some(name) } => {
            get_one(&mut client(server).await?, &name, output).await
        }
        DirectoryCommand::Get { name: None } => get_all(&mut client(server).await?, output).await,
        DirectoryCommand::Versions => history::versions(&mut client(server).await?, output).await,
        DirectoryCommand::Diff { from, to } => {
            history::diff(&mut client(server).await?, from, to, output).await
        }
        DirectoryCommand::RollBack { version } => {
            history::roll_back(&mut client(server).await?, version, output).await
        }
        DirectoryCommand::Watch => history::watch(&mut client(server).await?, output).await,
        DirectoryCommand::Search { text } => history::search(&mut client(server).await?, text, output).await,
        DirectoryCommand::Export { folder, with_credentials } => {
            folder::export(&mut client(server).await?, &folder, with_credentials, output).await
        }
        DirectoryCommand::Apply { folder, validate_only, comment } => {
            folder::apply(&mut client(server).await?, &folder, validate_only, comment, output).await
        }
        DirectoryCommand::Set { name, file, validate_only, base_version, comment } => {
            let shown_as = input::name(&file);
            let text = match String::from_utf8(input::read(&file, stdin)?) {
                Ok(text) => text,
                Err(error) => {
                    let report = Report::of_encoding(&error, name, shown_as);
                    return report.print(validate_only, output);
                }
            };
            let document = Document { name, text };
            let change = Change { document, shown_as, validate_only, base_version, comment };
            set(&mut client(server).await?, change, output).await
        }
    }
}

/// A folder, or without one what is in force.
pub(crate) async fn check(
    folder: Option<&Path>,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let client = &mut client(server).await?;
    match folder {
        Some(folder) => folder::apply(client, folder, true, String::new(), output).await,
        None => folder::check_in_force(client, output).await,
    }
}

pub(crate) async fn client(server: &Server) -> anyhow::Result<Client> {
    // All documents travel in one message.
    Ok(Client::new(connect(server).await?).max_decoding_message_size(usize::MAX))
}

pub(crate) async fn get(client: &mut Client) -> anyhow::Result<GetDirectoryResponse> {
    Ok(client.get_directory(GetDirectoryRequest::default()).await.map_err(refusal)?.into_inner())
}

async fn get_one(client: &mut Client, name: &str, output: &mut Output<impl Write>) -> anyhow::Result<End> {
    let GetDirectoryResponse { version, documents } = get(client).await?;
    let names: Vec<String> = documents.iter().map(|document| document.name.clone()).collect();
    let document = documents.into_iter().find(|document| document.name == name);
    let Some(Document { name, text }) = document else {
        anyhow::bail!("{name:?} is not a document; there are {}", names.join(", "));
    };
    let shown = serde_json::json!({ "version": version, "name": name, "text": text });
    output.print(&shown, |writer| writer.write_all(text.as_bytes()))?;
    Ok(End::Done)
}

async fn get_all(client: &mut Client, output: &mut Output<impl Write>) -> anyhow::Result<End> {
    let GetDirectoryResponse { version, documents } = get(client).await?;
    let texts: serde_json::Map<String, serde_json::Value> =
        documents.iter().map(|document| (document.name.clone(), document.text.clone().into())).collect();
    let shown = serde_json::json!({ "version": version, "documents": texts });
    output.print(&shown, |writer| {
        writeln!(writer, "version {version}")?;
        let rows: Vec<[String; 3]> = documents
            .iter()
            .map(|it| [it.name.clone(), it.text.lines().count().to_string(), it.text.len().to_string()])
            .collect();
        table(writer, ["DOCUMENT", "LINES", "BYTES"], &rows)
    })?;
    Ok(End::Done)
}

struct Change {
    document: Document,
    /// Name of the text in problems.
    shown_as: String,
    validate_only: bool,
    base_version: Option<u64>,
    comment: String,
}

async fn set(client: &mut Client, change: Change, output: &mut Output<impl Write>) -> anyhow::Result<End> {
    let Change { document, shown_as, validate_only, base_version, comment } = change;
    let name = document.name.clone();
    let base_version = match base_version {
        Some(version) => version,
        None => get(client).await?.version,
    };
    let request = CommitDocumentsRequest { base_version, documents: vec![document], validate_only, comment };
    let response = client.commit_documents(request).await.map_err(refusal)?.into_inner();
    let CommitDocumentsResponse { version, accepted, problems } = response;
    let problems = problems.into_iter().map(|problem| Shown::new(problem, &name, &shown_as)).collect();
    Report { version: Some(version), accepted, problems }.print(validate_only, output)
}

/// What came of a change.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Version in force; absent when the service was not asked.
    pub(crate) version: Option<u64>,
    pub(crate) accepted: bool,
    pub(crate) problems: Vec<Shown>,
}

impl Report {
    fn of_encoding(error: &FromUtf8Error, document: String, file: String) -> Self {
        let offset = error.utf8_error().valid_up_to();
        let good = error.as_bytes().get(..offset).unwrap_or_default();
        let lines = good.iter().filter(|byte| **byte == b'\n').count();
        let problem = Shown {
            document,
            file,
            line: u32::try_from(lines + 1).unwrap_or(u32::MAX),
            severity: "error",
            code: "E-ENCODING".to_owned(),
            reason: format!("byte {offset} is not UTF-8"),
        };
        Self { version: None, accepted: false, problems: vec![problem] }
    }

    pub(crate) fn print(&self, validate_only: bool, output: &mut Output<impl Write>) -> anyhow::Result<End> {
        output.print(self, |writer| self.write(validate_only, writer))?;
        Ok(self.end())
    }

    /// The same, and what is to be done elsewhere.
    pub(crate) fn print_import(
        &self,
        dry_run: bool,
        migration: &[String],
        output: &mut Output<impl Write>,
    ) -> anyhow::Result<End> {
        let json = serde_json::json!({
            "version": self.version, "accepted": self.accepted, "problems": self.problems, "migration": migration,
        });
        output.print(&json, |writer| {
            self.write(dry_run, writer)?;
            let shown = if self.accepted { migration } else { &[] };
            shown.iter().try_for_each(|line| writeln!(writer, "{}", harmless(line)))
        })?;
        Ok(self.end())
    }

    fn write(&self, validate_only: bool, writer: &mut impl Write) -> io::Result<()> {
        for problem in &self.problems {
            problem.write(writer)?;
        }
        let count = |severity| self.problems.iter().filter(|problem| problem.severity == severity).count();
        let (errors, warnings) = (count("error"), count("warning"));
        match (self.accepted, validate_only) {
            (true, false) => writeln!(writer, "applied as version {}", self.version.unwrap_or_default()),
            (true, true) => writeln!(writer, "{errors} errors, {warnings} warnings; would be applied"),
            (false, _) => writeln!(writer, "{errors} errors, {warnings} warnings; nothing applied"),
        }
    }

    fn end(&self) -> End {
        if self.accepted { End::Done } else { End::Refused }
    }
}

/// A problem as it is printed. The names are an interface for scripts.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    document: String,
    file: String,
    line: u32,
    severity: &'static str,
    code: String,
    reason: String,
}

impl Shown {
    /// A problem of the document that was given has the name of its file.
    pub(crate) fn new(problem: Problem, given: &str, shown_as: &str) -> Self {
        let severity = match Severity::try_from(problem.severity) {
            Ok(Severity::Note) => "note",
            Ok(Severity::Warning) => "warning",
            Ok(Severity::Error) => "error",
            Ok(Severity::Unspecified) | Err(_) => "unknown",
        };
        let file = if problem.document == given { shown_as } else { &problem.document };
        Self {
            file: file.to_owned(),
            document: problem.document,
            line: problem.line,
            severity,
            code: problem.code,
            reason: problem.reason,
        }
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let Self { file, line, severity, code, reason, .. } = self;
        writeln!(writer, "{file}:{line}: {severity} {code}: {}", harmless(reason))
    }
}
