//! `hikyakuctl dead`: failed mail that had no sender to report to.

use std::io::{self, Write};

use clap::Subcommand;
use hikyaku_grpc::Channel;
use hikyaku_proto::admin::v1::{
    DeadLetter, DeleteDeadLetterRequest, GetDeadLetterRequest, ListDeadLettersRequest,
    ResendDeadLetterRequest, dead_letter_admin_service_client::DeadLetterAdminServiceClient,
};
use serde::Serialize;

use crate::{
    End,
    output::{Output, harmless, path, rfc3339, table},
    queue::{ShownRecipient, recipients},
    server::{Server, connect, refusal},
};

type Client = DeadLetterAdminServiceClient<Channel>;

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List dead letters, the oldest first.
    List {
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show a letter with its envelope and the last failure of each recipient.
    Show {
        /// Queue id or entry id that it had.
        id: String,
    },
    /// Put a letter into the queue again, as a new message with a new id.
    #[command(after_help = "\
Examples:
  hikyakuctl dead resend 01ARZ3NDEKTSV4RRFFQ69G5FAV
  hikyakuctl dead resend 01ARZ3NDEKTSV4RRFFQ69G5FAV --to postmaster@example.org")]
    Resend {
        /// Queue id or entry id that it had.
        id: String,
        /// Only for this recipient; the letter stays for the others.
        #[arg(long, value_name = "ADDRESS", default_value = "")]
        recipient: String,
        /// To this address instead.
        #[arg(long, value_name = "ADDRESS", default_value = "")]
        to: String,
    },
    /// Remove a letter for good.
    Delete {
        /// Queue id or entry id that it had.
        id: String,
    },
}

pub(crate) async fn run(
    command: DeadCommand,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let mut client = Client::new(connect(server).await?).max_decoding_message_size(usize::MAX);
    match command {
        DeadCommand::List { limit } => list(&mut client, limit, output).await?,
        DeadCommand::Show { id } => {
            let response = client.get_dead_letter(GetDeadLetterRequest { id }).await.map_err(refusal)?;
            let letters: Vec<Shown> = response.into_inner().letters.into_iter().map(Shown::from).collect();
            output.print(&serde_json::json!({ "letters": letters }), |writer| {
                letters.iter().try_for_each(|letter| letter.write(writer))
            })?;
        }
        DeadCommand::Resend { id, recipient, to } => {
            let request = ResendDeadLetterRequest { id, recipient, to };
            let entries = client.resend_dead_letter(request).await.map_err(refusal)?.into_inner().entries;
            output.print(&serde_json::json!({ "entries": entries }), |writer| {
                entries.iter().try_for_each(|entry| writeln!(writer, "sent again as {entry}"))
            })?;
        }
        DeadCommand::Delete { id } => {
            let request = DeleteDeadLetterRequest { id };
            let deleted = client.delete_dead_letter(request).await.map_err(refusal)?.into_inner().deleted;
            let noun = if deleted == 1 { "letter" } else { "letters" };
            output.print(&serde_json::json!({ "deleted": deleted }), |writer| {
                writeln!(writer, "{deleted} {noun} deleted")
            })?;
        }
    }
    Ok(End::Done)
}

async fn list(client: &mut Client, limit: u32, output: &mut Output<impl Write>) -> anyhow::Result<()> {
    let request = ListDeadLettersRequest { limit, page_token: String::new() };
    let page = client.list_dead_letters(request).await.map_err(refusal)?.into_inner();
    let is_all = page.next_page_token.is_empty();
    let letters: Vec<Shown> = page.letters.into_iter().map(Shown::from).collect();
    output.print(&serde_json::json!({ "letters": letters, "more": !is_all }), |writer| {
        if letters.is_empty() {
            return writeln!(writer, "no dead letters");
        }
        let rows: Vec<_> = letters.iter().map(Shown::row).collect();
        table(writer, ["ID", "DIED", "ENDS", "BYTES", "DESTINATION", "FROM", "TO"], &rows)?;
        if is_all { Ok(()) } else { writeln!(writer, "there are more: a larger --limit shows them") }
    })
}

/// A letter as it is printed. The names are an interface for scripts.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    destination: String,
    /// Empty: the null reverse-path.
    reverse_path: String,
    recipients: Vec<ShownRecipient>,
    accepted_at: Option<String>,
    died_at: Option<String>,
    ends_at: Option<String>,
    attempts: u32,
    size_bytes: u64,
}

impl From<DeadLetter> for Shown {
    fn from(letter: DeadLetter) -> Self {
        Self {
            recipients: letter.recipients.into_iter().map(ShownRecipient::from).collect(),
            accepted_at: rfc3339(letter.accepted_at.as_ref()),
            died_at: rfc3339(letter.died_at.as_ref()),
            ends_at: rfc3339(letter.ends_at.as_ref()),
            id: letter.id,
            destination: letter.destination,
            reverse_path: letter.reverse_path,
            attempts: letter.attempt,
            size_bytes: letter.size,
        }
    }
}

impl Shown {
    fn row(&self) -> [String; 7] {
        let time = |at: &Option<String>| at.clone().unwrap_or_else(|| "-".to_owned());
        [
            self.id.clone(),
            time(&self.died_at),
            time(&self.ends_at),
            self.size_bytes.to_string(),
            harmless(&self.destination),
            path(&self.reverse_path),
            recipients(&self.recipients),
        ]
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let time = |at: &Option<String>| at.clone().unwrap_or_else(|| "-".to_owned());
        writeln!(writer, "{}", self.id)?;
        writeln!(writer, "  destination   {}", harmless(&self.destination))?;
        writeln!(writer, "  from          {}", path(&self.reverse_path))?;
        writeln!(writer, "  accepted      {}", time(&self.accepted_at))?;
        writeln!(writer, "  died          {}", time(&self.died_at))?;
        writeln!(writer, "  ends          {}", time(&self.ends_at))?;
        writeln!(writer, "  attempts      {}", self.attempts)?;
        writeln!(writer, "  size          {} bytes", self.size_bytes)?;
        self.recipients.iter().try_for_each(|recipient| recipient.write(writer))
    }
}
