//! Files that are read again when they change: a renewed certificate, another caller. What is in use
//! stays in use when the new files are no good.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::callers::Problem;

/// Reading a few small files costs less than knowing when to.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {}: {reason}", .path.display())]
    Read { path: PathBuf, reason: io::Error },
    #[error("{}: {reason}", .path.display())]
    Content { path: PathBuf, reason: String },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Callers(Vec<Problem>),
}

impl FileError {
    pub(crate) fn content(path: &Path, reason: impl fmt::Display) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// What the files say, as of now. Ends its work when the last one is dropped.
pub(crate) struct Followed<T>(Arc<watch::Sender<Arc<T>>>);

impl<T> Clone for Followed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Followed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Followed").field(&*self.0.borrow()).finish()
    }
}

impl<T: Send + Sync + 'static> Followed<T> {
    /// Must run inside a tokio runtime. `read` is given the contents in the order of the files.
    pub(crate) fn start<R>(files: Vec<PathBuf>, read: R) -> Result<Self, FileError>
    where
        R: Fn(&[Vec<u8>]) -> Result<T, FileError> + Send + Sync + 'static,
    {
        let contents = contents(&files)?;
        let value = read(&contents)?;
        let sender = Arc::new(watch::Sender::new(Arc::new(value)));
        if !files.is_empty() {
            tokio::spawn(follow(Arc::downgrade(&sender), files, read, fingerprint(&contents)));
        }
        Ok(Self(sender))
    }

    pub(crate) fn current(&self) -> Arc<T> {
        Arc::clone(&self.0.borrow())
    }
}

async fn follow<T: Send + Sync, R>(
    followed: Weak<watch::Sender<Arc<T>>>,
    files: Vec<PathBuf>,
    read: R,
    first: Vec<u8>,
) where
    R: Fn(&[Vec<u8>]) -> Result<T, FileError>,
{
    let shown: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let shown = shown.join(", ");
    let mut known = Ok(first);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let look = files.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || contents(&look)).await else { return };
        let Some(followed) = followed.upgrade() else { return };
        let now = found.as_ref().map(|contents| fingerprint(contents)).map_err(ToString::to_string);
        if now == known {
            continue;
        }
        known = now;
        match found.and_then(|contents| read(&contents)) {
            Ok(value) => {
                info!(files = shown, "changed files are in use");
                followed.send_replace(Arc::new(value));
            }
            Err(error) => {
                warn!(files = shown, %error, "changed files cannot be used, what they said before stays in use");
            }
        }
    }
}

fn contents(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, FileError> {
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|reason| FileError::Read { path: path.clone(), reason });
    files.iter().map(read).collect()
}

/// Private keys are not kept for a comparison.
fn fingerprint(contents: &[Vec<u8>]) -> Vec<u8> {
    contents.iter().flat_map(|content| Sha256::digest(content).to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use hikyaku_testkit::eventually::eventually;

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    fn number(path: &Path, looks: &Arc<AtomicUsize>) -> Result<Followed<u32>, FileError> {
        let (shown, looks) = (path.to_owned(), Arc::clone(looks));
        Followed::start(vec![path.to_owned()], move |contents| {
            looks.fetch_add(1, Ordering::SeqCst);
            let text = String::from_utf8_lossy(&contents[0]);
            text.trim().parse().map_err(|error| FileError::content(&shown, error))
        })
    }

    async fn becomes(followed: &Followed<u32>, wanted: u32) {
        eventually(SOON, async || match *followed.current() {
            now if now == wanted => Ok(()),
            now => Err(format!("{now}, not {wanted}")),
        })
        .await;
    }

    #[tokio::test]
    async fn a_change_is_taken_up_and_a_bad_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let looks = Arc::default();
        assert!(number(&path, &looks).unwrap_err().to_string().starts_with("cannot read "));
        fs::write(&path, "one").unwrap();
        assert_eq!(
            number(&path, &looks).unwrap_err().to_string(),
            format!("{}: invalid digit found in string", path.display())
        );
        fs::write(&path, "1").unwrap();
        let followed = number(&path, &looks).unwrap();
        assert_eq!(*followed.current(), 1);
        fs::write(&path, "2").unwrap();
        becomes(&followed, 2).await;
        let before = looks.load(Ordering::SeqCst);
        fs::write(&path, "three").unwrap();
        eventually(SOON, async || match looks.load(Ordering::SeqCst) {
            now if now > before => Ok(()),
            now => Err(format!("{now} looks")),
        })
        .await;
        assert_eq!(*followed.current(), 2);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "3").unwrap();
        becomes(&followed, 3).await;
    }

    #[tokio::test]
    async fn nothing_goes_on_when_nobody_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let followed = number(&path, &Arc::default()).unwrap();
        let weak = Arc::downgrade(&followed.0);
        drop(followed.clone());
        assert!(weak.upgrade().is_some());
        drop(followed);
        assert!(weak.upgrade().is_none());
        let tasks = tokio::runtime::Handle::current();
        eventually(SOON, async || match tasks.metrics().num_alive_tasks() {
            0 => Ok(()),
            count => Err(format!("{count} tasks")),
        })
        .await;
    }
}
