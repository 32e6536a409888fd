//! The command line and its help.

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use prost_types::Timestamp;
use tonic::transport::Endpoint;

use crate::{
    access::Access,
    account::AccountCommand,
    certificate::CertificateCommand,
    explain::{ExplainArgs, ReplayArgs, SelftestCommand},
    import::ImportArgs,
    route::RouteCommand,
    server::Server,
    token::TokenCommand,
};

const DESTINATION: &str =
    "Entries for this destination: example.org (by MX) or '[host]:port' (a fixed next hop)";

/// Looks after a Hikyaku mail relay: its queue and its directory of domains, aliases and routes.
///
/// Exit status: 0 done; 1 refused or failed, the reason is printed; 2 the command cannot be
/// understood or its file cannot be read, or `doctor` or `diagnose` can ask nobody; 10 to 15 the step at which
/// `diagnose` saw a delivery fail.
#[derive(Debug, Parser)]
#[command(name = "hikyakuctl", version, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  hikyakuctl queue list --destination example.org
  hikyakuctl queue retry --destination '[192.0.2.1]:25'
  hikyakuctl queue hold --destination example.org --for 4h --reason 'planned work'
  hikyakuctl destination limits example.org
  hikyakuctl dead resend 01ARZ3NDEKTSV4RRFFQ69G5FAV
  hikyakuctl directory get routes > routes
  hikyakuctl directory set routes routes --validate-only
  hikyakuctl import --gateway gateway.dat --effect effect.dat --dry-run
  hikyakuctl doctor example.org
  hikyakuctl diagnose example.net
  hikyakuctl explain --client 203.0.113.9 --from a@x.example --to user1@example.jp
  hikyakuctl token new ann --role operator --out ann.token")]
pub(crate) struct Args {
    /// A delivery worker's admin service, for queue, node, dns, destination, dead, trace, doctor and diagnose;
    /// any worker answers for the whole queue.
    #[arg(long, global = true, value_name = "URL", value_parser = url, default_value = "http://127.0.0.1:7003")]
    server: String,

    /// The policy service, for all else.
    #[arg(long, global = true, value_name = "URL", value_parser = url, default_value = "http://127.0.0.1:7002")]
    directory_server: String,

    #[command(flatten)]
    access: Access,

    /// Print one JSON document instead of words.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) noun: Noun,
}

impl Args {
    /// The service of delivery.
    pub(crate) fn server(&self) -> Result<Server, String> {
        self.server_at(&self.server)
    }

    /// The service of the directory.
    pub(crate) fn directory_server(&self) -> Result<Server, String> {
        self.server_at(&self.directory_server)
    }

