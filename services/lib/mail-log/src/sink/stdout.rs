//! Standard output, where the rest of the process's log is too.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use super::Sink;
use crate::{Entry, Form};

#[derive(Debug)]
pub struct Stdout(pub Form);

impl Sink for Stdout {
    fn write(&self, entry: &Arc<Entry>) {
        // One write for a line, so lines of others stand before or behind it. A reader that is gone is no reason to
        // stop mail.
        let _ = io::stdout().lock().write_all(&entry.written(self.0));
    }
}
