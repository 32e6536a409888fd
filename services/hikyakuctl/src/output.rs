//! Tables for people, one JSON document for programs.

use std::{
    fmt::Display,
    io::{self, Write},
};

use prost_types::Timestamp;
use serde::Serialize;

use hikyaku_types::text::is_unprintable;

use crate::End;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Human,
    Json,
}

pub(crate) struct Output<W> {
    format: Format,
    writer: W,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(format: Format, writer: W) -> Self {
        Self { format, writer }
    }

    /// `document` for programs, or what `human` writes.
    pub(crate) fn print(
        &mut self,
        document: &impl Serialize,
        human: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Human => human(&mut self.writer)?,
            Format::Json => {
                serde_json::to_writer_pretty(&mut self.writer, document).map_err(io::Error::from)?;
                writeln!(self.writer)?;
            }
        }
        self.writer.flush()?;
        Ok(())
    }

    /// The same for one of many that come by and by: a document of a program is one line.
    pub(crate) fn print_line(
        &mut self,
        document: &impl Serialize,
        human: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Human => human(&mut self.writer)?,
            Format::Json => {
                serde_json::to_writer(&mut self.writer, document).map_err(io::Error::from)?;
                writeln!(self.writer)?;
            }
        }
        self.writer.flush()?;
        Ok(())
    }

    /// A word to people; programs know it from what they got, and from the exit status.
    pub(crate) fn note(&mut self, text: &str) -> anyhow::Result<()> {
        if self.format == Format::Human {
            writeln!(self.writer, "{text}")?;
        }
        Ok(())
    }

    pub(crate) fn version(&mut self, version: &'static str) -> anyhow::Result<End> {
        #[derive(Serialize)]
        struct Version {
            version: &'static str,
        }
        self.print(&Version { version }, |writer| writeln!(writer, "hikyakuctl {version}"))?;
        Ok(End::Done)
    }
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.downcast_ref::<io::Error>();
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Columns as wide as their widest cell; the last one is not filled up.
pub(crate) fn table<const N: usize>(
    writer: &mut impl Write,
    headings: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut widths = headings.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    write_row(writer, &headings, &widths)?;
    rows.iter().try_for_each(|row| write_row(writer, row, &widths))
}

fn write_row(writer: &mut impl Write, cells: &[impl Display], widths: &[usize]) -> io::Result<()> {
    let last = cells.len().saturating_sub(1);
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if index == last {
            writeln!(writer, "{cell}")?;
        } else {
            write!(writer, "{cell:width$}  ")?;
        }
    }
    Ok(())
}

/// Text of remote servers and clients must not steer the terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { '?' } else { c }).collect()
}

/// The same for text of several lines.
pub(crate) fn harmless_lines(text: &str) -> String {
    let shown = |c: char| if is_unprintable(c) && !matches!(c, '\n' | '\t') { '?' } else { c };
    text.chars().map(shown).collect()
}

/// RFC 5321 writes the null reverse-path `<>`.
pub(crate) fn path(reverse_path: &str) -> String {
    if reverse_path.is_empty() { "<>".to_owned() } else { harmless(reverse_path) }
}

/// RFC 3339, UTC, whole seconds.
pub(crate) fn rfc3339(at: Option<&Timestamp>) -> Option<String> {
    at.map(|at| Timestamp { seconds: at.seconds, nanos: 0 }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut written = Vec::new();
        let rows = [
            ["a".to_owned(), "long cell".to_owned(), "x".to_owned()],
            ["bé".to_owned(), "c".to_owned(), String::new()],
        ];
        table(&mut written, ["ID", "STATE", "TO"], &rows).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "ID  STATE      TO\na   long cell  x\nbé  c          \n"
        );
    }

    #[test]
    fn remote_text_cannot_steer_the_terminal() {
        assert_eq!(harmless("550 \u{1b}[2Jno\r\nuser"), "550 ?[2Jno??user");
    }

    #[test]
    fn times_are_whole_seconds() {
        let at = Timestamp { seconds: 1_795_000_000, nanos: 5 };
        assert_eq!(rfc3339(Some(&at)).unwrap(), "2026-11-18T11:06:40Z");
        assert_eq!(rfc3339(None), None);
    }
}
