//! `hikyakuctl trace --header`: where did a message come from (SEED-102)? Its header names our queue ids, and may name
//! others that somebody has made up: only what the cluster, or a mail log, knows of an id is told as true.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap::Args as ClapArgs;
use hikyaku_mail::passages::{self, Passage};
use hikyaku_proto::admin::v1::{
    GetAcceptanceRequest, GetAcceptanceResponse, custody_admin_service_client::CustodyAdminServiceClient,
};
use serde::Serialize;
use tonic::Code;

use crate::{
    End,
    input::{self, Unreadable},
    live::{self, LiveArgs},
    mail_log,
    messages::{self, MessageArgs},
    output::{Output, harmless, rfc3339},
    server::{Server, connect, refusal},
};

/// Each is looked for; a header may hold very many that were made up.
const MOST: usize = 10;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
With MESSAGE, --sender, --recipient or --message-id: the life of each message that fits, and of the reports about it, over
all nodes and in the order of time, from the mail log that the cluster keeps (mail_log.keep_days). With --json one
document for each line, as the log has it. Exit status 1: nothing is known.
With --header: exit status 1: no Received field is confirmed.
With --client or --destination: what matching sessions say and what is decided, as it happens, from all nodes,
without a restart; content and passwords are not shown. With --json one document for each line.

Examples:
  hikyakuctl trace 01ARZ3NDEKTSV4RRFFQ69G5FAV
  hikyakuctl trace ann@example.org --since 2h
  hikyakuctl trace --recipient bob@example.net --limit 100 --json
  hikyakuctl trace --header spam.eml
  hikyakuctl trace --header spam.eml --log relay.log
  hikyakuctl trace --client 192.168.0.102 --for 10m
  hikyakuctl trace --destination example.net")]
#[command(group(clap::ArgGroup::new("what").required(true).args([
    "message", "sender", "recipient", "message_id", "header", "client", "destination",
])))]
pub(crate) struct TraceArgs {
    /// A message with its header, as it was received elsewhere; - reads the standard input.
    #[arg(long, value_name = "FILE")]
    header: Option<PathBuf>,
    /// Look into this mail log (JSON lines) instead of asking the cluster, which keeps 7 days.
    #[arg(long, value_name = "FILE", requires = "header")]
    log: Option<PathBuf>,
    #[command(flatten)]
    messages: MessageArgs,
    #[command(flatten)]
    live: LiveArgs,
}

pub(crate) async fn run(
    args: TraceArgs,
    (server, directory): (&Server, &Server),
    stdin: impl io::Read,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let Some(header) = &args.header else {
        return match args.live.is_wanted() {
            true => live::run(args.live, server, directory, output).await,
            false => messages::run(args.messages, server, output).await,
        };
    };
    let message = input::read(header, stdin)?;
    let passages: Vec<Passage> = passages::of(&with_crlf(&message));
    anyhow::ensure!(
        !passages.is_empty(),
        "{} has no Received field of this relay in its header",
        input::name(header)
    );
    let known = match &args.log {
        Some(file) => {
            let log = fs::read_to_string(file).map_err(|source| Unreadable::new(file, source))?;
            passages
                .iter()
                .take(MOST)
                .map(|passage| mail_log::acceptance(&log, &passage.id.to_string()))
                .collect()
        }
        None => ask(&passages, server).await?,
    };
    let shown: Vec<Shown> =
        passages.iter().zip(known).map(|(passage, known)| Shown::new(passage, known)).collect();
    let confirmed = shown.iter().filter(|it| it.verdict == Verdict::Confirmed).count();
    let left = passages.len() - shown.len();
    let json = serde_json::json!({ "passages": shown, "not_looked_for": left });
    output.print(&json, |writer| {
        shown.iter().try_for_each(|passage| passage.write(writer))?;
        if left > 0 {
            writeln!(writer, "{left} more fields were not looked for")?;
        }
        Ok(())
    })?;
    Ok(if confirmed > 0 { End::Done } else { End::Refused })
}

/// A file may have been stored with line ends of another kind.
fn with_crlf(message: &[u8]) -> Vec<u8> {
    let lines = message.split(|octet| *octet == b'\n');
    let lines: Vec<&[u8]> = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    lines.join(&b"\r\n"[..])
}

