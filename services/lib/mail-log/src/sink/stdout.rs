//! Standard output, where the rest of the process's log is too. A thread of its own writes: who reads may stop reading,
//! and a pipe that is full makes people wait for ever.

use std::{
    io::{self, Write},
    sync::{Arc, mpsc},
    time::Duration,
};

use super::{Room, Sink};
use crate::{Entry, Form, metrics};

/// The last lines of a process may take so long.
const LAST: Duration = Duration::from_secs(2);

enum Work {
    Lines { octets: Vec<u8>, is_lost: fn() },
    Flush(mpsc::Sender<()>),
}

/// Lines of whoever has one of its clones, in one order, each whole.
#[derive(Debug, Clone)]
pub struct Output {
    work: mpsc::SyncSender<Work>,
    room: Room,
}

impl Output {
    /// The process has one.
    pub fn standard() -> io::Result<Self> {
        Self::to(io::stdout())
    }

    fn to(mut output: impl Write + Send + 'static) -> io::Result<Self> {
        let (work, lines) = mpsc::sync_channel(Room::LINES);
        let room = Room::default();
        let written = room.clone();
        let write = move || {
            for work in lines {
                match work {
                    Work::Lines { octets, is_lost } => {
                        // A reader that is gone is no reason to stop mail.
                        if output.write_all(&octets).and_then(|()| output.flush()).is_err() {
                            is_lost();
                        }
                        written.free(octets.len());
                    }
                    Work::Flush(done) => {
                        let _ = done.send(()); // who asked may not wait any more
                    }
                }
            }
        };
        std::thread::Builder::new().name("stdout".to_owned()).spawn(write)?;
        Ok(Self { work, room })
    }

    /// Without waiting; `is_lost` is called when there is no room, or it cannot be written.
    pub fn write(&self, octets: Vec<u8>, is_lost: fn()) {
        let length = octets.len();
        let hand_over = || self.work.try_send(Work::Lines { octets, is_lost }).is_ok();
        if !self.room.put(length, hand_over) {
            is_lost();
        }
    }

    /// What was handed over before is written, unless that takes too long.
    pub fn flush(&self) {
        let (done, is_done) = mpsc::channel();
        if self.work.try_send(Work::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(LAST); // a reader that does not read does not keep the process
        }
    }
}

#[derive(Debug)]
pub struct Stdout {
    pub form: Form,
    pub output: Output,
}

impl Sink for Stdout {
    fn write(&self, entry: &Arc<Entry>) {
        self.output.write(entry.written(self.form), || metrics::lost("stdout", 1));
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
        let (mut reader, writer) = io::pipe().unwrap();
        let output = Output::to(writer).unwrap();
        let line = |number: usize| format!("{number:05} {}\n", "x".repeat(993)).into_bytes();
        for number in 0..LINES {
            output.write(line(number), || drop(LOST.fetch_add(1, Ordering::Relaxed)));
        }
        let lost = LOST.load(Ordering::Relaxed);
        assert!((10_000..LINES).contains(&lost), "{lost}");
        // It ends, with what nobody has read left in the pipe.
        output.flush();
        assert!(output.room.waiting() > 0);

        // Whoever reads again gets what there was room for, whole and in order; and the last lines of the process.
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        while output.room.waiting() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        output.write(line(LINES), || drop(LOST.fetch_add(1, Ordering::Relaxed)));
        output.flush();
        assert_eq!(output.room.waiting(), 0);
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
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = Output::to(writer).unwrap();
        for _ in 0..3 {
            output.write(b"a line\n".to_vec(), || drop(LOST.fetch_add(1, Ordering::Relaxed)));
        }
        output.flush();
        assert_eq!((LOST.load(Ordering::Relaxed), output.room.waiting()), (3, 0));
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
        assert_eq!(text.as_bytes(), entry.written(Form::Json));
    }
}
