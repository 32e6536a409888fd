//! `hikyakuctl queue`: see, retry and delete entries.

use std::io::{self, Write};

use hikyaku_proto::admin::v1::{
    DeleteEntriesRequest, Entry, GetEntryRequest, ListEntriesRequest, RetryEntriesRequest, Selector, State,
    queue_admin_service_client::QueueAdminServiceClient, selector::By,
};
use serde::Serialize;
use tonic::transport::{Channel, Endpoint};

use crate::{
    End,
    args::{QueueCommand, Which},
    output::{Output, harmless, rfc3339, table},
    server::{connect, refusal},
};

type Client = QueueAdminServiceClient<Channel>;

pub(crate) async fn run(
    command: QueueCommand,
    server: &Endpoint,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let mut client = Client::new(connect(server).await?).max_decoding_message_size(usize::MAX);
    match command {
        QueueCommand::Audit(arguments) => return crate::audit::run(arguments, server, output).await,
        QueueCommand::Check(arguments) => return crate::check::run(arguments, server, output).await,
        QueueCommand::List { destination, limit } => list(&mut client, destination, limit, output).await?,
        QueueCommand::Show { id } => show(&mut client, id, output).await?,
        QueueCommand::Retry(which) => {
            let request = RetryEntriesRequest { selector: Some(selector(which)) };
            let retried = client.retry_entries(request).await.map_err(refusal)?.into_inner().retried;
            let words = |writer: &mut _| counted(writer, retried, "made due");
            output.print(&serde_json::json!({ "retried": retried }), words)?;
        }
        QueueCommand::Delete(which) => {
            let request = DeleteEntriesRequest { selector: Some(selector(which)) };
            let deleted = client.delete_entries(request).await.map_err(refusal)?.into_inner().deleted;
            let words = |writer: &mut _| counted(writer, deleted, "deleted");
            output.print(&serde_json::json!({ "deleted": deleted }), words)?;
        }
    }
    Ok(End::Done)
}

/// The command line makes sure that there is exactly one.
fn selector(which: Which) -> Selector {
    Selector { by: which.id.map(By::Id).or(which.destination.map(By::Destination)) }
}

fn counted(writer: &mut impl Write, count: u64, what: &str) -> io::Result<()> {
    let noun = if count == 1 { "entry" } else { "entries" };
    writeln!(writer, "{count} {noun} {what}")
}

async fn list(
    client: &mut Client,
    destination: Option<String>,
    limit: u32,
    output: &mut Output<impl Write>,
) -> anyhow::Result<()> {
    let selector = destination.map(|destination| Selector { by: Some(By::Destination(destination)) });
    let request = ListEntriesRequest { selector, limit };
    let mut stream = client.list_entries(request).await.map_err(refusal)?.into_inner();
    let mut entries = Vec::new();
    while let Some(response) = stream.message().await.map_err(refusal)? {
        entries.extend(response.entry.map(Shown::from));
    }
    output.print(&Entries { entries: &entries }, |writer| {
        if entries.is_empty() {
            return writeln!(writer, "no entries");
        }
        let headings =
            ["ID", "STATE", "ATTEMPTS", "ACCEPTED", "NEXT ATTEMPT", "BYTES", "DESTINATION", "FROM", "TO"];
        let rows: Vec<_> = entries.iter().map(row).collect();
        table(writer, headings, &rows)
    })
}

async fn show(client: &mut Client, id: String, output: &mut Output<impl Write>) -> anyhow::Result<()> {
    let response = client.get_entry(GetEntryRequest { id: id.clone() }).await.map_err(refusal)?;
    let entries: Vec<Shown> = response.into_inner().entries.into_iter().map(Shown::from).collect();
    anyhow::ensure!(!entries.is_empty(), "no entry {id} is in the queue");
    output.print(&Entries { entries: &entries }, |writer| {
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                writeln!(writer)?;
            }
            write_details(writer, entry)?;
        }
        Ok(())
    })
}

#[derive(Debug, Serialize)]
struct Entries<'a> {
    entries: &'a [Shown],
}

/// An entry as it is printed. The names are an interface for scripts.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    state: &'static str,
    destination: String,
    /// Empty: the null reverse-path.
    reverse_path: String,
    recipients: Vec<ShownRecipient>,
    accepted_at: Option<String>,
    attempts: u32,
    next_attempt_at: Option<String>,
    size_bytes: u64,
}

#[derive(Debug, Serialize)]
struct ShownRecipient {
    address: String,
    last_failure: Option<String>,
    last_failure_at: Option<String>,
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        let recipients = entry.recipients.into_iter().map(|recipient| ShownRecipient {
            address: recipient.address,
            last_failure: Some(recipient.last_failure).filter(|failure| !failure.is_empty()),
            last_failure_at: rfc3339(recipient.last_failure_at.as_ref()),
        });
        Self {
            state: state_name(entry.state),
            recipients: recipients.collect(),
            accepted_at: rfc3339(entry.accepted_at.as_ref()),
            next_attempt_at: rfc3339(entry.next_attempt_at.as_ref()),
            id: entry.id,
            destination: entry.destination,
            reverse_path: entry.reverse_path,
            attempts: entry.attempt,
            size_bytes: entry.size,
        }
    }
}

fn state_name(state: i32) -> &'static str {
    match State::try_from(state) {
        Ok(State::Fresh) => "fresh",
        Ok(State::Bulk) => "bulk",
        Ok(State::Due) => "due",
        Ok(State::Scheduled) => "scheduled",
        Ok(State::Unspecified) | Err(_) => "unknown",
    }
}

fn row(entry: &Shown) -> [String; 9] {
    let to = match entry.recipients.as_slice() {
        [] => "-".to_owned(),
        [only] => harmless(&only.address),
        [first, rest @ ..] => format!("{} and {} more", harmless(&first.address), rest.len()),
    };
    [
        entry.id.clone(),
        entry.state.to_owned(),
        entry.attempts.to_string(),
        entry.accepted_at.clone().unwrap_or_else(|| "-".to_owned()),
        next_attempt(entry),
        entry.size_bytes.to_string(),
        harmless(&entry.destination),
        path(&entry.reverse_path),
        to,
    ]
}

fn write_details(writer: &mut impl Write, entry: &Shown) -> io::Result<()> {
    writeln!(writer, "{}", entry.id)?;
    writeln!(writer, "  state         {}", entry.state)?;
    writeln!(writer, "  destination   {}", harmless(&entry.destination))?;
    writeln!(writer, "  from          {}", path(&entry.reverse_path))?;
    writeln!(writer, "  accepted      {}", entry.accepted_at.as_deref().unwrap_or("-"))?;
    writeln!(writer, "  attempts      {}", entry.attempts)?;
    writeln!(writer, "  next attempt  {}", next_attempt(entry))?;
    writeln!(writer, "  size          {} bytes", entry.size_bytes)?;
    for recipient in &entry.recipients {
        writeln!(writer, "  to            {}", harmless(&recipient.address))?;
        if let Some(failure) = &recipient.last_failure {
            let at = recipient.last_failure_at.as_deref().unwrap_or("-");
            writeln!(writer, "    last failure at {at}: {}", harmless(failure))?;
        }
    }
    Ok(())
}

fn next_attempt(entry: &Shown) -> String {
    entry.next_attempt_at.clone().unwrap_or_else(|| "now".to_owned())
}

/// RFC 5321 writes the null reverse-path `<>`.
fn path(reverse_path: &str) -> String {
    if reverse_path.is_empty() { "<>".to_owned() } else { harmless(reverse_path) }
}
