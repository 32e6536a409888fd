//! What the operating system and TLS say went wrong, as local errors: with the names that administrators know.

use std::io::{self, ErrorKind};

use hikyaku_runtime::{error_chain::chain, tls::ClientHandshakeError};
use hikyaku_smtp::client::Silence;
use hikyaku_types::outcome::{LocalError, LocalErrorKind};

/// SEED-211.
const WORDS: [(ErrorKind, &str); 6] = [
    (ErrorKind::ConnectionRefused, "connection refused (ECONNREFUSED)"),
    (ErrorKind::ConnectionReset, "connection reset by peer (ECONNRESET)"),
    (ErrorKind::ConnectionAborted, "connection aborted (ECONNABORTED)"),
    (ErrorKind::TimedOut, "connection timed out (ETIMEDOUT)"),
    (ErrorKind::HostUnreachable, "no route to host (EHOSTUNREACH)"),
    (ErrorKind::NetworkUnreachable, "network is unreachable (ENETUNREACH)"),
];

pub(crate) fn describe(error: &io::Error) -> String {
    let known = WORDS.iter().find(|(kind, _)| *kind == error.kind());
    known.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

pub(crate) fn of_io(error: &io::Error) -> LocalError {
    LocalError::new(kind(error), describe(error))
}

pub(crate) fn of_handshake(error: &ClientHandshakeError) -> LocalError {
    let kind = match error {
        ClientHandshakeError::TimedOut(_) => LocalErrorKind::Timeout,
        ClientHandshakeError::Failed(error) => kind(error),
        ClientHandshakeError::Name(_)
        | ClientHandshakeError::NoAuthorities
        | ClientHandshakeError::AlreadySecure => LocalErrorKind::Internal,
    };
    LocalError::new(kind, chain(error))
}

pub(crate) const fn of_silence(silence: Silence) -> LocalErrorKind {
    match silence {
        Silence::TimedOut => LocalErrorKind::Timeout,
        Silence::Closed => LocalErrorKind::Eof,
        Silence::Os(Some(number)) => LocalErrorKind::Os(number),
        // What has no number comes from TLS.
        Silence::Os(None) | Silence::Protocol => LocalErrorKind::Protocol,
        Silence::GivenUp => LocalErrorKind::Internal,
    }
}

fn kind(error: &io::Error) -> LocalErrorKind {
    match error.raw_os_error() {
        Some(number) => LocalErrorKind::Os(number),
        None if error.kind() == ErrorKind::UnexpectedEof => LocalErrorKind::Eof,
        None => LocalErrorKind::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_211_numbers_have_their_names() {
        for (number, name, words) in [
            (104, "ECONNRESET", "connection reset by peer (ECONNRESET)"),
            (103, "ECONNABORTED", "connection aborted (ECONNABORTED)"),
            (110, "ETIMEDOUT", "connection timed out (ETIMEDOUT)"),
            (111, "ECONNREFUSED", "connection refused (ECONNREFUSED)"),
            (113, "EHOSTUNREACH", "no route to host (EHOSTUNREACH)"),
            (101, "ENETUNREACH", "network is unreachable (ENETUNREACH)"),
        ] {
            let error = of_io(&io::Error::from_raw_os_error(number));
            assert_eq!((error.kind.name(), error.kind.errno()), (name, Some(number)));
            assert_eq!(error.what, words);
        }
        assert_eq!(of_io(&io::Error::from_raw_os_error(5)).kind.name(), "EOTHER");
    }

    #[test]
    fn tls_that_breaks_off_is_an_end() {
        let cut = ClientHandshakeError::Failed(ErrorKind::UnexpectedEof.into());
        assert_eq!(of_handshake(&cut).kind, LocalErrorKind::Eof);
        let alert = ClientHandshakeError::Failed(io::Error::new(ErrorKind::InvalidData, "alert"));
        assert_eq!(of_handshake(&alert).kind, LocalErrorKind::Protocol);
    }
}
