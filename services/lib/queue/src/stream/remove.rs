//! Takes messages out of a stream.

use serde::Deserialize;

use super::{ask, call, unexpected};
use crate::Nats;

/// Removes what fits `filter` and stands before `sequence`. Says how many.
pub(crate) async fn purge(
    nats: &Nats,
    stream: &str,
    filter: &str,
    sequence: Option<u64>,
) -> Result<u64, async_nats::Error> {
    #[derive(Deserialize)]
    struct Purged {
        purged: u64,
    }
    let mut question = serde_json::json!({ "filter": filter });
    if let Some(sequence) = sequence {
        question["seq"] = sequence.into();
    }
    let purged: Purged = call(nats, &format!("STREAM.PURGE.{stream}"), &question).await?;
    Ok(purged.purged)
}

/// Removes one message. False: it was not there any more.
pub(crate) async fn delete(nats: &Nats, stream: &str, sequence: u64) -> Result<bool, async_nats::Error> {
    #[derive(Deserialize)]
    struct Deleted {
        #[serde(default)]
        success: bool,
    }
    // Secure erasure, which the library asks for, is far too slow for a queue.
    let question = serde_json::json!({ "seq": sequence, "no_erase": true });
    let answer = ask(nats, &format!("STREAM.MSG.DELETE.{stream}"), &question).await?;
    let deleted: Deleted = serde_json::from_slice(&answer).map_err(|error| unexpected(&error, &answer))?;
    Ok(deleted.success)
}
