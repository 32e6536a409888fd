//! What workers saw on the way to one destination -> which step of a delivery fails first, and what to do.
//! The steps are those of a delivery, so what comes behind a failure is not judged (SEED-220).

pub mod step; // the steps, and how each ended
pub mod view; // what one node saw
pub mod past; // what sessions of the last day came to
mod names; // resolvers, MX and addresses
mod sessions; // connections, greetings, TLS
mod envelope; // MAIL and RCPT
mod habits; // what the failures of a day have in common

pub use step::{Mark, Step, StepReport};
pub use view::View;

/// One node and its steps, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    pub node: String,
    pub steps: Vec<StepReport>,
}

/// What each node's view comes to. What one sees says something of what another does not see.
pub fn judge(views: &[View]) -> Vec<NodeReport> {
    views.iter().map(|view| NodeReport { node: view.node.clone(), steps: steps(view, views) }).collect()
}

/// The earliest step that fails anywhere, and the node.
pub fn first_fail(reports: &[NodeReport]) -> Option<(&str, &StepReport)> {
    let failing = reports.iter().filter_map(|NodeReport { node, steps }| {
        steps.iter().find(|step| step.mark == Mark::Fail).map(|step| (node.as_str(), step))
    });
    failing.min_by_key(|(_, step)| step.step)
}

type Way = fn(&View, &[View]) -> StepReport;

/// Behind the resolvers, as far as the steps before went well.
const WAYS: [(Step, Way); 5] = [
    (Step::Name, |view, _| names::name(view)),
    (Step::Tcp, sessions::tcp),
    (Step::Banner, |view, _| sessions::banner(view)),
    (Step::Tls, |view, _| sessions::tls(view)),
    (Step::Envelope, |view, _| envelope::examine(view)),
];

fn steps(view: &View, views: &[View]) -> Vec<StepReport> {
    let mut steps = vec![names::resolvers(view)];
    for (step, way) in WAYS {
        let is_over = steps.iter().any(|step| step.mark == Mark::Fail);
        steps.push(if is_over { StepReport::skipped(step) } else { way(view, views) });
    }
    steps.push(habits::examine(&view.past));
    steps
}

#[cfg(test)]
mod tests;
