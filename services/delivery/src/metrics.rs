//! Metric names of this crate.

use hikyaku_runtime::tls::Secured;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use crate::connection::security::TlsPolicy;

/// Recipients by the end of their attempt; `outcome` = delivered, deferred, bounced; `phase`; `error.type` =
/// none, REPLY, or of our side EOF, TIMEOUT, PROTOCOL, DNS, UNMET, INTERNAL, or a name like ECONNRESET.
pub const ATTEMPTS: &str = "mail.delivery.attempts";
/// From the 250 to the final outcome; `outcome` = delivered, bounced; `lane` of the last attempt = fresh, bulk, due.
pub const LATENCY: &str = "mail.delivery.latency";
/// Open sessions to remote servers.
pub const CONNECTIONS: &str = "smtp.client.connections";
/// Tries to get a session, by what became of TLS; `mode` = off, opportunistic, required, verified;
/// `outcome` = clear, secured, verified, refused, failed; `version` = 1.2, 1.3, none.
pub const TLS_SESSIONS: &str = "smtp.client.tls.sessions";
/// Entries set aside because their destination had enough in memory.
pub const PARKED: &str = "mail.delivery.parked";
/// Entries that were sent to another destination because their route had changed.
pub const REROUTED: &str = "mail.delivery.rerouted";
/// Reports to senders; `kind` = failed, delayed, relayed.
pub const REPORTS: &str = "mail.delivery.reports";
/// Messages without a sender to report to (SEED-191).
pub const DEAD_LETTERS: &str = "mail.delivery.dead_letters";
/// Attempts given up because the broker had not been heard for too long.
pub const FENCED: &str = "mail.delivery.fenced";
/// Questions to next hops about recipients; `result` = exists, unknown, unclear.
pub const RECIPIENT_QUESTIONS: &str = "mail.delivery.recipient_questions";
/// Entries and dead letters that are gone and whose content was collected.
pub const ORPHANS: &str = "mail.queue.orphans";
/// Entries in the shards of this worker; `lane` = fresh, bulk, due, scheduled.
pub const ENTRIES: &str = "mail.queue.entries";
/// Entries in the shards of this worker that are ready and that no limit of their destination holds back: what
/// more workers would send sooner. Autoscaling looks at it.
pub const DUE: &str = "mail.delivery.due";
/// How long the oldest entry has been ready; `lane` = fresh, bulk, due.
pub const OLDEST_AGE: &str = "mail.queue.oldest.age";
/// Destinations with an actor.
pub const DESTINATIONS: &str = "mail.delivery.destinations";
/// Shards that this worker owns.
pub const SHARDS: &str = "mail.delivery.shards";
/// Tries to fetch an MTA-STS policy; `result` = fetched, failed.
pub const STS_FETCHES: &str = "mail.delivery.mta_sts.fetches";
/// Sessions with domains whose MTA-STS policy is in testing; `result` = passes, fails.
pub const STS_REHEARSALS: &str = "mail.delivery.mta_sts.rehearsals";
/// Actors started again after a failure; `actor.kind` = shard, destination, connection.
pub const RESTARTS: &str = "actor.restarts";

pub fn describe() {
    describe_counter!(STS_FETCHES, Unit::Count, "MTA-STS policies that were fetched");
    describe_counter!(
        STS_REHEARSALS,
        Unit::Count,
        "Sessions with domains whose MTA-STS policy is in testing"
    );
    describe_counter!(ATTEMPTS, Unit::Count, "Recipients by the end of their attempt");
    describe_histogram!(LATENCY, Unit::Seconds, "Time from the 250 to the final outcome of a recipient");
    describe_gauge!(CONNECTIONS, "Open sessions to remote servers");
    describe_counter!(TLS_SESSIONS, Unit::Count, "Tries to get a session, by what became of TLS");
    describe_counter!(
        PARKED,
        Unit::Count,
        "Entries set aside because their destination had enough in memory"
    );
    describe_counter!(
        REROUTED,
        Unit::Count,
        "Entries sent to another destination because their route had changed"
    );
    describe_counter!(REPORTS, Unit::Count, "Reports to senders");
    describe_counter!(DEAD_LETTERS, Unit::Count, "Failed messages that have no sender to report to");
    describe_counter!(
        FENCED,
        Unit::Count,
        "Attempts given up because the broker had not been heard for too long"
    );
    describe_counter!(RECIPIENT_QUESTIONS, Unit::Count, "Questions to next hops about recipients");
    describe_counter!(ORPHANS, Unit::Count, "Gone entries and dead letters whose content was collected");
    describe_gauge!(ENTRIES, "Entries in the shards of this worker");
    describe_gauge!(DUE, "Entries that are ready and not held back by a limit of their destination");
    describe_gauge!(OLDEST_AGE, Unit::Seconds, "How long the oldest entry of a lane has been ready");
    describe_gauge!(DESTINATIONS, "Destinations that have work");
    describe_gauge!(SHARDS, "Shards that this worker owns");
    describe_counter!(RESTARTS, Unit::Count, "Actors started again after a failure");
}

/// What became of TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TlsOutcome {
    /// `None`: in the clear.
    Opened(Option<Secured>),
    /// The host does not offer it, or said no; the rules bear no clear text.
    Refused,
    /// The handshake failed.
    Failed,
}

/// `passes`: the session would stand if the policy was enforced.
pub(crate) fn sts_rehearsal(passes: bool) {
    let result = if passes { "passes" } else { "fails" };
    metrics::counter!(STS_REHEARSALS, "result" => result).increment(1);
}

pub(crate) fn tls_session(policy: &TlsPolicy, outcome: TlsOutcome) {
    let (outcome, version) = match outcome {
        TlsOutcome::Opened(None) => ("clear", "none"),
        TlsOutcome::Opened(Some(secured)) if secured.is_verified => ("verified", secured.version),
        TlsOutcome::Opened(Some(secured)) => ("secured", secured.version),
        TlsOutcome::Refused => ("refused", "none"),
        TlsOutcome::Failed => ("failed", "none"),
    };
    metrics::counter!(TLS_SESSIONS, "mode" => policy.name(), "outcome" => outcome, "version" => version)
        .increment(1);
}
