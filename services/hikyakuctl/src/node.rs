//! `hikyakuctl node`: who delivers, and taking machines out of service.

use std::{io::Write, time::Duration};

use anyhow::bail;
use clap::Subcommand;
use hikyaku_grpc::Channel;
use hikyaku_proto::admin::v1::{
    DrainNodeRequest, ListNodesRequest, Worker, node_admin_service_client::NodeAdminServiceClient,
};
use serde::Serialize;

use crate::{
    End,
    output::{Output, harmless, rfc3339, table},
    server::{Server, connect, refusal},
};

const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// List the delivery workers with the number of queue shards that each owns.
    List,
    /// Let a node hand over its shards and take no others; waits until it has none.
    #[command(after_help = "\
Examples:
  hikyakuctl node drain gw-2
  hikyakuctl node drain gw-2 --wait 0")]
    Drain {
        /// Name of the node, as in `node list`.
        node: String,
        /// Seconds to wait until everything is handed over.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
    },
    /// Let a node take shards again.
    Resume {
        /// Name of the node, as in `node list`.
        node: String,
    },
}

pub(crate) async fn run(
    command: NodeCommand,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let mut client = NodeAdminServiceClient::new(connect(server).await?);
    match command {
        NodeCommand::List => list(&mut client, output).await,
        NodeCommand::Drain { node, wait } => {
            order(&mut client, &node, false).await?;
            wait_until_drained(&mut client, &node, Duration::from_secs(wait)).await?;
            list(&mut client, output).await
        }
        NodeCommand::Resume { node } => {
            order(&mut client, &node, true).await?;
            list(&mut client, output).await
        }
    }
}

async fn order(client: &mut NodeAdminServiceClient<Channel>, node: &str, resume: bool) -> anyhow::Result<()> {
    let request = DrainNodeRequest { node: node.to_owned(), resume };
    client.drain_node(request).await.map_err(refusal)?;
    Ok(())
}

async fn wait_until_drained(
    client: &mut NodeAdminServiceClient<Channel>,
    node: &str,
    wait: Duration,
) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let workers = client.list_nodes(ListNodesRequest {}).await.map_err(refusal)?.into_inner().workers;
        let of_node = workers.iter().filter(|worker| worker.node == node);
        let left: usize = of_node.map(|worker| worker.shards.len()).sum();
        if left == 0 || wait.is_zero() {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            bail!("{node} still has {left} shards; the order stands");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The names are an interface for scripts.
#[derive(Debug, Serialize)]
struct Shown {
    shards: u32,
    workers: Vec<ShownWorker>,
}

#[derive(Debug, Serialize)]
struct ShownWorker {
    node: String,
    id: String,
    state: &'static str,
    shards: Vec<u32>,
    seen_at: Option<String>,
}

async fn list(
    client: &mut NodeAdminServiceClient<Channel>,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let response = client.list_nodes(ListNodesRequest {}).await.map_err(refusal)?.into_inner();
    let workers = response.workers.into_iter().map(shown).collect();
    let shown = Shown { shards: response.shards, workers };
    output.print(&shown, |writer| write_words(writer, &shown))?;
    Ok(End::Done)
}

fn shown(worker: Worker) -> ShownWorker {
    ShownWorker {
        node: worker.node,
        id: worker.id,
        state: if worker.draining { "draining" } else { "active" },
        shards: worker.shards,
        seen_at: rfc3339(worker.seen_at.as_ref()),
    }
}

fn write_words(writer: &mut impl Write, shown: &Shown) -> std::io::Result<()> {
    let rows = shown.workers.iter().map(|worker| {
        [
            harmless(&worker.node),
            worker.state.to_owned(),
            worker.shards.len().to_string(),
            worker.seen_at.clone().unwrap_or_default(),
            harmless(&worker.id),
        ]
    });
    let rows: Vec<[String; 5]> = rows.collect();
    table(writer, ["NODE", "STATE", "SHARDS", "SEEN", "WORKER"], &rows)
}
