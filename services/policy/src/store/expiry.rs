//! Routes for a time (SEED-024): the answers leave them out from the moment on that they have run out;
//! a while later their lines are taken out of the document, so that nobody reads them as in force.

use hikyaku_mail_log::{Event, event::RouteExpired, record};
use std::time::{Duration, SystemTime};

use hikyaku_runtime::error_chain::chain;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    Store,
    commit::{Author, CommitError, Mode},
};
use crate::{
    document::{DocumentName, Documents},
    rules::Rules,
};

const LOOK_EVERY: Duration = Duration::from_secs(10);

impl Store {
    /// Runs until `shutdown`. Of several processes one is the first; the others find it done.
    pub(crate) async fn expire(&self, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let Some(rules) = self.rules() else { continue };
            let Some(changes) = without_expired(&rules, SystemTime::now()) else { continue };
            let author = Author::relay("routes have run out");
            match self.commit(rules.version(), &changes, Mode::Store, &author).await {
                Ok(outcome) if outcome.accepted => {}
                Ok(_) => warn!("routes have run out and were not taken out of the document"),
                Err(CommitError::Stale { .. } | CommitError::Raced) => {}
                Err(error) => warn!(error = %chain(&error), "routes have run out and were not taken out"),
            }
        }
    }
}

/// The routes without the lines that have run out; `None`: there are none.
fn without_expired(rules: &Rules, now: SystemTime) -> Option<Documents> {
    let expired = rules.expired_routes(now);
    if expired.is_empty() {
        return None;
    }
    let text = rules.documents().text(DocumentName::Routes);
    let mut kept = String::with_capacity(text.len());
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if expired.contains(&number) {
            record(|| Event::RouteExpired(RouteExpired { line: line.trim().to_owned() }));
        } else {
            kept.push_str(line);
        }
    }
    Some(Documents::from_iter([(DocumentName::Routes, kept)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::rules;

    #[test]
    fn only_lines_that_have_run_out_go() {
        let text = "; routes\na.jp,192.0.2.1,25,expires=2030-01-01T00:00:00Z\r\nb.jp,192.0.2.1,25\n\
                    c.jp,192.0.2.1,25,expires=2031-01-01T00:00:00Z";
        let rules = rules(&[(DocumentName::Routes, text)]);
        let at = |time: time::OffsetDateTime| without_expired(&rules, time.into());
        assert_eq!(at(time::macros::datetime!(2029-12-31 23:59 UTC)), None);
        let left = at(time::macros::datetime!(2030-01-01 00:00 UTC)).unwrap();
        assert_eq!(
            &*left.text(DocumentName::Routes),
            "; routes\nb.jp,192.0.2.1,25\nc.jp,192.0.2.1,25,expires=2031-01-01T00:00:00Z"
        );
        let left = at(time::macros::datetime!(2031-01-01 00:00 UTC)).unwrap();
        assert_eq!(&*left.text(DocumentName::Routes), "; routes\nb.jp,192.0.2.1,25\n");
    }
}
