//! Puts load on a relay, with clients and servers of its own, and tells what came of it. With
//! `--peer` the same load goes to a second relay, so that the ratio comes from one run.
//!
//! The relays must send mail for the domains of [`world`] to loopback addresses at the sink's
//! port: `hikyaku-load routes` prints that as a routes document, `hikyaku-load transport` as a
//! Postfix transport table. The scripts beside this program make whole comparisons.

use clap::{Parser, Subcommand};

mod world; // domains, and the addresses where their servers are
mod ledger; // who got what when
mod generator; // clients -> relay
mod sink; // relay -> here
mod collector; // relay -> here, of traces
mod machine; // CPU and memory
mod report; // ledger -> figures
mod throughput; // as much as goes
mod isolation; // ordinary mail beside mail that cannot be delivered
mod rollout; // ordinary mail while pods are replaced
mod autoscale; // what autoscaling looks at
mod bulk; // ordinary mail beside very much of another source
mod log; // a mail log of many days
mod fill; // mail that stays in the queue
mod tls_client; // one session, as far as it is told to go
mod sessions; // memory by sessions
mod recipients; // answers, and no mail
mod policy; // answers, and no SMTP

#[derive(Debug, Parser)]
#[command(name = "hikyaku-load")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// As much as goes to healthy destinations.
    Throughput(throughput::Options),
    /// Ordinary mail while greylisted, tarpitted and undeliverable mail is queued.
    Isolation(isolation::Options),
    /// Ordinary mail while another source sends as much as it can.
    Bulk(bulk::Options),
    /// Ordinary mail while pods are replaced.
    Rollout(rollout::Options),
    /// Mail that waits for its hour, and mail that waits for workers, in the metric that scales them.
    Autoscale(autoscale::Options),
    /// Takes traces and counts their spans.
    Collector(collector::Options),
    /// Fills the queue with mail for hosts that refuse connections.
    Fill(fill::Options),
    /// Fills the stream of the mail log.
    Log(log::Options),
    /// RCPT at a steady rate.
    Recipients(recipients::Options),
    /// Questions to the policy service at a steady rate.
    Policy(policy::Options),
    /// Memory of an ingress with idle and active sessions over TLS.
    Open(sessions::OpenOptions),
    /// Memory of an ingress after sessions that ended in each phase.
    Dropped(sessions::DroppedOptions),
    /// Waits until a recipient is accepted.
    Accepts {
        /// Relay under test.
        #[arg(long, default_value = "127.0.0.1:2525")]
        target: std::net::SocketAddr,
        /// Address.
        recipient: String,
    },
    /// The routes that the relay under test needs.
    Routes {
        /// Port of the sink.
        #[arg(long, default_value_t = 2526)]
        sink_port: u16,
    },
    /// The transport table that Postfix needs.
    Transport {
        /// Port of the sink.
        #[arg(long, default_value_t = 2526)]
        sink_port: u16,
    },
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match Arguments::parse().what {
        What::Throughput(options) => runtime.block_on(throughput::run(&options)),
        What::Isolation(options) => runtime.block_on(isolation::run(&options)),
        What::Bulk(options) => runtime.block_on(bulk::run(&options)),
        What::Rollout(options) => runtime.block_on(rollout::run(&options)),
        What::Autoscale(options) => runtime.block_on(autoscale::run(&options)),
        What::Collector(options) => runtime.block_on(collector::run(&options)),
        What::Fill(options) => runtime.block_on(fill::run(&options)),
        What::Log(options) => runtime.block_on(log::run(options)),
        What::Recipients(options) => runtime.block_on(recipients::run(&options)),
        What::Policy(options) => runtime.block_on(policy::run(&options)),
        What::Open(options) => runtime.block_on(sessions::open(&options)),
        What::Dropped(options) => runtime.block_on(sessions::dropped(&options)),
        What::Accepts { target, recipient } => runtime.block_on(recipients::accepts(target, &recipient)),
        What::Routes { sink_port } => {
            world::all(sink_port).for_each(|(domain, address, port)| println!("{domain},{address},{port}"));
            Ok(())
        }
        What::Transport { sink_port } => {
            let lines = world::all(sink_port);
            lines.for_each(|(domain, address, port)| println!("{domain} smtp:[{address}]:{port}"));
            Ok(())
        }
    }
}
