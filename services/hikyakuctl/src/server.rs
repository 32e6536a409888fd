//! A channel to a service, and its refusals in words.

use std::{error::Error as _, time::Duration};

use anyhow::{Context as _, anyhow};
use hikyaku_grpc::{Channel, ClientConfig, client::Patience};
use tonic::{Code, Status};

const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), keep_alive: Duration::from_secs(10) };
const WHO: &str = "give --token-file FILE or set HIKYAKU_TOKEN_FILE; `hikyaku up` keeps a token in its data folder, \
     hikyaku-data/operator-token";

/// Where it is, and what it is shown.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) access: ClientConfig,
}

pub(crate) async fn connect(server: &Server) -> anyhow::Result<Channel> {
    let Server { url, access } = server;
    let channel = hikyaku_grpc::client::connect(url, access, PATIENCE);
    channel.await.with_context(|| format!("cannot connect to {url}"))
}

/// What the service said, without the dress of gRPC.
pub(crate) fn refusal(status: Status) -> anyhow::Error {
    let said = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    if status.code() == Code::Unauthenticated {
        return anyhow!("{said}: {WHO}");
    }
    // The connection ended: the last cause says why, for example that a certificate is missing.
    let mut last = status.source();
    while let Some(cause) = last.and_then(|cause| cause.source()) {
        last = Some(cause);
    }
    match last {
        Some(cause) => anyhow!("{said}: {cause}"),
        None => anyhow!("{said}"),
    }
}
