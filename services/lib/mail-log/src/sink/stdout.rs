//! Standard output, where the rest of the process's log is too.

use std::{
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Sink,
    lines::{IsLost, Lines, Target},
};
use crate::{Entry, Form, metrics};

struct Stream<W>(W);

impl<W: Write + Send + 'static> Target for Stream<W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.write_all(lines)?;
        self.0.flush()
    }
}

/// Lines of whoever has one of its clones, in one order, each whole.
#[derive(Debug, Clone)]
pub struct Output(Lines);

impl Output {
    /// The process has one.
    pub fn standard() -> io::Result<Self> {
        Self::to(io::stdout())
    }

    fn to(output: impl Write + Send + 'static) -> io::Result<Self> {
        Lines::to("stdout", Stream(output)).map(Self)
    }

    /// A line without its line feed. Nobody waits; `is_lost` is called when there is no room, or it cannot be written.
    pub fn write(&self, line: Bytes, is_lost: IsLost) {
        self.0.write(line, is_lost);
    }

    /// What was handed over before is written, unless that takes too long.
    pub fn flush(&self) {
        self.0.flush();
    }
}

#[derive(Debug)]
pub struct Stdout {
    pub form: Form,
    pub output: Output,
}

impl Sink for Stdout {
    fn write(&self, entry: &Arc<Entry>) {
        self.output.write(entry.shown(self.form), || metrics::lost("stdout", 1));
    }

    fn flush(&self) {
        self.output.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read as _,
        sync::atomic::{AtomicUsize, Ordering},
        time::SystemTime,
    };

    use super::*;
    use crate::{Event, Place, event::RouteExpired};

    const LINES: usize = 40_000;

    /// More than there is room for, into a pipe that nobody reads: whoever writes goes on.
    #[test]
    fn a_pipe_that_nobody_reads_loses_lines_and_stops_nobody() {
        static LOST: AtomicUsize = AtomicUsize::new(0);
        let one_more = || {
            LOST.fetch_add(1, Ordering::Relaxed);
        };
        let (mut reader, writer) = io::pipe().unwrap();
        let output = Output::to(writer).unwrap();
        let line = |number: usize| Bytes::from(format!("{number:05} {}", "x".repeat(993)));
        for number in 0..LINES {
            output.write(line(number), one_more);
        }
        let lost = LOST.load(Ordering::Relaxed);
        assert!((10_000..LINES).contains(&lost), "{lost}");
        // It ends, with what nobody has read left in the pipe.
        output.flush();
        assert!(output.0.waiting() > 0);

        // Whoever reads again gets what there was room for, whole and in order; and the last lines of the process.
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        while output.0.waiting() > 0 {
            std::thread::yield_now();
        }
        output.write(line(LINES), one_more);
        output.flush();
        assert_eq!(output.0.waiting(), 0);
        drop(output);
        let text = read.join().unwrap().unwrap();
        let numbers: Vec<usize> = text.lines().map(|line| line[..5].parse().unwrap()).collect();
        assert!(text.lines().all(|line| line.len() == 999));
        assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.last() == Some(&LINES));
        assert_eq!(numbers.len() + LOST.load(Ordering::Relaxed), LINES + 1);
    }

    #[test]
    fn a_reader_that_is_gone_is_no_reason_to_stop() {
        static LOST: AtomicUsize = AtomicUsize::new(0);
        let one_more = || {
            LOST.fetch_add(1, Ordering::Relaxed);
        };
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = Output::to(writer).unwrap();
        for _ in 0..3 {
            output.write(Bytes::from_static(b"a line"), one_more);
        }
        output.flush();
        assert_eq!((LOST.load(Ordering::Relaxed), output.0.waiting()), (3, 0));
    }

    #[test]
    fn lines_are_in_the_form_that_was_asked_for() {
        let (mut reader, writer) = io::pipe().unwrap();
        let event = Event::RouteExpired(RouteExpired { line: "here".to_owned() });
        let entry = Arc::new(Entry::new(event, &Place::default(), SystemTime::UNIX_EPOCH).unwrap());
        let sink = Stdout { form: Form::Json, output: Output::to(writer).unwrap() };
        sink.write(&entry);
        sink.flush();
        drop(sink);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.strip_suffix('\n').unwrap().as_bytes(), entry.line);
    }
}
