//! `hikyakuctl destination`: what waits where, and what limits hold.

use std::io::{self, Write};

use clap::Subcommand;
use hikyaku_grpc::Channel;
use hikyaku_proto::admin::v1::{
    Counts, DestinationSummary, GetDestinationRequest, GetDestinationResponse, GetLimitsRequest,
    GetLimitsResponse, Hold, Limit, ListDestinationsRequest,
    destination_admin_service_client::DestinationAdminServiceClient,
};
use serde::Serialize;

use crate::{
    End,
    output::{Output, harmless, rfc3339, table},
    server::{Server, connect, refusal},
};

type Client = DestinationAdminServiceClient<Channel>;

#[derive(Debug, Subcommand)]
pub(crate) enum DestinationCommand {
    /// List the destinations that have entries or are held.
    List,
    /// Show what its entries tell: the last attempt and reply, tries, the next attempt, holds.
    Show {
        /// example.org (by MX) or '[host]:port' (a fixed next hop).
        destination: String,
    },
    /// Show the limits, retry clocks, TLS and login that the traffic rules set, with the line that decided each.
    Limits {
        /// example.org (by MX) or '[host]:port' (a fixed next hop).
        destination: String,
    },
}

pub(crate) async fn run(
    command: DestinationCommand,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let mut client = Client::new(connect(server).await?).max_decoding_message_size(usize::MAX);
    match command {
        DestinationCommand::List => list(&mut client, output).await?,
        DestinationCommand::Show { destination } => {
            let request = GetDestinationRequest { destination: destination.clone() };
            let state = client.get_destination(request).await.map_err(refusal)?.into_inner();
            let shown = ShownState::new(destination, state);
            output.print(&shown, |writer| shown.write(writer))?;
        }
        DestinationCommand::Limits { destination } => {
            let request = GetLimitsRequest { destination };
            let limits = client.get_limits(request).await.map_err(refusal)?.into_inner();
            print_limits(limits, output)?;
        }
    }
    Ok(End::Done)
}

async fn list(client: &mut Client, output: &mut Output<impl Write>) -> anyhow::Result<()> {
    let response = client.list_destinations(ListDestinationsRequest {}).await.map_err(refusal)?.into_inner();
    let all = response.hold_of_all.map(ShownHold::from);
    let shown: Vec<Row> = response.destinations.into_iter().map(Row::from).collect();
    output.print(&serde_json::json!({ "destinations": shown, "hold_of_all": all }), |writer| {
        if let Some(hold) = &all {
            writeln!(writer, "everything is {}", hold.words())?;
        }
        if shown.is_empty() {
            return writeln!(writer, "no destinations");
        }
        let rows: Vec<[String; 6]> = shown.iter().map(Row::cells).collect();
        table(writer, ["DESTINATION", "FRESH", "BULK", "DUE", "SCHEDULED", "HOLD"], &rows)
    })
}

fn print_limits(limits: GetLimitsResponse, output: &mut Output<impl Write>) -> anyhow::Result<()> {
    let GetLimitsResponse { destination, site, site_limits, hosts, trouble } = limits;
    let json = |limits: &[Limit]| -> Vec<serde_json::Value> {
        let one =
            |it: &Limit| serde_json::json!({ "key": it.key, "value": it.value, "decided_by": it.decided_by });
        limits.iter().map(one).collect()
    };
    let shown = serde_json::json!({
        "destination": json(&destination), "site": site, "site_limits": json(&site_limits), "hosts": hosts,
        "trouble": trouble,
    });
    output.print(&shown, |writer| {
        let row = |of: &str, limit: &Limit| {
            [of.to_owned(), limit.key.clone(), limit.value.clone(), limit.decided_by.clone()]
        };
        let rows: Vec<[String; 4]> = destination
            .iter()
            .map(|limit| row("destination", limit))
            .chain(site_limits.iter().map(|limit| row("site", limit)))
            .collect();
        if rows.is_empty() {
            writeln!(writer, "no line says anything of it; the configuration holds")?;
        } else {
            table(writer, ["OF", "KEY", "VALUE", "DECIDED BY"], &rows)?;
        }
        if trouble.is_empty() {
            writeln!(writer, "site   {}\nhosts  {}", harmless(&site), harmless(&hosts.join(" ")))
        } else {
            writeln!(writer, "its hosts are not known: {}", harmless(&trouble))
        }
    })
}

