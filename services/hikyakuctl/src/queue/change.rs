//! Changes: they answer with their progress, and last with the result.

use std::io::{self, Write};

use hikyaku_proto::admin::v1::{
    BounceEntriesRequest, DeleteEntriesRequest, HoldEntriesRequest, MoveEntriesRequest, Progress,
    ReleaseEntriesRequest, RetryEntriesRequest, Selector, selector::By,
};
use prost_types::Timestamp;
use tonic::{Response, Status, Streaming};

use super::Client;
use crate::{End, args::Which, output::Output, server::refusal};

pub(super) async fn retry(
    client: &mut Client,
    which: Which,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let request = RetryEntriesRequest { selector: Some(selector(which)) };
    let progress = last(client.retry_entries(request).await, |response| response.progress).await?;
    print(&progress, "made due", output)
}

pub(super) async fn hold(
    client: &mut Client,
    which: Which,
    until: Option<Timestamp>,
    reason: String,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let who = std::env::var("USER").unwrap_or_default();
    let request = HoldEntriesRequest { selector: Some(selector(which)), until, reason, who };
    let progress = last(client.hold_entries(request).await, |response| response.progress).await?;
    print(&progress, "held", output)
}

pub(super) async fn release(
    client: &mut Client,
    which: Which,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let request = ReleaseEntriesRequest { selector: Some(selector(which)) };
    let progress = last(client.release_entries(request).await, |response| response.progress).await?;
    print(&progress, "released", output)
}

pub(super) async fn move_to(
    client: &mut Client,
    which: Which,
    to: String,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let request = MoveEntriesRequest { selector: Some(selector(which)), to };
    let progress = last(client.move_entries(request).await, |response| response.progress).await?;
    print(&progress, "moved", output)
}

pub(super) async fn bounce(
    client: &mut Client,
    which: Which,
    text: String,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let request = BounceEntriesRequest { selector: Some(selector(which)), text };
    let progress = last(client.bounce_entries(request).await, |response| response.progress).await?;
    print(&progress, "returned", output)
}

pub(super) async fn delete(
    client: &mut Client,
    which: Which,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let request = DeleteEntriesRequest { selector: Some(selector(which)) };
    let progress = last(client.delete_entries(request).await, |response| response.progress).await?;
    print(&progress, "deleted", output)
}

/// The command line makes sure that there is exactly one.
fn selector(which: Which) -> Selector {
    let by = which.id.map(By::Id).or(which.destination.map(By::Destination));
    Selector { by: by.or(which.all.then_some(By::All(true))) }
}

async fn last<R>(
    answer: Result<Response<Streaming<R>>, Status>,
    progress: impl Fn(R) -> Option<Progress>,
) -> anyhow::Result<Progress> {
    let mut answers = answer.map_err(refusal)?.into_inner();
    let mut result = None;
    while let Some(response) = answers.message().await.map_err(refusal)? {
        result = progress(response).filter(|progress| progress.finished);
    }
    result.ok_or_else(|| anyhow::anyhow!("the service did not say what came of it; it may go on"))
}

fn print(progress: &Progress, done: &str, output: &mut Output<impl Write>) -> anyhow::Result<End> {
    let Progress { before, done: count, busy, held, unchanged, failed, after, finished: _ } = *progress;
    let shown = serde_json::json!({
        "before": before, "done": count, "busy": busy, "held": held, "unchanged": unchanged,
        "failed": failed, "after": after,
    });
    output.print(&shown, |writer| {
        let noun = if count == 1 { "entry" } else { "entries" };
        write!(writer, "{count} {noun} {done}; {before} before, {after} now")?;
        also(writer, busy, "with a worker")?;
        also(writer, held, "held")?;
        also(writer, failed, "failed, ask again")?;
        writeln!(writer)
    })?;
    Ok(if failed == 0 { End::Done } else { End::Refused })
}

fn also(writer: &mut impl Write, count: u64, what: &str) -> io::Result<()> {
    if count == 0 { Ok(()) } else { write!(writer, "; {count} {what}") }
}
