//! A file, for machines without a collector.

use std::{io, path::PathBuf, sync::Arc};

use super::{
    Sink,
    lines::{Lines, Target},
    rotation::Rotation,
};
use crate::{Entry, Form, metrics};

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
    source: io::Error,
}

#[derive(Debug)]
pub struct File(Lines);

impl File {
    /// The file can be written now; when that changes later, lines are counted as lost, and mail goes on.
    pub fn open(config: FileConfig) -> Result<Self, FileError> {
        let path = config.path.clone();
        let rotation = Rotation::open(config).map(|rotation| Rotated { rotation, is_failing: false });
        let lines = rotation.and_then(|rotation| Lines::to("mail-log-file", rotation));
        lines.map(Self).map_err(|source| FileError { path, source })
    }
}

impl Sink for File {
    fn write(&self, entry: &Arc<Entry>) {
        self.0.write(entry.shown(Form::Json), || metrics::lost("file", 1));
    }

    fn flush(&self) {
        self.0.flush();
    }
}

struct Rotated {
    rotation: Rotation,
    is_failing: bool,
}

impl Target for Rotated {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let result = self.rotation.write(lines);
        // Said once, until it is over.
        match (std::mem::replace(&mut self.is_failing, result.is_err()), &result) {
            (false, Err(error)) => {
                let path = self.rotation.path().display();
                tracing::error!(%path, %error, "the mail log cannot be written to its file");
            }
            (true, Err(_)) | (_, Ok(())) => {}
        }
        result
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
