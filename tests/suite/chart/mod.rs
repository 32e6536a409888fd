//! The chart: what it renders, what it refuses, and that what it renders works.

pub mod helm; // helm, and what it renders
pub mod objects; // the objects, and the pods among them
mod ci; // each of the shapes that are supported
mod refused; // values that contradict each other
mod pods; // what runs, as whom, and for how long it ends
mod secrets; // who is given what
mod kept; // what is made once
mod network; // who reaches whom
pub mod program; // the programs take the configuration
mod cluster; // all of it together, without Kubernetes
mod files; // dashboards and rules
pub mod documented; // the table of values

use std::path::{Path, PathBuf};

pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../helm/hikyaku")
}
