use super::{
    Effect::{self, Reply},
    *,
};
use crate::server::Outcome;

const STATES: [State; 19] = [
    State::Connecting,
    State::TurnedAway,
    State::Greeted,
    State::Ready,
    State::Securing,
    State::Authenticating,
    State::DecidingIdentity,
    State::Confirming,
    State::DecidingSender,
    State::Mail,
    State::AllRefused,
    State::DecidingRecipient { some: false },
    State::DecidingRecipient { some: true },
    State::Rcpt,
    State::Content,
    State::Chunk,
    State::BetweenChunks,
    State::Storing,
    State::Closed,
];
const SIGNALS: [Signal; 56] = [
    Signal::Admitted,
    Signal::Barred,
    Signal::TalkedEarly,
    Signal::Dismissed,
    Signal::Hello,
    Signal::Mail,
    Signal::MailUnauthenticated,
    Signal::MailTooBig,
    Signal::Rcpt,
    Signal::RcptTooMany,
    Signal::Data,
    Signal::DataOfBinary,
    Signal::Bdat,
    Signal::BdatHopeless,
    Signal::Rset,
    Signal::Noop,
    Signal::Vrfy,
    Signal::Expn,
    Signal::Help,
    Signal::StartTls,
    Signal::StartTlsAgain,
    Signal::StartTlsOff,
    Signal::Auth,
    Signal::AuthOff,
    Signal::AuthUnknown,
    Signal::AuthUnsafe,
    Signal::AuthChallenge,
    Signal::AuthAsk,
    Signal::AuthMalformed,
    Signal::AuthCancelled,
    Signal::AuthTooLong,
    Signal::AuthRefused,
    Signal::AuthTooOften,
    Signal::Quit,
    Signal::Xclient,
    Signal::BadCommand,
    Signal::BrokenLine,
    Signal::Secured,
    Signal::AuthProof,
    Signal::Authenticated,
    Signal::SenderAccepted,
    Signal::RecipientAccepted,
    Signal::Durable,
    Signal::Rejected,
    Signal::Deferred,
    Signal::ContentEnded,
    Signal::ChunkEnded,
    Signal::ChunkSkipped,
    Signal::ContentTooBig,
    Signal::ContentUnkept,
    Signal::ContentBroken,
    Signal::IdleTooLong,
    Signal::TransactionTooLong,
    Signal::TooManyErrors,
    Signal::Drain,
    Signal::PeerClosed,
];

fn pairs() -> impl Iterator<Item = (State, Signal)> {
    STATES.into_iter().flat_map(|state| SIGNALS.map(|signal| (state, signal)))
}

/// Golden table: a review of the protocol is a review of this file.
#[test]
fn transition_table() {
    let mut table = String::new();
    for (state, signal) in pairs() {
        let (next, effects) = state.on(signal);
        let ended = state.ended(signal, next).map(|outcome| format!(" = {}", outcome.name()));
        table += &format!("{state:?} + {signal:?} -> {next:?} {effects:?}{}\n", ended.unwrap_or_default());
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/transition.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(golden == table, "rerun with UPDATE_GOLDEN=1 and review the diff");
}

/// Whatever arrives, 250 for content is only ever said after the message was durable.
#[test]
fn no_promise_without_durability() {
    for (state, signal) in pairs() {
        let (_, effects) = state.on(signal);
        if effects.contains(&Reply(Say::Stored)) {
            assert_eq!((state, signal), (State::Storing, Signal::Durable));
        }
    }
}

/// Content is only asked for, and only stored, behind an accepted recipient.
#[test]
fn no_content_without_a_recipient() {
    for (state, signal) in pairs() {
        let (next, effects) = state.on(signal);
        if effects.contains(&Effect::OpenContent) || (next == State::Content && state != State::Content) {
            assert_eq!((state, signal), (State::Rcpt, Signal::Data));
        }
        if effects.contains(&Effect::OpenChunks) {
            assert_eq!((state, signal, next), (State::Rcpt, Signal::Bdat, State::Chunk));
        }
        if next == State::Chunk && state != State::Chunk {
            assert!([State::Rcpt, State::BetweenChunks].contains(&state) && signal == Signal::Bdat);
        }
        if next == State::BetweenChunks && state != State::BetweenChunks {
            assert_eq!((state, signal), (State::Chunk, Signal::ChunkEnded));
        }
        if effects.contains(&Effect::Store) {
            assert!([State::Content, State::Chunk].contains(&state) && signal == Signal::ContentEnded);
        }
    }
}

/// 235 is only said for what the driver accepted.
#[test]
fn nobody_is_believed_unasked() {
    for (state, signal) in pairs() {
        let (next, effects) = state.on(signal);
        if effects.contains(&Reply(Say::Authenticated)) {
            assert_eq!(signal, Signal::Authenticated);
            assert!([State::DecidingIdentity, State::Confirming].contains(&state), "{state:?}");
        }
        if next == State::Confirming && state != State::Confirming {
            assert_eq!((state, signal), (State::DecidingIdentity, Signal::AuthProof));
        }
    }
}

/// RFC 3207 4.2: after the handshake the session stands where it stood at the greeting.
#[test]
fn tls_begins_anew() {
    for (state, signal) in pairs() {
        let (next, effects) = state.on(signal);
        if effects.contains(&Effect::Secure) {
            assert!(matches!(state, State::Greeted | State::Ready), "{state:?}");
            assert_eq!((signal, next), (Signal::StartTls, State::Securing));
        }
        if signal == Signal::Secured && state != State::Closed {
            assert_eq!(next == State::Greeted, state == State::Securing, "{state:?}");
        }
    }
}

#[test]
fn closed_is_the_end_and_says_so_once() {
    for (state, signal) in pairs() {
        let (next, effects) = state.on(signal);
        let closes = effects.last() == Some(&Effect::Close);
        assert_eq!(closes, next == State::Closed && state != State::Closed, "{state:?} {signal:?}");
    }
}

/// A client that is cut off in a transaction leaves a trace in the metrics.
#[test]
fn every_end_of_a_transaction_has_an_outcome() {
    for (state, signal) in pairs() {
        let (next, _) = state.on(signal);
        let ended = state.ended(signal, next);
        if state == State::Storing && next == State::Ready && signal == Signal::Durable {
            assert_eq!(ended, Some(Outcome::Accepted));
        } else {
            assert_ne!(ended, Some(Outcome::Accepted), "{state:?} {signal:?}");
        }
    }
}
