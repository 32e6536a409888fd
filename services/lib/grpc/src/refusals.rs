//! Refusals: answered in a plain sentence, counted, and logged in moderation, because anybody who
//! reaches the port can cause them.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tonic::Status;
use tracing::warn;

use crate::{
    certificate::CertificateName,
    metrics::{self, Reason},
    role::Role,
};

/// So many lines in so much time; the first line after it says how many were left out.
const LINES: u32 = 20;
const LONGEST_CALL: usize = 128;
const WINDOW: Duration = Duration::from_secs(10);

/// Why a call is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing was shown.
    Nobody {
        needed: Role,
    },
    UnknownToken,
    UnknownCertificate(Vec<CertificateName>),
    Role {
        name: String,
        role: Role,
        needed: Role,
    },
}

impl Refusal {
    fn reason(&self) -> Reason {
        match self {
            Self::Nobody { .. } => Reason::Nobody,
            Self::UnknownToken => Reason::Token,
            Self::UnknownCertificate(_) => Reason::Certificate,
            Self::Role { .. } => Reason::Role,
        }
    }

    /// For the caller. `call` is `package.Service/Method`.
    pub(crate) fn status(&self, call: &str) -> Status {
        match self {
            Self::Nobody { needed } => Status::unauthenticated(format!(
                "{call} needs the role {needed}, and the call does not say who makes it"
            )),
            Self::UnknownToken => Status::unauthenticated("the token is not known here"),
            Self::UnknownCertificate(names) => Status::unauthenticated(format!(
                "no caller is known by the certificate {}",
                if names.is_empty() { "without a name".to_owned() } else { shown(names) }
            )),
            Self::Role { name, role, needed } => Status::permission_denied(format!(
                "{call} needs the role {needed}, and {name} has the role {role}"
            )),
        }
    }

    fn who(&self) -> String {
        match self {
            Self::Nobody { .. } | Self::UnknownToken => "-".to_owned(),
            Self::UnknownCertificate(names) => shown(names),
            Self::Role { name, .. } => name.clone(),
        }
    }
}

fn shown(names: &[CertificateName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Moderation>);

impl Refusals {
    /// Counts and logs it; returns the answer.
    pub(crate) fn call(&self, address: Option<SocketAddr>, path: &str, refusal: &Refusal) -> Status {
        // Anybody may ask for a call of any name.
        let call: String = path.trim_start_matches('/').chars().take(LONGEST_CALL).collect();
        metrics::refused(refusal.reason());
        if let Some(unlogged) = self.next(Instant::now()) {
            let (who, reason) = (refusal.who(), refusal.reason().name());
            let remote = address.map(|address| address.to_string());
            warn!(who, rpc = call, reason, remote, unlogged, "call was refused");
        }
        refusal.status(&call)
    }

    pub(crate) fn handshake(&self, address: Option<SocketAddr>, error: &io::Error) {
        metrics::refused(Reason::Handshake);
        if let Some(unlogged) = self.next(Instant::now()) {
            let remote = address.map(|address| address.to_string());
            warn!(%error, remote, unlogged, "TLS handshake failed");
        }
    }

    fn next(&self, now: Instant) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }
}

#[derive(Debug, Default)]
struct Moderation {
    begun: Option<Instant>,
    lines: u32,
    unlogged: u64,
}

impl Moderation {
    /// Whether there is a line for this one, and how many had none before it.
    fn next(&mut self, now: Instant) -> Option<u64> {
        if self.begun.is_none_or(|begun| now.duration_since(begun) >= WINDOW) {
            self.begun = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES {
            self.unlogged += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_not_filled_by_who_asks_often() {
        let mut moderation = Moderation::default();
        let begin = Instant::now();
        let lines = (0..1_000).filter(|_| moderation.next(begin).is_some()).count();
        assert_eq!(lines, 20);
        assert_eq!(moderation.next(begin + WINDOW), Some(980));
        assert_eq!(moderation.next(begin + WINDOW), Some(0));
    }

    #[test]
    fn refusals_are_sentences() {
        let call = "a.v1.B/DeleteIt";
        let said = |refusal: Refusal| refusal.status(call).message().to_owned();
        assert_eq!(
            said(Refusal::Nobody { needed: Role::Operator }),
            "a.v1.B/DeleteIt needs the role operator, and the call does not say who makes it"
        );
        let role = Refusal::Role { name: "bob".to_owned(), role: Role::Viewer, needed: Role::Operator };
        assert_eq!(
            said(role.clone()),
            "a.v1.B/DeleteIt needs the role operator, and bob has the role viewer"
        );
        assert_eq!(role.status(call).code(), tonic::Code::PermissionDenied);
        let names =
            vec![CertificateName::Dns("a.test".to_owned()), CertificateName::Common("a\n".to_owned())];
        assert_eq!(
            said(Refusal::UnknownCertificate(names)),
            "no caller is known by the certificate dns:a.test cn:a\\n"
        );
    }
}
