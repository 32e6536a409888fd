//! `hikyakuctl queue`: see and change entries.

mod change; // retry, hold, release, move, bounce, delete
mod shown; // an entry as it is printed

use std::{
    io::Write,
    time::{Duration, SystemTime},
};

use hikyaku_grpc::Channel;
use hikyaku_proto::admin::v1::{
    CountEntriesRequest, Filter, GetEntryRequest, ListEntriesRequest, Selector, State,
    queue_admin_service_client::QueueAdminServiceClient, selector::By,
};
use prost_types::Timestamp;
use serde::Serialize;

use crate::{
    End,
    args::{EntryState, ListArgs, QueueCommand},
    output::{Output, table},
    server::{Server, connect, refusal},
};
use shown::Shown;
pub(crate) use shown::{ShownRecipient, recipients};

type Client = QueueAdminServiceClient<Channel>;

pub(crate) async fn run(
    command: QueueCommand,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let mut client = Client::new(connect(server).await?).max_decoding_message_size(usize::MAX);
    match command {
        QueueCommand::Audit(arguments) => return crate::audit::run(arguments, server, output).await,
        QueueCommand::Check(arguments) => return crate::check::run(arguments, server, output).await,
        QueueCommand::List(args) => list(&mut client, args, output).await?,
        QueueCommand::Count { destination } => count(&mut client, destination, output).await?,
        QueueCommand::Show { id } => show(&mut client, id, output).await?,
        QueueCommand::Retry(which) => return change::retry(&mut client, which, output).await,
        QueueCommand::Hold { which, until, for_time, reason } => {
            let until = until.or(for_time.map(|time| from_now(time, true)));
            return change::hold(&mut client, which, until, reason, output).await;
        }
        QueueCommand::Release(which) => return change::release(&mut client, which, output).await,
        QueueCommand::Move { which, to } => return change::move_to(&mut client, which, to, output).await,
        QueueCommand::Bounce { which, reason } => {
            return change::bounce(&mut client, which, reason, output).await;
        }
        QueueCommand::Delete(which) => return change::delete(&mut client, which, output).await,
    }
    Ok(End::Done)
}

fn of_destination(destination: String) -> Selector {
    Selector { by: Some(By::Destination(destination)) }
}

fn from_now(time: Duration, ahead: bool) -> Timestamp {
    let now = SystemTime::now();
    let at = if ahead { now.checked_add(time) } else { now.checked_sub(time) };
    at.unwrap_or(now).into()
}

async fn list(client: &mut Client, args: ListArgs, output: &mut Output<impl Write>) -> anyhow::Result<()> {
    let state = args.state.map_or(State::Unspecified, |state| match state {
        EntryState::Fresh => State::Fresh,
        EntryState::Bulk => State::Bulk,
        EntryState::Due => State::Due,
        EntryState::Scheduled => State::Scheduled,
        EntryState::Held => State::Held,
    });
    let filter = Filter {
        sender: args.sender,
        recipient: args.recipient,
        accepted_before: args.older_than.map(|time| from_now(time, false)),
        state: state.into(),
    };
    let selector = args.destination.map(of_destination);
    let (mut entries, mut page_token) = (Vec::new(), args.page_token);
    loop {
        // A page of a long queue may have few entries, or none.
        let limit = args.limit.saturating_sub(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        let request = ListEntriesRequest {
            selector: selector.clone(),
            limit,
            filter: Some(filter.clone()),
            page_token,
        };
        let mut page = client.list_entries(request).await.map_err(refusal)?.into_inner();
        page_token = String::new();
        while let Some(response) = page.message().await.map_err(refusal)? {
            entries.extend(response.entry.map(Shown::from));
            page_token = response.next_page_token;
        }
        if page_token.is_empty() || entries.len() >= usize::try_from(args.limit).unwrap_or(usize::MAX) {
            break;
        }
    }
    let next_page_token = Some(page_token).filter(|token| !token.is_empty());
    output.print(&Entries { entries: &entries, next_page_token: next_page_token.as_deref() }, |writer| {
        if entries.is_empty() {
            return writeln!(writer, "no entries");
        }
        let rows: Vec<_> = entries.iter().map(Shown::row).collect();
        table(writer, Shown::HEADINGS, &rows)?;
        match &next_page_token {
            Some(token) => writeln!(writer, "there are more: --page-token {token}"),
            None => Ok(()),
        }
    })
}

async fn count(
    client: &mut Client,
    destination: Option<String>,
    output: &mut Output<impl Write>,
) -> anyhow::Result<()> {
    let request = CountEntriesRequest { selector: destination.map(of_destination) };
    let counts = client.count_entries(request).await.map_err(refusal)?.into_inner().counts;
    let counts = counts.unwrap_or_default();
    let shown = serde_json::json!({
        "fresh": counts.fresh, "bulk": counts.bulk, "due": counts.due, "scheduled": counts.scheduled,
        "busy": counts.busy,
    });
    output.print(&shown, |writer| {
        let row = [counts.fresh, counts.bulk, counts.due, counts.scheduled, counts.busy];
        table(writer, ["FRESH", "BULK", "DUE", "SCHEDULED", "BUSY"], &[row.map(|count| count.to_string())])
    })
}

async fn show(client: &mut Client, id: String, output: &mut Output<impl Write>) -> anyhow::Result<()> {
    let response = client.get_entry(GetEntryRequest { id: id.clone() }).await.map_err(refusal)?;
    let entries: Vec<Shown> = response.into_inner().entries.into_iter().map(Shown::from).collect();
    anyhow::ensure!(!entries.is_empty(), "no entry {id} is in the queue");
    output.print(&Entries { entries: &entries, next_page_token: None }, |writer| {
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                writeln!(writer)?;
            }
            entry.write_details(writer)?;
        }
        Ok(())
    })
}

#[derive(Debug, Serialize)]
struct Entries<'a> {
    entries: &'a [Shown],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<&'a str>,
}
