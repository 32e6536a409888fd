//! The command line and its help.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use tonic::transport::Endpoint;

const DESTINATION: &str =
    "Entries for this destination: example.org (by MX) or '[host]:port' (a fixed next hop)";

/// Looks after a Hikyaku mail relay: its queue and its directory of domains, aliases and routes.
///
/// Exit status: 0 done; 1 refused or failed, the reason is printed; 2 the command cannot be
/// understood or its file cannot be read.
#[derive(Debug, Parser)]
#[command(name = "hikyakuctl", version, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  hikyakuctl queue list --destination example.org
  hikyakuctl queue retry --destination '[192.0.2.1]:25'
  hikyakuctl directory get routes > routes
  hikyakuctl directory set routes routes --validate-only")]
pub(crate) struct Args {
    /// A delivery worker's admin service, for `queue`; any worker answers for the whole queue.
    #[arg(long, global = true, value_name = "URL", value_parser = endpoint)]
    #[arg(default_value = "http://127.0.0.1:7003")]
    pub(crate) server: Endpoint,

    /// The policy service, for `directory`.
    #[arg(long, global = true, value_name = "URL", value_parser = endpoint)]
    #[arg(default_value = "http://127.0.0.1:7002")]
    pub(crate) directory_server: Endpoint,

    /// Print one JSON document instead of words.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) noun: Noun,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// See and change what waits for delivery.
    Queue {
        #[command(subcommand)]
        command: QueueCommand,
    },
    /// Read and replace the documents that say who may send what, and where it goes.
    #[command(after_help = "\
Documents:
  own-domains     a domain a line: mail for it is accepted
  relay-networks  an address, network/length or IPv4,mask a line: its clients may send anywhere
  aliases         alias TAB target; *@d TAB *@d accepts every address of d unchanged
  routes          domain, host, port; also *.domain and *; the first line that fits decides
  smart-host      at most one line host[:port] for what no route takes
  hosts           name address...: looked at before DNS
  traffic         limits and retry clocks: destination, site, source and egress lines

A line that begins with ; or ' is a comment; in traffic also what follows a #.")]
    Directory {
        #[command(subcommand)]
        command: DirectoryCommand,
    },
    /// Print the version of this program.
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List entries: one message for one destination each. Sizes are in bytes, times in UTC.
    List {
        #[arg(long, value_name = "DESTINATION", help = DESTINATION)]
        destination: Option<String>,
        /// At most so many entries.
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show one message with its recipients and the last failure of each.
    Show {
        /// Queue id (as said in the 250 reply; all its entries) or entry id (queue id-N).
        id: String,
    },
    /// Make waiting entries due now. The time until they are given up goes on. Prints how many.
    #[command(after_help = "\
Examples:
  hikyakuctl queue retry 01ARZ3NDEKTSV4RRFFQ69G5FAV
  hikyakuctl queue retry --destination example.org")]
    Retry(Which),
    /// Remove entries for good; their senders get no report. Prints how many.
    #[command(after_help = "\
Examples:
  hikyakuctl queue delete 01ARZ3NDEKTSV4RRFFQ69G5FAV-1
  hikyakuctl queue delete --destination '[192.0.2.1]:25'")]
    Delete(Which),
    /// Prove that each accepted recipient has its end or waits in the queue, and name those that
    /// do not. Exit status 1 when one is missing.
    #[command(after_help = "\
Examples:
  hikyakuctl queue audit
  hikyakuctl queue audit --since 7d --older-than 1h")]
    Audit(crate::audit::AuditArgs),
    /// Prove that all content is there which an entry or a dead letter refers to, and list content
    /// that is left over and entries that cannot be read. Exit status 1 when content is missing.
    Check(crate::check::CheckArgs),
}

/// Entries by id or by destination.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Queue id (all its entries) or entry id.
    pub(crate) id: Option<String>,
    #[arg(long, value_name = "DESTINATION", help = DESTINATION)]
    pub(crate) destination: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DirectoryCommand {
    /// Print a document as it is stored, or without NAME what there is.
    Get {
        /// own-domains, relay-networks, aliases, routes, smart-host, hosts or traffic.
        name: Option<String>,
    },
    /// Check the whole directory with a new document and store it as the next version, or refuse
    /// it with every problem as file:line: severity CODE: reason.
    #[command(after_help = "\
Examples:
  hikyakuctl directory set aliases ./aliases.tsv
  printf '192.168.0.0/24\\n' | hikyakuctl directory set relay-networks -")]
    Set {
        /// own-domains, relay-networks, aliases, routes, smart-host, hosts or traffic.
        name: String,
        /// UTF-8 text, at most 64 MiB; - reads the standard input.
        file: PathBuf,
        /// Check only, store nothing.
        #[arg(long)]
        validate_only: bool,
        /// Refuse if the directory has another version than this; without it the present one is replaced.
        #[arg(long, value_name = "VERSION")]
        base_version: Option<u64>,
    },
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let is_http = text.starts_with("http://");
    let endpoint = Endpoint::from_shared(text.to_owned()).ok().filter(|_| is_http);
    endpoint.ok_or_else(|| "want http://host:port".to_owned())
}