async fn ask(passages: &[Passage], server: &Server) -> anyhow::Result<Vec<Option<GetAcceptanceResponse>>> {
    let mut client = CustodyAdminServiceClient::new(connect(server).await?);
    let mut known = Vec::new();
    for passage in passages.iter().take(MOST) {
        // What was made up is not worth a question.
        if !passage.fits_its_date {
            known.push(None);
            continue;
        }
        let request = GetAcceptanceRequest { queue_id: passage.id.to_string() };
        match client.get_acceptance(request).await {
            Ok(response) => known.push(Some(response.into_inner())),
            Err(status) if status.code() == Code::NotFound => known.push(None),
            Err(status) => return Err(refusal(status)),
        }
    }
    Ok(known)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// The id is known, and the field fits what is known.
    Confirmed,
    /// The id is known, but the field says something else: it was copied or changed.
    DoesNotFit,
    /// Its date is not the one in its id, as it is in every field of ours.
    MadeUp,
    /// Made up, of another cluster, or too old.
    Unknown,
}

/// The names are an interface for scripts.
#[derive(Debug, Serialize)]
struct Shown {
    /// Which of the Received fields, from the top.
    received: usize,
    by: String,
    queue_id: String,
    verdict: Verdict,
    accepted: Option<Accepted>,
}

#[derive(Debug, Serialize)]
struct Accepted {
    at: Option<String>,
    origin: String,
    client: String,
    identity: String,
    admitted_by: String,
    recipients: Vec<String>,
}

impl Shown {
    fn new(passage: &Passage, known: Option<GetAcceptanceResponse>) -> Self {
        let verdict = match &known {
            _ if !passage.fits_its_date => Verdict::MadeUp,
            None => Verdict::Unknown,
            Some(known) if fits(passage, known) => Verdict::Confirmed,
            Some(_) => Verdict::DoesNotFit,
        };
        let accepted = known.filter(|_| verdict == Verdict::Confirmed).map(|known| Accepted {
            at: rfc3339(known.accepted_at.as_ref()),
            origin: known.origin,
            client: known.client,
            identity: known.identity,
            admitted_by: known.admitted_by,
            recipients: known.recipients,
        });
        Self {
            received: passage.place,
            by: passage.by.clone(),
            queue_id: passage.id.to_string(),
            verdict,
            accepted,
        }
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let Self { received, by, queue_id, verdict, accepted } = self;
        let verdict = match verdict {
            Verdict::Confirmed => "confirmed",
            Verdict::DoesNotFit => {
                "known, but this field is not the one that was written: it was copied or changed"
            }
            Verdict::MadeUp => "made up: its date is not that of its id",
            Verdict::Unknown => "not known: made up, of another cluster, or older than what is kept",
        };
        writeln!(writer, "Received {received}: by {} id {queue_id}: {verdict}", harmless(by))?;
        let Some(Accepted { at, origin, client, identity, admitted_by, recipients }) = accepted else {
            return Ok(());
        };
        let or = |text: &str, otherwise: &str| match text {
            "" => otherwise.to_owned(),
            text => harmless(text),
        };
        for (name, value) in [
            ("accepted at", or(at.as_deref().unwrap_or_default(), "unknown")),
            ("origin", or(origin, "client")),
            ("client", or(client, "unknown")),
            ("logged in as", or(identity, "nobody")),
            ("let in by", or(admitted_by, "unknown")),
        ] {
            writeln!(writer, "  {name:<13} {value}")?;
        }
        recipients.iter().try_for_each(|it| writeln!(writer, "  {:<13} {}", "recipient", harmless(it)))
    }
}

/// The client is the same, where both tell of it. Only of one that has logged in a field says nothing.
fn fits(passage: &Passage, known: &GetAcceptanceResponse) -> bool {
    match (passage.client, known.client.parse::<std::net::IpAddr>()) {
        (Some(claimed), Ok(client)) => claimed.to_canonical() == client.to_canonical(),
        (None, Ok(_)) => !known.identity.is_empty(),
        (Some(_) | None, Err(_)) => true,
    }
}
