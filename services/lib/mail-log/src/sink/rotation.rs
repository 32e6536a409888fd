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
        self.file.write_all(octets)?;
        self.size += octets.len() as u64;
        Ok(())
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
