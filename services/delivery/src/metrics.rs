//! Metric names of this crate.

use hikyaku_measures::{Label, Measure, counter, gauge, seconds};
use hikyaku_runtime::tls::Secured;
use hikyaku_types::outcome::LocalErrorKind;
use metrics::Unit;

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

/// Recipients that are tried again, by why; `class` = temp, noreply, perm, policy.
pub const DEFERRALS: &str = "mail.delivery.deferrals";
/// Dead letters that are kept.
pub const DEAD_LETTERS_KEPT: &str = "mail.queue.dead_letters";
/// Holds of operators that are in force; `scope` = all, destination.
pub const HOLDS: &str = "mail.queue.holds";
/// How long the oldest of them has been.
pub const OLDEST_HOLD: &str = "mail.queue.holds.oldest.age";
/// Shards of the cluster; `state` = owned, unowned.
pub const ALL_SHARDS: &str = "mail.queue.shards";

pub const ALL: &[Measure] = &[
    counter(
        ATTEMPTS,
        &[
            Label { name: "outcome", values: || vec!["delivered", "deferred", "bounced"] },
            Label {
                name: "phase",
                values: || vec!["dns", "connect", "tls", "greeting", "auth", "mail", "rcpt", "content"],
            },
            Label { name: "error.type", values: || [&["none", "REPLY"], LocalErrorKind::NAMES].concat() },
        ],
        "Recipients by the end of their attempt; error.type: none, an answer of the host, or what went wrong on our side",
    ),
    counter(
        DEFERRALS,
        &[Label { name: "class", values: || vec!["temp", "noreply", "perm", "policy"] }],
        "Recipients that are tried again, by why: temp, the host said so; noreply, it could not be asked; policy, our rules \
         did not let it go; perm, another host may take it",
    ),
    seconds(
        LATENCY,
        &[
            Label { name: "outcome", values: || vec!["delivered", "bounced"] },
            Label { name: "lane", values: || vec!["fresh", "bulk", "due"] },
        ],
        "Time from the 250 to the final outcome of a recipient, by the lane of the last attempt",
    ),
    gauge(CONNECTIONS, &[], "Open sessions to remote servers"),
    counter(
        TLS_SESSIONS,
        &[
            Label {
                name: "mode",
                values: || vec!["off", "opportunistic", "required", "verified", "mta-sts", "dane"],
            },
            Label { name: "outcome", values: || vec!["clear", "secured", "verified", "refused", "failed"] },
            Label { name: "version", values: || vec!["1.2", "1.3", "none"] },
        ],
        "Tries to get a session, by what became of TLS; secured: with a certificate that is not good",
    ),
    counter(PARKED, &[], "Entries set aside because their destination had enough in memory"),
    counter(REROUTED, &[], "Entries sent to another destination because their route had changed"),
    counter(
        REPORTS,
        &[Label { name: "kind", values: || vec!["failed", "delayed", "relayed"] }],
        "Reports to senders",
    ),
    counter(DEAD_LETTERS, &[], "Failed messages that have no sender to report to"),
    gauge(
        DEAD_LETTERS_KEPT,
        &[],
        "Dead letters that are kept, shown by the worker that has the first shard; nothing by others",
    ),
    gauge(
        HOLDS,
        &[Label { name: "scope", values: || vec!["all", "destination"] }],
        "Holds of operators that are in force, of all mail or of a destination, shown by the worker that has the first \
         shard; 0 by others",
    ),
    gauge(
        OLDEST_HOLD,
        &[],
        "How long the oldest hold of an operator has been in force, shown by the worker that has the first shard; 0 by \
         others",
    )
    .of(Unit::Seconds),
    counter(FENCED, &[], "Attempts given up because the broker had not been heard for too long"),
    counter(
        RECIPIENT_QUESTIONS,
        &[Label { name: "result", values: || vec!["exists", "unknown", "unclear"] }],
        "Questions to next hops about recipients",
    ),
    counter(ORPHANS, &[], "Gone entries and dead letters whose content was collected"),
    gauge(
        ENTRIES,
        &[Label { name: "lane", values: || vec!["fresh", "bulk", "due", "scheduled"] }],
        "Entries in the shards of this worker",
    ),
    gauge(
        DUE,
        &[],
        "Entries in the shards of this worker that are ready and that no limit of their destination holds back: what \
         more workers would send sooner",
    ),
    gauge(
        OLDEST_AGE,
        &[Label { name: "lane", values: || vec!["fresh", "bulk", "due"] }],
        "How long the oldest entry of a lane has been ready, in the shards of this worker",
    )
    .of(Unit::Seconds),
    gauge(DESTINATIONS, &[], "Destinations that have work"),
    gauge(SHARDS, &[], "Shards that this worker owns"),
    gauge(
        ALL_SHARDS,
        &[Label { name: "state", values: || vec!["owned", "unowned"] }],
        "Shards of the cluster as this worker sees them; unowned: nobody who lives has it",
    ),
    counter(
        STS_FETCHES,
        &[Label { name: "result", values: || vec!["fetched", "failed"] }],
        "Tries to fetch an MTA-STS policy",
    ),
    counter(
        STS_REHEARSALS,
        &[Label { name: "result", values: || vec!["passes", "fails"] }],
        "Sessions with domains whose MTA-STS policy is in testing",
    ),
    counter(
        RESTARTS,
        &[Label { name: "actor.kind", values: || vec!["shard", "destination", "connection"] }],
        "Actors started again after a failure",
    ),
];

pub fn describe() {
    hikyaku_measures::describe(ALL);
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
