//! Documents and files that nobody wrote with care: whatever is read, nothing panics, every problem says
//! where it is, and a set is in force as a whole or not at all.
//!
//! `HIKYAKU_FUZZ=100 cargo test -p hikyaku-policy fuzz` tries a hundred times as many.

mod seeds; // valid texts of every format
mod mutate; // what becomes of them
mod documents; // the rules that are made of them
mod imports; // files of the old products
mod store; // commits and imports on a real broker

use std::fmt::Debug;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use crate::document::{DocumentName, Documents};

/// Puts so many cases to `check`, or a multiple of them, and says the smallest that fails.
fn try_cases<S: Strategy>(cases: u32, of: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Debug,
{
    let times = std::env::var("HIKYAKU_FUZZ").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let config =
        Config { cases: cases.saturating_mul(times), failure_persistence: None, ..Config::default() };
    if let Err(failure) = TestRunner::new(config).run(of, check) {
        panic!("{failure}");
    }
}

/// The valid set.
fn seeds() -> Documents {
    seeds::DOCUMENTS.into_iter().collect()
}

/// Some documents with other texts.
fn changes() -> impl Strategy<Value = Documents> {
    let change = prop::sample::select(&seeds::DOCUMENTS[..])
        .prop_flat_map(|(document, text)| mutate::mutated(text).prop_map(move |text| (document, text)));
    prop::collection::vec(change, 1..4).prop_map(|changes| changes.into_iter().collect())
}

/// `file:line: severity CODE: reason`, on one line that does nothing to a terminal.
fn check_shown(shown: &str, file: &str, lines: usize) -> Result<(), TestCaseError> {
    let rest = shown.strip_prefix(&format!("{file}:"));
    let parts = rest.map(|rest| rest.splitn(3, ": ").collect::<Vec<_>>());
    let Some([line, what, reason]) = parts.as_deref() else {
        return Err(TestCaseError::fail(format!("{shown:?} is not file:line: severity CODE: reason")));
    };
    let line: usize = line.parse().map_err(|_| TestCaseError::fail(format!("no line: {shown:?}")))?;
    prop_assert!(line <= lines, "{shown:?}: there are {lines} lines");
    let (severity, code) = what.split_once(' ').unwrap_or_default();
    let is_severity = ["error", "warning", "note"].contains(&severity);
    // A strict import refuses what is a warning by its code.
    let is_code = ["E-", "W-", "N-"].iter().any(|mark| code.starts_with(mark));
    prop_assert!(is_severity && is_code && !reason.is_empty(), "{shown:?}");
    prop_assert!(
        !shown.chars().any(hikyaku_types::text::is_unprintable),
        "{shown:?} does something to a terminal"
    );
    Ok(())
}

fn lines_of(documents: &Documents, document: DocumentName) -> usize {
    documents.text(document).lines().count()
}
