//! Commits and imports on a real broker: as a whole, or nothing.

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{changes, imports, seeds, try_cases};
use crate::{
    document::{DocumentName, Documents},
    import::import,
    rules::Surroundings,
    store::{
        Store,
        commit::{Author, Mode},
        tests::Broker,
    },
};

const CASES: u32 = 100;

struct Lab {
    runtime: Runtime,
    store: Store,
    author: Author,
    _nats: Broker,
}

impl Lab {
    /// With the seeds in force.
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let nats = Broker::start();
        let store = runtime.block_on(nats.store());
        let author = Author::default();
        let outcome = runtime.block_on(store.commit(0, &seeds(), Mode::Store, &author)).unwrap();
        assert!(outcome.accepted, "{:?}", outcome.problems);
        Self { runtime, store, author, _nats: nats }
    }

    fn now(&self) -> (u64, Documents) {
        let snapshot = self.runtime.block_on(self.store.snapshot()).unwrap();
        (snapshot.version(), snapshot.documents)
    }
}

fn texts(documents: &Documents) -> Vec<String> {
    DocumentName::ALL.map(|document| documents.text(document).to_string()).into()
}

/// SEED-023. One version follows the other, so each set meets what the ones before it have left.
#[test]
fn a_commit_stores_everything_or_nothing() {
    let lab = Lab::new();
    try_cases(CASES, &changes(), |changes| {
        let before = lab.now();
        let commit = lab.store.commit(before.0, &changes, Mode::Store, &lab.author);
        let outcome = lab.runtime.block_on(commit).unwrap();
        let after = lab.now();
        prop_assert_eq!(outcome.version, after.0);
        if outcome.accepted {
            let is_changed = texts(&after.1) != texts(&before.1);
            prop_assert_eq!(texts(&after.1), texts(&before.1.with(&changes)));
            prop_assert_eq!(after.0, before.0 + u64::from(is_changed));
        } else {
            prop_assert_eq!(after, before);
        }
        Ok(())
    });
}

#[test]
fn an_import_is_applied_as_a_whole_or_not_at_all() {
    let lab = Lab::new();
    try_cases(CASES, &(imports::some(), imports::options()), |(imports::Files(files), options)| {
        let before = lab.now();
        let whole = import(&files, &options, &before.1, &Surroundings::default()).documents;
        let import = lab.store.import(files, options, Mode::Store, &lab.author);
        let outcome = lab.runtime.block_on(import).unwrap();
        let after = lab.now();
        prop_assert_eq!(outcome.version, after.0);
        if outcome.accepted {
            // Verifiers of secrets are salted, and stand behind what was there.
            for document in DocumentName::ALL.into_iter().filter(|it| *it != DocumentName::Credentials) {
                prop_assert_eq!(after.1.text(document), whole.text(document), "{}", document);
            }
        } else {
            prop_assert_eq!(after, before);
        }
        Ok(())
    });
}
