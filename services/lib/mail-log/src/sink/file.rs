//! A file, for machines without a collector. A thread of its own writes: disks make people wait.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use super::{Room, Sink, rotation::Rotation};
use crate::{Entry, Form, metrics};

/// The last lines of a process may take so long.
const LAST: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    pub path: PathBuf,
    /// A file that would become larger is put aside, and a new one is begun.
    pub max_bytes: u64,
    /// So many are kept beside it: `mail.log.1` is the newest of them.
    pub keep: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to write the mail log to {}", path.display())]
pub struct FileError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

enum Work {
    Line(Arc<Entry>),
    Flush(mpsc::Sender<()>),
}

#[derive(Debug)]
pub struct File {
    work: mpsc::SyncSender<Work>,
    room: Room,
}

impl File {
    /// The file can be written now; when that changes later, lines are counted as lost, and mail goes on.
    pub fn open(config: FileConfig) -> Result<Self, FileError> {
        let failed = |source| FileError { path: config.path.clone(), source };
        let mut rotation = Rotation::open(config.clone()).map_err(failed)?;
        let (work, lines) = mpsc::sync_channel(Room::LINES);
        let room = Room::default();
        let written = room.clone();
        let write = move || {
            let mut is_failing = false;
            for work in lines {
                let entry: Arc<Entry> = match work {
                    Work::Line(entry) => entry,
                    Work::Flush(done) => {
                        let _ = done.send(()); // who asked may not wait any more
                        continue;
                    }
                };
                let result = rotation.write(&entry.written(Form::Json));
                written.free(entry.line.len());
                match result {
                    Ok(()) => is_failing = false,
                    Err(error) => {
                        metrics::lost("file", 1);
                        if !std::mem::replace(&mut is_failing, true) {
                            let path = rotation.path().display();
                            tracing::error!(%path, %error, "the mail log cannot be written to its file");
                        }
                    }
                }
            }
        };
        std::thread::Builder::new().name("mail-log-file".to_owned()).spawn(write).map_err(failed)?;
        Ok(Self { work, room })
    }
}

impl Sink for File {
    fn write(&self, entry: &Arc<Entry>) {
        let hand_over = || self.work.try_send(Work::Line(Arc::clone(entry))).is_ok();
        if !self.room.put(entry.line.len(), hand_over) {
            metrics::lost("file", 1);
        }
    }

    fn flush(&self) {
        let (done, is_done) = mpsc::channel();
        if self.work.try_send(Work::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(LAST); // a disk that hangs does not keep the process
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use super::*;
    use crate::{Event, Place, event::RouteExpired};

    fn entry(text: &str) -> Arc<Entry> {
        let event = Event::RouteExpired(RouteExpired { line: text.to_owned() });
        Arc::new(Entry::new(event, &Place::default(), SystemTime::UNIX_EPOCH).unwrap())
    }

    fn lines(path: &std::path::Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = |line: &str| {
            let Event::RouteExpired(event) = Entry::read(line).unwrap() else { panic!("{line}") };
            event.line
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn files_are_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        let max_bytes = 2 * (entry("0").line.len() as u64 + 1);
        let file = File::open(FileConfig { path: path.clone(), max_bytes, keep: 2 }).unwrap();
        for number in 0..7 {
            file.write(&entry(&number.to_string()));
        }
        file.flush();
        assert_eq!(lines(&path), ["6"]);
        assert_eq!(lines(&folder.path().join("mail.log.1")), ["4", "5"]);
        assert_eq!(lines(&folder.path().join("mail.log.2")), ["2", "3"]);
        assert!(!folder.path().join("mail.log.3").exists());
    }

    #[test]
    fn a_file_that_somebody_else_has_put_aside_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("mail.log"), folder.path().join("yesterday"));
        let config = FileConfig { path: path.clone(), max_bytes: 1_000_000, keep: 1 };
        let file = File::open(config.clone()).unwrap();
        file.write(&entry("before"));
        file.flush();
        fs::rename(&path, &aside).unwrap();
        file.write(&entry("after"));
        file.flush();
        assert_eq!((lines(&aside), lines(&path)), (vec!["before".to_owned()], vec!["after".to_owned()]));
        // A process that starts again goes on where the last one ended.
        drop(file);
        let file = File::open(config).unwrap();
        file.write(&entry("again"));
        file.flush();
        assert_eq!(lines(&path), ["after", "again"]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_known_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("mail.log");
        let error = File::open(FileConfig { path, max_bytes: 1_000, keep: 1 }).unwrap_err();
        assert!(error.to_string().starts_with("failed to write the mail log to "), "{error}");
    }
}