    fn server_at(&self, url: &str) -> Result<Server, String> {
        Ok(Server { url: url.to_owned(), access: self.access.config()? })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// See and change what waits for delivery.
    Queue {
        #[command(subcommand)]
        command: QueueCommand,
    },
    /// See which machines deliver, and take one out of service.
    Node {
        #[command(subcommand)]
        command: crate::node::NodeCommand,
    },
    /// What delivery remembers of names.
    Dns {
        #[command(subcommand)]
        command: crate::dns::DnsCommand,
    },
    /// See what waits for which destination, and what limits hold for it.
    #[command(visible_alias = "dest")]
    Destination {
        #[command(subcommand)]
        command: crate::destination::DestinationCommand,
    },
    /// See failed mail that had no sender to report to, send it again or remove it.
    Dead {
        #[command(subcommand)]
        command: crate::dead::DeadCommand,
    },
    /// Read and replace the documents that say who may send what, and where it goes.
    #[command(after_help = "\
Documents:
  own-domains     a domain a line: mail for it is accepted
  connections     clients accept|refuse: who is greeted without limits, or not at all
  access          pattern value, as effect.dat: true, false, default, only, norelay, and rate=60/m
  relay-networks  an address, network/length or IPv4,mask a line: its clients may send anywhere; so may clients
                  that show the certificate of a line certificate=SHA-256-FINGERPRINT
  aliases         alias TAB target; *@d TAB *@d accepts every address of d unchanged
  accounts        an address a line, then name=, smtp=off, receive=off, separated by TABs
  credentials     verifiers of secrets; made by `account secret` and `import`
  sources         domain recipients=next-hop|ldap:NAME login=ldap:NAME when-down=defer|accept
  sender-rules    sender recipients allow|deny; the sender * stands for everybody
  routes          domain, host, port; also *.domain and *; the first line that fits decides
  smart-host      at most one line host[:port] for what no route takes
  hosts           name address...: looked at before DNS
  traffic         limits, retry clocks, TLS and logins: destination, site, source and egress lines
  settings        key = value: postmaster, own_senders, sender_trust, max_received, own_addresses, lock_...

A line that begins with ; or ' is a comment; in traffic also what follows a #.")]
    Directory {
        #[command(subcommand)]
        command: DirectoryCommand,
    },
    /// Put a route in front of the others, for a time or for good, and take it away.
    Route {
        #[command(subcommand)]
        command: RouteCommand,
    },
    /// Give accounts their secrets.
    Account {
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// Take over the files of E-Post and PMail servers.
    Import(ImportArgs),
    /// Find out what became of a message, or where one came from, or look at sessions as they happen.
    Trace(crate::trace::TraceArgs),
    /// Print a mail log in the shapes of the logs of E-Post and PMail servers.
    Legacylog(crate::legacylog::LegacyLogArgs),
    /// Look for what is wrong: brokers, the directory, next hops, MX, SPF and reverse DNS.
    Doctor(crate::doctor::DoctorArgs),
    /// Find out why mail for a domain is not delivered: the steps of a delivery, tried from every worker.
    Diagnose(crate::diagnose::DiagnoseArgs),
    /// Check the documents of a folder as `directory apply` would, and store nothing; without FOLDER those in
    /// force. Exit status 1: there are errors.
    Check {
        /// As `directory export` has written it.
        folder: Option<PathBuf>,
    },
    /// Walk the decision for one envelope step by step, with the line that decided.
    Explain(ExplainArgs),
    /// Test the relay itself.
    Selftest {
        #[command(subcommand)]
        command: SelftestCommand,
    },
    /// Put the envelopes of a mail log to documents that are not in force: which verdicts would change?
    Replay(ReplayArgs),
    /// Make tokens for those who may look and change.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Make certificates for trying TLS out.
    Certificate {
        #[command(subcommand)]
        command: CertificateCommand,
    },
    /// Print the version of this program.
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List entries: one message for one destination each. Sizes are in bytes, times in UTC.
    List(ListArgs),
    /// Count entries by what they wait for, without reading them.
    Count {
        #[arg(long, value_name = "DESTINATION", help = DESTINATION)]
        destination: Option<String>,
    },
    /// Show one message with its recipients and the last failure of each.
    Show {
        /// Queue id (as said in the 250 reply; all its entries) or entry id (queue id-N).
        id: String,
    },
    /// Make waiting entries due now. The time until they are given up goes on; held ones stay held.
    #[command(after_help = "\
Examples:
  hikyakuctl queue retry 01ARZ3NDEKTSV4RRFFQ69G5FAV
  hikyakuctl queue retry --destination example.org")]
    Retry(Which),
    /// Attempt nothing until a time, or until it is released. Mail is accepted, and the time until it is
    /// given up stands still. A destination is held with what arrives later.
    #[command(after_help = "\
Examples:
  hikyakuctl queue hold --destination '[192.0.2.1]:25' --for 4h --reason 'new mail server'
  hikyakuctl queue hold 01ARZ3NDEKTSV4RRFFQ69G5FAV")]
    Hold {
        #[command(flatten)]
        which: Which,
        /// End of the hold, for example 2027-01-31T18:00:00Z.
        #[arg(long, value_name = "TIME", conflicts_with = "for_time")]
        until: Option<Timestamp>,
        /// Length of the hold: 30m, 4h, 7d.
        #[arg(long = "for", id = "for_time", value_name = "TIME", value_parser = duration)]
        for_time: Option<Duration>,
        /// Told to others who look.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// End a hold: what waited is due now, in the order of its arrival.
    Release(Which),
    /// Send entries to another destination, whatever their routes say from now on.
    #[command(after_help = "\
Example:
  hikyakuctl queue move --destination example.org --to '[192.0.2.9]:25'")]
    Move {
        #[command(flatten)]
        which: Which,
        /// example.org (by MX) or '[host]:port' (a fixed next hop).
        #[arg(long, value_name = "DESTINATION")]
        to: String,
    },
    /// Return entries to their senders with a failure report.
    Bounce {
        #[command(flatten)]
        which: Which,
        /// Why, told to the senders.
        #[arg(long)]
        reason: String,
    },
    /// Remove entries for good; their senders get no report.
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

#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    #[arg(long, value_name = "DESTINATION", help = DESTINATION)]
    pub(crate) destination: Option<String>,
    /// Only from senders with this in their address; '<>' is the null sender.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) sender: String,
    /// Only to recipients with this in their address.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) recipient: String,
    /// Only what was accepted longer ago: 30m, 4h, 7d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) older_than: Option<Duration>,
    /// Only in this state.
    #[arg(long)]
    pub(crate) state: Option<EntryState>,
    /// At most so many entries.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Go on where an earlier list ended.
    #[arg(long, value_name = "TOKEN", default_value = "")]
    pub(crate) page_token: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EntryState {
    Fresh,
    Bulk,
    Due,
    Scheduled,
    Held,
}

/// Entries by id or by destination, or all.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Queue id (all its entries) or entry id.
    pub(crate) id: Option<String>,
    #[arg(long, value_name = "DESTINATION", help = DESTINATION)]
    pub(crate) destination: Option<String>,
    /// Everything.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DirectoryCommand {
    /// Print a document as it is stored, or without NAME what there is.
    Get {
        /// One of those above.
        name: Option<String>,
    },
    /// List the versions that are kept: when, who, which documents.
    Versions,
    /// Show what one version has and another has not.
    Diff {
        /// The earlier version.
        from: u64,
        /// The later one; without it the one in force.
        to: Option<u64>,
    },
    /// Make the documents of an earlier version the next one.
    RollBack {
        /// The version that is wanted again.
        version: u64,
    },
    /// Tell each version that comes into force, until interrupted.
    Watch,
    /// Print the lines that contain a text. Exit status 1: there are none.
    Search {
        /// Without regard to case.
        text: String,
    },
    /// Write each document to a file of its name.
    Export {
        /// Made when it is missing.
        folder: PathBuf,
        /// The verifiers of secrets too; their file can be read by its owner only.
        #[arg(long)]
        with_credentials: bool,
    },
    /// Commit all files of a folder that have the name of a document, as one version.
    Apply {
        /// As `export` has written it.
        folder: PathBuf,
        /// Check only, store nothing.
        #[arg(long)]
        validate_only: bool,
        /// Why; kept with the version.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Check the whole directory with a new document and store it as the next version, or refuse
    /// it with every problem as file:line: severity CODE: reason.
    #[command(after_help = "\
Examples:
  hikyakuctl directory set aliases ./aliases.tsv
  printf '192.168.0.0/24\\n' | hikyakuctl directory set relay-networks -")]
    Set {
        /// One of those above.
        name: String,
        /// UTF-8 text, at most 64 MiB; - reads the standard input.
        file: PathBuf,
        /// Check only, store nothing.
        #[arg(long)]
        validate_only: bool,
        /// Refuse if the directory has another version than this; without it the present one is replaced.
        #[arg(long, value_name = "VERSION")]
        base_version: Option<u64>,
        /// Why; kept with the version.
        #[arg(long, default_value = "")]
        comment: String,
    },
}

fn url(text: &str) -> Result<String, String> {
    let is_http = text.starts_with("http://") || text.starts_with("https://");
    let is_url = is_http && Endpoint::from_shared(text.to_owned()).is_ok();
    is_url.then(|| text.to_owned()).ok_or_else(|| "want http://host:port or https://host:port".to_owned())
}

/// `30m`, `4h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds).filter(|seconds| *seconds > 0)
    });
    read.map(Duration::from_secs).ok_or_else(|| "want a number and a unit: 90s, 30m, 4h or 7d".to_owned())
}
