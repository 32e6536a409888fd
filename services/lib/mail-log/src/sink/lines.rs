//! Lines on their way to where they are written. A thread of its own writes: disks make people wait, and a pipe that
//! nobody reads does so for ever. It sleeps between two writes, because waking it and calling the system for each
//! line would cost more than the line.

use std::{
    io,
    sync::mpsc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::Room;

/// A line waits for others so long.
const GATHERED_FOR: Duration = Duration::from_millis(2);
/// Or until so many octets are there.
const GATHERED: usize = 64 * 1024;
/// The last lines of a process may take so long.
const LAST: Duration = Duration::from_secs(2);

/// Where lines are written in the end.
pub(super) trait Target: Send + 'static {
    /// Each line ends with a line feed.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;
}

/// What becomes of a line that cannot be written, or for which there is no room.
pub(super) type IsLost = fn();

enum Work {
    Line { line: Bytes, is_lost: IsLost },
    Flush(mpsc::Sender<()>),
}

/// Lines of whoever has one of its clones, in one order, each whole.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    work: mpsc::SyncSender<Work>,
    room: Room,
}

impl Lines {
    pub(super) fn to(name: &str, target: impl Target) -> io::Result<Self> {
        let (work, arriving) = mpsc::sync_channel(Room::LINES);
        let room = Room::default();
        let writer = Writer { arriving, target, room: room.clone(), gathered: Vec::new(), lost: Vec::new() };
        std::thread::Builder::new().name(name.to_owned()).spawn(|| writer.run())?;
        Ok(Self { work, room })
    }

    /// `line` is without its line feed. Nobody waits.
    pub(super) fn write(&self, line: Bytes, is_lost: IsLost) {
        let length = line.len();
        let hand_over = || self.work.try_send(Work::Line { line, is_lost }).is_ok();
        if !self.room.put(length, hand_over) {
            is_lost();
        }
    }

    /// What was handed over before is written, unless that takes too long.
    pub(super) fn flush(&self) {
        let (done, is_done) = mpsc::channel();
        if self.work.try_send(Work::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(LAST); // what hangs does not keep the process
        }
    }

    /// Octets that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.room.waiting()
    }
}

struct Writer<P> {
    arriving: mpsc::Receiver<Work>,
    target: P,
    room: Room,
    gathered: Vec<u8>,
    /// One for each line that is gathered.
    lost: Vec<IsLost>,
}

impl<P: Target> Writer<P> {
    fn run(mut self) {
        while let Ok(work) = self.arriving.recv() {
            self.take(work);
            let until = Instant::now() + GATHERED_FOR;
            while !self.lost.is_empty() && self.gathered.len() < GATHERED {
                match self.next(until) {
                    Some(work) => self.take(work),
                    None => break,
                }
            }
            self.write();
        }
    }

    /// Not by waiting for it: whoever sends to one that waits has to wake it.
    #[expect(clippy::disallowed_methods, reason = "the thread is its own")]
    fn next(&self, until: Instant) -> Option<Work> {
        if let Ok(work) = self.arriving.try_recv() {
            return Some(work);
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        self.arriving.try_recv().ok()
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Line { line, is_lost } => {
                self.gathered.extend_from_slice(&line);
                self.gathered.push(b'\n');
                self.lost.push(is_lost);
            }
            Work::Flush(done) => {
                self.write();
                let _ = done.send(()); // who asked may not wait any more
            }
        }
    }

    fn write(&mut self) {
        if self.lost.is_empty() {
            return;
        }
        let octets = self.gathered.len() - self.lost.len();
        if self.target.write(&self.gathered).is_err() {
            self.lost.iter().for_each(|is_lost| is_lost());
        }
        self.room.free(octets);
        self.gathered.clear();
        self.lost.clear();
    }
}