#[derive(Debug, Serialize)]
struct ShownCounts {
    fresh: u64,
    bulk: u64,
    due: u64,
    scheduled: u64,
}

impl From<Option<Counts>> for ShownCounts {
    fn from(counts: Option<Counts>) -> Self {
        let Counts { fresh, bulk, due, scheduled, busy: _ } = counts.unwrap_or_default();
        Self { fresh, bulk, due, scheduled }
    }
}

#[derive(Debug, Serialize)]
struct ShownHold {
    until: Option<String>,
    since: Option<String>,
    reason: String,
    who: String,
}

impl From<Hold> for ShownHold {
    fn from(hold: Hold) -> Self {
        let (until, since) = (rfc3339(hold.until.as_ref()), rfc3339(hold.since.as_ref()));
        Self { until, since, reason: hold.reason, who: hold.who }
    }
}

impl ShownHold {
    fn words(&self) -> String {
        let until = self.until.as_deref().unwrap_or("it is released");
        let mut words = format!("held until {until}");
        for (what, text) in [("by", &self.who), ("because:", &self.reason)] {
            if !text.is_empty() {
                words += &format!(" {what} {}", harmless(text));
            }
        }
        words
    }
}

#[derive(Debug, Serialize)]
struct Row {
    destination: String,
    #[serde(flatten)]
    counts: ShownCounts,
    hold: Option<ShownHold>,
}

impl From<DestinationSummary> for Row {
    fn from(summary: DestinationSummary) -> Self {
        let DestinationSummary { destination, counts, hold } = summary;
        Self { destination, counts: counts.into(), hold: hold.map(ShownHold::from) }
    }
}

impl Row {
    fn cells(&self) -> [String; 6] {
        let ShownCounts { fresh, bulk, due, scheduled } = &self.counts;
        let hold = self.hold.as_ref().map_or_else(|| "-".to_owned(), ShownHold::words);
        let [fresh, bulk, due, scheduled] = [fresh, bulk, due, scheduled].map(u64::to_string);
        [harmless(&self.destination), fresh, bulk, due, scheduled, hold]
    }
}

/// A destination as it is printed. The names are an interface for scripts.
#[derive(Debug, Serialize)]
struct ShownState {
    destination: String,
    #[serde(flatten)]
    counts: ShownCounts,
    busy: u64,
    hold: Option<ShownHold>,
    last_attempt_at: Option<String>,
    last_failure: Option<String>,
    last_failure_class: Option<String>,
    attempts: u32,
    next_attempt_at: Option<String>,
    oldest_accepted_at: Option<String>,
    /// Not all scheduled entries were looked at.
    sample: bool,
}

impl ShownState {
    fn new(destination: String, state: GetDestinationResponse) -> Self {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            destination,
            busy: state.counts.map(|counts| counts.busy).unwrap_or_default(),
            counts: state.counts.into(),
            hold: state.hold.map(ShownHold::from),
            last_attempt_at: rfc3339(state.last_attempt_at.as_ref()),
            last_failure: some(state.last_failure),
            last_failure_class: some(state.last_failure_class),
            attempts: state.attempts,
            next_attempt_at: rfc3339(state.next_attempt_at.as_ref()),
            oldest_accepted_at: rfc3339(state.oldest_accepted_at.as_ref()),
            sample: state.sample,
        }
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let or_none = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), harmless);
        let ShownCounts { fresh, bulk, due, scheduled } = &self.counts;
        let about = if self.sample { " (of the first 1,000 scheduled)" } else { "" };
        writeln!(writer, "{}", harmless(&self.destination))?;
        writeln!(
            writer,
            "  queued        {fresh} fresh, {bulk} bulk, {due} due, {scheduled} scheduled; {} with a worker",
            self.busy
        )?;
        if let Some(hold) = &self.hold {
            writeln!(writer, "  hold          {}", hold.words())?;
        }
        writeln!(writer, "  last attempt  {}", or_none(&self.last_attempt_at))?;
        writeln!(writer, "  last reply    {}", or_none(&self.last_failure))?;
        writeln!(writer, "  class         {}", or_none(&self.last_failure_class))?;
        writeln!(writer, "  tries         {}{about}", self.attempts)?;
        writeln!(writer, "  next attempt  {}{about}", or_none(&self.next_attempt_at))?;
        writeln!(writer, "  oldest        {}", or_none(&self.oldest_accepted_at))
    }
}
