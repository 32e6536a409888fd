//! A channel to a service, and its refusals in words.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn connect(endpoint: &Endpoint) -> anyhow::Result<Channel> {
    let patient =
        endpoint.clone().connect_timeout(CONNECT_TIMEOUT).http2_keep_alive_interval(KEEP_ALIVE_EVERY);
    patient.connect().await.with_context(|| format!("cannot connect to {}", endpoint.uri()))
}

/// What the service said, without the dress of gRPC.
pub(crate) fn refusal(status: Status) -> anyhow::Error {
    match status.message() {
        "" => anyhow!("{}", status.code().description()),
        message => anyhow!("{message}"),
    }
}
