//! A small disk of one's own: an ext4 image that can be filled, and whose power can be cut. Cut,
//! it keeps only what was synced: the file system is told to stop without writing its journal
//! (EXT4_IOC_SHUTDOWN with NOLOGFLUSH), so nothing that sat in memory reaches the image.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use tempfile::TempDir;

/// EXT4_IOC_SHUTDOWN, and its flag NOLOGFLUSH.
const CUT: &str = "import fcntl, os, struct, sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))\n";

pub struct Disk {
    folder: TempDir,
    is_mounted: bool,
}

impl Disk {
    /// Fails where this user may not mount: a test says then that it was skipped.
    pub fn new(mebibytes: u64) -> anyhow::Result<Self> {
        let mut disk = Self { folder: tempfile::tempdir()?, is_mounted: false };
        fs::File::create(disk.image())?.set_len(mebibytes * 1024 * 1024)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk.image()))?;
        fs::create_dir(disk.path())?;
        disk.mount()?;
        Ok(disk)
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount(&mut self) -> anyhow::Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path()))?;
        self.is_mounted = true;
        Ok(())
    }

    /// Everything that uses the disk fails from now on.
    pub fn cut_power(&self) -> anyhow::Result<()> {
        run(Command::new("python3").args(["-c", CUT]).arg(self.path()))
    }

    /// After a cut, and the end of all that used the disk.
    pub fn power_on(&mut self) -> anyhow::Result<()> {
        run(Command::new("umount").arg(self.path()))?;
        self.is_mounted = false;
        self.mount()
    }

    /// Leaves less than this free.
    pub fn fill(&self) -> anyhow::Result<()> {
        let file = self.path().join("filler");
        // It ends with "no space left on device".
        let _ = Command::new("dd")
            .args(["if=/dev/zero", "bs=64K"])
            .arg(format!("of={}", file.display()))
            .output()?;
        Ok(())
    }

    pub fn make_room(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.path().join("filler"))?)
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(())
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg("-l").arg(self.path()).output();
        }
    }
}

/// So many disks, or `None` and a word why not.
pub fn disks(count: usize, mebibytes: u64) -> Option<Vec<Disk>> {
    let made: anyhow::Result<Vec<Disk>> = (0..count).map(|_| Disk::new(mebibytes)).collect();
    made.inspect_err(|error| println!("skipped: this user cannot make disks: {error:#}")).ok()
}

pub fn paths(disks: &[Disk]) -> Vec<PathBuf> {
    disks.iter().map(|disk| disk.path().join("store")).collect()
}

/// The library that sets a program's clock, if it is installed.
pub fn faketime() -> Option<&'static Path> {
    const PLACES: [&str; 2] = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    ];
    let found = PLACES.iter().map(Path::new).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: faketime is not installed");
    }
    found
}
