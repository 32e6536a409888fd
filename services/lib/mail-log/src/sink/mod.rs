//! Where lines go from a process. A sink never waits: whoever records an event may be in the middle of a session.

mod stdout;
mod file;
mod lines; // on their way to both of them
mod room; // how much may wait
mod rotation; // which file is written, and which are kept

use std::sync::Arc;

pub use file::{File, FileConfig, FileError};
pub use room::Room;
pub use stdout::{Output, Stdout};

use crate::Entry;

pub trait Sink: Send + Sync {
    /// Takes the entry, or counts it as lost.
    fn write(&self, entry: &Arc<Entry>);

    /// The process ends: what was taken is written, unless that takes too long.
    fn flush(&self) {}
}
