//! `hikyakuctl queue check`: is all content there, and is there any that nobody needs?

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::Args as ClapArgs;
use hikyaku_proto::admin::v1::{
    CheckQueueRequest, CheckQueueResponse, custody_admin_service_client::CustodyAdminServiceClient,
};
use serde::Serialize;

use crate::{
    End,
    audit::duration,
    output::{Output, harmless},
    server::{Server, connect, refusal},
};

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckArgs {
    /// Content without an owner is left over when it is so old: 90s, 5m, 1h. It is written before
    /// its entry.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) older_than: Duration,
}

pub(crate) async fn run(
    arguments: CheckArgs,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let mut client =
        CustodyAdminServiceClient::new(connect(server).await?).max_decoding_message_size(usize::MAX);
    let request = CheckQueueRequest { older_than: Some(arguments.older_than.try_into()?) };
    let response = client.check_queue(request).await.map_err(refusal)?.into_inner();
    let check = Shown::from(response);
    output.print(&check, |writer| write_words(writer, &check))?;
    Ok(if check.missing == 0 { End::Done } else { End::Refused })
}

/// The names are an interface for scripts. Lists hold the first thousand.
#[derive(Debug, Serialize)]
struct Shown {
    entries: u64,
    dead_letters: u64,
    stored: u64,
    stored_bytes: u64,
    missing: u64,
    missing_owners: Vec<String>,
    orphans: u64,
    orphaned_contents: Vec<ShownOrphan>,
    undecodable: u64,
    undecodable_entries: Vec<ShownUndecodable>,
}

#[derive(Debug, Serialize)]
struct ShownOrphan {
    owner: String,
    shard: u32,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct ShownUndecodable {
    stream: String,
    sequence: u64,
    subject: String,
}

impl From<CheckQueueResponse> for Shown {
    fn from(response: CheckQueueResponse) -> Self {
        let orphans = response.orphaned_contents.into_iter().map(|orphan| ShownOrphan {
            owner: orphan.owner,
            shard: orphan.shard,
            bytes: orphan.size,
        });
        let undecodable = response.undecodable_entries.into_iter().map(|entry| ShownUndecodable {
            stream: entry.stream,
            sequence: entry.sequence,
            subject: entry.subject,
        });
        Self {
            orphaned_contents: orphans.collect(),
            undecodable_entries: undecodable.collect(),
            entries: response.entries,
            dead_letters: response.dead_letters,
            stored: response.stored,
            stored_bytes: response.stored_bytes,
            missing: response.missing,
            missing_owners: response.missing_owners,
            orphans: response.orphans,
            undecodable: response.undecodable,
        }
    }
}

fn write_words(writer: &mut impl Write, check: &Shown) -> io::Result<()> {
    for (count, what) in [
        (check.entries, "entries"),
        (check.dead_letters, "dead letters"),
        (check.stored, "of these with content of their own"),
        (check.stored_bytes, "bytes of that content"),
        (check.missing, "whose content is missing"),
        (check.orphans, "gone, with content left over"),
        (check.undecodable, "that cannot be read"),
    ] {
        writeln!(writer, "{count:>12}  {what}")?;
    }
    for owner in &check.missing_owners {
        writeln!(writer, "missing     {owner}")?;
    }
    for ShownOrphan { owner, shard, bytes } in &check.orphaned_contents {
        writeln!(writer, "left over   {owner} in shard {shard}, {bytes} bytes")?;
    }
    for ShownUndecodable { stream, sequence, subject } in &check.undecodable_entries {
        writeln!(writer, "unreadable  {stream} {sequence} {}", harmless(subject))?;
    }
    Ok(())
}
