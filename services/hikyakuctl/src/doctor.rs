//! `hikyakuctl doctor`: what is wrong, and what to do. A delivery worker looks, because only what is tried from
//! there says something of its mail; from here only the inner server is tried, which should refuse us.

mod probe; // is the inner server open to others?

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
};

use clap::Args as ClapArgs;
use hikyaku_doctor::{Code, Severity};
use hikyaku_proto::admin::v1::{
    CheckClusterRequest, CheckClusterResponse, Finding, FindingSeverity,
    doctor_admin_service_client::DoctorAdminServiceClient,
};
use serde::Serialize;

use crate::{
    End,
    output::{Output, harmless},
    server::{Server, connect, refusal},
};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Exit status: 0 nothing fails (there may be warnings); 1 something fails; 2 nothing could be examined.

Examples:
  hikyakuctl doctor
  hikyakuctl doctor example.org
  hikyakuctl doctor --explain D-MX-NOT-OURS")]
pub(crate) struct DoctorArgs {
    /// Of the DNS look at this own domain only, and try from this machine whether its inner server is open to
    /// others than the relay; without it at all own domains.
    domain: Option<String>,
    /// Try the inner server from this address of this machine.
    #[arg(long, value_name = "IP", requires = "domain")]
    probe_from: Option<IpAddr>,
    /// Tell what a finding means and how to go on, without asking anybody.
    #[arg(long, value_name = "CODE", value_parser = code, conflicts_with = "domain")]
    explain: Option<Code>,
}

fn code(text: &str) -> Result<Code, String> {
    let names = || Code::ALL.iter().map(|code| code.name()).collect::<Vec<_>>().join(", ");
    text.parse().map_err(|error| format!("{error}; there are {}", names()))
}

/// Nobody could be asked: that says nothing of the cluster.
#[derive(Debug)]
pub(crate) struct NotExamined;

impl fmt::Display for NotExamined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing could be examined")
    }
}

impl Error for NotExamined {}

pub(crate) async fn run(
    args: DoctorArgs,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    if let Some(code) = args.explain {
        return explain(code, output);
    }
    let response = ask(&args, server).await.map_err(|error| error.context(NotExamined))?;
    let mut shown = Shown::from(response);
    if args.domain.is_some() {
        for inner in shown.inner_servers.clone() {
            shown.try_inner(inner, args.probe_from).await;
        }
    }
    let fails = shown.count(Severity::Fail);
    output.print(&shown, |writer| shown.write(writer))?;
    Ok(if fails == 0 { End::Done } else { End::Refused })
}

async fn ask(args: &DoctorArgs, server: &Server) -> anyhow::Result<CheckClusterResponse> {
    let mut client =
        DoctorAdminServiceClient::new(connect(server).await?).max_decoding_message_size(usize::MAX);
    let request = CheckClusterRequest { domain: args.domain.clone().unwrap_or_default() };
    Ok(client.check_cluster(request).await.map_err(refusal)?.into_inner())
}

fn explain(code: Code, output: &mut Output<impl Write>) -> anyhow::Result<End> {
    let (severity, remedy, help) = (code.severity().name(), code.remedy(), code.help());
    let json = serde_json::json!({
        "code": code.name(), "severity": severity, "remedy": remedy, "help": help,
    });
    output.print(&json, |writer| {
        writeln!(writer, "{code} ({severity})\n")?;
        wrapped(help).iter().try_for_each(|line| writeln!(writer, "{line}"))?;
        writeln!(writer, "\nWhat to do: {remedy}.")
    })?;
    Ok(End::Done)
}

/// Lines for a terminal of 80 columns.
fn wrapped(text: &str) -> Vec<String> {
    const WIDTH: usize = 78;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The names are an interface for scripts.
#[derive(Debug, Serialize)]
struct Shown {
    examined_from: String,
    findings: Vec<ShownFinding>,
    /// What was looked at.
    examined: Vec<String>,
    #[serde(skip)]
    own_addresses: Vec<IpAddr>,
    #[serde(skip)]
    inner_servers: Vec<SocketAddr>,
}

#[derive(Debug, Serialize)]
struct ShownFinding {
    severity: &'static str,
    code: String,
    place: String,
    what: String,
    /// Empty for a finding of a later version.
    remedy: &'static str,
}

impl From<CheckClusterResponse> for Shown {
    fn from(response: CheckClusterResponse) -> Self {
        let CheckClusterResponse { node, findings, examined, own_addresses, inner_servers } = response;
        Self {
            examined_from: node,
            findings: findings.into_iter().map(ShownFinding::from).collect(),
            examined,
            own_addresses: own_addresses.iter().filter_map(|text| text.parse().ok()).collect(),
            inner_servers: inner_servers.iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }
}

impl From<Finding> for ShownFinding {
    fn from(finding: Finding) -> Self {
        let severity = match finding.severity() {
            FindingSeverity::Warn => Severity::Warn,
            // What is not known is not harmless.
            FindingSeverity::Fail | FindingSeverity::Unspecified => Severity::Fail,
        };
        let Finding { code, place, what, .. } = finding;
        let remedy = code.parse::<Code>().map_or("", Code::remedy);
        Self { severity: severity.name(), code, place, what, remedy }
    }
}

impl Shown {
    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity.name()).count()
    }

    async fn try_inner(&mut self, inner: SocketAddr, from: Option<IpAddr>) {
        let probed = probe::probe(inner, from, &self.own_addresses).await;
        self.examined.push(probed.what);
        self.findings.extend(probed.finding.map(|finding| ShownFinding {
            severity: finding.severity().name(),
            code: finding.code.to_string(),
            place: finding.place,
            what: finding.what,
            remedy: finding.code.remedy(),
        }));
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        for ShownFinding { severity, code, place, what, remedy } in &self.findings {
            writeln!(writer, "{severity} {code} {}: {}", harmless(place), harmless(what))?;
            if !remedy.is_empty() {
                writeln!(writer, "     {remedy}")?;
            }
        }
        for what in &self.examined {
            writeln!(writer, "seen {}", harmless(what))?;
        }
        let (fails, warnings) = (self.count(Severity::Fail), self.count(Severity::Warn));
        let from = harmless(&self.examined_from);
        writeln!(writer, "{fails} FAIL, {warnings} WARN, as seen from {from}")?;
        if !self.findings.is_empty() {
            writeln!(writer, "hikyakuctl doctor --explain CODE tells more of a finding")?;
        }
        Ok(())
    }
}
