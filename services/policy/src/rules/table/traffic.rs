//! The traffic rules in force, and by which number a worker knows them.

use hikyaku_types::{shard::fnv1a, traffic::TrafficRules};

#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) rules: TrafficRules,
    pub(crate) version: u64,
}

impl Traffic {
    /// `text` is all that the rules were read from: other documents may change without a worker
    /// hearing of it, and a program that ships other rules is noticed.
    pub(crate) fn new(rules: TrafficRules, text: &str) -> Self {
        // 0 is the version of who knows nothing.
        Self { rules, version: fnv1a(text).max(1) }
    }
}
