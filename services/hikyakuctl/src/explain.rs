//! `hikyakuctl explain`, `selftest relay` and `replay`: why an answer is as it is, whether strangers are
//! refused, and what a change would change.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Args as ClapArgs, Subcommand};
use hikyaku_proto::directory::v1::{
    Document, ExplainRequest, Question, RelayForm, ReplayEnvelopesRequest, TestRelayRequest,
};

use crate::{
    End,
    directory::{Report, Shown, client},
    input::Unreadable,
    mail_log, message,
    output::{Output, harmless, table},
    server::{Server, refusal},
    smtp,
};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Example:
  hikyakuctl explain --client 203.0.113.9 --from a@x.example --to user1@example.jp")]
pub(crate) struct ExplainArgs {
    /// Address of the client.
    #[arg(long, value_name = "IP")]
    client: String,
    /// MAIL FROM; empty for <>.
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// RCPT TO.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Address that the client has authenticated as.
    #[arg(long, value_name = "ADDRESS")]
    login: Option<String>,
    /// The client came to a submission port.
    #[arg(long)]
    submission: bool,
    /// SHA-256 fingerprint of the certificate that the client has shown.
    #[arg(long, value_name = "FINGERPRINT")]
    client_certificate: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SelftestCommand {
    /// Put the forms of open-relay tests to the rules in force, or by SMTP to a port.
    Relay {
        /// Say them to this port too, from this machine, whose address must not be a trusted one.
        #[arg(long, value_name = "HOST:PORT")]
        smtp: Option<String>,
    },
    /// Hand a message in and wait until its next hop has it.
    Message(crate::message::MessageArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Example:
  hikyakuctl replay relay.log --document access=access.new --document routes=routes.new")]
pub(crate) struct ReplayArgs {
    /// A mail log in JSON lines: its accepted and refused envelopes are asked about.
    log: PathBuf,
    /// A document of the version that may come.
    #[arg(long = "document", value_name = "NAME=FILE", required = true)]
    documents: Vec<String>,
}

pub(crate) async fn explain(
    args: ExplainArgs,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let ExplainArgs { client: address, from, to, login, submission, client_certificate } = args;
    let question = Question {
        client: address,
        submission,
        identity: login.unwrap_or_default(),
        reverse_path: from,
        recipient: to,
        certificate: client_certificate.unwrap_or_default(),
    };
    let request = ExplainRequest { question: Some(question) };
    let answer = client(server).await?.explain(request).await.map_err(refusal)?.into_inner();
    let steps: Vec<_> = answer
        .steps
        .iter()
        .map(|step| serde_json::json!({ "step": step.name, "decided_by": step.decided_by, "finding": step.finding }))
        .collect();
    let json = serde_json::json!({
        "version": answer.version, "steps": steps, "mail": answer.sender_reply, "rcpt": answer.recipient_reply,
        "decided_by": answer.decided_by,
    });
    output.print(&json, |writer| {
        let rows: Vec<[String; 4]> = (1..)
            .zip(&answer.steps)
            .map(|(number, step): (u32, _)| {
                let finding = if step.finding.is_empty() { "not reached" } else { &step.finding };
                [number.to_string(), step.name.clone(), step.decided_by.clone(), harmless(finding)]
            })
            .collect();
        table(writer, ["", "STEP", "LINE", "FINDING"], &rows)?;
        writeln!(writer, "MAIL: {}", answer.sender_reply)?;
        writeln!(writer, "RCPT: {}", answer.recipient_reply)?;
        writeln!(writer, "decided by {} of version {}", answer.decided_by, answer.version)
    })?;
    Ok(End::Done)
}

pub(crate) async fn selftest(
    command: SelftestCommand,
    (server, directory): (&Server, &Server),
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    match command {
        SelftestCommand::Relay { smtp } => relay(smtp, directory, output).await,
        SelftestCommand::Message(args) => message::run(args, server, output).await,
    }
}

async fn relay(
    port: Option<String>,
    directory: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let answer =
        client(directory).await?.test_relay(TestRelayRequest {}).await.map_err(refusal)?.into_inner();
    let mut forms = answer.forms;
    if let Some(port) = port {
        for form in &mut forms {
            let said = smtp::envelope(&port, &form.mail_from, &form.rcpt_to).await?;
            // Both must refuse it.
            *form = RelayForm { refused: form.refused && said.is_refused, said: said.text, ..form.clone() };
        }
    }
    let refused = forms.iter().filter(|form| form.refused).count();
    let shown: Vec<_> = forms
        .iter()
        .map(|it| serde_json::json!({ "from": it.mail_from, "to": it.rcpt_to, "refused": it.refused, "said": it.said }))
        .collect();
    let json = serde_json::json!({ "version": answer.version, "refused": refused, "forms": shown });
    output.print(&json, |writer| {
        let rows: Vec<[String; 4]> = forms
            .iter()
            .map(|form| {
                let verdict = if form.refused { "refused" } else { "RELAYED" };
                let path = |text: &str| format!("<{text}>");
                [verdict.to_owned(), path(&form.mail_from), path(&form.rcpt_to), harmless(&form.said)]
            })
            .collect();
        table(writer, ["", "FROM", "TO", "SAID"], &rows)?;
        writeln!(writer, "{refused} of {} refused", forms.len())
    })?;
    Ok(if refused == forms.len() { End::Done } else { End::Refused })
}

pub(crate) async fn replay(
    args: ReplayArgs,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let log = read(&args.log)?;
    let questions = mail_log::questions(&log);
    anyhow::ensure!(!questions.is_empty(), "{} has no accepted or refused envelopes", args.log.display());
    let documents: anyhow::Result<Vec<Document>> = args.documents.iter().map(|text| document(text)).collect();
    let request = ReplayEnvelopesRequest { questions: questions.clone(), documents: documents? };
    let answer = client(server).await?.replay_envelopes(request).await.map_err(refusal)?.into_inner();
    if !answer.accepted {
        let problems = answer.problems.into_iter().map(|problem| Shown::new(problem, "", "")).collect();
        return Report { version: None, accepted: false, problems }.print(true, output);
    }
    let question = |place: u32| usize::try_from(place).ok().and_then(|place| questions.get(place));
    let shown: Vec<_> = answer
        .differences
        .iter()
        .filter_map(|it| {
            let Question { client, reverse_path, recipient, .. } = question(it.question)?;
            Some(serde_json::json!({
                "client": client, "from": reverse_path, "to": recipient, "before": it.before, "after": it.after,
            }))
        })
        .collect();
    let json = serde_json::json!({ "envelopes": questions.len(), "differences": shown });
    output.print(&json, |writer| {
        for difference in &answer.differences {
            let Some(Question { client, reverse_path, recipient, .. }) = question(difference.question) else {
                continue;
            };
            writeln!(writer, "{client} <{}> <{}>", harmless(reverse_path), harmless(recipient))?;
            writeln!(writer, "  - {}\n  + {}", harmless(&difference.before), harmless(&difference.after))?;
        }
        writeln!(writer, "{} of {} verdicts would change", answer.differences.len(), questions.len())
    })?;
    Ok(End::Done)
}

fn document(text: &str) -> anyhow::Result<Document> {
    let Some((name, path)) = text.split_once('=') else { anyhow::bail!("{text:?}: want NAME=FILE") };
    Ok(Document { name: name.to_owned(), text: read(Path::new(path))? })
}

fn read(path: &Path) -> anyhow::Result<String> {
    Ok(fs::read_to_string(path).map_err(|source| Unreadable::new(path, source))?)
}
