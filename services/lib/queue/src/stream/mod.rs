//! Questions to a stream that the client library has no calls for. A stream is meant by its name.

mod read; // many messages by one question
mod names; // subjects without their messages, and what a stream holds
mod remove; // purge and delete

use std::time::Duration;

use async_nats::Request;
use bytes::Bytes;
pub(crate) use names::{
    Extent, count_subjects, delivered, extent, has_subject, subjects, subjects_from, unacknowledged,
};
pub(crate) use read::{From, Message, Reading, count, last, last_of_leader};
pub(crate) use remove::{delete, purge};
use serde::de::DeserializeOwned;

use crate::Nats;

/// A purge or the names of 100,000 subjects take the broker more than a second.
const API_TIMEOUT: Duration = Duration::from_secs(30);
/// As much of an unexpected answer is told.
const TOLD: usize = 300;

async fn call<T: DeserializeOwned>(
    nats: &Nats,
    subject: &str,
    question: &serde_json::Value,
) -> Result<T, async_nats::Error> {
    let answer = ask(nats, subject, question).await?;
    serde_json::from_slice(&answer).map_err(|error| unexpected(&error, &answer))
}

async fn ask(nats: &Nats, subject: &str, question: &serde_json::Value) -> Result<Bytes, async_nats::Error> {
    let request = Request::new().timeout(Some(API_TIMEOUT)).payload(question.to_string().into());
    Ok(nats.client.send_request(format!("$JS.API.{subject}"), request).await?.payload)
}

/// An answer without what was asked for says why.
fn unexpected(error: &serde_json::Error, answer: &[u8]) -> async_nats::Error {
    let said: String = String::from_utf8_lossy(answer).chars().take(TOLD).collect();
    format!("{error}: {said}").into()
}
