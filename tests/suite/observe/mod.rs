//! What operators look at: dashboards, which are made here, alerts, and the example that shows both.

mod panel; // dashboards as JSON
mod boards; // what is on each
mod generated; // the files of the chart are these
mod yaml; // read by Python
mod alerts; // promtool tries them, and each has its page
pub mod traffic; // mail of every fate
mod prometheus; // the program
mod shown; // what a process shows is what is declared
mod live; // every query over a run of all roles
mod exemplars; // from a bucket to a trace
mod compose; // deploy/compose

use std::path::PathBuf;

use crate::chart::chart;

fn root() -> PathBuf {
    chart().join("../..")
}
