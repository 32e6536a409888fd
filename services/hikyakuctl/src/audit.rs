//! `hikyakuctl queue audit`: is every accepted recipient accounted for?

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::Args as ClapArgs;
use hikyaku_proto::admin::v1::{
    AuditQueueRequest, AuditQueueResponse, custody_admin_service_client::CustodyAdminServiceClient,
};
use serde::Serialize;

use crate::{
    End,
    output::{Output, harmless, rfc3339, table},
    server::{Server, connect, refusal},
};

#[derive(Debug, ClapArgs)]
pub(crate) struct AuditArgs {
    /// What was accepted in this time: 90s, 5m, 24h or 7d. Events are kept for 7 days.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    since: Duration,
    /// What was accepted within this time may be on its way into the queue and is not missed yet.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    older_than: Duration,
    /// Name at most so many of those that are missing.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(crate) async fn run(
    arguments: AuditArgs,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let mut client =
        CustodyAdminServiceClient::new(connect(server).await?).max_decoding_message_size(usize::MAX);
    let AuditArgs { since, older_than, limit } = arguments;
    let request =
        AuditQueueRequest { since: Some(since.try_into()?), older_than: Some(older_than.try_into()?), limit };
    let response = client.audit_queue(request).await.map_err(refusal)?.into_inner();
    let audit = Shown::from(response);
    output.print(&audit, |writer| write_words(writer, &audit))?;
    Ok(if audit.missing == 0 { End::Done } else { End::Refused })
}

/// Recipients, counted. The names are an interface for scripts.
#[derive(Debug, Serialize)]
struct Shown {
    accepted: u64,
    delivered: u64,
    failed: u64,
    expired: u64,
    deleted: u64,
    dead_lettered: u64,
    queued: u64,
    young: u64,
    duplicates: u64,
    repeated: u64,
    unpromised: u64,
    unknown_events: u64,
    missing: u64,
    missing_recipients: Vec<ShownMissing>,
}

#[derive(Debug, Serialize)]
struct ShownMissing {
    queue_id: String,
    entry_id: String,
    recipient: String,
    accepted_at: Option<String>,
}

impl From<AuditQueueResponse> for Shown {
    fn from(response: AuditQueueResponse) -> Self {
        let missing_recipients = response.missing_recipients.into_iter().map(|missing| ShownMissing {
            accepted_at: rfc3339(missing.accepted_at.as_ref()),
            queue_id: missing.queue_id,
            entry_id: missing.entry_id,
            recipient: missing.recipient,
        });
        Self {
            missing_recipients: missing_recipients.collect(),
            accepted: response.accepted,
            delivered: response.delivered,
            failed: response.failed,
            expired: response.expired,
            deleted: response.deleted,
            dead_lettered: response.dead_lettered,
            queued: response.queued,
            young: response.young,
            duplicates: response.duplicates,
            repeated: response.repeated,
            unpromised: response.unpromised,
            unknown_events: response.unknown_events,
            missing: response.missing,
        }
    }
}

fn write_words(writer: &mut impl Write, audit: &Shown) -> io::Result<()> {
    for (count, what) in [
        (audit.accepted, "recipients accepted"),
        (audit.delivered, "delivered"),
        (audit.failed, "failed"),
        (audit.expired, "expired"),
        (audit.deleted, "deleted"),
        (audit.dead_lettered, "dead letters"),
        (audit.queued, "in the queue"),
        (audit.young, "accepted a moment ago"),
        (audit.missing, "missing"),
    ] {
        writeln!(writer, "{count:>12}  {what}")?;
    }
    for (count, what) in [
        (audit.duplicates, "with more than one end"),
        (audit.repeated, "of these: an attempt was made again because it could not be recorded"),
        (audit.unpromised, "recorded, but nobody was told that they were accepted"),
        (audit.unknown_events, "events that the worker does not understand"),
    ] {
        if count > 0 {
            writeln!(writer, "{count:>12}  {what}")?;
        }
    }
    if audit.missing == 0 {
        return Ok(());
    }
    writeln!(writer)?;
    let rows: Vec<_> = audit.missing_recipients.iter().map(row).collect();
    table(writer, ["MISSING", "ACCEPTED", "TO"], &rows)
}

fn row(missing: &ShownMissing) -> [String; 3] {
    let at = missing.accepted_at.clone().unwrap_or_else(|| "-".to_owned());
    [missing.entry_id.clone(), at, harmless(&missing.recipient)]
}

/// A number and s, m, h or d.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds_of = |unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(24 * 3_600),
        _ => None,
    };
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let parse = || {
        let unit = text.chars().last()?;
        number(text.strip_suffix(unit)?)?.checked_mul(seconds_of(unit)?)
    };
    // A century is longer than any stream.
    let seconds = parse().filter(|seconds| *seconds <= 100 * 365 * 24 * 3_600);
    seconds.map(Duration::from_secs).ok_or_else(|| "want a time such as 90s, 5m, 24h or 7d".to_owned())
}

#[cfg(test)]
mod tests;
