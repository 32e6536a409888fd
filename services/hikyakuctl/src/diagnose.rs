//! `hikyakuctl diagnose`: the steps of a delivery, tried from every worker, because what this machine can reach
//! says nothing of their mail (SEED-220, SEED-221).

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::Args as ClapArgs;
use hikyaku_doctor::diagnose::{self, Mark, NodeReport, Step, StepReport};
use hikyaku_proto::admin::v1::{
    self as proto, CheckDeliveryRequest, CheckDeliveryResponse,
    doctor_admin_service_client::DoctorAdminServiceClient,
};
use serde::Serialize;

use crate::{
    End,
    doctor::NotExamined,
    output::{Output, harmless},
    server::{Server, connect, refusal},
};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Steps: resolvers, MX and addresses, TCP to every address, banner, EHLO and TLS, MAIL and RCPT (with --to), and what
the sessions of the last 24 hours came to. The first that fails decides; no message is ever handed over.

Exit status: 0 nothing fails (there may be warnings); 10 no resolver answers; 11 the name has no host; 12 no address
can be reached; 13 no greeting; 14 EHLO or TLS; 15 refused at MAIL or RCPT; 2 nobody could be asked.

Examples:
  hikyakuctl diagnose example.net
  hikyakuctl diagnose example.net --from a@example.org --to b@example.net
  hikyakuctl diagnose b@example.net --timeout 120s")]
pub(crate) struct DiagnoseArgs {
    /// Where mail does not arrive: a domain, or one recipient there.
    #[arg(value_name = "DOMAIN|RECIPIENT")]
    target: String,
    /// Sender of MAIL, which may also decide the route; without it the null sender <>.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Say MAIL and RCPT for this recipient, and not DATA. Takes an operator.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Longest time for the whole answer; steps have a fixed part of it.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::args::duration)]
    timeout: Duration,
}

pub(crate) async fn run(
    args: DiagnoseArgs,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let response = ask(&args, server).await.map_err(|error| error.context(NotExamined))?;
    let CheckDeliveryResponse { destination, nodes, unheard } = response;
    let reports: Vec<NodeReport> = nodes.into_iter().map(node_report).collect();
    let first = diagnose::first_fail(&reports);
    let shown = Shown {
        target: &args.target,
        destination: &destination,
        nodes: reports.iter().map(ShownNode::from).collect(),
        unheard: &unheard,
        first_fail: first.map(|(node, step)| FirstFail { node, step: ShownStep::from(step) }),
        exit_status: first.map_or(0, |(_, step)| step.step.exit_status()),
    };
    output.print(&shown, |writer| shown.write(writer))?;
    Ok(match shown.exit_status {
        0 => End::Done,
        status => End::Status(status),
    })
}

async fn ask(args: &DiagnoseArgs, server: &Server) -> anyhow::Result<CheckDeliveryResponse> {
    let mut client = DoctorAdminServiceClient::new(connect(server).await?);
    let request = CheckDeliveryRequest {
        target: args.target.clone(),
        sender: args.from.as_deref().map(|from| from.trim_matches(['<', '>']).to_owned()).unwrap_or_default(),
        recipient: args.to.clone().unwrap_or_default(),
        patience: prost_types::Duration::try_from(args.timeout).ok(),
    };
    Ok(client.check_delivery(request).await.map_err(refusal)?.into_inner())
}

fn node_report(report: proto::NodeReport) -> NodeReport {
    NodeReport { node: report.node, steps: report.steps.into_iter().filter_map(step_report).collect() }
}

/// A step of a later version is not shown.
fn step_report(report: proto::StepReport) -> Option<StepReport> {
    let step = match report.step() {
        proto::DeliveryStep::Unspecified => return None,
        proto::DeliveryStep::Resolver => Step::Resolver,
        proto::DeliveryStep::Name => Step::Name,
        proto::DeliveryStep::Tcp => Step::Tcp,
        proto::DeliveryStep::Banner => Step::Banner,
        proto::DeliveryStep::Tls => Step::Tls,
        proto::DeliveryStep::Envelope => Step::Envelope,
        proto::DeliveryStep::Past => Step::Past,
    };
    let mark = match report.mark() {
        proto::StepMark::Skipped => Mark::Skipped,
        proto::StepMark::Ok => Mark::Ok,
        proto::StepMark::Warn => Mark::Warn,
        // What is not known is not harmless.
        proto::StepMark::Fail | proto::StepMark::Unspecified => Mark::Fail,
    };
    Some(StepReport { step, mark, seen: report.seen, help: report.help })
}

/// The names are an interface for scripts.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    target: &'a str,
    destination: &'a str,
    nodes: Vec<ShownNode<'a>>,
    /// Workers that did not answer.
    unheard: &'a [String],
    first_fail: Option<FirstFail<'a>>,
    exit_status: u8,
}

#[derive(Debug, Serialize)]
struct ShownNode<'a> {
    node: &'a str,
    steps: Vec<ShownStep<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownStep<'a> {
    step: &'static str,
    title: &'static str,
    mark: &'static str,
    seen: &'a [String],
    help: &'a str,
}

#[derive(Debug, Serialize)]
struct FirstFail<'a> {
    node: &'a str,
    #[serde(flatten)]
    step: ShownStep<'a>,
}

impl<'a> From<&'a NodeReport> for ShownNode<'a> {
    fn from(report: &'a NodeReport) -> Self {
        Self { node: &report.node, steps: report.steps.iter().map(ShownStep::from).collect() }
    }
}

impl<'a> From<&'a StepReport> for ShownStep<'a> {
    fn from(report: &'a StepReport) -> Self {
        let StepReport { step, mark, seen, help } = report;
        Self { step: step.name(), title: step.title(), mark: mark.name(), seen, help }
    }
}

impl Shown<'_> {
    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        for ShownNode { node, steps } in &self.nodes {
            writeln!(writer, "{} from {}", harmless(self.destination), harmless(node))?;
            for step in steps {
                step.write(writer)?;
            }
        }
        for node in self.unheard {
            writeln!(writer, "WARN {} did not say what it sees", harmless(node))?;
        }
        match &self.first_fail {
            None => writeln!(writer, "nothing fails"),
            Some(FirstFail { node, step }) => {
                writeln!(writer, "first FAIL {:?} at {}: {}", step.title, harmless(node), harmless(step.help))
            }
        }
    }
}

impl ShownStep<'_> {
    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let Self { title, mark, seen, help, .. } = self;
        writeln!(writer, "{mark:4} {title}")?;
        for line in *seen {
            writeln!(writer, "       {}", harmless(line))?;
        }
        if !help.is_empty() {
            writeln!(writer, "       -> {}", harmless(help))?;
        }
        Ok(())
    }
}
