//! Files that a command line names; `-` is the standard input.

use std::{
    error::Error,
    fmt, fs,
    io::{self, Read},
    path::Path,
};

/// A file of the command line that cannot be read: nothing was asked of the cluster.
#[derive(Debug)]
pub(crate) struct Unreadable {
    file: String,
    source: io::Error,
}

impl Unreadable {
    pub(crate) fn new(file: &Path, source: io::Error) -> Self {
        Self { file: file.display().to_string(), source }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.file, self.source)
    }
}

impl Error for Unreadable {}

/// As messages name it.
pub(crate) fn name(file: &Path) -> String {
    if is_stdin(file) { "stdin".to_owned() } else { file.display().to_string() }
}

pub(crate) fn read(file: &Path, mut stdin: impl Read) -> Result<Vec<u8>, Unreadable> {
    let mut octets = Vec::new();
    let read = if is_stdin(file) { stdin.read_to_end(&mut octets).map(|_| octets) } else { fs::read(file) };
    read.map_err(|source| Unreadable { file: name(file), source })
}

pub(crate) fn read_text(file: &Path, stdin: impl Read) -> Result<String, Unreadable> {
    String::from_utf8(read(file, stdin)?).map_err(|_| {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
        Unreadable { file: name(file), source }
    })
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}
