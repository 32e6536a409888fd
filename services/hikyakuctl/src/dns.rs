//! `hikyakuctl dns`: what delivery remembers of names.

use std::io::Write;

use anyhow::bail;
use clap::Subcommand;
use hikyaku_proto::admin::v1::{
    FlushNamesRequest, FlushNamesResponse, destination_admin_service_client::DestinationAdminServiceClient,
};
use serde::Serialize;

use crate::{
    End,
    output::{Output, harmless},
    server::{Server, connect, refusal},
};

#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Let all workers ask again for the MX records of a domain and the addresses of its hosts. They do so by
    /// themselves when the records are too old, after 24 hours at the latest, and when no host answers.
    #[command(after_help = "\
Example:
  hikyakuctl dns flush example.org")]
    Flush {
        /// The domain of the recipients.
        domain: String,
    },
}

#[derive(Debug, Serialize)]
struct Flushed {
    nodes: Vec<String>,
}

pub(crate) async fn run(
    command: DnsCommand,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let DnsCommand::Flush { domain } = command;
    let mut client = DestinationAdminServiceClient::new(connect(server).await?);
    let response = client.flush_names(FlushNamesRequest { domain }).await.map_err(refusal)?;
    let FlushNamesResponse { nodes, missing } = response.into_inner();
    let shown = nodes.iter().map(|node| harmless(node)).collect::<Vec<_>>().join(", ");
    output.print(&Flushed { nodes }, |writer| writeln!(writer, "forgotten by {shown}"))?;
    if !missing.is_empty() {
        let missing = missing.iter().map(|node| harmless(node)).collect::<Vec<_>>().join(", ");
        bail!("no answer from {missing}: they ask again by themselves within 24 hours");
    }
    Ok(End::Done)
}
