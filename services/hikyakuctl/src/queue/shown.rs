//! An entry as it is printed. The names are an interface for scripts.

use std::io::{self, Write};

use hikyaku_proto::admin::v1::{Entry, EntryRecipient, State};
use serde::Serialize;

use crate::output::{harmless, path, rfc3339};

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: String,
    state: &'static str,
    destination: String,
    /// Empty: the null reverse-path.
    reverse_path: String,
    recipients: Vec<ShownRecipient>,
    accepted_at: Option<String>,
    attempts: u32,
    next_attempt_at: Option<String>,
    held_until: Option<String>,
    /// A worker has it now.
    busy: bool,
    size_bytes: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ShownRecipient {
    pub(crate) address: String,
    last_failure: Option<String>,
    last_failure_at: Option<String>,
}

impl From<EntryRecipient> for ShownRecipient {
    fn from(recipient: EntryRecipient) -> Self {
        Self {
            address: recipient.address,
            last_failure: Some(recipient.last_failure).filter(|failure| !failure.is_empty()),
            last_failure_at: rfc3339(recipient.last_failure_at.as_ref()),
        }
    }
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        Self {
            state: state_name(entry.state),
            recipients: entry.recipients.into_iter().map(ShownRecipient::from).collect(),
            accepted_at: rfc3339(entry.accepted_at.as_ref()),
            next_attempt_at: rfc3339(entry.next_attempt_at.as_ref()),
            held_until: rfc3339(entry.held_until.as_ref()),
            id: entry.id,
            destination: entry.destination,
            reverse_path: entry.reverse_path,
            attempts: entry.attempt,
            busy: entry.busy,
            size_bytes: entry.size,
        }
    }
}

fn state_name(state: i32) -> &'static str {
    match State::try_from(state) {
        Ok(State::Fresh) => "fresh",
        Ok(State::Bulk) => "bulk",
        Ok(State::Due) => "due",
        Ok(State::Scheduled) => "scheduled",
        Ok(State::Held) => HELD,
        Ok(State::Unspecified) | Err(_) => "unknown",
    }
}

const HELD: &str = "held";

impl Shown {
    pub(super) const HEADINGS: [&str; 9] =
        ["ID", "STATE", "ATTEMPTS", "ACCEPTED", "NEXT ATTEMPT", "BYTES", "DESTINATION", "FROM", "TO"];

    pub(super) fn row(&self) -> [String; 9] {
        [
            self.id.clone(),
            self.state.to_owned(),
            self.attempts.to_string(),
            self.accepted_at.clone().unwrap_or_else(|| "-".to_owned()),
            self.next_attempt(),
            self.size_bytes.to_string(),
            harmless(&self.destination),
            path(&self.reverse_path),
            recipients(&self.recipients),
        ]
    }

    pub(super) fn write_details(&self, writer: &mut impl Write) -> io::Result<()> {
        writeln!(writer, "{}", self.id)?;
        writeln!(writer, "  state         {}", self.state)?;
        writeln!(writer, "  destination   {}", harmless(&self.destination))?;
        writeln!(writer, "  from          {}", path(&self.reverse_path))?;
        writeln!(writer, "  accepted      {}", self.accepted_at.as_deref().unwrap_or("-"))?;
        writeln!(writer, "  attempts      {}", self.attempts)?;
        writeln!(writer, "  next attempt  {}", self.next_attempt())?;
        writeln!(writer, "  size          {} bytes", self.size_bytes)?;
        self.recipients.iter().try_for_each(|recipient| recipient.write(writer))
    }

    fn next_attempt(&self) -> String {
        if self.state == HELD {
            return self.held_until.clone().unwrap_or_else(|| "when released".to_owned());
        }
        let without = if self.busy { "running" } else { "now" };
        self.next_attempt_at.clone().unwrap_or_else(|| without.to_owned())
    }
}

impl ShownRecipient {
    pub(crate) fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        writeln!(writer, "  to            {}", harmless(&self.address))?;
        let Some(failure) = &self.last_failure else { return Ok(()) };
        let at = self.last_failure_at.as_deref().unwrap_or("-");
        writeln!(writer, "    last failure at {at}: {}", harmless(failure))
    }
}

/// The first one, and how many more there are.
pub(crate) fn recipients(recipients: &[ShownRecipient]) -> String {
    match recipients {
        [] => "-".to_owned(),
        [only] => harmless(&only.address),
        [first, rest @ ..] => format!("{} and {} more", harmless(&first.address), rest.len()),
    }
}
