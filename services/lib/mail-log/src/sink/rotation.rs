//! Which file is written, and which are kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::FileConfig;

/// It is full of addresses: its owner and one group read it.
const READABLE_BY: u32 = 0o640;

pub(super) struct Rotation {
    config: FileConfig,
    file: File,
    size: u64,
}

impl Rotation {
    pub(super) fn open(config: FileConfig) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(READABLE_BY).open(&config.path)?;
        let size = file.metadata()?.len();
        Ok(Self { config, file, size })
    }

    pub(super) fn path(&self) -> &Path {
        &self.config.path
    }

    /// Each of the lines ends with a line feed.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_gone() {
            *self = Self::open(self.config.clone())?;
        }
        if self.has_room(lines) {
            return self.append(lines);
        }
        for line in lines.split_inclusive(|octet| *octet == b'\n') {
            if self.size > 0 && !self.has_room(line) {
                self.put_aside()?;
            }
            self.append(line)?;
        }
        Ok(())
    }

    fn has_room(&self, octets: &[u8]) -> bool {
        self.size + octets.len() as u64 <= self.config.max_bytes
    }

    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(octets) {
            self.cut_back();
            return Err(error);
        }
        self.size += octets.len() as u64;
        Ok(())
    }

    /// A disk that became full has taken a part of it: the next line would join half a line.
    fn cut_back(&self) {
        // It is shorter where somebody else has emptied it.
        if self.file.metadata().is_ok_and(|metadata| metadata.len() > self.size)
            && let Err(error) = self.file.set_len(self.size)
        {
            let path = self.path().display();
            tracing::error!(%path, %error, "the file of the mail log ends with half a line");
        }
    }

    /// Somebody else has moved or removed it, as logrotate does.
    fn is_gone(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let named = fs::metadata(&self.config.path).map(identity);
        let open = self.file.metadata().map(identity);
        !matches!((named, open), (Ok(named), Ok(open)) if named == open)
    }

    /// Each takes the number of the one before it, and the last one its place.
    fn put_aside(&mut self) -> io::Result<()> {
        for number in (1..self.config.keep).rev() {
            match fs::rename(self.aside(number), self.aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        match self.config.keep {
            0 => fs::remove_file(&self.config.path)?,
            _ => fs::rename(&self.config.path, self.aside(1))?,
        }
        *self = Self::open(self.config.clone())?;
        Ok(())
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.config.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Where the limited child writes.
    const FOLDER: &str = "HIKYAKU_ROTATION_TEST";
    const NAME: &str = "sink::rotation::tests::no_line_joins_half_a_line";

    /// A limit of the size of files stops a write in the middle, as a full disk does; it is the limit of a process.
    #[test]
    fn no_line_joins_half_a_line() {
        if let Some(folder) = std::env::var_os(FOLDER) {
            return write_beyond_the_limit(Path::new(&folder));
        }
        let folder = tempfile::tempdir().unwrap();
        // One block: 512 or 1,024 octets, as the shell has it.
        let limited = "trap '' XFSZ && ulimit -f 1 && exec \"$0\" --exact \"$1\" > /dev/null";
        let mut child = Command::new("sh");
        child.args(["-c", limited]).arg(std::env::current_exe().unwrap()).arg(NAME);
        assert!(child.env(FOLDER, folder.path()).status().unwrap().success());
        let text = fs::read_to_string(folder.path().join("mail.log")).unwrap();
        let lines: Vec<(char, usize)> =
            text.lines().map(|line| (line.chars().next().unwrap(), line.len())).collect();
        assert_eq!(lines, [('a', 299), ('c', 99)]);
    }

    fn write_beyond_the_limit(folder: &Path) {
        let config = FileConfig { path: folder.join("mail.log"), max_bytes: 1_000_000, keep: 1 };
        let mut rotation = Rotation::open(config).unwrap();
        let line = |letter: &str, length: usize| format!("{}\n", letter.repeat(length - 1));
        rotation.write(line("a", 300).as_bytes()).unwrap();
        assert_eq!(
            rotation.write(line("b", 2_000).as_bytes()).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        rotation.write(line("c", 100).as_bytes()).unwrap();
    }
}
