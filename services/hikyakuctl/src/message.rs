//! `hikyakuctl selftest message`: one message through the relay, as a client hands it in, to its next hop.

use std::{
    io::Write,
    time::{Duration, SystemTime},
};

use clap::Args as ClapArgs;
use hikyaku_proto::admin::v1::{
    EntryRecipient, GetDeadLetterRequest, GetEntryRequest,
    dead_letter_admin_service_client::DeadLetterAdminServiceClient,
    queue_admin_service_client::QueueAdminServiceClient,
};

use crate::{
    End,
    output::{Output, harmless},
    server::{Server, connect, refusal},
    smtp,
};

const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A broker that answers may be a moment behind the one that has stored the message: only what was gone so many times
/// is gone.
const LOOKS: u32 = 5;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Example:
  hikyakuctl selftest message --smtp 127.0.0.1:25 --to postmaster@example.org")]
pub(crate) struct MessageArgs {
    /// Hand it in at this port, from this machine.
    #[arg(long, value_name = "HOST:PORT")]
    smtp: String,
    /// To this address. The sender is <>, so that nobody hears of a failure but who waits here.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Wait so long for the answer of its next hop.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

/// Where a message is.
enum Way {
    /// In the queue, with what went wrong so far.
    Waiting(Vec<EntryRecipient>),
    Failed(Vec<EntryRecipient>),
    /// In the queue no more, and not among the failed: its next hop has it.
    Arrived,
}

pub(crate) async fn run(
    args: MessageArgs,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    // Who may not look should not leave a message behind.
    let mut queue = QueueAdminServiceClient::new(connect(server).await?);
    let mut dead = DeadLetterAdminServiceClient::new(connect(server).await?);
    let said = smtp::message(&args.smtp, &args.to, &content(&args.to)).await?;
    let Some(id) = queue_id(&said) else {
        output
            .print(&serde_json::json!({ "accepted": false, "arrived": false, "said": said }), |writer| {
                writeln!(writer, "not accepted: {}", harmless(&said))
            })?;
        return Ok(End::Refused);
    };
    let mut way = Way::Waiting(Vec::new());
    let look = async {
        let mut gone = 0;
        while gone < LOOKS {
            way = look(&mut queue, &mut dead, &id).await?;
            match way {
                Way::Failed(_) => return anyhow::Ok(()),
                Way::Arrived => gone += 1,
                Way::Waiting(_) => gone = 0,
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    };
    match tokio::time::timeout(Duration::from_secs(args.wait), look).await {
        Ok(looked) => looked?,
        // Gone, but not for long enough to be sure.
        Err(_) if matches!(way, Way::Arrived) => way = Way::Waiting(Vec::new()),
        Err(_) => {}
    }
    let (is_arrived, state, recipients) = match way {
        Way::Arrived => (true, "arrived", Vec::new()),
        Way::Failed(recipients) => (false, "failed", recipients),
        Way::Waiting(recipients) => (false, "still in the queue", recipients),
    };
    let failures: Vec<String> =
        recipients.into_iter().map(|it| it.last_failure).filter(|it| !it.is_empty()).collect();
    let json = serde_json::json!({ "accepted": true, "arrived": is_arrived, "queue_id": id, "state": state, "failures": failures });
    output.print(&json, |writer| {
        writeln!(writer, "{id} {state}")?;
        failures.iter().try_for_each(|failure| writeln!(writer, "  {}", harmless(failure)))
    })?;
    Ok(if is_arrived { End::Done } else { End::Refused })
}

async fn look(
    queue: &mut QueueAdminServiceClient<hikyaku_grpc::Channel>,
    dead: &mut DeadLetterAdminServiceClient<hikyaku_grpc::Channel>,
    id: &str,
) -> anyhow::Result<Way> {
    let entries = match queue.get_entry(GetEntryRequest { id: id.to_owned() }).await {
        Ok(response) => response.into_inner().entries,
        Err(status) if status.code() == tonic::Code::NotFound => Vec::new(),
        Err(status) => return Err(refusal(status)),
    };
    if !entries.is_empty() {
        return Ok(Way::Waiting(entries.into_iter().flat_map(|entry| entry.recipients).collect()));
    }
    // A failure is on record before the entry leaves the queue.
    let letters = match dead.get_dead_letter(GetDeadLetterRequest { id: id.to_owned() }).await {
        Ok(response) => response.into_inner().letters,
        Err(status) if status.code() == tonic::Code::NotFound => Vec::new(),
        Err(status) => return Err(refusal(status)),
    };
    if letters.is_empty() {
        return Ok(Way::Arrived);
    }
    Ok(Way::Failed(letters.into_iter().flat_map(|letter| letter.recipients).collect()))
}

fn content(to: &str) -> String {
    let date = hikyaku_mail::date::rfc5322(SystemTime::now());
    format!(
        "From: Hikyaku <{to}>\r\nTo: <{to}>\r\nDate: {date}\r\nSubject: Test message\r\nAuto-Submitted: auto-generated\r\n\r\n\
         A test of the relay, sent by hikyakuctl selftest message.\r\n"
    )
}

/// The id in the answer to a message that was accepted.
fn queue_id(said: &str) -> Option<String> {
    said.strip_prefix("250 2.0.0 ")?.split_whitespace().next().map(str::to_owned)
}
