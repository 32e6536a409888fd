//! What has to hold before work is sent to this process.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

type Check = Box<dyn Fn() -> Result<(), String> + Send>;

/// A handle; clones are the same. Until the first requirement is made it is not ready: nobody knows yet what
/// this process is to do.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Vec<(&'static str, Check)>>>);

/// What does not hold, a line each.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(pub(super) Vec<String>);

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.check()).finish()
    }
}

impl Readiness {
    /// `check` is asked each time, so it must not wait.
    pub fn requires(&self, what: &'static str, check: impl Fn() -> Result<(), String> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((what, Box::new(check)));
    }

    pub fn check(&self) -> Result<(), Missing> {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if checks.is_empty() {
            return Err(Missing(vec!["process: it is starting".to_owned()]));
        }
        let missing: Vec<String> = checks
            .iter()
            .filter_map(|(what, check)| check().err().map(|why| format!("{what}: {why}")))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(Missing(missing)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn everything_that_is_required_must_hold() {
        let readiness = Readiness::default();
        assert!(readiness.check().is_err(), "it has not begun");
        let holds = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&holds);
        readiness.requires("queue", || Ok(()));
        readiness.requires("directory", move || match asked.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err("no version".to_owned()),
        });
        assert_eq!(readiness.check(), Err(Missing(vec!["directory: no version".to_owned()])));
        holds.store(true, Ordering::SeqCst);
        assert_eq!(readiness.check(), Ok(()));
    }
}
