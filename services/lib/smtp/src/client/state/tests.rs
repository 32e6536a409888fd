use super::*;

const STATES: [State; 23] = [
    State::Greeting,
    State::Ehlo,
    State::Helo,
    State::Greeted,
    State::StartTls,
    State::Handshake,
    State::Auth,
    State::Ready,
    State::Mail { pipelined: false },
    State::Mail { pipelined: true },
    State::Rcpt { pipelined: false },
    State::Rcpt { pipelined: true },
    State::RcptMoot,
    State::Data { some: false },
    State::Data { some: true },
    State::Content,
    State::Chunk,
    State::FinalDot,
    State::ChunkSent,
    State::MootDot,
    State::Reset,
    State::Quit,
    State::Closed,
];
const SIGNALS: [Signal; 21] = [
    Signal::Positive,
    Signal::Intermediate,
    Signal::Deferred,
    Signal::Rejected,
    Signal::Goodbye,
    Signal::WantsTls,
    Signal::Secured,
    Signal::WantsLogin,
    Signal::Complete,
    Signal::Unmet,
    Signal::RecipientsAnswered { some: false, chunked: false },
    Signal::RecipientsAnswered { some: true, chunked: false },
    Signal::RecipientsAnswered { some: false, chunked: true },
    Signal::RecipientsAnswered { some: true, chunked: true },
    Signal::Start { pipelined: false },
    Signal::Start { pipelined: true },
    Signal::ContentSent,
    Signal::Quit,
    Signal::TimedOut,
    Signal::Cut,
    Signal::Nonsense,
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
        table += &format!("{state:?} + {signal:?} -> {next:?} {effects:?}\n");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/transition.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(golden == table, "rerun with UPDATE_GOLDEN=1 and review the diff");
}

/// Mail is only ever counted as delivered when a 2yz answered its content.
#[test]
fn nothing_is_delivered_without_a_reply_to_its_end() {
    for (state, signal) in pairs() {
        if state.on(signal).1.contains(&Effect::AcceptOpen) {
            assert!([State::FinalDot, State::ChunkSent].contains(&state) && signal == Signal::Positive);
        }
        if state.on(signal).1.contains(&Effect::SendContent) {
            assert_eq!((state, signal), (State::Data { some: true }, Signal::Intermediate));
        }
        if state.on(signal).1.contains(&Effect::SendChunk) {
            assert!(matches!(state, State::Rcpt { .. }));
            assert_eq!(signal, Signal::RecipientsAnswered { some: true, chunked: true });
        }
    }
}

fn is_delivering(state: State) -> bool {
    match state {
        State::Mail { .. }
        | State::Rcpt { .. }
        | State::RcptMoot
        | State::Data { .. }
        | State::Content
        | State::Chunk
        | State::FinalDot
        | State::ChunkSent
        | State::MootDot => true,
        State::Greeting
        | State::Ehlo
        | State::Helo
        | State::Greeted
        | State::StartTls
        | State::Handshake
        | State::Auth
        | State::Ready
        | State::Reset
        | State::Quit
        | State::Closed => false,
    }
}

/// A delivery is reported exactly when it ends, whatever ended it.
#[test]
fn every_delivery_is_finished_once() {
    for (state, signal) in pairs() {
        let (next, effects) = state.on(signal);
        let finishes = effects.contains(&Effect::Finish);
        assert_eq!(finishes, is_delivering(state) && !is_delivering(next), "{state:?} {signal:?}");
        // Nobody is left without a result: those states are reached with none open.
        let closes = [Effect::RefuseOpen, Effect::AcceptOpen, Effect::LoseOpen];
        let nobody_open = match state {
            State::Rcpt { .. } => matches!(signal, Signal::RecipientsAnswered { some: false, .. }),
            State::RcptMoot | State::Data { some: false } | State::MootDot => true,
            State::Greeting
            | State::Ehlo
            | State::Helo
            | State::Greeted
            | State::StartTls
            | State::Handshake
            | State::Auth
            | State::Ready
            | State::Mail { .. }
            | State::Data { some: true }
            | State::Content
            | State::Chunk
            | State::FinalDot
            | State::ChunkSent
            | State::Reset
            | State::Quit
            | State::Closed => false,
        };
        if finishes && !nobody_open {
            assert!(effects.iter().any(|effect| closes.contains(effect)), "{state:?} {signal:?}");
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

/// After a broken connection nothing more is written to it (SEED-211).
#[test]
fn nothing_is_written_after_a_failure() {
    for (state, _) in pairs() {
        for signal in [Signal::TimedOut, Signal::Cut, Signal::Nonsense, Signal::Goodbye] {
            let (next, effects) = state.on(signal);
            assert_eq!(next, State::Closed);
            assert!(!effects.contains(&Effect::SendQuit), "{state:?} {signal:?}");
        }
    }
}

/// SEED-026: a secret follows the offer and nothing else, and TLS is followed by a new beginning.
#[test]
fn what_is_secret_has_one_way_out() {
    for (state, signal) in pairs() {
        let (next, effects) = state.on(signal);
        if effects.contains(&Effect::SendAuth) {
            assert_eq!((state, signal), (State::Greeted, Signal::WantsLogin));
        }
        if effects.contains(&Effect::SendResponse) {
            assert_eq!((state, signal), (State::Auth, Signal::Intermediate));
        }
        if signal == Signal::Secured && next != state {
            assert_eq!(effects, [Effect::Forget, Effect::SendEhlo]);
        }
        // Nothing is said in the clear once the server has agreed to TLS.
        if state == State::Handshake && signal != Signal::Secured {
            let says_nothing = effects.iter().all(|effect| matches!(effect, Effect::Fail | Effect::Close));
            assert!(says_nothing, "{signal:?}");
        }
    }
}
