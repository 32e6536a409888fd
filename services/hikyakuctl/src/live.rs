//! `hikyakuctl trace --client`, `--destination`: sessions as they go on (SEED-203), and for each decision the way
//! to it, step by step (SEED-204).

use std::{io::Write, time::Duration};

use clap::Args as ClapArgs;
use hikyaku_proto::{
    admin::v1::{
        LineKind, TraceSessionsRequest, TraceSessionsResponse, TracedEnvelope,
        session_admin_service_client::SessionAdminServiceClient, trace_sessions_request::Target,
    },
    directory::v1::{ExplainRequest, Question, Step},
};

use crate::{
    End,
    args::duration,
    directory,
    output::{Output, harmless, rfc3339},
    server::{Server, connect, refusal},
};

#[derive(Debug, ClapArgs)]
pub(crate) struct LiveArgs {
    /// Sessions of this client: an address or a network.
    #[arg(long, value_name = "IP[/LENGTH]")]
    client: Option<String>,
    /// Sessions with the next hops of this destination: a domain, or [host]:port.
    #[arg(long, value_name = "DESTINATION")]
    destination: Option<String>,
    /// For so long, an hour at most: 90s, 10m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "10m", conflicts_with = "header")]
    lasting: Duration,
    /// Show the answers only, and not the steps to them.
    #[arg(long, conflicts_with = "header")]
    brief: bool,
}

impl LiveArgs {
    /// Sessions are asked for.
    pub(crate) fn is_wanted(&self) -> bool {
        self.client.is_some() || self.destination.is_some()
    }
}

pub(crate) async fn run(
    args: LiveArgs,
    server: &Server,
    directory: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let LiveArgs { client, destination, lasting, brief } = args;
    let target = client.map(Target::Client).or(destination.map(Target::Destination));
    let request = TraceSessionsRequest { target, duration: Some(lasting.try_into()?) };
    let mut sessions = SessionAdminServiceClient::new(connect(server).await?);
    let mut lines = sessions.trace_sessions(request).await.map_err(refusal)?.into_inner();
    while let Some(line) = lines.message().await.map_err(refusal)? {
        let steps = match &line.envelope {
            Some(envelope) if !brief && !envelope.forward_path.is_empty() => {
                explain(directory, envelope).await?
            }
            Some(_) | None => Vec::new(),
        };
        show(&line, &steps, output)?;
    }
    Ok(End::Done)
}

/// By the rules of now, which the same question has just met.
async fn explain(server: &Server, envelope: &TracedEnvelope) -> anyhow::Result<Vec<Step>> {
    let TracedEnvelope { client, submission, identity, reverse_path, forward_path: recipient, certificate } =
        envelope.clone();
    let question = Question { client, submission, identity, reverse_path, recipient, certificate };
    let request = ExplainRequest { question: Some(question) };
    Ok(directory::client(server).await?.explain(request).await.map_err(refusal)?.into_inner().steps)
}

fn show(line: &TraceSessionsResponse, steps: &[Step], output: &mut Output<impl Write>) -> anyhow::Result<()> {
    let (name, mark) = match line.kind() {
        LineKind::Client => ("client", "C:"),
        LineKind::Server => ("server", "S:"),
        LineKind::Decision => ("decision", "=>"),
        LineKind::Note => ("note", "--"),
        LineKind::Unspecified => ("unknown", "??"),
    };
    let json = serde_json::json!({
        "at": rfc3339(line.at.as_ref()), "node": line.node, "session": line.session, "kind": name,
        "text": line.text, "lost": line.lost,
        "steps": steps.iter().map(|step| {
            serde_json::json!({ "step": step.name, "decided_by": step.decided_by, "finding": step.finding })
        }).collect::<Vec<_>>(),
    });
    let after = line.after.and_then(|after| Duration::try_from(after).ok()).unwrap_or_default();
    output.print_line(&json, |writer| {
        if line.lost > 0 {
            writeln!(writer, "{} lines were lost: there were too many", line.lost)?;
        }
        let TraceSessionsResponse { node, session, text, .. } = line;
        writeln!(
            writer,
            "{}/{} {:>8.3} {mark} {}",
            harmless(node),
            harmless(session),
            after.as_secs_f64(),
            harmless(text)
        )?;
        for (number, step) in (1..).zip(steps) {
            let finding = if step.finding.is_empty() { "not reached" } else { &step.finding };
            let line = if step.decided_by.is_empty() { "-" } else { &step.decided_by };
            let number: u32 = number;
            writeln!(writer, "    {number:>2} {}: {} ({})", step.name, harmless(finding), harmless(line))?;
        }
        Ok(())
    })
}
